"""The market of the speed benchmarks: hourly bars and 8 h settlements of many pairs, as rows, from a seed."""

import numpy as np

from carryfold.domain.rows import ROW, Kind, Rows

__all__ = ["make_rows", "median_time"]

SECOND = 10**9
HOUR = 3600 * SECOND
START = 1_640_995_200 * SECOND


def make_rows(pairs: int, bars: int, seed: int = 1) -> tuple[Rows, list[bytes]]:
    """Rows in known order: listings, `bars` hourly bars of each pair, a settlement every eighth hour. Rates wander so
    that pairs come and go over the default thresholds."""
    draw = np.random.Generator(np.random.PCG64(seed))
    spot = 100 * np.exp(np.cumsum(draw.normal(0, 0.005, (bars, pairs)), axis=0))
    perp = spot * (1 + draw.normal(0, 0.0005, (bars, pairs)))
    listed = np.zeros(pairs, ROW)
    listed["pair"], listed["kind"] = np.arange(pairs), Kind.PAIR_LISTED
    listed["a"], listed["b"], listed["c"], listed["d"] = 1e-6, 5.0, 1.0, 1.0
    bar = np.zeros((bars, pairs), ROW)
    close = START + np.arange(1, bars + 1) * HOUR
    bar["event_at"], bar["known_at"] = close[:, None], close[:, None] + SECOND
    bar["pair"], bar["kind"], bar["slot"] = np.arange(pairs), Kind.BAR_CLOSED, 60
    bar["a"], bar["b"], bar["c"], bar["d"] = spot, perp, perp, 1e6
    settlements = bars // 8
    settled = np.zeros((settlements, pairs), ROW)
    at = START + np.arange(1, settlements + 1) * 8 * HOUR
    settled["event_at"], settled["known_at"] = at[:, None], at[:, None] + 60 * SECOND
    settled["pair"], settled["kind"] = np.arange(pairs), Kind.FUNDING_SETTLED
    noise = draw.normal(0, 1, (settlements, pairs))
    rate = np.zeros(pairs)
    for k in range(settlements):
        rate = 0.97 * rate + 0.24 * noise[k]
        settled["a"][k] = np.round(1e-4 + 1e-4 * rate, 8)
    settled["b"] = 8.0
    rows = np.concatenate([listed, bar.ravel(), settled.ravel()])
    rows = rows[np.argsort(rows["known_at"], kind="stable")]
    rows["seq"] = np.arange(1, len(rows) + 1)
    return rows, [b"P%04dUSDT" % i for i in range(pairs)]


def median_time(times: list[float]) -> float:
    """The middle one."""
    return sorted(times)[len(times) // 2]
