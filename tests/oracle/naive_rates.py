"""Funding rates: settlements and predictions of one perpetual, and the averages of a pair's rates.

Also the row type and the few helpers that every part of the oracle needs. Plain Python on purpose: every method follows
docs/semantics.md line by line, and nothing is shared with the compiled fold but the numbering of the row kinds.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from carryfold.domain.params import Parameters
from carryfold.domain.rows import KINDS

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR


class Row(NamedTuple):
    """One log row in the field order of `carryfold.domain.rows.ROW`."""

    known_at: int
    event_at: int
    seq: int
    subject: int
    kind: int
    slot: int
    a: float
    b: float
    c: float


PHASE = {int(kind): spec.phase for kind, spec in KINDS.items()}
GROUP = {int(kind): spec.group for kind, spec in KINDS.items()}


def canonical(rows: list[Row]) -> list[Row]:
    """The rows of one instrument and instant in canonical order."""
    return sorted(rows, key=lambda r: (PHASE[r.kind], r.event_at, r.kind, r.a, r.b, r.c, r.slot))


def clip(v: float) -> float:
    return min(max(v, 0.0), 1.0)


def clamp(v: float, low: float, high: float) -> float:
    return min(max(v, low), high)


def ema_weight(n: float) -> float:
    return 2.0 / (n + 1.0)


@dataclass
class Counters:
    """Data quality figures of a run."""

    suspect: int = 0
    late: int = 0
    gaps: int = 0
    no_mark: int = 0


def interval_ns(hours: float) -> int:
    return int(hours * 3600e9)


@dataclass
class Prediction:
    rate: float
    interval_h: float  # 0: as the perpetual's current interval
    event_at: int
    next_at: int


@dataclass
class PerpRates:
    """Settled and predicted rates of one perpetual."""

    params: Parameters
    counters: Counters

    settled_at: int | None = None
    interval_h: float = 0.0  # 0: not known yet
    longer_h: float = 0.0  # a longer spacing seen once, 0: none
    x: float | None = None
    prediction: Prediction | None = None

    def predict(self, row: Row) -> None:
        self.prediction = Prediction(row.a, row.slot / 60.0, row.event_at, int(row.c) * 10**6)

    def settle(self, row: Row, given_h: float, counting: bool) -> bool:
        """True: the settlement gave a rate. `given_h`: the interval that the row or another source gives, 0: none."""
        before = self.settled_at
        self.settled_at = row.event_at
        self._learn_interval(given_h, None if before is None else row.event_at - before)
        if self.interval_h <= 0:
            return False
        if before is not None and row.event_at - before > interval_ns(self.interval_h) + 10 * MINUTE:
            self.counters.gaps += counting
        self.x = row.a * 8.0 / self.interval_h
        return True

    def _learn_interval(self, given_h: float, spacing: int | None) -> None:
        if given_h > 0:
            self.interval_h, self.longer_h = given_h, 0.0
            return
        snapped = 0.0
        if spacing is not None:
            fits = [float(h) for h in (1, 2, 4, 6, 8) if abs(spacing - h * HOUR) <= 10 * MINUTE]
            snapped = fits[0] if fits else 0.0
        if snapped == 0:
            self.longer_h = 0.0
        elif self.interval_h <= 0 or snapped <= self.interval_h or self.longer_h == snapped:
            self.interval_h, self.longer_h = snapped, 0.0
        else:
            self.longer_h = snapped

    def is_fresh(self, t: int) -> bool:
        """Whether the last settlement is not older than one and a half intervals."""
        if self.settled_at is None or self.interval_h <= 0:
            return False
        return float(t - self.settled_at) <= 1.5 * self.interval_h * 3600e9

    def estimate(self, t: int) -> float | None:
        """The rate estimate q of this perpetual at t, an 8 h-equivalent."""
        x = self.x
        if x is None or self.params.rate_source == "settled" or self.prediction is None:
            return x
        prediction = self.prediction
        hours = prediction.interval_h if prediction.interval_h > 0 else self.interval_h
        if hours <= 0:
            return x
        start = prediction.next_at - interval_ns(hours)
        if prediction.event_at < start + 60 * SECOND or t < start + 60 * SECOND:
            return x
        if t > prediction.next_at - 10 * SECOND or t - prediction.event_at > 300 * SECOND:
            return x
        f = float(t - start) / float(interval_ns(hours))
        rate = prediction.rate * 8.0 / hours
        if self.params.rate_source == "predicted":
            return rate if f >= 0.5 else x
        return f * f * rate + (1.0 - f * f) * x


@dataclass
class AutoRegression:
    """AR(1) of a pair's raw rates summed per 8 h bucket."""

    k: int = 0
    y_prev: float = 0.0
    mx: float = 0.0
    v: float = 0.0
    c: float = 0.0
    open_end: int | None = None
    open_sum: float = 0.0

    def settle(self, settled_at: int, rate: float) -> None:
        end = -(-settled_at // (8 * HOUR)) * (8 * HOUR)
        if self.open_end is not None and self.open_end != end:
            self._close()
        if self.open_end is None:
            self.open_end, self.open_sum = end, 0.0
        self.open_sum += rate
        if settled_at == end:
            self._close()

    def _close(self) -> None:
        y = self.open_sum
        self.open_end = None
        if self.k == 0:
            self.mx, self.v, self.c, self.k = y, 0.0, 0.0, 1
        else:
            self.k += 1
            a = max(ema_weight(270), 1.0 / self.k)
            e0 = self.y_prev - self.mx
            e1 = y - self.mx
            self.v += a * (e0 * e0 - self.v)
            self.c += a * (e0 * e1 - self.c)
            self.mx += a * e1
        self.y_prev = y

    def phi_mu(self) -> tuple[float, float]:
        if self.k == 0:
            return 0.83, 0.0001
        n = float(min(self.k, 270))
        p = self.c / self.v if self.v > 1e-16 else 0.83
        p += (1.0 + 3.0 * p) / n
        phi = clamp((n * p + 30.0 * 0.83) / (n + 30.0), 0.0, 0.98)
        mu = (n * self.mx + 30.0 * 0.0001) / (n + 30.0)
        return phi, mu


@dataclass
class PairRates:
    """Averages of a pair's observed rates, each the short leg's 8 h-equivalent less the long leg's."""

    params: Parameters

    x: float | None = None
    x_count: int = 0
    x_step: float = 0.0
    ema_fast: float = 0.0
    ema_slow: float = 0.0
    dx: float = 0.0
    run: float = 0.0
    regression: AutoRegression = field(default_factory=AutoRegression)

    def observe(self, settled_at: int, x: float, interval_h: float, raw: float) -> None:
        """One observation: x now, the hours it stands for, and the raw rates that settled just then."""
        p = self.params
        if self.x is None:
            self.ema_fast = self.ema_slow = x
            self.x_step = 0.0
        else:
            self.x_step = x - self.x
            self.dx += ema_weight(30) * (abs(x - self.x) - self.dx)
            self.ema_fast += ema_weight(p.ema_fast) * (x - self.ema_fast)
            self.ema_slow += ema_weight(p.ema_slow) * (x - self.ema_slow)
        self.x = x
        self.x_count += 1
        self.run = self.run + interval_h / 8.0 if x >= p.enter else 0.0
        self.regression.settle(settled_at, raw)

    def scores(self, q: float | None) -> tuple[float, float, float] | None:
        """Level, trend and persistence at the estimate q."""
        if q is None:
            return None
        p = self.params
        sc = max(self.dx, 0.00005)
        level = clip((q - p.exit) / (p.level_full - p.exit))
        trend = clip(0.5 + 0.25 * (self.ema_fast - self.ema_slow) / sc + 0.25 * self.x_step / sc)
        return level, trend, clip(self.run / p.persist_full)
