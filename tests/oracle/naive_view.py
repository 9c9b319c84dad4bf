"""The view of one instrument: listing, prices, marks, turnover, rates."""

from dataclasses import dataclass, field, replace
from math import sqrt

from carryfold.domain.instruments import Instrument
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .naive_rates import DAY, GROUP, HOUR, Counters, PerpRates, Row, ema_weight

HOURS_OF_MARKS = 16
TURNOVER_HOURS_KEPT = 24


@dataclass(frozen=True)
class Price:
    """The last price of an instrument, in its own units; `bid` and `ask` of a quote, `mark` and `minutes` of a bar."""

    event_at: int
    mid: float
    quoted: bool = False
    bid: float = 0.0
    ask: float = 0.0
    mark: float = 0.0
    minutes: int = 0


def price_of(row: Row) -> Price | None:
    """The price in a price row; a quote needs both sides."""
    if row.kind == Kind.QUOTED:
        if row.a > 0 and row.b > 0:
            return Price(row.event_at, (row.a + row.b) / 2.0, True, row.a, row.b)
    elif row.a > 0:
        return Price(row.event_at, row.a, mark=max(row.b, 0.0), minutes=row.slot)
    return None


@dataclass
class Turnover:
    """Turnover of an instrument in hour buckets, newest last."""

    hours: list[list[float]] = field(default_factory=list)  # [bucket, event_at, value]; the two times are ints
    per_hour: float | None = None

    def add(self, event_at: int, value: float, minutes: int) -> bool:
        """Takes the turnover of a row; False where the row is older than the newest bucket and so gives none."""
        bucket = (event_at - 1) // HOUR
        if self.hours and bucket < self.hours[-1][0]:
            return False
        if self.hours and bucket == self.hours[-1][0]:
            self.hours[-1][1] = event_at
            self.hours[-1][2] += value
        else:
            self.hours.append([bucket, event_at, value])
            del self.hours[:-TURNOVER_HOURS_KEPT]
        self.per_hour = value * 60.0 / minutes
        return True

    def is_older_than(self, event_at: int) -> bool:
        return not self.hours or event_at > self.hours[-1][1]

    def day(self) -> float | None:
        """Turnover of the 24 h up to the newest entry, None where unknown or nothing."""
        if not self.hours:
            return None
        newest = self.hours[-1][1]
        total = 0.0
        for _, event_at, value in self.hours:
            if event_at > newest - DAY:
                total += value
        return total if total > 0 else None


@dataclass
class View:
    """One instrument, as of its rows."""

    instrument: Instrument
    params: Parameters
    counters: Counters

    # The listing.
    listing_seen: bool = False
    listed_at: int = 0
    lot: float = 0.0
    min_notional: float = 0.0
    multiplier: float = 1.0
    delisting: bool = False
    delisted_at: int | None = None

    # Lateness and life. Prices and settlements are market rows.
    newest: dict[str, int] = field(default_factory=dict)  # per group: event_at of its last row in order
    first_market_at: int | None = None
    last_market_known_at: int | None = None

    # Prices.
    price: Price | None = None
    marks: dict[int, tuple[int, float]] = field(default_factory=dict)  # by the number of the hour that it is of
    return_from: tuple[int, float] | None = None
    hour_variance: float | None = None
    in_universe: bool = True
    turnover: Turnover = field(default_factory=Turnover)

    # What the present instant brought.
    price_rows: list[tuple[Row, bool]] = field(default_factory=list)  # each with: was it late
    priced_row: Row | None = None  # the one that `price` is from, None where no new price came
    turnover_entered: bool = False

    def __post_init__(self) -> None:
        self.rates = PerpRates(self.params, self.counters)

    @property
    def is_perp(self) -> bool:
        return self.instrument.kind == "perp"

    def begin_instant(self) -> None:
        self.price_rows, self.priced_row, self.turnover_entered = [], None, False

    def is_late(self, row: Row, counting: bool) -> bool:
        """True if the row is older than the newest of its group; otherwise it becomes the newest."""
        group = GROUP[row.kind]
        if group in self.newest and row.event_at <= self.newest[group]:
            self.counters.late += counting
            return True
        self.newest[group] = row.event_at
        return False

    def live(self, row: Row) -> None:
        """Note a market row."""
        if self.first_market_at is None:
            self.first_market_at = row.event_at
        self.last_market_known_at = row.known_at

    # Phase 1 --------------------------------------------------------------------------------------------------

    def take_price(self, row: Row, counting: bool) -> None:
        """A price row: its mark and, unless it is late, its price. Volatility and turnover wait for `end_prices`."""
        self.live(row)
        price = price_of(row)
        if row.kind == Kind.BAR_CLOSED and row.b > 0:
            self.keep_mark(row.event_at, row.b)
        elif price is not None:
            self.keep_mark(row.event_at, price.mid)
        completes = price is None and row.event_at == self.newest.get("price")  # what came before of the same time
        if completes and self.price is not None and self.price.event_at == row.event_at and row.kind == Kind.BAR_CLOSED:
            self.price = replace(self.price, mark=row.b if row.b > 0 else self.price.mark)
        late = completes or self.is_late(row, counting)
        self.price_rows.append((row, late))
        if price is not None and not late:
            self.price, self.priced_row = price, row

    def end_prices(self, held_back: bool) -> None:
        """Once it is known whether the price of this instant is part of a suspect pair row: then no row of the instant
        enters volatility or turnover, but a late bar's."""
        for row, late in self.price_rows:
            if held_back and not late:
                continue
            price = None if late else price_of(row)
            if price is not None and self.is_perp:
                self._sample_return(row.event_at, price.mid)
            if row.kind == Kind.BAR_CLOSED and row.c >= 0 and (not late or self.turnover.is_older_than(row.event_at)):
                self._add_turnover(row.event_at, row.c, row.slot)

    def keep_mark(self, event_at: int, mark: float) -> None:
        if self.is_perp and mark > 0:
            hour = -(-event_at // HOUR)
            if hour not in self.marks or event_at >= self.marks[hour][0]:
                self.marks[hour] = (event_at, mark)
            self.marks = dict(sorted(self.marks.items())[-HOURS_OF_MARKS:])

    def mark_for(self, settled_at: int) -> float | None:
        """The mark in force at a settlement, per coin."""
        not_after = [kept for kept in self.marks.values() if kept[0] <= settled_at]
        return max(not_after)[1] / self.multiplier if not_after else None

    def newest_mark(self) -> float:
        """Per coin. There is one wherever a price has been."""
        return max(self.marks.values())[1] / self.multiplier

    def _sample_return(self, event_at: int, price: float) -> None:
        """The first price of each hour of the clock is a sample."""
        if self.return_from is not None:
            e0, p0 = self.return_from
            if event_at // HOUR == e0 // HOUR:
                return
            r = price / p0 - 1.0
            s = r * r * 3600e9 / float(event_at - e0)
            if self.hour_variance is None:
                self.hour_variance = s
            else:
                self.hour_variance += ema_weight(168) * (s - self.hour_variance)
        self.return_from = (event_at, price)

    def sigma_day(self) -> float:
        return 0.0 if self.hour_variance is None else sqrt(24.0 * self.hour_variance)

    def _add_turnover(self, event_at: int, value: float, minutes: int) -> None:
        if self.turnover.add(event_at, value, minutes):
            self.turnover_entered = True

    # Phase 2, but for settlements -----------------------------------------------------------------------------

    def take(self, row: Row, counting: bool) -> None:
        if row.kind == Kind.FUNDING_PREDICTED:
            self.keep_mark(row.event_at, row.b)
            if not self.is_late(row, counting):
                self.rates.predict(row)
        elif row.kind == Kind.ACTIVITY_OBSERVED:
            if not self.is_late(row, counting) and row.a >= 0:
                self._add_turnover(row.event_at, row.a, row.slot)
        elif row.kind == Kind.INSTRUMENT_LISTED:
            if row.event_at == 0 and self.listing_seen:
                return  # an assumed listing never overrides a real one
            self.listing_seen, self.listed_at = True, row.event_at
            self.lot, self.min_notional, self.multiplier = row.a, row.b, row.c
        elif row.kind == Kind.UNIVERSE_CHANGED:
            self.in_universe = row.a != 0
        elif row.kind == Kind.INSTRUMENT_CHANGED:
            if row.a > 0:
                self.lot = row.a
            if row.b >= 0:
                self.min_notional = row.b
            if row.c >= 0:
                self.delisting = row.c > 0
