"""`backtest`, `compare`, `replay`, `lookahead`: the fold over the log, under a cursor."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from carryfold.adapters.bootstrap import BacktestRequest, open_backtest
from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import (
    AsOf,
    CarryAcross,
    Json,
    LegsName,
    PairList,
    Settings,
    Since,
    StrategyName,
    Universe,
    Until,
    UptoSeq,
    Venue,
)
from carryfold.adapters.terminal import Terminal, amount, short_time

__all__ = ["backtest", "compare", "lookahead", "replay"]


def backtest(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    pairs: PairList = None,
    universe: Universe = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a report of one self-contained page.")
    ] = None,
    trades: Annotated[bool, typer.Option("--trades", help="List every trade.")] = False,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="List every decision, with its working in JSON.")
    ] = False,
    no_hold: Annotated[
        bool, typer.Option("--no-hold", help="Leave out the run of hold on the same capital, which is compared with.")
    ] = False,
    json: Json = False,
) -> None:
    """Run one strategy over the log, beside hold and cash."""
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise UsageFailed(f"--html {html}: name a file in a folder that is there")
    terminal = Terminal(json=json)
    request = BacktestRequest(
        strategy, settings or (), pairs, venue, since, until, as_of, upto_seq, legs, carry_across, universe
    )
    with open_backtest(context.obj, request, terminal) as session:
        from carryfold.projections.backtest import compute_figures, decision_rows, list_trades

        run = session.run(terminal)
        hold = None if no_hold else session.run_hold(terminal, run)
        figures = compute_figures(run, None if hold is None else compute_figures(hold))
        if html is not None:
            session.write_report(html, run, figures, hold, _command_line())
    extra: dict[str, Any] = session.cursor_fields
    if trades:
        extra["trade_list"] = list_trades(run)
    if decisions:
        extra["decision_list"] = decision_rows(run)
    if json:
        terminal.emit(_as_fields(figures) | extra)
        return
    from carryfold.adapters.cli.figures import show_decisions, show_figures, show_trades

    show_figures(terminal, figures)
    if trades:
        show_trades(terminal, extra["trade_list"])
    if decisions:
        show_decisions(terminal, extra["decision_list"])
    if html is not None:
        terminal.print(f"report written to {html}")


def compare(
    context: typer.Context,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="FILE", help="Compare a strategy of your own too: ./mine.py.")
    ] = None,
    settings: Settings = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    pairs: PairList = None,
    universe: Universe = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """All strategies and cash side by side, and what was settled.

    With --legs both each strategy trades carry pairs alone, spreads alone, and both at once.
    """
    terminal = Terminal(json=json)
    request = BacktestRequest(
        strategy, settings or (), pairs, venue, since, until, as_of, upto_seq, legs, carry_across, universe
    )
    with open_backtest(context.obj, request, terminal) as session:
        from carryfold.projections import backtest as bt

        with terminal.progress("folding each strategy", 100) as advance:
            comparison, runs = bt.compare(
                session.tape,
                session.params,
                session.selection,
                cursor=session.cursor,
                since=session.since,
                until=session.until,
                started=lambda done, of: advance(100 * done // of),
            )
            advance(100)
            whole = next(run for run in runs.values() if run.selection is session.selection)
            settlements = bt.list_settlements(session.tape, whole, session.cursor)
    if json:
        cash = {
            "return_on_capital": comparison.cash_return_on_capital,
            "return_on_capital_annual": comparison.cash_return_on_capital_annual,
        }
        found = {"strategies": comparison.strategies, "cash": cash, "pairs": settlements}
        terminal.emit(found | session.cursor_fields)
    else:
        from carryfold.adapters.cli.figures import show_comparison, show_settlements

        show_comparison(terminal, comparison)
        show_settlements(terminal, settlements)


def replay(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    pairs: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Fold the log up to a cursor: state hash and summary."""
    terminal = Terminal(json=json)
    request = BacktestRequest(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq, legs, carry_across)
    with open_backtest(context.obj, request, terminal) as session:
        from carryfold.adapters.report.words import leg_words
        from carryfold.projections.backtest import compute_figures, list_trades

        run = session.run(terminal)
        figures = compute_figures(run)
        held = [trade for trade in list_trades(run) if trade.closed_at is None]
    stated = session.cursor_fields | {
        "state_hash": figures.state_hash,
        "decisions_hash": figures.decisions_hash,
        "strategy": figures.strategy,
        "rows": figures.rows,
        "pairs": figures.pairs,
        "since": figures.since,
        "until": figures.until,
        "decisions": figures.decisions,
        "equity": figures.capital + figures.net_pnl,
        "trades": figures.trades,
        "open_positions": figures.open_positions,
        "positions": held,
    }
    if json:
        terminal.emit(stated)
        return
    terminal.table(
        ["", ""],
        [
            ["state hash", figures.state_hash],
            ["decisions hash", figures.decisions_hash],
            ["cursor", f"as of {stated['as_of'] or 'the end'}, up to seq {stated['upto_seq']:,}"],
            [
                "folded",
                f"{figures.rows:,} rows of {figures.pairs} pairs, {figures.since or '-'} to {figures.until or '-'}",
            ],
            ["strategy", f"{figures.strategy}, {figures.decisions:,} decisions, {figures.trades:,} trades closed"],
            ["equity", f"{amount(figures.capital + figures.net_pnl)} of {amount(figures.capital)} at the start"],
        ],
        left=(0, 1),
    )
    if held:
        columns = ["held", "since", "size", "funding", *leg_words({one.kind for one in held}), "fees", "net"]
        rows = [
            [one.pair, short_time(one.opened_at), amount(one.size), amount(one.funding), amount(one.long_pnl),
             amount(one.short_pnl), amount(one.fees), amount(one.net)]
            for one in held
        ]  # fmt: skip
        terminal.table(columns, rows, left=(0, 1))
    else:
        terminal.print("nothing is held")


def lookahead(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    pairs: PairList = None,
    universe: Universe = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    cuts: Annotated[int, typer.Option(metavar="N", help="Cut the history at this many instants.", min=1, max=1000)] = 5,
    seed: Annotated[int, typer.Option(metavar="N", help="Chooses the instants and the wild values.", min=0)] = 1,
    json: Json = False,
) -> None:
    """Check on your own log that a run does not use the future.

    Cuts the history at some instants. What came after a cut is first left out, then replaced by wild values. The
    choice of pairs, every decision and the whole state up to the cut must stay the same.
    """
    terminal = Terminal(json=json)
    request = BacktestRequest(
        strategy, settings or (), pairs, venue, since, until, as_of, upto_seq, legs, carry_across, universe
    )
    with open_backtest(context.obj, request, terminal) as session:
        report = session.check_lookahead(terminal, cuts, seed)
    if json:
        terminal.emit({"strategy": session.params.strategy, "checks": 2 * report.cuts} | _as_fields(report))
    else:
        found = "no difference found" if report.ok else "FAILED"
        terminal.print(
            f"{session.params.strategy}: {report.decisions:,} decisions, checked at {report.cuts} cuts"
            f" ({2 * report.cuts} checks): {found}"
        )
    if not report.ok:
        raise CheckFailed(f"the run depends on the future: {report.first_difference}")


def _as_fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _command_line() -> str:
    return "carryfold " + shlex.join(sys.argv[1:])
