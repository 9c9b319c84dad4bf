"""The first difference between two runs up to an instant: in decisions, fills, days, or in the state at that instant.

Pairs, instruments and venues are compared by name, because a run over a part of the log may know fewer of them. Pairs
that only the first run knows must not have been traded, and what the second could not count is left out.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.fold import State
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, NOTHING
from carryfold.domain.instruments import Pair, carry_pair
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS, format_time

__all__ = ["first_difference"]

_REFUSED: Final = ACTIONS.index("refused")
_INDICES: Final = ("long", "short", "long_venue", "short_venue")
_SETUP: Final = ("across", "shares_legs")
"""Follow from the run's pairs and not from its rows."""
_COUNTS: Final = ("refused", "rows")
"""Are counted over all pairs of the run."""

Records = npt.NDArray[np.void]


def first_difference(whole: Backtest, other: Backtest, cut: int) -> str | None:
    """What differs up to `cut` (ns), of which both runs have kept the state; None: nothing."""
    return next(_differences(whole, other, cut), None)


def _differences(whole: Backtest, other: Backtest, cut: int) -> Iterator[str]:
    places = _places(whole.selection.pairs, other.selection.pairs)
    yield from _decisions(whole, other, cut, places)
    yield from _fills(whole, other, cut, places)
    number = _first_unequal(*(run.days[run.days["day"] < cut // DAY_NS] for run in (whole, other)))
    if number is not None:
        yield f"the figures of day {number + 1} of the run differ"
    a, b = whole.states[cut], other.states[cut]
    if b.pairs and a.venues != b.venues:
        with_it, without = (", ".join(state.venues) for state in (a, b))
        yield f"the capital is divided between {with_it} with the future and {without} without it"
    yield from _states(a, b, places)


def _places(pairs: Sequence[Pair], others: Sequence[Pair]) -> npt.NDArray[np.int64]:
    """The index of each pair among the others, or -1. Before the spot market of a carry pair is known, its spot leg is
    an assumed one."""
    place = {pair: number for number, pair in enumerate(others)}
    found: list[int] = []
    for pair in pairs:
        same = place.get(pair, -1)
        if same < 0 and pair.is_carry and pair.is_one_venue:
            same = place.get(carry_pair(pair.short.venue, pair.short.symbol, pair.short.listing), -1)
        found.append(same)
    return np.array(found, np.int64)


def _decisions(whole: Backtest, other: Backtest, cut: int, places: npt.NDArray[np.int64]) -> Iterator[str]:
    a, b = _known(whole.decisions, cut, places), _known(other.decisions, cut)
    a = a[(a["pair"] >= 0) | (a["action"] != _REFUSED)]
    number = _first_unequal(a, b)
    if number is None:
        return
    with_it, without = (_described(other, one, number) for one in (a, b))
    if with_it == without:
        fields = (field for field in a.dtype.names or () if a[field][number].tobytes() != b[field][number].tobytes())
        yield f"decision {number + 1}, {with_it}, has another {', '.join(fields)} with the future"
    else:
        yield f"decision {number + 1} is {with_it} with the future and {without} without it"


def _described(run: Backtest, records: Records, number: int) -> str:
    if number >= len(records):
        return "missing"
    one = records[number]
    pair = run.selection.label(one["pair"]) if one["pair"] >= 0 else "a pair that is not known"
    return f"{ACTIONS[one['action']]} {pair} {one['lots']} lots at {format_time(int(one['t']))}"


def _fills(whole: Backtest, other: Backtest, cut: int, places: npt.NDArray[np.int64]) -> Iterator[str]:
    a, b = _known(whole.fills, cut, places), _known(other.fills, cut)
    number = _first_unequal(a, b)
    if number is not None:
        one = (a if number < len(a) else b)[number]
        yield f"fill {number + 1} ({BOOKINGS[one['action']]} at {format_time(int(one['t']))}) differs"


def _known(records: Records, cut: int, places: npt.NDArray[np.int64] | None = None) -> Records:
    """Those at or before `cut`, with the other run's index of the pair."""
    known: Records = records[records["t"] <= cut]
    if places is not None:
        known["pair"] = places[known["pair"]]
    return known


def _first_unequal(a: Records, b: Records) -> int | None:
    common = min(len(a), len(b))
    unequal = np.flatnonzero(_words(a[:common]) != _words(b[:common]))
    if len(unequal):
        return int(unequal[0]) // (a.dtype.itemsize // 8)
    return None if len(a) == len(b) else common


def _words(records: Records) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(records).view(np.int64)


def _states(a: State, b: State, places: npt.NDArray[np.int64]) -> Iterator[str]:
    shared = np.flatnonzero(places >= 0)
    fewer = len(shared) < len(places)
    legs = {leg: number for number, leg in enumerate(a.instruments)}
    for number, leg in enumerate(b.instruments):
        if any(leg in pair for pair in b.pairs):
            yield from _fields(f"instrument {leg.label}", a.market[legs[leg]], b.market[number], ())
    for number in shared.tolist():
        pair, place = a.pairs[number], int(places[number])
        yield from _fields(f"pair {pair.name}", a.view[number], b.view[place], (*_INDICES, *_SETUP))
        yield from _fields(f"holding of {pair.name}", a.pair[number], b.pair[place], ())
    for number in np.flatnonzero(places < 0).tolist():
        record = a.pair[number]
        if record["held"] or record["pending"] != NOTHING or record["traded"]:
            yield f"pair {a.pairs[number].name} is traded before it is known"
    for venue in b.venues:
        if venue in a.venues:
            accounts = a.account[a.venues.index(venue)], b.account[b.venues.index(venue)]
            yield from _fields(f"account at {venue}", *accounts, ())
    yield from _fields("book", a.book[0], b.book[0], (*_SETUP, *_COUNTS) if fewer else ())


def _fields(name: str, a: np.void, b: np.void, left_out: tuple[str, ...]) -> Iterator[str]:
    """The first field in which two records of a state differ."""
    if a.tobytes() == b.tobytes():
        return
    for field in a.dtype.names or ():
        if field not in left_out and np.asarray(a[field]).tobytes() != np.asarray(b[field]).tobytes():
            yield f"the state of {name} differs in {field}: {a[field]} with the future and {b[field]} without it"
            return
