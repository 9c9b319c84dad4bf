"""The market of one pair: pair rows of both legs' prices, the basis and volume signals, and both legs' rates."""

from dataclasses import dataclass, field
from math import sqrt

from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.params import Parameters

from .naive_pairs import in_one_account, lot_in_coins, smallest_common_lot
from .naive_rates import DAY, HOUR, MINUTE, SECOND, Counters, PairRates, clamp, clip, ema_weight
from .naive_view import View

SUSPECT_STEP = 0.03
OBSERVATIONS_BEFORE_CONVICTION = 9
BASIS_SAMPLES_BEFORE_SCORE = 48


@dataclass(frozen=True)
class LegPrice:
    """The price of a leg, per coin."""

    mid: float
    quoted: bool
    bid: float
    ask: float
    mark: float


@dataclass(frozen=True)
class PairPrice:
    """The last accepted pair row, the source of fills and of the pair's value."""

    event_at: int
    long: LegPrice
    short: LegPrice

    def leg(self, leg: str) -> LegPrice:
        return self.long if leg == "long" else self.short


def leg_price(view: View) -> LegPrice:
    """The last price of an instrument, per coin."""
    price, m = view.price, view.multiplier
    assert price is not None
    return LegPrice(price.mid / m, price.quoted, price.bid / m, price.ask / m, price.mark / m)


@dataclass
class PairMarket:
    """One pair, as of the rows of its two instruments. The view of an assumed leg stays empty."""

    pair: Pair
    long: View
    short: View
    params: Parameters
    counters: Counters

    price: PairPrice | None = None
    accepted_basis: float = 0.0
    previous: tuple[float, bool] | None = None  # basis of the pair row before, and was it suspect

    basis_hour: int | None = None
    basis_samples: int = 0
    basis_m: float = 0.0
    basis_d: float = 0.0
    basis_z: float = 0.0
    volume_24: float | None = None
    volume_168: float | None = None

    rates: PairRates = field(init=False)

    def __post_init__(self) -> None:
        self.rates = PairRates(self.params)

    @property
    def views(self) -> tuple[View, View]:
        return self.long, self.short

    @property
    def perps(self) -> list[View]:
        return [view for view in self.views if view.is_perp]

    @property
    def is_one_venue_carry(self) -> bool:
        return self.pair.is_carry and in_one_account(self.pair)

    @property
    def is_spread(self) -> bool:
        return self.long.is_perp

    @property
    def priced(self) -> bool:
        """A carry pair of one venue once its spot leg is listed; any other pair always."""
        return not self.is_one_venue_carry or self.long.listing_seen

    @property
    def traded_views(self) -> list[View]:
        """The legs that are real: only the perpetual of an unpriced pair."""
        return [self.long, self.short] if self.priced else [self.short]

    def view(self, leg: str) -> View:
        return self.long if leg == "long" else self.short

    def instrument(self, leg: str) -> Instrument:
        return self.pair.long if leg == "long" else self.pair.short

    # Facts ----------------------------------------------------------------------------------------------------

    def lot(self) -> float:
        """In coins; 0: unknown. While the long leg is not listed, the lot is the short leg's own."""
        lots = [lot_in_coins(view.lot, view.multiplier) for view in self._views_with_facts()]
        return smallest_common_lot(lots)

    def min_notional(self) -> float:
        return max((view.min_notional for view in self._views_with_facts()), default=0.0)

    def _views_with_facts(self) -> list[View]:
        if not self.long.listing_seen:
            return [self.short]
        return [self.long, self.short] if self.short.listing_seen else []

    def delisting(self) -> bool:
        return any(view.delisting for view in self.views)

    def delisted(self) -> bool:
        return any(view.delisted_at is not None for view in self.views)

    def known(self) -> bool:
        """By a listing of known time or by a market row, of either leg."""
        return any(view.listed_at > 0 or view.last_market_known_at is not None for view in self.views)

    def dead_views(self, t: int, heard_since: int) -> list[View]:
        """The legs whose data has ended: each by its own rows, but the legs of one venue's carry pair together."""
        limit = self.params.dead_s * SECOND
        last = {view.instrument: view.last_market_known_at for view in self.views}
        if self.is_one_venue_carry:
            newest = max((known for known in last.values() if known is not None), default=None)
            last = dict.fromkeys(last, newest)
        ended = [i for i, known in last.items() if known is not None and t - max(known, heard_since) > limit]
        return [view for view in self.views if view.instrument in ended]

    def born_at(self) -> int | None:
        """The time from which the pair's age counts; None if unknown."""
        listed = [view.listed_at for view in self.views if view.listed_at > 0]
        if self.is_one_venue_carry:
            if listed:
                return max(listed)
            return min((v.first_market_at for v in self.views if v.first_market_at is not None), default=None)
        since = [view.listed_at if view.listed_at > 0 else view.first_market_at for view in self.views]
        known = [at for at in since if at is not None]
        return max(known) if len(known) == len(since) else None

    def stale_ns(self) -> int:
        """How old the last accepted row may be: not less than the longer bar of the legs' last prices."""
        bars = [view.price.minutes * MINUTE for view in self.views if view.price is not None]
        return max(self.params.stale_s * SECOND, *bars, 0)

    # Pair rows ------------------------------------------------------------------------------------------------

    def end_prices(self, counting: bool) -> str | None:
        """After all price rows of an instant: "accepted", "suspect", or None where no pair row comes about."""
        new, old = (self.long.priced_row, self.short.priced_row), (self.long.price, self.short.price)
        if new == (None, None) or old[0] is None or old[1] is None:
            return None
        if abs(old[0].event_at - old[1].event_at) > self.params.leg_skew_s * SECOND:
            return None
        price = PairPrice(min(old[0].event_at, old[1].event_at), leg_price(self.long), leg_price(self.short))
        basis = price.short.mid / price.long.mid - 1.0
        suspect = not self._plausible(price.event_at, basis)
        self.previous = (basis, suspect)
        if suspect:
            self.counters.suspect += counting
            return "suspect"
        self.accepted_basis, self.price = basis, price
        self._sample_basis(price)
        return "accepted"

    def _plausible(self, event_at: int, basis: float) -> bool:
        if self.price is None or abs(basis) <= SUSPECT_STEP or abs(basis - self.accepted_basis) <= SUSPECT_STEP:
            return True
        if self.previous is not None:
            before, was_suspect = self.previous
            if was_suspect and abs(basis - before) <= SUSPECT_STEP:
                return True
        return event_at - self.price.event_at > DAY

    def _sample_basis(self, price: PairPrice) -> None:
        hour = price.event_at // HOUR
        if self.basis_hour is not None and hour <= self.basis_hour:
            return
        self.basis_hour = hour
        b = (price.short.mark if price.short.mark > 0 else price.short.mid) / price.long.mid - 1.0
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

    # Rates ----------------------------------------------------------------------------------------------------

    def observe_rates(self, settled_at: int, raw: dict[Instrument, float]) -> None:
        """`raw`: the rates of the perpetuals whose x was set by a settlement at `settled_at`."""
        settled = [view for view in self.perps if view.instrument in raw]
        x = {view.instrument: view.rates.x for view in self.perps}
        if not settled or any(value is None for value in x.values()):
            return
        of_long = (x[self.pair.long] or 0.0) if self.is_spread else 0.0
        hours = min(view.rates.interval_h for view in self.perps)
        summed = raw.get(self.pair.short, 0.0) - (raw.get(self.pair.long, 0.0) if self.is_spread else 0.0)
        self.rates.observe(settled_at, (x[self.pair.short] or 0.0) - of_long, hours, summed)

    def estimate(self, t: int) -> float | None:
        """The rate estimate q of the pair at t."""
        short = self.short.rates.estimate(t)
        if short is None or not self.is_spread:
            return short
        long = self.long.rates.estimate(t)
        return None if long is None else short - long

    def interval_h(self) -> float:
        """The shorter of the perpetuals' intervals, 0 where one is not known."""
        return min(view.rates.interval_h for view in self.perps)

    # Turnover and conviction ----------------------------------------------------------------------------------

    def end_turnover(self) -> None:
        """After phase 2 of an instant: one sample of the volume signal if a turnover came of either leg."""
        if not any(view.turnover_entered for view in self.views):
            return
        h = min(view.turnover.per_hour for view in self.views if view.turnover.per_hour is not None)
        if self.volume_24 is None or self.volume_168 is None:
            self.volume_24 = self.volume_168 = h
        else:
            self.volume_24 += ema_weight(24) * (h - self.volume_24)
            self.volume_168 += ema_weight(168) * (h - self.volume_168)

    def smaller_turnover(self) -> float | None:
        known = [day for view in self.views if (day := view.turnover.day()) is not None]
        return min(known) if known else None

    def impact_bp(self, leg: str, notional: float) -> float:
        """Of one leg; the volatility is the short leg's."""
        day = self.view(leg).turnover.day()
        if day is None:
            return 0.0
        return self.params.impact * self.short.sigma_day() * sqrt(notional / day) * 1e4

    def conviction(self, q: float | None) -> float | None:
        """The weighted mean of the known scores, None before there is one."""
        if self.rates.x_count < OBSERVATIONS_BEFORE_CONVICTION:
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
