"""`backtest`, `compare`, `replay`, `lookahead`: the fold over the log, under a cursor."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carryfold.adapters.bootstrap import Bench, Request, open_bench
from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.cli.figures import show_comparison, show_figures, show_settlements, show_trades
from carryfold.adapters.cli.options import (
    AsOf,
    Json,
    PairList,
    Settings,
    Since,
    StrategyName,
    Until,
    UptoSeq,
    Venue,
)
from carryfold.adapters.terminal import Terminal, amount, short_time

if TYPE_CHECKING:
    from carryfold.projections.backtest import Backtest

__all__ = ["backtest", "compare", "lookahead", "replay"]


def backtest(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    pairs: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a report of one self-contained page.")
    ] = None,
    trades: Annotated[bool, typer.Option("--trades", help="List every trade.")] = False,
    no_hold: Annotated[
        bool, typer.Option("--no-hold", help="Leave out the run of hold on the same capital, which is compared with.")
    ] = False,
    json: Json = False,
) -> None:
    """Run one strategy over the log: returns against hold and cash, attribution, risk."""
    from carryfold.projections.backtest import compute_figures, list_trades

    terminal = Terminal(json=json)
    request = Request(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq)
    with open_bench(context.obj, request, terminal) as bench:
        run = bench.run(terminal)
        hold = None if no_hold else _hold_beside(bench, run, terminal)
        figures = compute_figures(run, None if hold is None else compute_figures(hold).return_on_capital)
        if html is not None:
            from carryfold.adapters.report import describe_source, write_report

            source = describe_source(bench.reader, bench.cursor, bench.tape.last_seq, _command_line())
            write_report(html, run, figures, hold, source)
        listed = list_trades(run) if trades else []
        upto = min(bench.cursor.upto_seq, bench.tape.last_seq)
    if json:
        extra: dict[str, Any] = _cursor_fields(bench, upto)
        if trades:
            extra["trade_list"] = listed
        terminal.emit(_as_fields(figures) | extra)
    else:
        show_figures(terminal, figures)
        if trades:
            show_trades(terminal, listed)
        if html is not None:
            terminal.say(f"report written to {html}")


def compare(
    context: typer.Context,
    settings: Settings = None,
    pairs: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """simple, composite, hold, hold_majors and cash side by side, and what each pair settled."""
    from carryfold.projections import backtest as bt

    terminal = Terminal(json=json)
    request = Request(None, settings or (), pairs, venue, since, until, as_of, upto_seq)
    with open_bench(context.obj, request, terminal) as bench:
        begun = 0
        with terminal.progress("folding each strategy", 5) as advance:

            def started(_name: str) -> None:
                nonlocal begun
                advance(begun)
                begun += 1

            comparison, runs = bt.compare(
                bench.tape,
                bench.params,
                bench.selection,
                cursor=bench.cursor,
                since=bench.since,
                until=bench.until,
                started=started,
            )
            advance(4)
            settlements = bt.list_settlements(bench.tape, runs["hold"], bench.cursor)
        upto = min(bench.cursor.upto_seq, bench.tape.last_seq)
    if json:
        cash = {
            "return_on_capital": comparison.cash_return_on_capital,
            "return_on_capital_annual": comparison.cash_return_on_capital_annual,
        }
        terminal.emit(
            {"strategies": comparison.strategies, "cash": cash, "pairs": settlements} | _cursor_fields(bench, upto)
        )
    else:
        show_comparison(terminal, comparison)
        show_settlements(terminal, settlements)


def replay(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    pairs: PairList = None,
    venue: Venue = None,
    since: Since = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Fold the log up to a cursor: the hashes of state and decisions, and what the book looks like there."""
    from carryfold.projections.backtest import compute_figures, list_trades

    terminal = Terminal(json=json)
    request = Request(strategy, settings or (), pairs, venue, since, None, as_of, upto_seq)
    with open_bench(context.obj, request, terminal) as bench:
        run = bench.run(terminal)
        figures = compute_figures(run)
        held = [trade for trade in list_trades(run) if trade.closed_at is None]
        upto = min(bench.cursor.upto_seq, bench.tape.last_seq)
    stated = _cursor_fields(bench, upto) | {
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
            ["cursor", f"as of {stated['as_of'] or 'the end'}, up to seq {upto:,}"],
            ["folded", f"{figures.rows:,} rows of {figures.pairs} pairs, {figures.since or '-'} to {figures.until or '-'}"],
            ["strategy", f"{figures.strategy}, {figures.decisions:,} decisions, {figures.trades:,} trades closed"],
            ["equity", f"{amount(figures.capital + figures.net_pnl)} of {amount(figures.capital)} at the start"],
        ],
        left=(0, 1),
    )
    if held:
        columns = ["held", "since", "size", "funding", "spot", "perp", "fees", "net"]
        rows = [
            [one.pair, short_time(one.opened_at), amount(one.size), amount(one.funding), amount(one.spot_pnl),
             amount(one.perp_pnl), amount(one.fees), amount(one.net)]
            for one in held
        ]  # fmt: skip
        terminal.table(columns, rows, left=(0, 1))
    else:
        terminal.say("nothing is held")


def lookahead(
    context: typer.Context,
    strategy: StrategyName = None,
    settings: Settings = None,
    pairs: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    cuts: Annotated[int, typer.Option(metavar="N", help="Cut the history at this many moments.", min=1, max=1000)] = 5,
    seed: Annotated[int, typer.Option(metavar="N", help="Which moments, and which wild values.", min=0)] = 1,
    json: Json = False,
) -> None:
    """Check on your own log that no decision depends on the future: cut it off, then poison it."""
    terminal = Terminal(json=json)
    request = Request(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq)
    with open_bench(context.obj, request, terminal) as bench:
        report = check_bench(bench, terminal, cuts, seed)
    if json:
        terminal.emit({"strategy": bench.params.strategy, "checks": 2 * report.cuts} | _as_fields(report))
    else:
        terminal.say(
            f"{bench.params.strategy}: {report.decisions:,} decisions, history cut at {report.cuts} moments,"
            f" {2 * report.cuts} checks: {'no decision depends on the future' if report.ok else 'FAILED'}"
        )
    if not report.ok:
        raise CheckFailed(f"a decision depends on the future: {report.first_difference}")


def check_bench(bench: Bench, terminal: Terminal, cuts: int, seed: int = 1) -> Any:
    """`check_lookahead` over a bench's rows, with a progress bar."""
    from carryfold.projections.backtest import check_lookahead

    total = bench.rows_at_most * (2 + 2 * cuts)  # the shorter runs read less: the bar then jumps ahead
    with terminal.progress(f"checking {bench.params.strategy} for look-ahead", total) as advance:
        read = 0

        def blocks() -> Any:
            nonlocal read
            for rows in bench.tape.blocks(bench.cursor, until=bench.until, pair_ids=set(bench.selection.ids)):
                read += len(rows)
                advance(read)
                yield rows

        return check_lookahead(blocks, bench.params, bench.selection, since=bench.since, cuts=cuts, seed=seed)


def _hold_beside(bench: Bench, run: Backtest, terminal: Terminal) -> Backtest:
    if run.params.strategy == "hold":
        return run
    return bench.run(terminal, bench.params.changed({"strategy": "hold"}), "folding hold, to compare with")


def _cursor_fields(bench: Bench, upto_seq: int) -> dict[str, Any]:
    """What to ask for to get the very same figures again."""
    from carryfold.projections.cursor import MAX, format_time

    return {"as_of": None if bench.cursor.as_of == MAX else format_time(bench.cursor.as_of), "upto_seq": upto_seq}


def _as_fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _command_line() -> str:
    return "carryfold " + shlex.join(sys.argv[1:])
