"""The canonical order of the rows inside an instant: whatever the log came by first, the fold takes them so.

domain.rows has the same order for whole tapes, in numpy.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import allocating, compiled, inlined
from carryfold.domain.fold.codes import (
    BAR_CLOSED,
    FUNDING_REVISED,
    INSTRUMENT_DELISTED,
    ORDER_ACCEPTED,
)

OUT_OF_ORDER = -1


@compiled
def phase_of(kind: int) -> int:
    """The phase in which an instant first takes a row of this kind."""
    if kind <= BAR_CLOSED:
        return 1
    if kind == INSTRUMENT_DELISTED:
        return 6
    if kind == FUNDING_REVISED:
        return 3
    if kind >= ORDER_ACCEPTED:
        return 4
    return 2


@compiled
def _comes_before(a: Any, b: Any) -> bool:
    """The canonical order inside an instant: phase, event time, subject, kind, then everything a row says; of two
    prices the one that has a value first."""
    if a.kind != b.kind:
        phase_a = phase_of(a.kind)
        phase_b = phase_of(b.kind)
        if phase_a != phase_b:
            return phase_a < phase_b
    if a.event_at != b.event_at:
        return a.event_at < b.event_at
    if a.subject != b.subject:
        return a.subject < b.subject
    if a.kind != b.kind:
        return a.kind < b.kind
    if a.a != b.a:
        return a.a > b.a
    if a.b != b.b:
        return a.b < b.b
    if a.c != b.c:
        return a.c < b.c
    return a.slot < b.slot


@compiled
def _surely_before(a: Any, b: Any) -> bool:
    """True if two neighbours are in canonical order by phase, event time and subject alone."""
    if a.kind != b.kind:
        phase_a = phase_of(a.kind)
        phase_b = phase_of(b.kind)
        if phase_a != phase_b:
            return phase_a < phase_b
    if a.event_at != b.event_at:
        return a.event_at < b.event_at
    return a.subject < b.subject


@compiled
def _instant_end(rows: Any, first: int) -> int:
    """Where the instant that begins at `first` ends."""
    t = rows[first].known_at
    end = first + 1
    while end < len(rows) and rows[end].known_at == t:
        end += 1
    return end


@inlined
def ordered_end(rows: Any, first: int) -> int:
    """Where the instant that begins at `first` ends; less than 0 if its rows are not in canonical order. The rows are
    looked at for the first time here: a pass of its own would take as long as the memory needs to bring them."""
    t = rows[first].known_at
    end = first + 1
    while end < len(rows) and rows[end].known_at == t:
        if not _surely_before(rows[end - 1], rows[end]) and _comes_before(rows[end], rows[end - 1]):
            return OUT_OF_ORDER
        end += 1
    return end


@compiled
def _in_order(rows: Any) -> bool:
    """True if all neighbours inside instants are in canonical order."""
    for k in range(1, len(rows)):
        if rows[k - 1].known_at == rows[k].known_at and not _surely_before(rows[k - 1], rows[k]):
            if _comes_before(rows[k], rows[k - 1]):
                return False
    return True


@compiled
def _sort_instant(rows: Any, first: int, end: int, order: Any, into: Any) -> None:
    """rows[first:end] in canonical order, by a shell sort (instants are short)."""
    n = end - first
    for k in range(n):
        order[k] = first + k
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, n):
            moving = order[k]
            j = k
            while j >= gap and _comes_before(rows[moving], rows[order[j - gap]]):
                order[j] = order[j - gap]
                j -= gap
            order[j] = moving
        gap //= 3
    for k in range(n):
        into[first + k] = rows[order[k]]


@allocating
def in_canonical_order(rows: Any) -> Any:
    """`rows` themselves, or a copy with the rows of every instant in canonical order."""
    if _in_order(rows):
        return rows
    ordered = rows.copy()
    order = np.empty(len(rows), np.int64)
    first = 0
    while first < len(rows):
        end = _instant_end(rows, first)
        if end - first > 1:
            _sort_instant(rows, first, end, order, ordered)
        first = end
    return ordered
