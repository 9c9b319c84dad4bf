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
    "patience": (6.0, 0.0, 1000.0),  # periods of 8 h for which the rate must have been at `enter` or above
    "horizon": (30.0, 1.0, 90.0),  # periods within which the forecast must earn the round trip
}


def score(view: Any, params: Any, rate: float) -> float:
    """The slow average, once the rate has been high for long enough."""
    if view.periods_above < params.patience or view.ema_slow < params.enter:
        return NOT_WANTED
    return view.ema_slow


def size(view: Any, params: Any, decision: Any) -> float:
    """The notional, bounded by the room in the book and by free capital."""
    decision.caps[0] = params.notional
    decision.caps[1] = params.book_cap - decision.gross
    decision.caps[2] = decision.capital_room
    return min(decision.caps[0], min(decision.caps[1], decision.caps[2]))


def gates(view: Any, params: Any, decision: Any) -> int:
    """The forecast must earn the round trip within the horizon."""
    phi, mu = forecast(view)
    periods, total = periods_to_earn(decision.round_trip_bp / 1e4, decision.estimate_8h, phi, mu)
    decision.scores[1] = total
    return 0 if 0 < periods <= params.horizon else 1


def explain(view: Any, params: Any, decision: Any) -> None:
    """The persistence score; `gates` writes the other score."""
    decision.scores[0] = persistence_score(view, max(params.patience, 1.0))


def leaves(view: Any, params: Any, rate: float) -> bool:
    """The average no longer pays; a single low settlement is no reason."""
    return view.ema_slow < params.exit
