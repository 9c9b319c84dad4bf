"""The event vocabulary: everything that was ever observed, decided or done, as immutable values in the past tense.

Market events are of one instrument each; trading events name the pair and its leg. Events are array-like and tagged:
a class keeps its tag for ever, fields are only ever added at the end, with defaults, and a class whose fields had to
change has a new tag (`Quoted.2`), while the old one is read for ever (legacy.py). So every log ever written decodes
(tests/domain/golden keeps one of each release).

Market observations carry floats (lossless for a venue's decimals up to 15 digits); our own money and quantities carry
`Decimal`. `event_at` is UTC nanoseconds, when it happened at the venue; a settlement's is its nominal time. When we
could know it is not part of an event: the log stamps it. Every trading and operation event carries `run`, the sequence
number of its RunStarted (0 where no run is concerned); `caused_by` is the seq of the event that it answers, 0 where
that is not known.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

from carryfold.domain.instruments import Instrument, InstrumentKind, Leg, Pair

__all__ = [
    "MARKET", "OPERATION", "TRADING", "ActivityObserved", "BarClosed", "BorrowCharged", "ClockStepped", "ClockTicked",
    "DataRejected", "EntryDecided", "Event", "ExitDecided", "FeedConnected", "FeedLost", "FillSimulated",
    "FlattenRequested", "FundingCorrected", "FundingPaid", "FundingPredicted", "FundingRevised", "FundingSettled",
    "Halted", "HedgeEnded", "HoldingAdopted", "InstrumentChanged", "InstrumentDelisted", "InstrumentListed",
    "MarginObserved", "ObservationCorrected", "OrderAccepted", "OrderCancelled", "OrderFilled", "OrderIntended",
    "OrderRejected", "OrderUnknown", "Quoted", "ReconciliationCorrected", "Resumed", "RunArmed", "RunStarted",
    "RunStopped", "tag_of",
]  # fmt: skip


class _Event(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all events: immutable, encoded as [tag, field, field, ...]."""


class _InstrumentEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one instrument at one time."""

    venue: str
    symbol: str
    kind: InstrumentKind
    listing: int
    event_at: int

    @property
    def instrument(self) -> Instrument:
        """What it is about."""
        return Instrument(self.venue, self.symbol, self.kind, self.listing)


class _PerpEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one perpetual at one time."""

    venue: str
    symbol: str
    listing: int
    event_at: int

    @property
    def instrument(self) -> Instrument:
        """What it is about."""
        return Instrument(self.venue, self.symbol, "perp", self.listing)


class _RunEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run at one time."""

    run: int
    event_at: int


class _PairEvent(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run about one pair."""

    pair: Pair


class _LegEvent(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run about one leg of a pair."""

    leg: Leg

    @property
    def instrument(self) -> Instrument:
        """What is traded."""
        return self.pair.leg(self.leg)


# --- market ---------------------------------------------------------------------------------------------------------


class InstrumentListed(_InstrumentEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An instrument became tradable. `event_at` 0: the listing time is unknown. One unit of its quantity is
    `multiplier` coins of `base` (1000PEPE: 1000); `lot` is the step of its quantity, `tick` of its price (0: not told),
    `min_notional` in quote. Of a perpetual: hours between settlements (0: not told) and the cap of its rate (0: not
    told)."""

    base: str
    quote: str
    lot: float
    min_notional: float
    multiplier: float = 1.0
    tick: float = 0.0
    interval_hours: float = 0.0
    rate_cap: float = 0.0


class InstrumentChanged(_InstrumentEvent, frozen=True, array_like=True, tag=True, gc=False):
    """A fact of the listing changed; None: as before. `delist_at` announces a delisting, 0 withdraws it."""

    lot: float | None = None
    min_notional: float | None = None
    tick: float | None = None
    delist_at: int | None = None
    interval_hours: float | None = None
    rate_cap: float | None = None


class InstrumentDelisted(_InstrumentEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The instrument stopped trading."""

    reason: str = ""


class FundingPredicted(_PerpEvent, frozen=True, array_like=True, tag="FundingPredicted.2", gc=False):
    """The running estimate of the rate that will settle at `next_at`; `mark` 0: not observed."""

    rate: float
    next_at: int
    interval_hours: float = 0.0
    mark: float = 0.0


class FundingSettled(_PerpEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The rate that was settled at `event_at`, its nominal time; `interval_hours` 0: the source does not say."""

    rate: float
    interval_hours: float = 0.0


class FundingRevised(_PerpEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Another source gave another rate for a settlement that is in the log as `replaces`. With the same rate: it told
    the interval, which the first source had not, and is known from the same moment as the settlement."""

    rate: float
    replaces: float
    interval_hours: float = 0.0
    caused_by: int = 0


class Quoted(_InstrumentEvent, frozen=True, array_like=True, tag="Quoted.2", gc=False):
    """Best bid and ask."""

    bid: float
    ask: float


class BarClosed(_InstrumentEvent, frozen=True, array_like=True, tag="BarClosed.2", gc=False):
    """A bar of `minutes` closed at `event_at`. `close` and the perpetual's `mark`, 0: not observed; `turnover` in
    quote, -1: unknown."""

    minutes: int
    close: float
    mark: float = 0.0
    turnover: float = -1.0


class ActivityObserved(_InstrumentEvent, frozen=True, array_like=True, tag="ActivityObserved.2", gc=False):
    """Turnover over `minutes` (quote) and open interest (in units of the instrument's quantity); -1: unknown."""

    minutes: int
    turnover: float = -1.0
    open_interest: float = -1.0


class ObservationCorrected(_InstrumentEvent, frozen=True, array_like=True, tag="ObservationCorrected.2", gc=False):
    """Another source gave other values for an `observation` (the name of its event) that is in the log as `caused_by`;
    the first one stays in force."""

    observation: str
    values: tuple[float, ...]
    caused_by: int = 0


class DataRejected(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """Input that was refused: from where, which line, why, and how many such."""

    event_at: int
    source: str
    line: int
    reason: str
    count: int = 1


# --- trading --------------------------------------------------------------------------------------------------------


class EntryDecided(_PairEvent, frozen=True, array_like=True, tag="EntryDecided.2", gc=False):
    """The fold decided to open a pair; `working` is the full decision record by name."""

    lots: int
    size: Decimal
    working: dict[str, Any] = {}


class ExitDecided(_PairEvent, frozen=True, array_like=True, tag="ExitDecided.2", gc=False):
    """The fold decided to close a pair, and why."""

    lots: int
    reason: str
    working: dict[str, Any] = {}


class OrderIntended(_LegEvent, frozen=True, array_like=True, tag="OrderIntended.2", gc=False):
    """An order is about to be sent. `client_id` is a pure function of (run, decision, leg, attempt)."""

    client_id: str
    side: str  # buy | sell
    qty: Decimal  # base coins
    limit_price: Decimal | None = None
    reduce_only: bool = False
    attempt: int = 1
    purpose: str = ""  # open | close | hedge | unwind
    caused_by: int = 0


class OrderAccepted(_LegEvent, frozen=True, array_like=True, tag="OrderAccepted.2", gc=False):
    """The venue took the order."""

    client_id: str
    venue_id: str = ""
    caused_by: int = 0


class OrderRejected(_LegEvent, frozen=True, array_like=True, tag="OrderRejected.2", gc=False):
    """The venue refused the order for certain."""

    client_id: str
    reason: str
    caused_by: int = 0


class OrderUnknown(_LegEvent, frozen=True, array_like=True, tag="OrderUnknown.2", gc=False):
    """It is not known whether the venue has the order; it has to be asked."""

    client_id: str
    reason: str
    caused_by: int = 0


class OrderFilled(_LegEvent, frozen=True, array_like=True, tag="OrderFilled.2", gc=False):
    """A fill as the venue booked it. `units` of the pair's holding unit, bought > 0, net of a fee taken in the coin
    itself; `value` of those units and `fee` in quote: their sum is what a purchase cost. `qty` (bought > 0) and
    `fee_qty` are the venue's own figures: base coins before fees, and the fee in `fee_coin`."""

    client_id: str
    fill_id: str
    units: int
    value: Decimal
    fee: Decimal
    fee_coin: str = ""
    qty: Decimal = Decimal(0)
    fee_qty: Decimal = Decimal(0)
    caused_by: int = 0


class OrderCancelled(_LegEvent, frozen=True, array_like=True, tag="OrderCancelled.2", gc=False):
    """What was left of the order is gone."""

    client_id: str
    reason: str = ""
    caused_by: int = 0


class HedgeEnded(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The two-leg process that answered `caused_by` is over. `process` is the common beginning of its orders' ids,
    `outcome` one of execution.plans.Outcome or "given up", `reason` why it achieved no more; `fees` of all its orders
    in quote; how long, and with how much in quote, one leg stood alone. A repair answers no decision."""

    process: str
    work: str  # entry | exit | repair
    outcome: str
    reason: str = ""
    orders: int = 0
    fees: Decimal = Decimal(0)
    unhedged_s: float = 0.0
    longest_unhedged_s: float = 0.0
    peak_unhedged: Decimal = Decimal(0)
    caused_by: int = 0


class FundingPaid(_LegEvent, frozen=True, array_like=True, tag="FundingPaid.2", gc=False):
    """Funding as booked for the settlement at `settled_at`; received > 0."""

    settled_at: int
    amount: Decimal
    venue_id: str = ""
    caused_by: int = 0


class FundingCorrected(_LegEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The venue says otherwise of a payment that is booked: `amount` more was received for the settlement at
    `settled_at` than the `booked` amount."""

    settled_at: int
    amount: Decimal
    booked: Decimal
    venue_id: str = ""
    caused_by: int = 0


class BorrowCharged(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Interest charged on a negative balance; charged > 0. `venue` "": the run's only one."""

    amount: Decimal
    venue_id: str = ""
    venue: str = ""


class MarginObserved(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Account margin health as the venue shows it. `venue` "": the run's only one."""

    health: float
    venue: str = ""


class FillSimulated(_PairEvent, frozen=True, array_like=True, tag="FillSimulated.2", gc=False):
    """The simulated venue booked something in a paper run: `action` is one of fold.codes.BOOKINGS, `values` every
    figure of it by name. A class of its own, so that nothing can take it for a real fill."""

    action: str
    trade: int
    values: dict[str, Any] = {}


class ReconciliationCorrected(_RunEvent, frozen=True, array_like=True, tag="ReconciliationCorrected.2", gc=False):
    """The venue's books differed from ours and were adopted: holding differences in units of a pair (None: the account
    alone), cash in quote."""

    pair: Pair | None
    long_units: int
    short_units: int
    cash: Decimal
    reason: str = ""
    venue: str = ""


class HoldingAdopted(_LegEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The run takes over what `from_run`, a run of another version or other parameters, holds of a leg: so many units
    (a short leg counted positive) of `unit` coins each, which cost, or were sold for, `value` in quote."""

    from_run: int
    units: int
    unit: float
    value: Decimal
    caused_by: int = 0


# --- operation ------------------------------------------------------------------------------------------------------


class RunStarted(_Event, frozen=True, array_like=True, tag="RunStarted.2", gc=False):
    """A run began; its own sequence number is the run's id. `group` joins runs that shadow each other; `adopts` is the
    run whose holdings it takes over (0: none)."""

    event_at: int
    mode: str  # observe | paper | live
    parameters: dict[str, Any]
    code_digest: str
    group: str = ""
    pairs: tuple[Pair, ...] = ()
    adopts: int = 0


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
    InstrumentListed, InstrumentChanged, InstrumentDelisted, FundingPredicted, FundingSettled, FundingRevised, Quoted,
    BarClosed, ActivityObserved, ObservationCorrected, DataRejected,
)  # fmt: skip
TRADING: Final = (
    EntryDecided, ExitDecided, OrderIntended, OrderAccepted, OrderRejected, OrderUnknown, OrderFilled, OrderCancelled,
    HedgeEnded, FundingPaid, FundingCorrected, BorrowCharged, MarginObserved, FillSimulated, ReconciliationCorrected,
    HoldingAdopted,
)  # fmt: skip
OPERATION: Final = (
    RunStarted, RunArmed, RunStopped, Halted, Resumed, FlattenRequested, FeedConnected, FeedLost, ClockTicked,
    ClockStepped,
)  # fmt: skip

InstrumentEvent = (
    InstrumentListed | InstrumentChanged | InstrumentDelisted | FundingPredicted | FundingSettled | FundingRevised
    | Quoted | BarClosed | ActivityObserved | ObservationCorrected
)  # fmt: skip
MarketEvent = InstrumentEvent | DataRejected
TradingEvent = (
    EntryDecided | ExitDecided | OrderIntended | OrderAccepted | OrderRejected | OrderUnknown | OrderFilled
    | OrderCancelled | HedgeEnded | FundingPaid | FundingCorrected | BorrowCharged | MarginObserved | FillSimulated
    | ReconciliationCorrected | HoldingAdopted
)  # fmt: skip
OperationEvent = (
    RunStarted | RunArmed | RunStopped | Halted | Resumed | FlattenRequested | FeedConnected | FeedLost | ClockTicked
    | ClockStepped
)  # fmt: skip
Event = MarketEvent | TradingEvent | OperationEvent


def tag_of(kind: type[msgspec.Struct]) -> str:
    """The word by which encoded events of a class are told."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str), "every event class is tagged by a text"
    return tag
