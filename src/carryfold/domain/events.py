"""The event vocabulary: everything that was ever observed, decided or done, as immutable values in the past tense.

Events are array-like and tagged by their class name. Fields are only ever added at the end, with defaults; nothing is
renamed, re-typed or removed, so every log ever written decodes for ever (tests/domain/golden keeps one of each
release).

Market observations carry floats (lossless for a venue's decimals up to 15 digits); our own money and quantities carry
`Decimal`. `event_at` is UTC nanoseconds, when it happened at the venue. When we could know it is not part of an event:
the log stamps it. A pair is named by (venue, symbol, listing); a relisting under an old symbol is listing 2, 3, ...
Every trading and operation event carries `run`, the sequence number of its RunStarted (0 where no run is concerned).
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

__all__ = [
    "MARKET", "OPERATION", "TRADING", "ActivityObserved", "BarClosed", "BorrowCharged", "ClockStepped", "ClockTicked",
    "DataRejected", "EntryDecided", "Event", "ExitDecided", "FeedConnected", "FeedLost", "FillSimulated",
    "FlattenRequested",
    "FundingPaid", "FundingPredicted", "FundingRevised", "FundingSettled", "Halted", "MarginObserved",
    "ObservationCorrected", "OrderAccepted", "OrderCancelled", "OrderFilled", "OrderIntended", "OrderRejected",
    "OrderUnknown", "PairChanged", "PairDelisted", "PairListed", "Quoted", "ReconciliationCorrected", "Resumed",
    "RunArmed", "RunStarted", "RunStopped", "TradeClosed", "TradeOpened",
]  # fmt: skip


class _Event(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all events: immutable, encoded as [tag, field, field, ...]."""


class _PairEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one pair at one time."""

    venue: str
    symbol: str
    listing: int
    event_at: int


class _RunEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run at one time."""

    run: int
    event_at: int


class _PairRunEvent(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run about one pair."""

    venue: str
    symbol: str
    listing: int


# --- market ---------------------------------------------------------------------------------------------------------


class PairListed(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """A spot and perpetual pair became tradable. `event_at` 0: the listing time is unknown. `lot` is the step both legs
    can trade, in base coins; a holding is counted in units of `lot / lot_units`. `multiplier`: base coins that one coin
    of the perpetual's symbol stands for (1000PEPE: 1000)."""

    lot: float
    min_notional: float
    lot_units: int = 1
    priced: bool = False
    multiplier: float = 1.0
    interval_hours: float = 0.0
    spot_symbol: str = ""
    rate_cap: float = 0.0


class PairChanged(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """A fact of the listing changed; None: as before. `delist_at` announces a delisting, 0 withdraws it."""

    lot: float | None = None
    min_notional: float | None = None
    priced: bool | None = None
    delist_at: int | None = None
    interval_hours: float | None = None
    rate_cap: float | None = None


class PairDelisted(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The perpetual stopped trading."""

    reason: str = ""


class FundingPredicted(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The running estimate of the rate that will settle at `next_at`; `mark` 0: not observed."""

    rate: float
    next_at: int
    interval_hours: float = 0.0
    mark: float = 0.0


class FundingSettled(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The rate that was settled at `event_at`; `interval_hours` 0: the source does not say."""

    rate: float
    interval_hours: float = 0.0


class FundingRevised(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Another source gave another rate for a settlement that is in the log as `replaces`. With the same rate: it told
    the interval, which the first source had not, and is known from the same moment as the settlement."""

    rate: float
    replaces: float
    interval_hours: float = 0.0


class Quoted(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Best bid and ask of both legs; 0: not observed."""

    spot_bid: float
    spot_ask: float
    perp_bid: float
    perp_ask: float


class BarClosed(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """A bar of `minutes` closed at `event_at`. Prices 0: not observed. `perp_turnover` in quote, -1: unknown."""

    minutes: int
    spot_close: float
    perp_close: float
    mark_close: float = 0.0
    perp_turnover: float = -1.0


class ActivityObserved(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Turnover of both legs over `minutes` (quote) and open interest (coins); -1: unknown."""

    minutes: int
    spot_turnover: float = -1.0
    perp_turnover: float = -1.0
    open_interest: float = -1.0


class ObservationCorrected(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Another source gave other values for an observation that is in the log; the first one stays in force."""

    kind: str
    values: tuple[float, ...]
    replaces_seq: int = 0


class DataRejected(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """Input that was refused: from where, which line, why, and how many such."""

    event_at: int
    source: str
    line: int
    reason: str
    count: int = 1


# --- trading --------------------------------------------------------------------------------------------------------


class EntryDecided(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The fold decided to open a pair; `working` is the full decision record by name."""

    lots: int
    size: Decimal
    working: dict[str, Any] = {}


class ExitDecided(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The fold decided to close a pair, and why."""

    lots: int
    reason: str
    working: dict[str, Any] = {}


class OrderIntended(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An order is about to be sent. `client_id` is a pure function of (run, decision, leg, attempt)."""

    client_id: str
    leg: str  # spot | perp
    side: str  # buy | sell
    qty: Decimal  # base coins
    limit_price: Decimal | None = None
    reduce_only: bool = False
    attempt: int = 1
    purpose: str = ""  # open | close | hedge | unwind


class OrderAccepted(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The venue took the order."""

    client_id: str
    venue_id: str = ""


class OrderRejected(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The venue refused the order for certain. `ended`: the two-leg process it belongs to is over."""

    client_id: str
    reason: str
    ended: bool = False


class OrderUnknown(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """It is not known whether the venue has the order; it has to be asked."""

    client_id: str
    reason: str


class OrderFilled(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """A fill as the venue booked it. `units` of the pair's holding unit, bought > 0, net of a fee taken in the coin
    itself; `value` of those units and `fee` in quote: their sum is what a purchase cost. `qty` (bought > 0) and
    `fee_qty` are the venue's own figures: base coins before fees, and the fee in `fee_coin`. `ended`: the two-leg
    process it belongs to is over."""

    client_id: str
    fill_id: str
    leg: str  # spot | perp
    units: int
    value: Decimal
    fee: Decimal
    fee_coin: str = ""
    ended: bool = False
    qty: Decimal = Decimal(0)
    fee_qty: Decimal = Decimal(0)


class OrderCancelled(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """What was left of the order is gone. `ended`: the two-leg process it belongs to is over; `client_id` is then the
    name of the process, the common beginning of its orders' ids, and `reason` what it achieved."""

    client_id: str
    reason: str = ""
    ended: bool = False


class FundingPaid(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Funding as booked for the settlement at `settled_at`; received > 0."""

    settled_at: int
    amount: Decimal
    venue_id: str = ""


class BorrowCharged(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Interest charged on a negative balance; charged > 0."""

    amount: Decimal
    venue_id: str = ""


class MarginObserved(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Account margin health as the venue shows it."""

    health: float


class TradeOpened(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Both legs of a pair are on."""

    trade: int
    lots: int
    spot_value: Decimal
    perp_value: Decimal
    fees: Decimal


class TradeClosed(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Both legs of a pair are off, with the trade's attribution."""

    trade: int
    reason: str
    spot_pnl: Decimal
    perp_pnl: Decimal
    funding: Decimal
    fees: Decimal


class FillSimulated(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The simulated venue booked something in a paper run: `action` is enter, exit, delisted, data ended, liquidated,
    spot sold or funding, `values` every figure of it by name. A class of its own, so that nothing can take it for a
    real fill."""

    action: str
    trade: int
    values: dict[str, Any] = {}


class ReconciliationCorrected(_PairRunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The venue's books differed from ours and were adopted: holding differences in units, cash in quote."""

    spot_units: int
    perp_units: int
    cash: Decimal
    reason: str = ""


# --- operation ------------------------------------------------------------------------------------------------------


class RunStarted(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """A run began; its own sequence number is the run's id. `group` joins runs that shadow each other."""

    event_at: int
    mode: str  # observe | paper | live
    parameters: dict[str, Any]
    code_digest: str
    group: str = ""
    pairs: tuple[str, ...] = ()


class RunArmed(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Reconciliation agreed: the run may open positions."""


class RunStopped(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The run was stopped in order, and why; `state_hash` is that of its fold. A run may be taken up again later."""

    reason: str = ""
    state_hash: str = ""


class Halted(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """No new entries until Resumed; run 0: every run."""

    reason: str = ""


class Resumed(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Entries are allowed again; run 0: every run."""

    reason: str = ""


class FlattenRequested(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Close everything and open nothing; run 0: every run."""

    reason: str = ""


class FeedConnected(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """A market stream is up."""

    event_at: int
    feed: str


class FeedLost(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """A market stream is down."""

    event_at: int
    feed: str
    reason: str = ""


class ClockTicked(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """Time passed with nothing else to record."""

    event_at: int


class ClockStepped(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """Wall clock and monotonic clock disagree by `step_ns`; 0: they agree again."""

    event_at: int
    step_ns: int


MARKET: Final = (
    PairListed, PairChanged, PairDelisted, FundingPredicted, FundingSettled, FundingRevised, Quoted, BarClosed,
    ActivityObserved, ObservationCorrected, DataRejected,
)  # fmt: skip
TRADING: Final = (
    EntryDecided, ExitDecided, OrderIntended, OrderAccepted, OrderRejected, OrderUnknown, OrderFilled, OrderCancelled,
    FundingPaid, BorrowCharged, MarginObserved, TradeOpened, TradeClosed, FillSimulated, ReconciliationCorrected,
)  # fmt: skip
OPERATION: Final = (
    RunStarted, RunArmed, RunStopped, Halted, Resumed, FlattenRequested, FeedConnected, FeedLost, ClockTicked,
    ClockStepped,
)  # fmt: skip

MarketEvent = (
    PairListed | PairChanged | PairDelisted | FundingPredicted | FundingSettled | FundingRevised | Quoted | BarClosed
    | ActivityObserved | ObservationCorrected | DataRejected
)  # fmt: skip
TradingEvent = (
    EntryDecided | ExitDecided | OrderIntended | OrderAccepted | OrderRejected | OrderUnknown | OrderFilled
    | OrderCancelled | FundingPaid | BorrowCharged | MarginObserved | TradeOpened | TradeClosed | FillSimulated
    | ReconciliationCorrected
)  # fmt: skip
OperationEvent = (
    RunStarted | RunArmed | RunStopped | Halted | Resumed | FlattenRequested | FeedConnected | FeedLost | ClockTicked
    | ClockStepped
)  # fmt: skip
Event = MarketEvent | TradingEvent | OperationEvent
