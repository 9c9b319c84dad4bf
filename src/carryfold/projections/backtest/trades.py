"""Round trips and decisions of a run, as readable values with their reasons."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, BOTH, F_ENTER, F_LIQUIDATED, HEALTHY, LEAVE, LEGS, REASONS
from carryfold.domain.records import gate_names, named_scores
from carryfold.domain.strategies import Strategy, strategy_named
from carryfold.projections.backtest.figures import money
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import format_optional_time, format_time

__all__ = ["Trade", "decision_rows", "list_trades"]

Records = npt.NDArray[np.void]


class Trade(msgspec.Struct, kw_only=True):
    """One position from its entry fill to its last exit fill; amounts in quote, prices per coin. `kind`: carry or
    spread. An open one has no `closed_at`, its legs are marked at the last prices, and `net` is before the cost of
    closing it."""

    trade: int
    pair: str
    kind: str
    opened_at: str
    closed_at: str | None
    reason: str
    quantity: Decimal  # base coins of each leg; quote for unpriced pairs
    size: Decimal  # the long leg's value at entry
    long_entry: float
    short_entry: float
    long_exit: float | None
    short_exit: float | None
    funding: Decimal
    long_pnl: Decimal
    short_pnl: Decimal
    long_fees: Decimal
    short_fees: Decimal
    fees: Decimal
    slippage: Decimal
    net: Decimal


class _Sums:
    """Sums over the fills of a trade, in 1e-8, and the legs that are still open."""

    def __init__(self) -> None:
        self.amounts = {"long_pnl": 0, "short_pnl": 0, "long_fee": 0, "short_fee": 0, "slippage": 0}
        self.open = {"long", "short"}

    def add(self, fill: dict[str, Any]) -> None:
        for name in self.amounts:
            self.amounts[name] += fill[name]


def list_trades(run: Backtest) -> list[Trade]:
    """Every position of the run in the order of entry; their parts add up to the run's attribution before borrow."""
    trades: dict[int, Trade] = {}
    sums: dict[int, _Sums] = {}
    reasons = _exit_reasons(run)
    for f in _by_name(run.fills):
        number = f["trade"]
        if f["action"] == F_ENTER:
            sums[number] = _Sums()
            trades[number] = _opened(run, f)
        sums[number].add(f)
        if f["action"] != F_ENTER:
            _close(trades[number], sums[number], f, reasons)
    held = run.state.pair[run.state.pair["held"] != 0]
    for p in _by_name(held[["trade", "long_value", "long_cost", "short_entry", "short_value"]]):
        amounts = sums[p["trade"]].amounts
        amounts["long_pnl"] += p["long_value"] - p["long_cost"]
        amounts["short_pnl"] += p["short_entry"] - p["short_value"]
    for number, trade in trades.items():
        _settle(trade, sums[number].amounts, run.funding.get(number, 0))
    return list(trades.values())


def _by_name(records: Records) -> Iterator[dict[str, Any]]:
    """Records as Python's own values: all at once, because numpy takes long over a single one."""
    fields = records.dtype.names or ()
    return (dict(zip(fields, record, strict=True)) for record in records.tolist())


def _opened(run: Backtest, f: dict[str, Any]) -> Trade:
    zero = Decimal(0)
    return Trade(
        trade=f["trade"],
        pair=run.selection.label(f["pair"]),
        kind="carry" if run.selection.pairs[f["pair"]].is_carry else "spread",
        opened_at=format_time(f["t"]),
        closed_at=None,
        reason="open",
        quantity=Decimal(f["units"]) * Decimal(repr(f["unit"])),
        size=money(f["long_value"]),
        long_entry=f["long_price"],
        short_entry=f["short_price"],
        long_exit=None,
        short_exit=None,
        funding=zero,
        long_pnl=zero,
        short_pnl=zero,
        long_fees=zero,
        short_fees=zero,
        fees=zero,
        slippage=zero,
        net=zero,
    )


def _close(trade: Trade, sums: _Sums, f: dict[str, Any], reasons: dict[tuple[int, int], str]) -> None:
    """A fill that closes one leg or both. The reason of a trade is that of its first closing fill."""
    legs = {"long", "short"} if f["leg"] == BOTH else {LEGS[f["leg"]]}
    if "long" in legs:
        trade.long_exit = f["long_price"]
    if "short" in legs:
        trade.short_exit = f["short_price"]
    sums.open -= legs
    if not sums.open:
        trade.closed_at = format_time(f["t"])
    if trade.reason == "open":
        forced = BOOKINGS[f["action"]]
        ordered = f["decided_at"] and f["action"] != F_LIQUIDATED
        trade.reason = reasons.get((f["decided_at"], f["pair"]), forced) if ordered else forced


def _exit_reasons(run: Backtest) -> dict[tuple[int, int], str]:
    """The reason of each exit decision, by time and pair."""
    exits = run.decisions[run.decisions["action"] == LEAVE]
    return {(t, pair): REASONS[reason] for t, pair, reason in exits[["t", "pair", "reason"]].tolist()}


def _settle(trade: Trade, amounts: dict[str, int], funding: int) -> None:
    """Set the amounts of a trade from its sums."""
    fees = amounts["long_fee"] + amounts["short_fee"]
    trade.funding = money(funding)
    trade.long_pnl, trade.short_pnl = money(amounts["long_pnl"]), money(amounts["short_pnl"])
    trade.long_fees, trade.short_fees, trade.fees = money(amounts["long_fee"]), money(amounts["short_fee"]), money(fees)
    trade.slippage = money(amounts["slippage"])
    trade.net = money(funding + amounts["long_pnl"] + amounts["short_pnl"] - fees)


def decision_rows(run: Backtest, *, refusals: bool = True) -> list[dict[str, Any]]:
    """Every decision with its full working: rate, book, gates passed and failed by name; of a strategy with scores,
    caps or gates also these by name, the cap that bound, and the market. Refusals are those whose set of failed gates
    changed."""
    decisions = run.decisions
    if not refusals:
        decisions = decisions[decisions["action"] != ACTIONS.index("refused")]
    strategy = strategy_named(run.params.strategy)
    return [_explained(run, strategy, d) for d in _by_name(decisions)]


def _explained(run: Backtest, strategy: Strategy, d: dict[str, Any]) -> dict[str, Any]:
    action = ACTIONS[d["action"]]
    out: dict[str, Any] = {
        "at": format_optional_time(d["t"]),
        "pair": run.selection.label(d["pair"]),
        "action": action,
        "lots": d["lots"],
        "size": d["size"],
        "mid": d["mid"],
        "rate": {name: d[name] for name in ("estimate_8h", "rate_8h", "rate_8h_before", "interval_h")},
        "book": {name: money(d[name]) for name in ("free", "equity")}
        | {"throttle": d["throttle"], "health": None if d["health"] >= HEALTHY else d["health"]},
        "price_age_s": None if d["price_age"] < 0 else d["price_age"] / 1e9,
        "rate_age_s": None if d["rate_age"] < 0 else d["rate_age"] / 1e9,
    }
    if d["action"] == LEAVE:
        return out | {"reason": REASONS[d["reason"]]}
    gates = gate_names(strategy)
    out |= {
        "need": money(d["need"]),
        "score": d["score"],
        "passed": [gate for i, gate in enumerate(gates) if d["applied"] >> i & 1 and not d["failed"] >> i & 1],
        "failed": [gate for i, gate in enumerate(gates) if d["failed"] >> i & 1],
    }
    if strategy.scores or strategy.caps or strategy.gates:
        named = named_scores(strategy, d["scores"], d["caps"])
        caps = {name: cap for name, cap in named["caps"].items() if cap is not None}
        bound_by = min(caps, key=lambda name: caps[name]) if caps else None
        out |= {"scores": named["scores"], "caps": caps, "bound_by": bound_by, "market": _market(d)}
    return out


def _market(d: dict[str, Any]) -> dict[str, Any]:
    """The market data behind the size of an entry."""
    return {
        "gross": d["gross"],
        "age_d": d["age_d"],
        "sigma_d": d["sigma_d"],
        "turnover_24h": None if d["turnover"] < 0 else d["turnover"],
        "round_trip_bp": d["round_trip_bp"],
    }
