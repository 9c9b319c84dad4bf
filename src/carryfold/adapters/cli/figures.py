"""Figures of backtests as tables, the most important ones first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from carryfold.adapters.report.conclusion import conclude
from carryfold.adapters.report.words import leg_words
from carryfold.adapters.terminal import EMPTY, Terminal, amount, count, percent, ratio, short_time
from carryfold.projections.backtest.remarks import NO_EDGE, span_note

if TYPE_CHECKING:
    from carryfold.projections.backtest import Comparison, Figures, Settlements, Trade

__all__ = ["show_comparison", "show_decisions", "show_figures", "show_settlements", "show_trades"]

PERPETUALS_SHOWN: Final = 20
_AMOUNTS: Final = (
    ("net P&L", "net_pnl"), ("funding", "funding"), ("long P&L", "long_pnl"), ("short P&L", "short_pnl"),
    ("fees", "fees"), ("borrow", "borrow"), ("slippage, inside P&L", "slippage"),
)  # fmt: skip
ROWS_SHOWN: Final = 200  # of trades and of decisions
UNKNOWN: Final = "unknown"
_BASIS: Final = {True: "yes", False: "no: these pairs have no prices", "partly": "partly: some pairs have no prices"}


def show_figures(terminal: Terminal, figures: Figures) -> None:
    """One backtest: returns, verdict, attribution, risk, data, warnings."""
    terminal.print(f"{figures.strategy} on {figures.pairs} pairs, {_span(figures)}", style="bold")
    years = figures.years
    rows = [
        [
            "return with idle cash",
            percent(figures.return_with_idle_cash),
            percent(figures.return_with_idle_cash_annual),
        ],
        ["return on capital", percent(figures.return_on_capital), percent(figures.return_on_capital_annual)],
        ["return on deployed capital", percent(figures.return_on_deployed), percent(figures.return_on_deployed_annual)],
    ]
    hold, cash = figures.hold_return_with_idle_cash, figures.cash_return_on_capital
    if hold is not None and figures.strategy != "hold":
        rows.append(["hold, with idle cash", percent(hold), percent(hold / years if years else None)])
    rows.append(["cash", percent(cash), percent(float(figures.params["cash_apr"]))])
    terminal.table(["", "whole span", "a year"], rows)
    terminal.print(conclude(figures).text)
    _print_span_note(terminal, figures)
    terminal.print()
    _show_attribution(terminal, figures)
    _show_by_year(terminal, figures)
    _show_risk(terminal, figures)
    if len(figures.venues) > 1:
        _show_venues(terminal, figures)
    for assumption in figures.assumptions:
        terminal.print(f"assumed: {assumption}")
    for warning in _warnings(figures):
        terminal.print(f"warning: {warning}", style="yellow")
    terminal.print(f"decisions hash {figures.decisions_hash}, state hash {figures.state_hash}")


def _print_span_note(terminal: Terminal, figures: Figures) -> None:
    note = span_note(figures)
    if note is not None:
        terminal.print(f"note: {note}")


def _show_attribution(terminal: Terminal, figures: Figures) -> None:
    long, short = leg_words({figures.legs})
    rows = [
        ["funding received", amount(figures.funding, signed=True)],
        [f"{long} P&L", amount(figures.long_pnl, signed=True)],
        [f"{short} P&L", amount(figures.short_pnl, signed=True)],
        ["fees", amount(-figures.fees, signed=True)],
        ["borrow", amount(-figures.borrow, signed=True)],
        [],
        ["net P&L", amount(figures.net_pnl, signed=True)],
    ]
    terminal.table(["attribution", f"of {amount(figures.capital)}"], rows)


def _show_by_year(terminal: Terminal, figures: Figures) -> None:
    rows = [
        [
            str(y.year), amount(y.net_pnl), percent(y.return_on_capital), amount(y.funding),
            amount(y.long_pnl + y.short_pnl), amount(y.fees), amount(y.borrow),
        ]
        for y in figures.by_year
    ]  # fmt: skip
    both = " + ".join(leg_words({figures.legs}))
    terminal.table(["year", "net", "on capital", "funding", both, "fees", "borrow"], rows)


def _show_risk(terminal: Terminal, figures: Figures) -> None:
    health = "no short was ever held" if figures.min_health is None else f"{figures.min_health:.1f}"
    rows = [
        ["largest drawdown", percent(figures.max_drawdown)],
        ["Sharpe ratio", f"{ratio(figures.sharpe)}, with dependent days (Lo) {ratio(figures.sharpe_lo)}"],
        ["smallest free capital", amount(figures.min_free)],
        ["smallest margin health", health],
        ["mean deployed capital", amount(figures.mean_deployed)],
        ["trades", f"{figures.trades:,} closed, {figures.open_positions:,} open"],
        ["value if all were closed now", amount(figures.liquidation_value)],
        ["slippage, inside P&L", amount(figures.slippage)],
        ["refused entries by gate", _refused(figures)],
        ["rows", f"{figures.rows:,}: {figures.suspect:,} suspect, {figures.late:,} late"],
        ["settlements", _settlements(figures)],
        ["pairs", f"{figures.pairs:,}: {figures.pairs_ended:,} ended"],
        ["basis modelled", _BASIS[figures.basis_modelled]],
    ]  # fmt: skip
    terminal.table(["", ""], rows, left=(0, 1))


def _settlements(figures: Figures) -> str:
    edge = f" ({figures.edge_payments:,} within 5 s of a fill)" if figures.edge_payments else ""
    return f"{figures.settlements:,}: {figures.payments:,} paid to or by us{edge}, {figures.gaps:,} gaps"


def _show_venues(terminal: Terminal, figures: Figures) -> None:
    """The account at each venue, and the largest transfers that would restore the shares of the capital."""
    columns = [
        "venue", "capital", "equity", "free", "smallest free", "smallest health", "largest surplus",
        "largest shortfall",
    ]  # fmt: skip
    rows = [
        [
            v.name, amount(v.capital), amount(v.equity), amount(v.free), amount(v.min_free), ratio(v.min_health),
            amount(v.largest_in), amount(v.largest_out),
        ]
        for v in figures.venues
    ]  # fmt: skip
    terminal.table(columns, rows)


def show_trades(terminal: Terminal, trades: Sequence[Trade]) -> None:
    """Every position, in the order of entry."""
    long, short = leg_words({one.kind for one in trades})
    columns = ["trade", "pair", "opened", "closed", "reason", "size", "funding", long, short, "fees", "net"]
    rows = [
        [
            count(one.trade), one.pair, short_time(one.opened_at), short_time(one.closed_at), one.reason,
            amount(one.size), amount(one.funding), amount(one.long_pnl), amount(one.short_pnl), amount(one.fees),
            amount(one.net),
        ]
        for one in trades[:ROWS_SHOWN]
    ]  # fmt: skip
    terminal.table(columns, rows, left=(1, 2, 3, 4))
    if len(trades) > ROWS_SHOWN:
        terminal.print(f"{ROWS_SHOWN} of {len(trades):,} trades shown; --json has them all")


def show_decisions(terminal: Terminal, decisions: Sequence[dict[str, Any]]) -> None:
    """Entries, exits and refusals, each with its reason."""
    rows = [
        [
            one["at"] or UNKNOWN, one["pair"], one["action"], f"{one['size']:,.2f}",
            f"{one['rate']['estimate_8h'] * 1e4:.3f}",
            f"{one['score']:.4g}" if "score" in one else EMPTY,
            one.get("reason") or ", ".join(one["failed"]) or f"cap: {one.get('bound_by') or 'notional'}",
        ]
        for one in decisions[:ROWS_SHOWN]
    ]  # fmt: skip
    terminal.table(["at", "pair", "action", "size", "rate bp", "score", "because"], rows, left=(0, 1, 2, 6))
    if len(decisions) > ROWS_SHOWN:
        terminal.print(
            f"{ROWS_SHOWN} of {len(decisions):,} decisions shown; --json has them all, with their full working"
        )


def show_comparison(terminal: Terminal, comparison: Comparison) -> None:
    """Strategies side by side, then each against hold and cash."""
    figures = comparison.strategies
    runs = list(figures.values())
    widest = max(runs, key=lambda one: one.pairs)
    terminal.print(f"{widest.pairs} pairs, {_span(widest)}", style="bold")
    long, short = (f"{word} P&L" for word in leg_words({one.legs for one in runs}))
    names = {"long_pnl": long, "short_pnl": short}
    cash, annual = percent(comparison.cash_return_on_capital), percent(comparison.cash_return_on_capital_annual)
    rows: list[list[str]] = [
        ["return with idle cash", *(percent(f.return_with_idle_cash) for f in runs), cash],
        ["  a year", *(percent(f.return_with_idle_cash_annual) for f in runs), annual],
        ["return on capital", *(percent(f.return_on_capital) for f in runs), EMPTY],
        ["  a year", *(percent(f.return_on_capital_annual) for f in runs), EMPTY],
        ["return on deployed", *(percent(f.return_on_deployed) for f in runs), EMPTY],
        ["  a year", *(percent(f.return_on_deployed_annual) for f in runs), EMPTY],
        [],
        *([names.get(field, name), *(amount(getattr(f, field)) for f in runs), ""] for name, field in _AMOUNTS),
        [],
        ["largest drawdown", *(percent(f.max_drawdown) for f in runs), percent(0.0)],
        ["Sharpe ratio", *(ratio(f.sharpe) for f in runs), ""],
        ["Sharpe ratio (Lo)", *(ratio(f.sharpe_lo) for f in runs), ""],
        ["mean deployed capital", *(amount(f.mean_deployed) for f in runs), ""],
        ["smallest free capital", *(amount(f.min_free) for f in runs), ""],
        ["trades closed / open", *(f"{f.trades:,} / {f.open_positions:,}" for f in runs), ""],
    ]
    terminal.table([f"of {amount(runs[0].capital)}", *figures, "cash"], rows)
    _print_span_note(terminal, widest)
    hold = figures.get("hold")
    for name, one in figures.items():
        if one.strategy != "hold":
            terminal.print(f"{name}: {conclude(one, hold).text}")
            if not one.trades and not one.open_positions:
                terminal.print(f"{name}: entries refused by gate: {_refused(one)}")
    for assumption in widest.assumptions:
        terminal.print(f"assumed: {assumption}")
    warned: dict[str, list[str]] = {}
    for name, one in figures.items():
        for warning in _warnings(one):
            warned.setdefault(warning, []).append(name)
    for warning, warned_of in warned.items():
        terminal.print(f"warning: {', '.join(warned_of)}: {warning}", style="yellow")
    terminal.print()


def show_settlements(terminal: Terminal, perpetuals: Sequence[Settlements]) -> None:
    """Settlements by perpetual; of many perpetuals those with the largest sums, and one line for the others."""
    shown = perpetuals
    if len(perpetuals) > PERPETUALS_SHOWN:
        shown = sorted(perpetuals, key=lambda one: -abs(one.rate_sum))[:PERPETUALS_SHOWN]
    rest = [one for one in perpetuals if one not in shown]
    venues = len({one.venue for one in perpetuals}) > 1
    rows = [_settlement_row(one, venues) for one in shown]
    if rest:
        rows.append([f"{len(rest)} others", *_sums(rest)])
    rows += [[], [f"all {len(perpetuals)}", *_sums(perpetuals)]]
    columns = ["perpetual", "settled", "sum of rates", "at 0.0001", "hours", "first", "last", ""]
    terminal.table(columns, rows, left=(0, 4, 7))


def _settlement_row(one: Settlements, with_venue: bool) -> list[str]:
    name = one.symbol if one.listing == 1 else f"{one.symbol}#{one.listing}"
    remarks = [*(["ended"] if one.ended else []), *([] if one.priced else ["no prices"])]
    return [
        f"{one.venue}:{name}" if with_venue else name, count(one.settlements), f"{one.rate_sum:.8f}",
        percent(one.share_at_interest), ", ".join(one.intervals), short_time(one.first)[:10],
        short_time(one.last)[:10], ", ".join(remarks),
    ]  # fmt: skip


def _sums(several: Sequence[Settlements]) -> list[str]:
    """The cells of a line about several perpetuals."""
    settlements = sum(one.settlements for one in several)
    at_base = sum((one.share_at_interest or 0.0) * one.settlements for one in several)
    ended = sum(one.ended for one in several)
    return [
        count(settlements), f"{math.fsum(one.rate_sum for one in several):.8f}",
        percent(at_base / settlements if settlements else None), "", "", "", f"{ended} ended" if ended else "",
    ]  # fmt: skip


def _refused(figures: Figures) -> str:
    return ", ".join(f"{gate} {number:,}" for gate, number in figures.refused.items() if number) or "none"


def _span(figures: Figures) -> str:
    """2020-03-26 to 2025-07-01 (5.27 years)."""
    if figures.since is None or figures.until is None:
        return "no rows"
    years = "" if figures.years is None else f" ({figures.years:.2f} years)"
    return f"{figures.since[:10]} to {figures.until[:10]}{years}"


def _warnings(figures: Figures) -> list[str]:
    """Warnings that do not repeat the conclusion."""
    return [one for one in figures.warnings if not one.startswith(NO_EDGE)]
