"""What a log event looks like to the fold: one fixed-width row, 64 bytes.

This is the single table of row kinds: their role, the phase of an instant in which the fold takes them, the group in
which they can come late, and the meaning of the four values a..d. Times are int64 UTC nanoseconds. A price of 0 and a
turnover or open interest of -1 mean "not in this observation"; a row never holds NaN.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.domain import events as ev

__all__ = [
    "E8", "GROUPS", "KINDS", "KIND_OF", "PAIR_KINDS", "ROW", "Kind", "KindSpec", "Role", "Rows", "empty_rows",
    "role_of", "row_values", "rows_of_run", "to_e8",
]  # fmt: skip

E8: Final = 100_000_000
"""Money in the fold is int64 of 1e-8 quote."""

Rows = npt.NDArray[np.void]  # of dtype ROW

ROW: Final = np.dtype(
    [
        ("known_at", "i8"),
        ("event_at", "i8"),
        ("seq", "i8"),
        ("pair", "i4"),  # dense pair id of the registry; -1 where the event names no pair
        ("kind", "i2"),
        ("slot", "i2"),  # BarClosed, ActivityObserved: minutes covered; outcomes: slot of the run; else 0
        ("a", "f8"),
        ("b", "f8"),
        ("c", "f8"),
        ("d", "f8"),
    ]
)
assert ROW.itemsize == 64


class Role(IntEnum):
    """Who sees an event: every fold, the folds of its own run, or no fold at all."""

    INPUT = 0
    OUTCOME = 1
    RECORD = 2


class Kind(IntEnum):
    """Row kinds. Numbers are stored in tapes and snapshots: never reuse one."""

    QUOTED = 1
    BAR_CLOSED = 2
    FUNDING_SETTLED = 3
    FUNDING_REVISED = 4
    FUNDING_PREDICTED = 5
    ACTIVITY_OBSERVED = 6
    PAIR_LISTED = 7
    PAIR_CHANGED = 8
    PAIR_DELISTED = 9
    CLOCK_TICKED = 10
    CLOCK_STEPPED = 11
    FEED_CONNECTED = 12
    FEED_LOST = 13
    ORDER_ACCEPTED = 20
    ORDER_REJECTED = 21
    ORDER_UNKNOWN = 22
    ORDER_FILLED = 23
    ORDER_CANCELLED = 24
    FUNDING_PAID = 25
    BORROW_CHARGED = 26
    MARGIN_OBSERVED = 27
    RECONCILIATION_CORRECTED = 28
    HALTED = 29
    RESUMED = 30
    FLATTEN_REQUESTED = 31


class KindSpec(NamedTuple):
    """One line of the table. `phase` is the fold's (docs/semantics.md); `group` the lateness group, "" = never late."""

    role: Role
    phase: int
    group: str
    a: str = ""
    b: str = ""
    c: str = ""
    d: str = ""


KINDS: Final[dict[Kind, KindSpec]] = {
    Kind.QUOTED: KindSpec(Role.INPUT, 1, "price", "spot_bid", "spot_ask", "perp_bid", "perp_ask"),
    Kind.BAR_CLOSED: KindSpec(Role.INPUT, 1, "price", "spot_close", "perp_close", "mark_close", "perp_turnover"),
    Kind.FUNDING_SETTLED: KindSpec(Role.INPUT, 2, "settled", "rate", "interval_hours or 0"),
    Kind.FUNDING_REVISED: KindSpec(Role.INPUT, 3, "", "rate", "interval_hours or 0", "rate it replaces, or the same"),
    Kind.FUNDING_PREDICTED: KindSpec(
        Role.INPUT, 2, "predicted", "rate", "interval_hours or 0", "mark or 0", "next settlement, UTC ms"
    ),
    Kind.ACTIVITY_OBSERVED: KindSpec(
        Role.INPUT, 2, "activity", "spot_turnover or -1", "perp_turnover or -1", "open_interest (coins) or -1"
    ),
    Kind.PAIR_LISTED: KindSpec(Role.INPUT, 2, "", "lot", "min_notional", "lot_units", "priced 0/1"),
    Kind.PAIR_CHANGED: KindSpec(
        Role.INPUT,
        2,
        "",
        "lot or 0",
        "min_notional or -1",
        "delist_at UTC ms, 0 cleared, -1 same",
        "priced 0/1, -1 same",
    ),
    Kind.PAIR_DELISTED: KindSpec(Role.INPUT, 6, ""),
    Kind.CLOCK_TICKED: KindSpec(Role.INPUT, 2, ""),
    Kind.CLOCK_STEPPED: KindSpec(Role.INPUT, 2, "", "step in seconds; 0: the clocks agree again"),
    Kind.FEED_CONNECTED: KindSpec(Role.INPUT, 2, ""),
    Kind.FEED_LOST: KindSpec(Role.INPUT, 2, ""),
    Kind.ORDER_ACCEPTED: KindSpec(Role.OUTCOME, 4, ""),
    Kind.ORDER_REJECTED: KindSpec(Role.OUTCOME, 4, "", d="1: the two-leg process has ended"),
    Kind.ORDER_UNKNOWN: KindSpec(Role.OUTCOME, 4, ""),
    Kind.ORDER_FILLED: KindSpec(
        Role.OUTCOME, 4, "", "units, bought > 0", "value e8, > 0", "fee e8", "leg: 0 spot, 1 perp; +2: process ended"
    ),
    Kind.ORDER_CANCELLED: KindSpec(Role.OUTCOME, 4, "", d="1: the two-leg process has ended"),
    Kind.FUNDING_PAID: KindSpec(Role.OUTCOME, 4, "", "amount e8, received > 0"),
    Kind.BORROW_CHARGED: KindSpec(Role.OUTCOME, 4, "", "amount e8, charged > 0"),
    Kind.MARGIN_OBSERVED: KindSpec(Role.OUTCOME, 4, "", "health"),
    Kind.RECONCILIATION_CORRECTED: KindSpec(
        Role.OUTCOME, 4, "", "spot units", "short units", "cash e8: fees and P&L not explained otherwise"
    ),
    Kind.HALTED: KindSpec(Role.OUTCOME, 4, ""),
    Kind.RESUMED: KindSpec(Role.OUTCOME, 4, ""),
    Kind.FLATTEN_REQUESTED: KindSpec(Role.OUTCOME, 4, ""),
}

GROUPS: Final = ("price", "settled", "predicted", "activity")
"""Groups of market rows: a row not newer than the last of its pair and group is late."""


def empty_rows(count: int = 0) -> Rows:
    """`count` zeroed rows."""
    return np.zeros(count, ROW)


def rows_of_run(rows: Rows, slot: int) -> Rows:
    """What a fold of the run in `slot` may see: every input, and the outcomes of that run or of all runs (slot 0)."""
    seen = (rows["kind"] < Kind.ORDER_ACCEPTED) | (rows["slot"] == slot) | (rows["slot"] == 0)
    return rows if seen.all() else rows[seen]


def _snake(name: str) -> str:
    """BarClosed -> BAR_CLOSED."""
    return "".join("_" + c if c.isupper() else c for c in name).lstrip("_").upper()


def to_e8(amount: Decimal) -> int:
    """`amount` in 1e-8 quote, half-even. The venue's own figures have at most 8 decimals and are exact."""
    return int((amount * E8).to_integral_value())


def _flag(value: bool | None) -> float:
    return -1.0 if value is None else float(value)


def _delist_ms(delist_at: int | None) -> float:
    return -1.0 if delist_at is None else float(delist_at // 1_000_000)


# event class -> (kind, slot, a, b, c, d) of an event. Events that are not here are records: no fold ever sees them.
_ROW_OF: Final[dict[type, Callable[[Any], tuple[int, int, float, float, float, float]]]] = {
    ev.Quoted: lambda e: (Kind.QUOTED, 0, e.spot_bid, e.spot_ask, e.perp_bid, e.perp_ask),
    ev.BarClosed: lambda e: (
        Kind.BAR_CLOSED, e.minutes, e.spot_close, e.perp_close, e.mark_close, e.perp_turnover
    ),
    ev.FundingSettled: lambda e: (Kind.FUNDING_SETTLED, 0, e.rate, e.interval_hours, 0.0, 0.0),
    ev.FundingRevised: lambda e: (Kind.FUNDING_REVISED, 0, e.rate, e.interval_hours, e.replaces, 0.0),
    ev.FundingPredicted: lambda e: (
        Kind.FUNDING_PREDICTED, 0, e.rate, e.interval_hours, e.mark, float(e.next_at // 1_000_000)
    ),
    ev.ActivityObserved: lambda e: (
        Kind.ACTIVITY_OBSERVED, e.minutes, e.spot_turnover, e.perp_turnover, e.open_interest, 0.0
    ),
    ev.PairListed: lambda e: (Kind.PAIR_LISTED, 0, e.lot, e.min_notional, float(e.lot_units), float(e.priced)),
    ev.PairChanged: lambda e: (
        Kind.PAIR_CHANGED, 0, e.lot or 0.0, -1.0 if e.min_notional is None else e.min_notional,
        _delist_ms(e.delist_at), _flag(e.priced),
    ),
    ev.PairDelisted: lambda _: (Kind.PAIR_DELISTED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.ClockTicked: lambda _: (Kind.CLOCK_TICKED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.ClockStepped: lambda e: (Kind.CLOCK_STEPPED, 0, e.step_ns / 1e9, 0.0, 0.0, 0.0),
    ev.FeedConnected: lambda _: (Kind.FEED_CONNECTED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.FeedLost: lambda _: (Kind.FEED_LOST, 0, 0.0, 0.0, 0.0, 0.0),
    ev.OrderAccepted: lambda _: (Kind.ORDER_ACCEPTED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.OrderRejected: lambda e: (Kind.ORDER_REJECTED, 0, 0.0, 0.0, 0.0, float(e.ended)),
    ev.OrderUnknown: lambda _: (Kind.ORDER_UNKNOWN, 0, 0.0, 0.0, 0.0, 0.0),
    ev.OrderFilled: lambda e: (
        Kind.ORDER_FILLED, 0, float(e.units), float(to_e8(e.value)), float(to_e8(e.fee)),
        float((e.leg == "perp") + 2 * e.ended),
    ),
    ev.OrderCancelled: lambda e: (Kind.ORDER_CANCELLED, 0, 0.0, 0.0, 0.0, float(e.ended)),
    ev.FundingPaid: lambda e: (Kind.FUNDING_PAID, 0, float(to_e8(e.amount)), 0.0, 0.0, 0.0),
    ev.BorrowCharged: lambda e: (Kind.BORROW_CHARGED, 0, float(to_e8(e.amount)), 0.0, 0.0, 0.0),
    ev.MarginObserved: lambda e: (Kind.MARGIN_OBSERVED, 0, e.health, 0.0, 0.0, 0.0),
    ev.ReconciliationCorrected: lambda e: (
        Kind.RECONCILIATION_CORRECTED, 0, float(e.spot_units), float(e.perp_units), float(to_e8(e.cash)), 0.0
    ),
    ev.Halted: lambda _: (Kind.HALTED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.Resumed: lambda _: (Kind.RESUMED, 0, 0.0, 0.0, 0.0, 0.0),
    ev.FlattenRequested: lambda _: (Kind.FLATTEN_REQUESTED, 0, 0.0, 0.0, 0.0, 0.0),
}  # fmt: skip

KIND_OF: Final[dict[type, Kind]] = {cls: Kind[_snake(cls.__name__)] for cls in _ROW_OF}
"""The row kind of each event class that has rows."""

PAIR_KINDS: Final = frozenset(k for cls, k in KIND_OF.items() if "symbol" in cls.__struct_fields__)  # type: ignore[attr-defined]
"""Kinds whose events name a pair."""


def row_values(event: ev.Event) -> tuple[int, int, float, float, float, float] | None:
    """(kind, slot, a, b, c, d) of an event, or None for a record that no fold sees."""
    rule = _ROW_OF.get(type(event))
    return None if rule is None else rule(event)


def role_of(event: ev.Event) -> Role:
    """Who sees `event`."""
    kind = KIND_OF.get(type(event))
    return Role.RECORD if kind is None else KINDS[kind].role
