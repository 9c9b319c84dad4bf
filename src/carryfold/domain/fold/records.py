"""Fresh output records. The last record of a buffer is scratch: a full buffer loses detail, never a booking; the kernel
stops well before that (see step.advance)."""

from typing import Any

from carryfold.domain.fold._compile import compiled


@compiled
def new_fill(fills: Any, fill_n: int, t: int, pair: int, action: int, trade: int, units: int, unit: float) -> Any:
    """The next booking record, cleared."""
    f = fills[min(fill_n, len(fills) - 1)]
    f.t = t
    f.pair = pair
    f.action = action
    f.trade = trade
    f.units = units
    f.unit = unit
    f.decided_at = 0
    f.spot_price = 0.0
    f.perp_price = 0.0
    f.spot_value = 0
    f.perp_value = 0
    f.spot_fee = 0
    f.perp_fee = 0
    f.slippage = 0
    f.spot_pnl = 0
    f.perp_pnl = 0
    f.settled_at = 0
    f.rate = 0.0
    f.mark = 0.0
    f.amount = 0
    return f


@compiled
def new_decision(decisions: Any, decision_n: int, t: int, pair: int, action: int, reason: int, lots: int) -> Any:
    """The next decision record, cleared; caps and conviction are -1, "does not apply"."""
    d = decisions[min(decision_n, len(decisions) - 1)]
    d.t = t
    d.pair = pair
    d.action = action
    d.reason = reason
    d.lots = lots
    d.failed = 0
    d.applied = 0
    d.known = 0
    d.size = 0.0
    d.mid = 0.0
    d.q = 0.0
    d.x = 0.0
    d.x_before = 0.0
    d.interval_h = 0.0
    d.conviction = -1.0
    d.level = 0.0
    d.trend = 0.0
    d.persistence = 0.0
    d.basis = -1.0
    d.volume = -1.0
    d.basis_z = 0.0
    d.phi = 0.0
    d.mu = 0.0
    d.cost_bp = 0.0
    d.break_even_n = 0
    d.break_even_sum = 0.0
    d.age_d = 0.0
    d.cap_conviction = -1.0
    d.cap_pair = -1.0
    d.cap_book = -1.0
    d.cap_liquidity = -1.0
    d.cap_capital = -1.0
    d.cap_correlation = -1.0
    d.theta = 1.0
    d.need = 0
    d.free = 0
    d.equity = 0
    d.health = 0.0
    d.price_age = -1
    d.rate_age = -1
    return d
