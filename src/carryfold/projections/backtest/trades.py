"""Round trips and decisions of a run, as readable values: what happened, and why."""

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, F_ENTER, F_LIQUIDATED, REASONS
from carryfold.domain.fold.state import GATES
from carryfold.projections.backtest.figures import money
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import format_time

__all__ = ["Trade", "decision_rows", "list_trades"]


class Trade(msgspec.Struct, kw_only=True):
    """One position from its entry fill to its last exit fill; amounts in quote. An open one has no `closed_at`, its
    spot and perp P&L are marked at the last prices, and `net` is before the cost of closing it."""

    trade: int
    pair: str
    opened_at: str
    closed_at: str | None
    reason: str
    quantity: Decimal  # base coins of each leg; quote for unpriced pairs
    size: Decimal  # spot value at entry
    spot_entry: float
    perp_entry: float
    spot_exit: float | None
    perp_exit: float | None
    funding: Decimal
    spot_pnl: Decimal
    perp_pnl: Decimal
    fees: Decimal
    slippage: Decimal
    net: Decimal


def list_trades(run: Backtest) -> list[Trade]:
    """Every position of the run in the order of entry; their parts add up to the run's attribution before borrow."""
    trades: dict[int, Trade] = {}
    sums: dict[int, list[int]] = {}
    for f in run.fills:
        number = int(f["trade"])
        if f["action"] == F_ENTER:
            sums[number] = [0, 0, 0, 0]
            trades[number] = _opened(run, f)
        trade, parts = trades[number], sums[number]
        for i, names in enumerate((("spot_pnl",), ("perp_pnl",), ("spot_fee", "perp_fee"), ("slippage",))):
            parts[i] += sum(int(f[name]) for name in names)
        if f["action"] != F_ENTER:
            _closed(run, trade, f)
    for p in run.state.pair[run.state.pair["held"] != 0]:
        parts = sums[int(p["trade"])]
        parts[0] += int(p["spot_value"] - p["spot_cost"])
        parts[1] += int(p["perp_entry"] - p["perp_value"])
    for number, trade in trades.items():
        spot, perp, fees, slippage = sums[number]
        funding = run.funding.get(number, 0)
        trade.funding, trade.spot_pnl, trade.perp_pnl = money(funding), money(spot), money(perp)
        trade.fees, trade.slippage, trade.net = money(fees), money(slippage), money(funding + spot + perp - fees)
    return list(trades.values())


def _opened(run: Backtest, f: Any) -> Trade:
    zero = Decimal(0)
    return Trade(
        trade=int(f["trade"]),
        pair=run.selection.label(int(f["pair"])),
        opened_at=format_time(int(f["t"])),
        closed_at=None,
        reason="open",
        quantity=Decimal(int(f["units"])) * Decimal(repr(float(f["unit"]))),
        size=money(f["spot_value"]),
        spot_entry=float(f["spot_price"]),
        perp_entry=float(f["perp_price"]),
        spot_exit=None,
        perp_exit=None,
        funding=zero,
        spot_pnl=zero,
        perp_pnl=zero,
        fees=zero,
        slippage=zero,
        net=zero,
    )


def _closed(run: Backtest, trade: Trade, f: Any) -> None:
    """A fill that closes a leg or both."""
    if f["perp_value"]:
        trade.perp_exit = float(f["perp_price"])
    if f["spot_value"]:
        trade.spot_exit = float(f["spot_price"])
    if f["action"] == F_LIQUIDATED:
        trade.reason = "liquidated"
        return
    trade.closed_at = format_time(int(f["t"]))
    if trade.reason == "open":
        trade.reason = _exit_reason(run, f)


def _exit_reason(run: Backtest, f: Any) -> str:
    """The decision's reason for an ordered exit, the booking's name for what was forced."""
    if not f["decided_at"]:
        return BOOKINGS[f["action"]]
    found = (run.decisions["t"] == f["decided_at"]) & (run.decisions["pair"] == f["pair"])
    found &= run.decisions["action"] == ACTIONS.index("exit")
    reasons = run.decisions["reason"][found]
    return REASONS[int(reasons[0])] if len(reasons) else BOOKINGS[f["action"]]


_AMOUNTS = frozenset({"need", "free", "equity"})
_CAPS = {
    "cap_conviction": "conviction",
    "cap_pair": "pair_cap",
    "cap_book": "book_cap",
    "cap_liquidity": "liquidity_cap",
    "cap_capital": "capital",
    "cap_correlation": "correlation",
}
_COMPONENTS = ("level", "trend", "persistence", "basis", "volume")


def decision_rows(run: Backtest, *, refusals: bool = True) -> list[dict[str, Any]]:
    """Every decision with its full working: rate, components, gates passed and failed by name, caps by name and the one
    that bound. Refusals are those whose set of failed gates changed."""
    decisions = run.decisions
    if not refusals:
        decisions = decisions[decisions["action"] != ACTIONS.index("refused")]
    return [_explained(run, d) for d in decisions]


def _explained(run: Backtest, d: np.void) -> dict[str, Any]:
    action = ACTIONS[d["action"]]
    out: dict[str, Any] = {
        "at": format_time(int(d["t"])),
        "pair": run.selection.label(int(d["pair"])),
        "action": action,
        "lots": int(d["lots"]),
        "size": float(d["size"]),
        "mid": float(d["mid"]),
        "rate": {name: float(d[name]) for name in ("q", "x", "x_before", "interval_h")},
        "book": {name: money(d[name]) for name in ("free", "equity")} | {"theta": float(d["theta"])},
        "price_age_s": None if d["price_age"] < 0 else int(d["price_age"]) / 1e9,
        "rate_age_s": None if d["rate_age"] < 0 else int(d["rate_age"]) / 1e9,
    }
    if action == "exit":
        out["reason"] = REASONS[d["reason"]]
        return out
    out["need"] = money(d["need"])
    out["passed"] = [gate for i, gate in enumerate(GATES) if d["applied"] >> i & 1 and not d["failed"] >> i & 1]
    out["failed"] = [gate for i, gate in enumerate(GATES) if d["failed"] >> i & 1]
    if d["conviction"] >= 0:
        out["conviction"] = float(d["conviction"])
        out["components"] = {
            name: float(d[name]) if d["known"] >> i & 1 else None for i, name in enumerate(_COMPONENTS)
        }
        out["break_even"] = {
            "cost_bp": float(d["cost_bp"]),
            "phi": float(d["phi"]),
            "mu": float(d["mu"]),
            "settlements_8h": int(d["break_even_n"]) or None,
            "sum": float(d["break_even_sum"]),
        }
        caps = {name: float(d[field]) for field, name in _CAPS.items() if field != "cap_liquidity" or d[field] >= 0}
        out["caps"] = caps
        out["bound_by"] = min(caps, key=lambda name: caps[name])
        out["age_d"] = float(d["age_d"])
    return out
