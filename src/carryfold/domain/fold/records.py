"""Fresh output records. The last record of a buffer is scratch: a full buffer loses detail, never a booking; the kernel
stops well before that (see step.advance)."""

from typing import Any

from carryfold.domain.fold._compile import compiled


@compiled
def new_fill(
    fills: Any, fill_n: int, t: int, pair: int, action: int, leg: int, trade: int, units: int, unit: float
) -> Any:
    """The next booking record, cleared."""
    f = fills[min(fill_n, len(fills) - 1)]
    f.t = t
    f.pair = pair
    f.action = action
    f.trade = trade
    f.leg = leg
    f.units = units
    f.unit = unit
    f.decided_at = 0
    f.long_price = 0.0
    f.short_price = 0.0
    f.long_value = 0
    f.short_value = 0
    f.long_fee = 0
    f.short_fee = 0
    f.slippage = 0
    f.long_pnl = 0
    f.short_pnl = 0
    f.settled_at = 0
    f.rate = 0.0
    f.mark = 0.0
    f.amount = 0
    return f


@compiled
def new_decision(decisions: Any, decision_n: int, t: int, pair: int, action: int, reason: int, lots: int) -> Any:
    """The next decision record, cleared; scores and caps are -1, "does not apply"."""
    d = decisions[min(decision_n, len(decisions) - 1)]
    d.t = t
    d.pair = pair
    d.action = action
    d.reason = reason
    d.lots = lots
    d.failed = 0
    d.applied = 0
    d.size = 0.0
    d.mid = 0.0
    d.estimate_8h = 0.0
    d.rate_8h = 0.0
    d.rate_8h_before = 0.0
    d.interval_h = 0.0
    d.score = 0.0
    d.known_pairs = 0
    d.age_d = 0.0
    d.gross = 0.0
    d.total = 0.0
    d.squares = 0.0
    d.turnover = -1.0
    d.long_turnover = 0.0
    d.short_turnover = 0.0
    d.sigma_d = 0.0
    d.round_trip_bp = 0.0
    d.capital_room = 0.0
    d.throttle = 1.0
    d.need = 0
    d.free = 0
    d.equity = 0
    d.health = 0.0
    d.price_age = -1
    d.rate_age = -1
    for i in range(len(d.scores)):
        d.scores[i] = -1.0
    for i in range(len(d.caps)):
        d.caps[i] = -1.0
    return d
