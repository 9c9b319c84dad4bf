"""The canonical order of the rows inside an instant, as the kernel checks it: whatever the log came by first, the fold
takes them so. domain.rows has the same order for whole arrays, and sorts them."""

from typing import Any

from carryfold.domain.fold._compile import compiled, index, inlined
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


@inlined
def ordered_end(rows: Any, first: int) -> int:
    """Where the instant that begins at `first` ends; less than 0 if its rows are not in canonical order. The rows are
    looked at for the first time here: a pass of its own would take as long as the memory needs to bring them."""
    t = rows[first].known_at
    for k in range(first + 1, len(rows)):
        row = rows[index(k)]
        if row.known_at != t:
            return k
        before = rows[index(k - 1)]
        if not _surely_before(before, row) and _comes_before(row, before):
            return OUT_OF_ORDER
    return len(rows)
