"""backtest, compare, replay, lookahead: questions to the log that the fold answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carryfold.adapters.bootstrap import Bench, Request, open_bench
from carryfold.adapters.cli.options import (
    AsOf,
    Json,
    Pairs,
    Set,
    Since,
    Strategy,
    Until,
    UptoSeq,
    Venue,
    place_of,
    terminal_of,
)

if TYPE_CHECKING:
    from carryfold.adapters.terminal import Terminal
    from carryfold.projections.backtest import Backtest

__all__ = ["backtest", "compare_strategies", "lookahead", "replay"]


def backtest(
    context: typer.Context,
    strategy: Strategy = None,
    settings: Set = None,
    pairs: Pairs = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    html: Annotated[Path | None, typer.Option(help="Write the whole report as one HTML page.")] = None,
    trades: Annotated[bool, typer.Option("--trades", help="List every trade.")] = False,
    decisions: Annotated[bool, typer.Option("--decisions", help="List every decision with its full working.")] = False,
    as_json: Json = False,
) -> None:
    """Simulate a strategy on the log, and compare it with holding and with cash."""
    import msgspec

    from carryfold.adapters.cli import show
    from carryfold.projections.backtest import compute_figures, decision_rows, list_trades

    request = Request(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq)
    terminal = terminal_of(as_json)
    with open_bench(place_of(context), request, terminal) as bench:
        run = bench.run(terminal)
        hold = run if bench.params.strategy == "hold" else _hold(bench, terminal)
        figures = compute_figures(run, compute_figures(hold).return_on_capital)
        if html is not None:
            from carryfold.adapters.report import render_report

            page = render_report(
                run, figures, hold=hold, command=_command_line(), cursor=bench.cursor, availability=_availability(bench)
            )
            html.write_text(page, encoding="utf-8")
    if as_json:
        out = msgspec.to_builtins(figures, builtin_types=(_decimal(),))
        if trades:
            out["trade_list"] = list_trades(run)
        if decisions:
            out["decision_list"] = decision_rows(run)
        terminal.emit(out)
        return
    show.figures(terminal, figures)
    if trades:
        show.trades(terminal, list_trades(run))
    if decisions:
        for row in decision_rows(run):
            terminal.say(show.decision(row))
    if html is not None:
        terminal.say(f"report: {html}")


def _decimal() -> type:
    from decimal import Decimal

    return Decimal


def _hold(bench: Bench, terminal: Terminal) -> Backtest:
    return bench.run(terminal, bench.params.changed({"strategy": "hold"}), "folding hold, to compare with")


def _availability(bench: Bench) -> tuple[float, float] | None:
    """(bar delay, settlement delay) in seconds that the log's history was imported with."""
    import msgspec

    from carryfold.adapters.importing.availability import META_NAME, Availability

    stored = bench.reader.get_meta(META_NAME)
    if stored is None:
        return None
    rule = msgspec.json.decode(stored, type=Availability)
    return rule.bar_delay_s, rule.settlement_delay_s


def _command_line() -> str:
    import shlex

    return "carryfold " + shlex.join(sys.argv[1:])


def compare_strategies(
    context: typer.Context,
    settings: Set = None,
    pairs: Pairs = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    as_json: Json = False,
) -> None:
    """simple, composite, hold, hold_majors and cash side by side, and what each pair settled."""
    import msgspec

    from carryfold.adapters.cli import show
    from carryfold.projections.backtest import compare
    from carryfold.projections.backtest.pairs import list_settlements

    request = Request(None, settings or (), pairs, venue, since, until, as_of, upto_seq)
    terminal = terminal_of(as_json)
    with open_bench(place_of(context), request, terminal) as bench, terminal.progress("folding", 5) as advance:
        done = 0

        def started(_name: str) -> None:
            nonlocal done
            done += 1
            advance(done)

        comparison, runs = compare(
            bench.tape,
            bench.params,
            bench.selection,
            cursor=bench.cursor,
            since=bench.since,
            until=bench.until,
            started=started,
        )
        settled = list_settlements(bench.tape, runs["hold"], bench.cursor)
    if as_json:
        out = msgspec.to_builtins(comparison, builtin_types=(_decimal(),))
        terminal.emit(out | {"pairs": settled})
        return
    show.comparison(terminal, comparison)
    show.settlements(terminal, settled)


def replay(
    context: typer.Context,
    strategy: Strategy = None,
    settings: Set = None,
    pairs: Pairs = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    as_json: Json = False,
) -> None:
    """Fold the log up to a cursor and print the state hash and a summary: the same cursor always gives the same."""
    from carryfold.projections.backtest import compute_figures
    from carryfold.projections.cursor import MAX, format_time

    request = Request(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq)
    terminal = terminal_of(as_json)
    with open_bench(place_of(context), request, terminal) as bench:
        figures = compute_figures(bench.run(terminal))
        cursor, last_seq = bench.cursor, bench.tape.last_seq
    summary = {
        "as_of": None if cursor.as_of == MAX else format_time(cursor.as_of),
        "upto_seq": min(cursor.upto_seq, last_seq),
        "strategy": figures.strategy,
        "rows": figures.rows,
        "since": figures.since,
        "until": figures.until,
        "decisions": figures.decisions,
        "trades": figures.trades,
        "open_positions": figures.open_positions,
        "net_pnl": figures.net_pnl,
        "decisions_hash": figures.decisions_hash,
        "state_hash": figures.state_hash,
    }
    if as_json:
        terminal.emit(summary)
        return
    terminal.table(
        ("", ""), [(name, str("-" if value is None else value)) for name, value in summary.items()], left=(0, 1)
    )


def lookahead(
    context: typer.Context,
    strategy: Strategy = None,
    settings: Set = None,
    pairs: Pairs = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    cuts: Annotated[int, typer.Option(min=1, max=1000, help="At how many instants to cut.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Where to cut, and with what to poison.")] = 1,
    as_json: Json = False,
) -> None:
    """Check on your own log that no decision depends on the future: prefix and future-poison checks."""
    from carryfold.projections.backtest import check_lookahead

    request = Request(strategy, settings or (), pairs, venue, since, until, as_of, upto_seq)
    terminal = terminal_of(as_json)
    with open_bench(place_of(context), request, terminal) as bench, terminal.progress("cutting and poisoning"):
        report = check_lookahead(
            lambda: bench.tape.blocks(bench.cursor, until=bench.until, pair_ids=set(bench.selection.ids)),
            bench.params,
            bench.selection,
            since=bench.since,
            cuts=cuts,
            seed=seed,
        )
    if as_json:
        terminal.emit(report)
    elif report.ok:
        terminal.say(f"no look-ahead: {report.cuts} cuts, {report.decisions} decisions, prefix and poison checks agree")
    else:
        terminal.say(f"LOOK-AHEAD: {report.first_difference}")
    if not report.ok:
        raise typer.Exit(1)
