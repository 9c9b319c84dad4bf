"""Rows: log events in the form that the fold reads, 56 bytes each.

This is the one table of row kinds: role, subject, the phase of an instant in which the fold processes them, their
lateness group, and the meaning of the values a, b and c. Times are int64 UTC nanoseconds. A price of 0 and a turnover
or open interest of -1 mean "not in this observation"; a row never contains NaN.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.domain import events as ev

__all__ = [
    "E8", "GROUPS", "KINDS", "ROW", "Kind", "KindSpec", "Role", "Rows", "Subject", "classes_of", "empty_rows",
    "in_canonical_order", "role_of", "row_values", "to_e8",
]  # fmt: skip

E8: Final = 100_000_000
"""Money in the fold is int64 of 1e-8 quote."""

Rows = npt.NDArray[np.void]  # of dtype ROW

ROW: Final = np.dtype(
    [
        ("known_at", "i8"),
        ("event_at", "i8"),
        ("seq", "i8"),
        ("subject", "i4"),  # dense id of the instrument or, of a trading event, of the pair; -1: neither
        ("kind", "i2"),
        ("slot", "i2"),  # minutes that a bar or an activity covers, or a prediction's interval; of outcomes: the run
        ("a", "f8"),
        ("b", "f8"),
        ("c", "f8"),
    ]
)
assert ROW.itemsize == 56


class Role(IntEnum):
    """Which folds read an event: all (input), those of its own run (outcome), or none (record)."""

    INPUT = 0
    OUTCOME = 1
    RECORD = 2


class Subject(IntEnum):
    """The kind of id in a row's subject."""

    NONE = 0
    INSTRUMENT = 1
    PAIR = 2


class Kind(IntEnum):
    """Row kinds. Numbers are stored in tapes and snapshots: never reuse one."""

    QUOTED = 1
    BAR_CLOSED = 2
    FUNDING_SETTLED = 3
    FUNDING_REVISED = 4
    FUNDING_PREDICTED = 5
    ACTIVITY_OBSERVED = 6
    INSTRUMENT_LISTED = 7
    INSTRUMENT_CHANGED = 8
    INSTRUMENT_DELISTED = 9
    CLOCK_TICKED = 10
    CLOCK_STEPPED = 11
    FEED_CONNECTED = 12
    FEED_LOST = 13
    UNIVERSE_CHANGED = 14
    ORDER_ACCEPTED = 20
    ORDER_REJECTED = 21
    ORDER_UNKNOWN = 22
    LONG_FILLED = 23
    ORDER_CANCELLED = 24
    FUNDING_PAID = 25
    BORROW_CHARGED = 26
    MARGIN_OBSERVED = 27
    RECONCILIATION_CORRECTED = 28
    HALTED = 29
    RESUMED = 30
    FLATTEN_REQUESTED = 31
    SHORT_FILLED = 32
    HEDGE_ENDED = 33
    FUNDING_CORRECTED = 34
    LONG_ADOPTED = 35
    SHORT_ADOPTED = 36


class KindSpec(NamedTuple):
    """One line of the table. `phase` is the fold's (docs/semantics.md); `group` the lateness group, "" = never late."""

    role: Role
    subject: Subject
    phase: int
    group: str = ""
    a: str = ""
    b: str = ""
    c: str = ""


_INPUT, _OUTCOME = Role.INPUT, Role.OUTCOME
_NONE, _INSTRUMENT, _PAIR = Subject.NONE, Subject.INSTRUMENT, Subject.PAIR

KINDS: Final[dict[Kind, KindSpec]] = {
    Kind.QUOTED: KindSpec(_INPUT, _INSTRUMENT, 1, "price", "bid", "ask"),
    Kind.BAR_CLOSED: KindSpec(_INPUT, _INSTRUMENT, 1, "price", "close or 0", "mark or 0", "turnover or -1"),
    Kind.FUNDING_SETTLED: KindSpec(_INPUT, _INSTRUMENT, 2, "settled", "rate", "interval_hours or 0"),
    Kind.FUNDING_REVISED: KindSpec(
        _INPUT, _INSTRUMENT, 3, "", "rate", "interval_hours or 0", "rate it replaces, or the same"
    ),
    Kind.FUNDING_PREDICTED: KindSpec(
        _INPUT, _INSTRUMENT, 2, "predicted", "rate", "mark or 0", "next settlement, UTC ms"
    ),
    Kind.ACTIVITY_OBSERVED: KindSpec(_INPUT, _INSTRUMENT, 2, "activity", "turnover or -1", "open_interest or -1"),
    Kind.INSTRUMENT_LISTED: KindSpec(_INPUT, _INSTRUMENT, 2, "", "lot", "min_notional", "multiplier"),
    Kind.INSTRUMENT_CHANGED: KindSpec(
        _INPUT, _INSTRUMENT, 2, "", "lot or 0", "min_notional or -1", "delist_at UTC ms, 0 cleared, -1 same"
    ),
    Kind.INSTRUMENT_DELISTED: KindSpec(_INPUT, _INSTRUMENT, 6),
    Kind.CLOCK_TICKED: KindSpec(_INPUT, _NONE, 2),
    Kind.CLOCK_STEPPED: KindSpec(_INPUT, _NONE, 2, "", "step in seconds; 0: the clocks agree again"),
    Kind.FEED_CONNECTED: KindSpec(_INPUT, _NONE, 2),
    Kind.FEED_LOST: KindSpec(_INPUT, _NONE, 2),
    Kind.UNIVERSE_CHANGED: KindSpec(_INPUT, _INSTRUMENT, 2, "", "1: it may be entered from now on; 0: it may not"),
    Kind.ORDER_ACCEPTED: KindSpec(_OUTCOME, _PAIR, 4),
    Kind.ORDER_REJECTED: KindSpec(_OUTCOME, _PAIR, 4),
    Kind.ORDER_UNKNOWN: KindSpec(_OUTCOME, _PAIR, 4),
    Kind.ORDER_CANCELLED: KindSpec(_OUTCOME, _PAIR, 4),
    Kind.LONG_FILLED: KindSpec(_OUTCOME, _PAIR, 4, "", "units, bought > 0", "value e8, > 0", "fee e8"),
    Kind.SHORT_FILLED: KindSpec(_OUTCOME, _PAIR, 4, "", "units, bought > 0", "value e8, > 0", "fee e8"),
    Kind.HEDGE_ENDED: KindSpec(_OUTCOME, _PAIR, 4, "", "1: it answered a decision; 0: a repair"),
    Kind.FUNDING_PAID: KindSpec(_OUTCOME, _PAIR, 4, "", "amount e8, received > 0", "0 long leg, 1 short leg"),
    Kind.FUNDING_CORRECTED: KindSpec(_OUTCOME, _PAIR, 4, "", "amount e8, received > 0", "0 long leg, 1 short leg"),
    Kind.BORROW_CHARGED: KindSpec(_OUTCOME, _NONE, 4, "", "amount e8, charged > 0"),
    Kind.MARGIN_OBSERVED: KindSpec(_OUTCOME, _NONE, 4, "", "health"),
    Kind.RECONCILIATION_CORRECTED: KindSpec(_OUTCOME, _PAIR, 4, "", "long units", "short units", "cash e8"),
    Kind.LONG_ADOPTED: KindSpec(_OUTCOME, _PAIR, 4, "", "units", "value e8", "coins of a unit"),
    Kind.SHORT_ADOPTED: KindSpec(_OUTCOME, _PAIR, 4, "", "units", "value e8", "coins of a unit"),
    Kind.HALTED: KindSpec(_OUTCOME, _NONE, 4),
    Kind.RESUMED: KindSpec(_OUTCOME, _NONE, 4),
    Kind.FLATTEN_REQUESTED: KindSpec(_OUTCOME, _NONE, 4),
}

GROUPS: Final = ("price", "settled", "predicted", "activity")
"""Lateness groups: within one, a row whose event_at is not newer than the instrument's newest is late."""


def empty_rows(count: int = 0) -> Rows:
    """An array of `count` zeroed rows."""
    return np.zeros(count, ROW)


_PHASE_OF: Final = np.zeros(max(KINDS) + 1, np.int64)
for _kind, _spec in KINDS.items():
    _PHASE_OF[_kind] = _spec.phase


def in_canonical_order(rows: Rows) -> Rows:
    """Rows sorted by known_at, and within an instant in the fold's canonical order: phase, event time, subject, kind,
    then the values, with a missing price last. Returns `rows` itself if they are sorted. The order does not depend on
    the order in which the log recorded them."""
    if len(rows) < 2:
        return rows
    keys = (
        rows["known_at"], _PHASE_OF[rows["kind"]], rows["event_at"], rows["subject"], rows["kind"], -rows["a"],
        rows["b"], rows["c"], rows["slot"],
    )  # fmt: skip
    tied = np.ones(len(rows) - 1, np.bool_)
    for key in keys:
        before, after = key[:-1], key[1:]
        if (tied & (before > after)).any():
            return rows.take(np.lexsort(keys[::-1]))
        tied &= before == after
        if not tied.any():
            break
    return rows


def to_e8(amount: Decimal) -> int:
    """A quote amount in units of 1e-8, rounded half-even. A venue's figures have at most 8 decimals and stay exact."""
    return int((amount * E8).to_integral_value())


def _delist_ms(delist_at: int | None) -> float:
    return -1.0 if delist_at is None else float(delist_at // 1_000_000)


def _leg(e: Any) -> float:
    return 0.0 if e.leg == "long" else 1.0


def _plain(kind: Kind) -> Callable[[Any], tuple[int, int, float, float, float]]:
    return lambda _: (kind, 0, 0.0, 0.0, 0.0)


# event class -> (kind, slot, a, b, c) of an event. Classes that are not here are records, which no fold reads.
_ROW_OF: Final[dict[type, Callable[[Any], tuple[int, int, float, float, float]]]] = {
    ev.Quoted: lambda e: (Kind.QUOTED, 0, e.bid, e.ask, 0.0),
    ev.BarClosed: lambda e: (Kind.BAR_CLOSED, e.minutes, e.close, e.mark, e.turnover),
    ev.FundingSettled: lambda e: (Kind.FUNDING_SETTLED, 0, e.rate, e.interval_hours, 0.0),
    ev.FundingRevised: lambda e: (Kind.FUNDING_REVISED, 0, e.rate, e.interval_hours, e.replaces),
    ev.FundingPredicted: lambda e: (
        Kind.FUNDING_PREDICTED, round(e.interval_hours * 60), e.rate, e.mark, float(e.next_at // 1_000_000)
    ),
    ev.ActivityObserved: lambda e: (Kind.ACTIVITY_OBSERVED, e.minutes, e.turnover, e.open_interest, 0.0),
    ev.InstrumentListed: lambda e: (Kind.INSTRUMENT_LISTED, 0, e.lot, e.min_notional, e.multiplier),
    ev.InstrumentChanged: lambda e: (
        Kind.INSTRUMENT_CHANGED, 0, e.lot or 0.0, -1.0 if e.min_notional is None else e.min_notional,
        _delist_ms(e.delist_at),
    ),
    ev.InstrumentDelisted: _plain(Kind.INSTRUMENT_DELISTED),
    ev.ClockTicked: _plain(Kind.CLOCK_TICKED),
    ev.ClockStepped: lambda e: (Kind.CLOCK_STEPPED, 0, e.step_ns / 1e9, 0.0, 0.0),
    ev.FeedConnected: _plain(Kind.FEED_CONNECTED),
    ev.FeedLost: _plain(Kind.FEED_LOST),
    ev.OrderAccepted: _plain(Kind.ORDER_ACCEPTED),
    ev.OrderRejected: _plain(Kind.ORDER_REJECTED),
    ev.OrderUnknown: _plain(Kind.ORDER_UNKNOWN),
    ev.OrderFilled: lambda e: (
        Kind.LONG_FILLED if e.leg == "long" else Kind.SHORT_FILLED, 0,
        float(e.units), float(to_e8(e.value)), float(to_e8(e.fee)),
    ),
    ev.OrderCancelled: _plain(Kind.ORDER_CANCELLED),
    ev.HedgeEnded: lambda e: (Kind.HEDGE_ENDED, 0, float(e.work != "repair"), 0.0, 0.0),
    ev.FundingPaid: lambda e: (Kind.FUNDING_PAID, 0, float(to_e8(e.amount)), _leg(e), 0.0),
    ev.FundingCorrected: lambda e: (Kind.FUNDING_CORRECTED, 0, float(to_e8(e.amount)), _leg(e), 0.0),
    ev.BorrowCharged: lambda e: (Kind.BORROW_CHARGED, 0, float(to_e8(e.amount)), 0.0, 0.0),
    ev.MarginObserved: lambda e: (Kind.MARGIN_OBSERVED, 0, e.health, 0.0, 0.0),
    ev.ReconciliationCorrected: lambda e: (
        Kind.RECONCILIATION_CORRECTED, 0, float(e.long_units), float(e.short_units), float(to_e8(e.cash))
    ),
    ev.HoldingAdopted: lambda e: (
        Kind.LONG_ADOPTED if e.leg == "long" else Kind.SHORT_ADOPTED, 0,
        float(e.units), float(to_e8(e.value)), e.unit,
    ),
    ev.Halted: _plain(Kind.HALTED),
    ev.Resumed: _plain(Kind.RESUMED),
    ev.FlattenRequested: _plain(Kind.FLATTEN_REQUESTED),
}  # fmt: skip

_OUTCOMES: Final = frozenset(_ROW_OF).intersection((*ev.TRADING, ev.Halted, ev.Resumed, ev.FlattenRequested))


def classes_of(subject: Subject) -> frozenset[type]:
    """The event classes whose rows have this kind of subject."""
    names = {Subject.INSTRUMENT: "listing", Subject.PAIR: "pair"}
    return frozenset(cls for cls in _ROW_OF if names.get(subject, "") in cls.__struct_fields__)  # type: ignore[attr-defined]


def row_values(event: ev.Event) -> tuple[int, int, float, float, float] | None:
    """(kind, slot, a, b, c) of an event, or None for a record, which no fold reads."""
    rule = _ROW_OF.get(type(event))
    return None if rule is None else rule(event)


def role_of(event: ev.Event) -> Role:
    """Which folds read `event`."""
    if type(event) not in _ROW_OF:
        return Role.RECORD
    return Role.OUTCOME if type(event) in _OUTCOMES else Role.INPUT
