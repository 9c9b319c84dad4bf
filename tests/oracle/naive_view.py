"""What one pair looks like to somebody who only watches: listing, prices, turnover, signals. No money here."""

from dataclasses import dataclass, field
from math import sqrt

from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .naive_rates import DAY, GROUP, HOUR, Counters, Rates, Row, clamp, clip, ema_weight

SUSPECT_STEP = 0.03
HOURS_OF_MARKS = 16
TURNOVER_HOURS_KEPT = 24
SETTLEMENTS_BEFORE_CONVICTION = 9
BASIS_SAMPLES_BEFORE_SCORE = 48


@dataclass
class Price:
    """The last accepted price row: what a fill and the equity of this pair are made from."""

    event_at: int
    quoted: bool
    spot_mid: float
    perp_mid: float
    spot_bid: float = 0.0
    spot_ask: float = 0.0
    perp_bid: float = 0.0
    perp_ask: float = 0.0


@dataclass
class Turnover:
    """Turnover of one leg in hour buckets, newest last."""

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
class Market:
    """One pair as its rows show it."""

    symbol: bytes
    params: Parameters
    counters: Counters

    # The listing.
    listing_seen: bool = False
    listed_at: int = 0
    lot: float = 0.0
    min_notional: float = 0.0
    priced: bool = False
    delisting: bool = False
    delisted_at: int | None = None

    # Lateness and life.
    newest: dict[str, int] = field(default_factory=dict)  # per group: event_at of its last row in order
    first_event_at: int | None = None
    last_known_at: int | None = None

    # Prices.
    price: Price | None = None
    accepted_basis: float = 0.0
    previous_both: tuple[float, bool] | None = None  # basis of the row with both prices before, and was it suspect
    marks: dict[int, tuple[int, float]] = field(default_factory=dict)  # by the number of the hour that it is of
    perp_before: tuple[int, float] | None = None
    hour_variance: float | None = None
    spot_turnover: Turnover = field(default_factory=Turnover)
    perp_turnover: Turnover = field(default_factory=Turnover)
    volume_24: float | None = None
    volume_168: float | None = None

    # Basis signal.
    basis_hour: int | None = None
    basis_samples: int = 0
    basis_m: float = 0.0
    basis_d: float = 0.0
    basis_z: float = 0.0

    def __post_init__(self) -> None:
        self.rates = Rates(self.params, self.counters)

    def observe(self, rows: list[Row], counting: bool) -> bool:
        """Phases 1 and 2 of one instant for this pair, rows in canonical order. True: a price row was accepted."""
        accepted = False
        for row in rows:
            group = GROUP[row.kind]
            late = False
            if group:
                if self.first_event_at is None:
                    self.first_event_at = row.event_at
                self.last_known_at = row.known_at
                self._keep_mark(row)
                late = group in self.newest and row.event_at <= self.newest[group]
                if late:
                    self.counters.late += counting
                    hours = self.perp_turnover.hours
                    if row.kind == Kind.BAR_CLOSED and row.d >= 0 and (not hours or row.event_at > hours[-1][1]):
                        self._turnover(row.event_at, -1.0, row.d, row.slot)
                    continue
                self.newest[group] = row.event_at
            if group == "price":
                accepted = self._price_row(row, counting) or accepted
            elif group == "settled":
                told = [
                    r.b for r in rows
                    if r.kind == Kind.FUNDING_REVISED and r.event_at == row.event_at and r.a == r.c == row.a
                ]  # fmt: skip
                self.rates.settle(row, row.b or max(told, default=0.0), counting)
            elif group == "predicted":
                self.rates.predict(row)
            elif group == "activity":
                self._turnover(row.event_at, row.a, row.b, row.slot)
            elif row.kind == Kind.PAIR_LISTED:
                if row.event_at == 0 and self.listing_seen:
                    continue  # an assumed listing never overrides a real one
                self.listing_seen, self.listed_at = True, row.event_at
                self.lot, self.min_notional, self.priced = row.a, row.b, self.priced or row.d != 0
            elif row.kind == Kind.PAIR_CHANGED:
                self._changed(row)
        return accepted

    def _changed(self, row: Row) -> None:
        if row.a > 0:
            self.lot = row.a
        if row.b >= 0:
            self.min_notional = row.b
        if row.c >= 0:
            self.delisting = row.c > 0
        if row.d >= 0:
            self.priced = row.d != 0

    # Prices ---------------------------------------------------------------------------------------------------

    def _keep_mark(self, row: Row) -> None:
        mark = 0.0
        if row.kind == Kind.BAR_CLOSED:
            mark = row.c if row.c > 0 else row.b
        elif row.kind == Kind.QUOTED:
            mark = (row.c + row.d) / 2.0 if row.c > 0 and row.d > 0 else 0.0
        elif row.kind == Kind.FUNDING_PREDICTED:
            mark = row.c
        if mark > 0:
            hour = -(-row.event_at // HOUR)
            if hour not in self.marks or row.event_at >= self.marks[hour][0]:
                self.marks[hour] = (row.event_at, mark)
            self.marks = dict(sorted(self.marks.items())[-HOURS_OF_MARKS:])

    def mark_for(self, settled_at: int) -> float | None:
        not_after = [kept for kept in self.marks.values() if kept[0] <= settled_at]
        return max(not_after)[1] if not_after else None

    def newest_mark(self) -> float:
        if self.marks:
            return max(self.marks.values())[1]
        assert self.price is not None
        return self.price.perp_mid

    def _price_row(self, row: Row, counting: bool) -> bool:
        quoted = row.kind == Kind.QUOTED
        if quoted:
            spot = (row.a + row.b) / 2.0 if row.a > 0 and row.b > 0 else 0.0
            perp = (row.c + row.d) / 2.0 if row.c > 0 and row.d > 0 else 0.0
        else:
            spot, perp = max(row.a, 0.0), max(row.b, 0.0)
        both = spot > 0 and perp > 0
        if both:
            basis = perp / spot - 1.0
            suspect = not self._plausible(row.event_at, basis)
            self.previous_both = (basis, suspect)
            if suspect:
                self.counters.suspect += counting
                return False
        if perp > 0:
            self._perp_return(row.event_at, perp)
        if not quoted and row.d >= 0:
            self._turnover(row.event_at, -1.0, row.d, row.slot)
        if not both:
            return False
        self.accepted_basis = basis
        if quoted:
            self.price = Price(row.event_at, True, spot, perp, row.a, row.b, row.c, row.d)
        else:
            self.price = Price(row.event_at, False, spot, perp)
        self._sample_basis(row.event_at, spot, row.c if not quoted and row.c > 0 else perp)
        return True

    def _plausible(self, event_at: int, basis: float) -> bool:
        if self.price is None or abs(basis) <= SUSPECT_STEP or abs(basis - self.accepted_basis) <= SUSPECT_STEP:
            return True
        if self.previous_both is not None:
            before, was_suspect = self.previous_both
            if was_suspect and abs(basis - before) <= SUSPECT_STEP:
                return True
        return event_at - self.price.event_at > DAY

    def _perp_return(self, event_at: int, perp: float) -> None:
        """The first row of each hour of the clock is a sample."""
        if self.perp_before is not None:
            e0, p0 = self.perp_before
            if event_at // HOUR == e0 // HOUR:
                return
            r = perp / p0 - 1.0
            s = r * r * 3600e9 / float(event_at - e0)
            if self.hour_variance is None:
                self.hour_variance = s
            else:
                self.hour_variance += ema_weight(168) * (s - self.hour_variance)
        self.perp_before = (event_at, perp)

    def sigma_day(self) -> float:
        return 0.0 if self.hour_variance is None else sqrt(24.0 * self.hour_variance)

    def _turnover(self, event_at: int, spot: float, perp: float, minutes: int) -> None:
        given = False
        if spot >= 0:
            given = self.spot_turnover.add(event_at, spot, minutes) or given
        if perp >= 0:
            given = self.perp_turnover.add(event_at, perp, minutes) or given
        if not given:
            return
        h = min(leg.per_hour for leg in (self.spot_turnover, self.perp_turnover) if leg.per_hour is not None)
        if self.volume_24 is None or self.volume_168 is None:
            self.volume_24 = self.volume_168 = h
        else:
            self.volume_24 += ema_weight(24) * (h - self.volume_24)
            self.volume_168 += ema_weight(168) * (h - self.volume_168)

    def smaller_turnover(self) -> float | None:
        known = [v for v in (self.spot_turnover.day(), self.perp_turnover.day()) if v is not None]
        return min(known) if known else None

    def impact_bp(self, leg: Turnover, notional: float) -> float:
        day = leg.day()
        if day is None:
            return 0.0
        return self.params.impact * self.sigma_day() * sqrt(notional / day) * 1e4

    def _sample_basis(self, event_at: int, spot: float, mark: float) -> None:
        hour = event_at // HOUR
        if self.basis_hour is not None and hour <= self.basis_hour:
            return
        self.basis_hour = hour
        b = mark / spot - 1.0
        if self.basis_samples == 0:
            self.basis_m, self.basis_d, self.basis_z = b, 5e-4, 0.0
        else:
            width = max(self.basis_d, 1e-4)
            enough = self.basis_samples >= BASIS_SAMPLES_BEFORE_SCORE
            self.basis_z = (b - self.basis_m) / (1.2533 * width) if enough else 0.0
            limit = 4.0 * width
            e = clamp(b - self.basis_m, -limit, limit)
            self.basis_m += ema_weight(168) * e
            self.basis_d += ema_weight(168) * (abs(e) - self.basis_d)
        self.basis_samples += 1

    def conviction(self, q: float | None) -> float | None:
        """The weighted mean of the known scores, None before there is one."""
        if self.rates.x_count < SETTLEMENTS_BEFORE_CONVICTION:
            return None
        top = bottom = 0.0
        for name, score in self.scores(q).items():
            if score is not None:
                weight: float = getattr(self.params, "w_" + name)
                top += weight * score
                bottom += weight
        return top / bottom if bottom != 0 else None

    def scores(self, q: float | None) -> dict[str, float | None]:
        """The five components in the order in which they are summed."""
        level, trend, persistence = self.rates.scores(q) or (None, None, None)
        basis = clip(0.5 + self.basis_z / 4.0) if self.basis_samples > 0 else None
        volume = None
        if self.volume_24 is not None and self.volume_168 is not None and self.volume_168 > 0:
            volume = clip(self.volume_24 / self.volume_168 - 0.5)
        return {"level": level, "trend": trend, "persistence": persistence, "basis": basis, "volume": volume}
