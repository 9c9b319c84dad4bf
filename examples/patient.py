"""patient: wait until the average rate has been high for a while, then hold it until the average no longer pays.

The worked example of docs/strategies.md. Try it on any home:

    carryfold backtest --strategy examples/patient.py --set patience=3
"""

from typing import Any

from carryfold.domain.strategies.library import NOT_WANTED, forecast, periods_to_earn, persistence_score

READS = ("averages", "forecast")
SCORES = ("persistence", "expected")
CAPS = ("notional", "book", "capital")
GATES = ("pays_off",)
PARAMETERS = {
    "patience": (6.0, 0.0, 1000.0),  # so many periods of 8 h the rate has to have been at `enter` or above
    "horizon": (30.0, 1.0, 90.0),  # so many periods may pass until the round trip is earned
}


def score(v: Any, p: Any, q: float) -> float:
    """The slow average, once the rate has been high for long enough."""
    if v.run_h8 < p.patience or v.ema_slow < p.enter:
        return NOT_WANTED
    return v.ema_slow


def size(v: Any, p: Any, d: Any) -> float:
    """The usual notional, less where the book or the capital is nearly used up."""
    d.caps[0] = p.notional
    d.caps[1] = p.book_cap - d.gross
    d.caps[2] = d.capital_room
    return min(d.caps[0], min(d.caps[1], d.caps[2]))


def gates(v: Any, p: Any, d: Any) -> int:
    """The forecast has to earn the round trip within the horizon."""
    phi, mu = forecast(v)
    periods, total = periods_to_earn(d.round_trip_bp / 1e4, d.q, phi, mu)
    d.scores[1] = total
    return 0 if 0 < periods <= p.horizon else 1


def explain(v: Any, p: Any, d: Any) -> None:
    """What the decision went by."""
    d.scores[0] = persistence_score(v, max(p.patience, 1.0))


def leaves(v: Any, p: Any, q: float) -> bool:
    """The average no longer pays; a single low settlement is no reason."""
    return v.ema_slow < p.exit
