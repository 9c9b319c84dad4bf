"""The event vocabulary: everything observed, decided or done, as immutable values in the past tense.

A market event is about one instrument; a trading event names the pair and its leg. Events are array-like and tagged. A
class never changes its tag, and new fields are added at the end, with defaults. A class whose other fields change gets
a new tag (`Quoted.2`), and the old class stays readable (legacy.py). So every log of every release decodes
(tests/domain/golden has one of each).

Market observations are floats (lossless for a venue's decimals up to 15 digits); our own money and quantities are
`Decimal`. `event_at` is UTC nanoseconds, the time at the venue; a settlement's is its nominal time. The time from which
an event is known is not a field: the log stores it. Every trading and operation event has `run`, the seq of its
RunStarted (0: no particular run). `caused_by` is the seq of the event that led to this one, 0 if that is unknown.
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
    """An event about one instrument."""

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
    """An event about one perpetual."""

    venue: str
    symbol: str
    listing: int
    event_at: int

    @property
    def instrument(self) -> Instrument:
        """What it is about."""
        return Instrument(self.venue, self.symbol, "perp", self.listing)


class _RunEvent(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """An event of one run."""

    run: int
    event_at: int


class _PairEvent(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An event of a run about one pair."""

    pair: Pair


class _LegEvent(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An event of a run about one leg of a pair."""

    leg: Leg

    @property
    def instrument(self) -> Instrument:
        """The instrument of the leg."""
        return self.pair.leg(self.leg)


# --- market ---------------------------------------------------------------------------------------------------------


class InstrumentListed(_InstrumentEvent, frozen=True, array_like=True, tag=True, gc=False):
    """An instrument became tradable. `event_at` 0: the listing time is unknown. One unit of quantity is `multiplier`
    coins of `base` (1000PEPE: 1000). `lot` is the step of the quantity, `tick` of the price (0: unknown),
    `min_notional` in quote. Of a perpetual: hours between settlements (0: unknown) and the cap of the rate (0:
    unknown)."""

    base: str
    quote: str
    lot: float
    min_notional: float
    multiplier: float = 1.0
    tick: float = 0.0
    interval_hours: float = 0.0
    rate_cap: float = 0.0


class InstrumentChanged(_InstrumentEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Trading rules changed; None: as before. `delist_at` announces a delisting, 0 withdraws it."""

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
    """The rate that was settled at `event_at`, its nominal time; `interval_hours` 0: unknown to the source."""

    rate: float
    interval_hours: float = 0.0


class FundingRevised(_PerpEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Another source has another rate for a settlement; the log has it with the rate `replaces`. With an equal rate,
    the source adds the interval that the first one lacked; the revision is then known from the same time as the
    settlement."""

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
    """Another source has other values for an `observation` (the name of its event) with the seq `caused_by`. The values
    in the log stay in force."""

    observation: str
    values: tuple[float, ...]
    caused_by: int = 0


class DataRejected(_Event, frozen=True, array_like=True, tag=True, gc=False):
    """Input was refused: its source, line, reason, and the number of such lines."""

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
    """The venue accepted the order."""

    client_id: str
    venue_id: str = ""
    caused_by: int = 0


class OrderRejected(_LegEvent, frozen=True, array_like=True, tag="OrderRejected.2", gc=False):
    """The venue refused the order."""

    client_id: str
    reason: str
    caused_by: int = 0


class OrderUnknown(_LegEvent, frozen=True, array_like=True, tag="OrderUnknown.2", gc=False):
    """It is unknown whether the venue has the order; the venue must be queried."""

    client_id: str
    reason: str
    caused_by: int = 0


class OrderFilled(_LegEvent, frozen=True, array_like=True, tag="OrderFilled.2", gc=False):
    """A fill as the venue booked it. `units` are holding units of the pair, bought > 0, net of a fee taken in the coin
    itself. `value` (of those units) and `fee` are in quote; their sum is the cost of a purchase. `qty` (bought > 0) and
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
    """The open remainder of the order was cancelled."""

    client_id: str
    reason: str = ""
    caused_by: int = 0


class HedgeEnded(_PairEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The two-leg process of the decision `caused_by` ended; a repair has no decision. `process` is the common prefix
    of its client ids. `outcome` is one of execution.actions.Outcome or "given up", `reason` why it achieved no more.
    `fees` of all its orders in quote. Then the seconds for which one leg was unhedged, in all and at a stretch, and the
    largest unhedged amount in quote."""

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
    """The venue reported another amount for a booked payment: `amount` more was received for the settlement at
    `settled_at` than the `booked` amount."""

    settled_at: int
    amount: Decimal
    booked: Decimal
    venue_id: str = ""
    caused_by: int = 0


class BorrowCharged(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Interest on a negative balance; charged > 0. `venue` "": the run's only venue."""

    amount: Decimal
    venue_id: str = ""
    venue: str = ""


class MarginObserved(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Margin health of the account as the venue reports it. `venue` "": the run's only venue."""

    health: float
    venue: str = ""


class FillSimulated(_PairEvent, frozen=True, array_like=True, tag="FillSimulated.2", gc=False):
    """A booking of the simulated venue in a paper run: `action` is one of fold.codes.BOOKINGS, `values` has its figures
    by name. The separate class keeps it apart from real fills."""

    action: str
    trade: int
    values: dict[str, Any] = {}


class ReconciliationCorrected(_RunEvent, frozen=True, array_like=True, tag="ReconciliationCorrected.2", gc=False):
    """Our books were corrected to the venue's: differences of a pair's holding in units (`pair` None: of the account
    alone), and of cash in quote."""

    pair: Pair | None
    long_units: int
    short_units: int
    cash: Decimal
    reason: str = ""
    venue: str = ""


class HoldingAdopted(_LegEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The run takes over a leg held by `from_run`, a run of another version or with other parameters: `units` (positive
    for a short leg as well) of `unit` coins each, bought or sold for `value` in quote."""

    from_run: int
    units: int
    unit: float
    value: Decimal
    caused_by: int = 0


# --- operation ------------------------------------------------------------------------------------------------------


class RunStarted(_Event, frozen=True, array_like=True, tag="RunStarted.2", gc=False):
    """A run began; its seq is the run's id. Runs of one `group` are compared with each other (A/B). `adopts` is the run
    whose holdings it takes over (0: none)."""

    event_at: int
    mode: str  # observe | paper | live
    parameters: dict[str, Any]
    code_digest: str
    group: str = ""
    pairs: tuple[Pair, ...] = ()
    adopts: int = 0


class RunArmed(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """Reconciliation found no difference: the run may open positions."""


class RunStopped(_RunEvent, frozen=True, array_like=True, tag=True, gc=False):
    """The run was stopped in order. `state_hash` is the hash of its fold. A run may be resumed later."""

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
    """Wall clock and monotonic clock differ by `step_ns`; 0: they agree again."""

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
    """The tag of an event class: the first value of its encoded events."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str), "every event class is tagged by a text"
    return tag
