"""The event classes of release 0.1.0 for pairs, and their conversion to current events of instruments.

A pair of 0.1.0 was the carry pair of one venue under its perpetual's symbol, with prices per coin of the spot leg. The
classes keep their tags and their encoding and are no longer written. `upcast` converts an old event to current events:
mostly one, sometimes several (a quote had both legs) or none.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument, Leg, Pair

__all__ = ["LEGACY", "Legacy", "coin_of", "spot_of", "upcast"]

_BEFORE: Final = re.compile(r"(10{3,})([A-Z][A-Z0-9]*)", re.ASCII)
_BEHIND: Final = re.compile(r"([A-Z][A-Z0-9]*[A-Z])(10{3,})(USDT)", re.ASCII)
_LABEL: Final = re.compile(r"([^/]+)/(.+)/(\d+)", re.ASCII)
_FUNDING: Final = re.compile(r"funding (\d+) is (\S+), not (\S+)", re.ASCII)


def spot_of(symbol: str) -> tuple[str, float]:
    """(spot symbol, coins of the spot market in one unit of the perpetual), from the perpetual's symbol alone.

    A perpetual on a thousand coins has the factor in its symbol (1000PEPEUSDT, SHIB1000USDT). A factor has at least
    three zeros, so 1INCHUSDT has none.
    """
    before = _BEFORE.fullmatch(symbol)
    if before is not None:
        return before[2], float(before[1])
    behind = _BEHIND.fullmatch(symbol)
    if behind is not None:
        return behind[1] + behind[3], float(behind[2])
    return symbol, 1.0


def coin_of(symbol: str) -> tuple[str, str]:
    """(base, quote) of a symbol that ends with its quote coin; a symbol without one is quoted in USD."""
    for quote in ("USDT", "USDC", "USD"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    return symbol, "USD"


class _Old(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of the old classes."""


class _OldPair(_Old, frozen=True, array_like=True, tag=True, gc=False):
    venue: str
    symbol: str
    listing: int
    event_at: int


class _OldRunPair(_Old, frozen=True, array_like=True, tag=True, gc=False):
    run: int
    event_at: int
    venue: str
    symbol: str
    listing: int


class PairListed(_OldPair, frozen=True, array_like=True, tag=True, gc=False):
    lot: float
    min_notional: float
    lot_units: int = 1
    priced: bool = False
    multiplier: float = 1.0
    interval_hours: float = 0.0
    spot_symbol: str = ""
    rate_cap: float = 0.0


class PairChanged(_OldPair, frozen=True, array_like=True, tag=True, gc=False):
    lot: float | None = None
    min_notional: float | None = None
    priced: bool | None = None
    delist_at: int | None = None
    interval_hours: float | None = None
    rate_cap: float | None = None


class PairDelisted(_OldPair, frozen=True, array_like=True, tag=True, gc=False):
    reason: str = ""


class PairFundingPredicted(_OldPair, frozen=True, array_like=True, tag="FundingPredicted", gc=False):
    rate: float
    next_at: int
    interval_hours: float = 0.0
    mark: float = 0.0  # per coin of the spot leg


class PairQuoted(_OldPair, frozen=True, array_like=True, tag="Quoted", gc=False):
    spot_bid: float
    spot_ask: float
    perp_bid: float
    perp_ask: float


class PairBarClosed(_OldPair, frozen=True, array_like=True, tag="BarClosed", gc=False):
    minutes: int
    spot_close: float
    perp_close: float
    mark_close: float = 0.0
    perp_turnover: float = -1.0


class PairActivityObserved(_OldPair, frozen=True, array_like=True, tag="ActivityObserved", gc=False):
    minutes: int
    spot_turnover: float = -1.0
    perp_turnover: float = -1.0
    open_interest: float = -1.0


class PairObservationCorrected(_OldPair, frozen=True, array_like=True, tag="ObservationCorrected", gc=False):
    kind: str
    values: tuple[float, ...]
    replaces_seq: int = 0


class OldEntryDecided(_OldRunPair, frozen=True, array_like=True, tag="EntryDecided", gc=False):
    lots: int
    size: Decimal
    working: dict[str, Any] = {}


class OldExitDecided(_OldRunPair, frozen=True, array_like=True, tag="ExitDecided", gc=False):
    lots: int
    reason: str
    working: dict[str, Any] = {}


class OldOrderIntended(_OldRunPair, frozen=True, array_like=True, tag="OrderIntended", gc=False):
    client_id: str
    leg: str
    side: str
    qty: Decimal
    limit_price: Decimal | None = None
    reduce_only: bool = False
    attempt: int = 1
    purpose: str = ""


class OldOrderAccepted(_OldRunPair, frozen=True, array_like=True, tag="OrderAccepted", gc=False):
    client_id: str
    venue_id: str = ""


class OldOrderRejected(_OldRunPair, frozen=True, array_like=True, tag="OrderRejected", gc=False):
    client_id: str
    reason: str
    ended: bool = False


class OldOrderUnknown(_OldRunPair, frozen=True, array_like=True, tag="OrderUnknown", gc=False):
    client_id: str
    reason: str


class OldOrderFilled(_OldRunPair, frozen=True, array_like=True, tag="OrderFilled", gc=False):
    client_id: str
    fill_id: str
    leg: str
    units: int
    value: Decimal
    fee: Decimal
    fee_coin: str = ""
    ended: bool = False
    qty: Decimal = Decimal(0)
    fee_qty: Decimal = Decimal(0)


class OldOrderCancelled(_OldRunPair, frozen=True, array_like=True, tag="OrderCancelled", gc=False):
    client_id: str
    reason: str = ""
    ended: bool = False


class OldFundingPaid(_OldRunPair, frozen=True, array_like=True, tag="FundingPaid", gc=False):
    settled_at: int
    amount: Decimal
    venue_id: str = ""


class TradeOpened(_OldRunPair, frozen=True, array_like=True, tag=True, gc=False):
    trade: int
    lots: int
    spot_value: Decimal
    perp_value: Decimal
    fees: Decimal


class TradeClosed(_OldRunPair, frozen=True, array_like=True, tag=True, gc=False):
    trade: int
    reason: str
    spot_pnl: Decimal
    perp_pnl: Decimal
    funding: Decimal
    fees: Decimal


class OldFillSimulated(_OldRunPair, frozen=True, array_like=True, tag="FillSimulated", gc=False):
    action: str
    trade: int
    values: dict[str, Any] = {}


class OldReconciliationCorrected(_OldRunPair, frozen=True, array_like=True, tag="ReconciliationCorrected", gc=False):
    spot_units: int
    perp_units: int
    cash: Decimal
    reason: str = ""


class OldRunStarted(_Old, frozen=True, array_like=True, tag="RunStarted", gc=False):
    event_at: int
    mode: str
    parameters: dict[str, Any]
    code_digest: str
    group: str = ""
    pairs: tuple[str, ...] = ()


Legacy = (
    PairListed | PairChanged | PairDelisted | PairFundingPredicted | PairQuoted | PairBarClosed | PairActivityObserved
    | PairObservationCorrected | OldEntryDecided | OldExitDecided | OldOrderIntended | OldOrderAccepted
    | OldOrderRejected | OldOrderUnknown | OldOrderFilled | OldOrderCancelled | OldFundingPaid | TradeOpened
    | TradeClosed | OldFillSimulated | OldReconciliationCorrected | OldRunStarted
)  # fmt: skip
LEGACY: Final[tuple[type[msgspec.Struct], ...]] = Legacy.__args__


def upcast(event: Any) -> tuple[ev.Event, ...]:
    """Convert an event of release 0.1.0 to current events."""
    return _UPCASTS[type(event)](event)


# --- market ---------------------------------------------------------------------------------------------------------


def _perp(e: _OldPair) -> tuple[str, str, Any, int, int]:
    return e.venue, e.symbol, "perp", e.listing, e.event_at


def _spot(e: _OldPair, event_at: int | None = None) -> tuple[str, str, Any, int, int]:
    return e.venue, spot_of(e.symbol)[0], "spot", 1, e.event_at if event_at is None else event_at


def _listed(e: PairListed) -> tuple[ev.Event, ...]:
    spot_symbol, multiplier = spot_of(e.symbol)
    base, quote = coin_of(spot_symbol)
    # The lot was the pair's, in coins; divided by the multiplier it is in the perpetual's own quantity.
    perp = ev.InstrumentListed(
        *_perp(e), base, quote, e.lot / multiplier, e.min_notional, multiplier, 0.0, e.interval_hours, e.rate_cap
    )
    if not e.priced:
        return (perp,)
    return perp, ev.InstrumentListed(*_spot(e, 0), base, quote, e.lot, e.min_notional)


def _changed(e: PairChanged) -> tuple[ev.Event, ...]:
    spot_symbol, multiplier = spot_of(e.symbol)
    base, quote = coin_of(spot_symbol)
    out: list[ev.Event] = []
    if e.priced:
        out.append(ev.InstrumentListed(*_spot(e, 0), base, quote, e.lot or 1e-6, e.min_notional or 0.0))
    if (e.lot, e.min_notional, e.delist_at, e.interval_hours, e.rate_cap) != (None,) * 5:
        lot = None if e.lot is None else e.lot / multiplier
        out.append(
            ev.InstrumentChanged(*_perp(e), lot, e.min_notional, None, e.delist_at, e.interval_hours, e.rate_cap)
        )
    if e.lot is not None or e.min_notional is not None:
        out.append(ev.InstrumentChanged(*_spot(e), e.lot, e.min_notional))
    return tuple(out)


def _delisted(e: PairDelisted) -> tuple[ev.Event, ...]:
    return (ev.InstrumentDelisted(*_perp(e), e.reason),)


def _predicted(e: PairFundingPredicted) -> tuple[ev.Event, ...]:
    mark = e.mark * spot_of(e.symbol)[1]
    return (ev.FundingPredicted(e.venue, e.symbol, e.listing, e.event_at, e.rate, e.next_at, e.interval_hours, mark),)


def _quoted(e: PairQuoted) -> tuple[ev.Event, ...]:
    multiplier = spot_of(e.symbol)[1]
    out: list[ev.Event] = []
    if e.perp_bid > 0.0 and e.perp_ask > 0.0:
        out.append(ev.Quoted(*_perp(e), e.perp_bid * multiplier, e.perp_ask * multiplier))
    if e.spot_bid > 0.0 and e.spot_ask > 0.0:
        out.append(ev.Quoted(*_spot(e), e.spot_bid, e.spot_ask))
    return tuple(out)


def _bar(e: PairBarClosed) -> tuple[ev.Event, ...]:
    multiplier = spot_of(e.symbol)[1]
    perp = ev.BarClosed(*_perp(e), e.minutes, e.perp_close * multiplier, e.mark_close * multiplier, e.perp_turnover)
    if e.spot_close > 0.0:
        return perp, ev.BarClosed(*_spot(e), e.minutes, e.spot_close)
    return (perp,)


def _activity(e: PairActivityObserved) -> tuple[ev.Event, ...]:
    out: list[ev.Event] = []
    if e.perp_turnover >= 0.0 or e.open_interest >= 0.0:
        coins = e.open_interest
        interest = coins / spot_of(e.symbol)[1] if coins >= 0.0 else coins
        out.append(ev.ActivityObserved(*_perp(e), e.minutes, e.perp_turnover, interest))
    if e.spot_turnover >= 0.0:
        out.append(ev.ActivityObserved(*_spot(e), e.minutes, e.spot_turnover))
    return tuple(out)


def _corrected_observation(e: PairObservationCorrected) -> tuple[ev.Event, ...]:
    return (ev.ObservationCorrected(*_perp(e), e.kind, e.values, e.replaces_seq),)


# --- trading --------------------------------------------------------------------------------------------------------


def _pair(venue: str, symbol: str, listing: int) -> Pair:
    return Pair(Instrument(venue, spot_of(symbol)[0], "spot", 1), Instrument(venue, symbol, "perp", listing))


def _of_pair(e: _OldRunPair) -> tuple[int, int, Pair]:
    return e.run, e.event_at, _pair(e.venue, e.symbol, e.listing)


def _leg(word: str) -> Any:
    return "long" if word == "spot" else "short"


def _leg_of_order(client_id: str) -> Any:
    """The leg in a client id, which ends with -s1 or -p1."""
    return "long" if client_id.rpartition("-")[2][:1] == "s" else "short"


def _decision_of(process: str) -> tuple[str, int]:
    """(entry | exit | repair, seq of the decision) in the id of a process; of any other text ("", 0)."""
    number = process.rpartition("-")[2]
    work = {"e": "entry", "x": "exit", "r": "repair"}.get(number[-1:], "")
    return (work, int(number[:-1])) if work and number[:-1].isdigit() else ("", 0)


def _hedge_ended(e: _OldRunPair, process: str, text: str) -> ev.HedgeEnded:
    outcome, _, reason = text.partition(": ")
    work, seq = _decision_of(process)
    return ev.HedgeEnded(*_of_pair(e), process, work, outcome, reason, caused_by=0 if work == "repair" else seq)


def _rejected(e: OldOrderRejected) -> tuple[ev.Event, ...]:
    rejected = ev.OrderRejected(*_of_pair(e), _leg_of_order(e.client_id), e.client_id, e.reason)
    if not e.ended:
        return (rejected,)
    return rejected, _hedge_ended(e, e.client_id.rpartition("-")[0], "nothing")


def _filled(e: OldOrderFilled) -> tuple[ev.Event, ...]:
    filled = ev.OrderFilled(
        *_of_pair(e), _leg(e.leg), e.client_id, e.fill_id, e.units, e.value, e.fee, e.fee_coin, e.qty, e.fee_qty
    )
    if not e.ended:
        return (filled,)
    return filled, _hedge_ended(e, e.client_id.rpartition("-")[0], "")


def _cancelled(e: OldOrderCancelled) -> tuple[ev.Event, ...]:
    if e.ended or _decision_of(e.client_id)[0]:  # a repair had no `ended`
        return (_hedge_ended(e, e.client_id, e.reason),)
    return (ev.OrderCancelled(*_of_pair(e), _leg_of_order(e.client_id), e.client_id, e.reason),)


def _reconciled(e: OldReconciliationCorrected) -> tuple[ev.Event, ...]:
    """0.1.0 recorded a corrected payment as a reconciliation whose reason names the settlement."""
    told = _FUNDING.match(e.reason)
    if told is not None and not e.spot_units and not e.perp_units:
        booked = Decimal(told[3])
        return (ev.FundingCorrected(*_of_pair(e), "short", int(told[1]), e.cash, booked),)
    pair = _pair(e.venue, e.symbol, e.listing) if e.symbol else None
    return (ev.ReconciliationCorrected(e.run, e.event_at, pair, e.spot_units, e.perp_units, e.cash, e.reason),)


def _started(e: OldRunStarted) -> tuple[ev.Event, ...]:
    named = (_LABEL.fullmatch(label) for label in e.pairs)
    pairs = tuple(_pair(name[1], name[2], int(name[3])) for name in named if name is not None)
    return (ev.RunStarted(e.event_at, e.mode, e.parameters, e.code_digest, e.group, pairs),)


_LEG_OF_BOOKING: Final[dict[str, Leg]] = {"funding": "short", "liquidated": "short", "spot sold": "long"}


def _simulated(e: OldFillSimulated) -> tuple[ev.Event, ...]:
    """The figures of spot and perpetual are those of the long and the short leg; some bookings were of one leg."""
    values = {
        name.replace("spot_", "long_", 1).replace("perp_", "short_", 1): value for name, value in e.values.items()
    }
    if e.action in _LEG_OF_BOOKING:
        values["leg"] = _LEG_OF_BOOKING[e.action]
    action = "leg closed" if e.action == "spot sold" else e.action
    return (ev.FillSimulated(*_of_pair(e), action, e.trade, values),)


_UPCASTS: Final[dict[type, Callable[[Any], tuple[ev.Event, ...]]]] = {
    PairListed: _listed,
    PairChanged: _changed,
    PairDelisted: _delisted,
    PairFundingPredicted: _predicted,
    PairQuoted: _quoted,
    PairBarClosed: _bar,
    PairActivityObserved: _activity,
    PairObservationCorrected: _corrected_observation,
    OldEntryDecided: lambda e: (ev.EntryDecided(*_of_pair(e), e.lots, e.size, e.working),),
    OldExitDecided: lambda e: (ev.ExitDecided(*_of_pair(e), e.lots, e.reason, e.working),),
    OldOrderIntended: lambda e: (
        ev.OrderIntended(
            *_of_pair(e), _leg(e.leg), e.client_id, e.side, e.qty, e.limit_price, e.reduce_only, e.attempt, e.purpose,
            _decision_of(e.client_id.rpartition("-")[0])[1],
        ),
    ),
    OldOrderAccepted: lambda e: (
        ev.OrderAccepted(*_of_pair(e), _leg_of_order(e.client_id), e.client_id, e.venue_id),
    ),
    OldOrderRejected: _rejected,
    OldOrderUnknown: lambda e: (ev.OrderUnknown(*_of_pair(e), _leg_of_order(e.client_id), e.client_id, e.reason),),
    OldOrderFilled: _filled,
    OldOrderCancelled: _cancelled,
    OldFundingPaid: lambda e: (ev.FundingPaid(*_of_pair(e), "short", e.settled_at, e.amount, e.venue_id),),
    TradeOpened: lambda _: (),
    TradeClosed: lambda _: (),
    OldFillSimulated: _simulated,
    OldReconciliationCorrected: _reconciled,
    OldRunStarted: _started,
}  # fmt: skip
assert set(_UPCASTS) == set(LEGACY)
