"""Figures for people: what a trader wants to know first comes first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from carryfold.adapters.terminal import Terminal, amount, count, percent, ratio, short_time, to_json
from carryfold.projections.backtest import Comparison, Figures, Trade
from carryfold.projections.backtest.pairs import PairSettlements

__all__ = ["comparison", "decision", "figures", "settlements", "trades"]

PAIRS_SHOWN: Final = 40


def figures(terminal: Terminal, f: Figures) -> None:
    """One run: returns against hold and cash, attribution, risk, activity, warnings."""
    terminal.say(f"{f.strategy}: {short_time(f.since)} to {short_time(f.until)}, {f.pairs} pairs, {count(f.rows)} rows")
    terminal.say()
    terminal.table(
        ("return", "total", "a year"),
        [
            ("on capital", percent(f.return_on_capital), percent(f.return_on_capital_annual)),
            ("on deployed capital", percent(f.return_on_deployed), percent(f.return_on_deployed_annual)),
            (
                "with idle capital at cash_apr",
                percent(f.return_with_idle_cash),
                percent(f.return_with_idle_cash_annual),
            ),
            ("hold, on capital", percent(f.hold_return_on_capital), ""),
            ("cash", "", percent(f.params["cash_apr"])),
        ],
    )
    terminal.say()
    terminal.table(("attribution", "quote"), _attribution(f))
    terminal.say()
    terminal.table(
        ("risk and activity", ""),
        [
            ("maximum drawdown", percent(f.max_drawdown)),
            ("Sharpe over cash, daily", ratio(f.sharpe)),
            ("Sharpe, long-run variance", ratio(f.sharpe_lo)),
            ("smallest free capital", amount(f.min_free)),
            ("smallest margin health", ratio(f.min_health)),
            ("mean deployed capital", amount(f.mean_deployed)),
            ("closed trades / open", f"{count(f.trades)} / {count(f.open_positions)}"),
            ("settlements / paid to us", f"{count(f.settlements)} / {count(f.payments)}"),
            ("gaps, suspect, late rows", f"{count(f.gaps)}, {count(f.suspect)}, {count(f.late)}"),
            ("refused by gate", ", ".join(f"{gate} {n:,}" for gate, n in f.refused.items() if n) or "none"),
        ],
    )
    terminal.say()
    for warning in f.warnings:
        terminal.say(f"! {warning}", style="yellow")
    terminal.say(f"decisions {f.decisions_hash}   state {f.state_hash}")


def _attribution(f: Figures) -> list[tuple[str, str]]:
    return [
        ("funding", amount(f.funding, signed=True)),
        ("spot", amount(f.spot_pnl, signed=True)),
        ("perpetual", amount(f.perp_pnl, signed=True)),
        ("fees", amount(-f.fees, signed=True)),
        ("borrow", amount(-f.borrow, signed=True)),
        ("net", amount(f.net_pnl, signed=True)),
        ("  slippage inside spot and perpetual", amount(f.slippage)),
    ]


def comparison(terminal: Terminal, c: Comparison) -> None:
    """Strategies as columns."""
    names = list(c.strategies)
    runs = list(c.strategies.values())
    cash = c.cash_return_on_capital
    first = runs[0]
    terminal.say(f"{short_time(first.since)} to {short_time(first.until)}, capital {amount(first.capital)}")
    terminal.say()
    rows = [
        ("return on capital", *(percent(f.return_on_capital) for f in runs), percent(cash)),
        ("  a year", *(percent(f.return_on_capital_annual) for f in runs), percent(c.cash_return_on_capital_annual)),
        ("return on deployed, a year", *(percent(f.return_on_deployed_annual) for f in runs), ""),
        ("with idle cash, a year", *(percent(f.return_with_idle_cash_annual) for f in runs), ""),
        ("net", *(amount(f.net_pnl) for f in runs), ""),
        ("funding", *(amount(f.funding) for f in runs), ""),
        ("spot + perpetual", *(amount(f.spot_pnl + f.perp_pnl) for f in runs), ""),
        ("fees", *(amount(-f.fees) for f in runs), ""),
        ("borrow", *(amount(-f.borrow) for f in runs), ""),
        ("maximum drawdown", *(percent(f.max_drawdown) for f in runs), ""),
        ("Sharpe, long-run variance", *(ratio(f.sharpe_lo) for f in runs), ""),
        ("trades / open", *(f"{f.trades} / {f.open_positions}" for f in runs), ""),
        ("basis modelled", *(str(f.basis_modelled).lower() for f in runs), ""),
    ]
    terminal.table(("", *names, "cash"), rows)
    terminal.say()
    terminal.say(_verdict(c))
    for warning in dict.fromkeys(w for f in runs for w in f.warnings if not w.startswith(("no edge", "only"))):
        terminal.say(f"! {warning}", style="yellow")
    terminal.say()


def _verdict(c: Comparison) -> str:
    """Whether any strategy earned more than doing nothing clever."""
    hold = max(f.return_on_capital for name, f in c.strategies.items() if name.startswith("hold"))
    active = {n: f for n, f in c.strategies.items() if not n.startswith("hold")}
    best = max(active, key=lambda name: active[name].return_on_capital)
    got = active[best].return_on_capital
    beaten = [name for name, value in (("hold", hold), ("cash", c.cash_return_on_capital)) if got <= value]
    if beaten:
        return (
            f"no edge: the best strategy, {best}, earned {percent(got)} on capital, not more than {' or '.join(beaten)}"
        )
    return f"{best} earned more than hold and cash here; whether that lasts, one history cannot say"


def settlements(terminal: Terminal, pairs: Sequence[PairSettlements]) -> None:
    """What each pair settled; of many, those with the most settlements."""
    most = sorted(pairs, key=lambda p: -p.settlements)[:PAIRS_SHOWN]
    shown = [p for p in pairs if p in most]
    rows = [
        (
            p.symbol,
            p.venue,
            count(p.settlements),
            f"{p.rate_sum:.8f}",
            percent(p.share_at_interest),
            " ".join(f"{h}h:{n}" for h, n in p.intervals.items()),
            short_time(p.first),
            short_time(p.last),
            "ended" if p.ended else "",
        )
        for p in shown
    ]
    total = sum(p.settlements for p in pairs)
    rest = f"{len(pairs)} pairs" + (f", {len(pairs) - len(shown)} more not shown" if len(pairs) > len(shown) else "")
    rows += [(), (rest, "", count(total), f"{math.fsum(p.rate_sum for p in pairs):.8f}", "", "", "", "", "")]  # type: ignore[list-item]
    columns = ("pair", "venue", "settlements", "sum of rates", "exactly 0.0001", "intervals", "first", "last", "")
    terminal.table(columns, rows, left=(0, 1, 5, 6, 7, 8))


def trades(terminal: Terminal, trades: Sequence[Trade]) -> None:
    """Every position, in the order of entry."""
    rows = [
        (
            str(t.trade),
            t.pair,
            short_time(t.opened_at),
            short_time(t.closed_at),
            t.reason,
            amount(t.size),
            amount(t.funding),
            amount(t.spot_pnl + t.perp_pnl),
            amount(-t.fees),
            amount(t.net, signed=True),
        )
        for t in trades
    ]
    columns = ("trade", "pair", "opened", "closed", "reason", "size", "funding", "spot+perp", "fees", "net")
    terminal.table(columns, rows, left=(1, 2, 3, 4))


def decision(row: dict[str, Any]) -> str:
    """One decision with its working, as one line of JSON."""
    return to_json(row)
