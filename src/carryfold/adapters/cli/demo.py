"""`carryfold demo`: the whole way, offline: venue, history, check, backtests, look-ahead, a paper run, its proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from carryfold.adapters.bootstrap import Place, Request, announce_compiling, open_bench, open_reader, open_tape
from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.terminal import Terminal, amount, count, short_time

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import Bench

__all__ = ["demo"]

DEMO_HOME: Final = Path("demo")
CUTS: Final = 3
STRATEGY: Final = "composite"
REPORT_NAME: Final = "report.html"
DECISIONS_SHOWN: Final = 12


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(metavar="N", help="Which made-up market to take.", min=0)] = 7,
) -> None:
    """A tour of it all, without keys and without network.

    An exchange in a box, 90 days of its history, backtests, look-ahead checks, a report, and ten hours of paper
    trading at high speed, proved afterwards; in ./demo unless --home or $CARRYFOLD_HOME names another folder. A second
    run adds nothing.
    """
    terminal = Terminal()
    home = context.obj.home if context.obj.given else DEMO_HOME
    place = Place(home, context.obj.config_file)
    place.load_config()  # a strategy that it names is registered before the fold is imported
    from carryfold.adapters.tour import NotTheDemo
    from carryfold.adapters.venue import VenueError
    from carryfold.projections.runs import RunError

    try:
        _fetch(terminal, home, seed)
        _verify_log(terminal, home)
        report = _backtest(terminal, place)
        _trade_on_paper(terminal, home, seed)
        _verify_runs(terminal, home)
    except (NotTheDemo, VenueError, RunError) as error:
        raise CheckFailed(str(error)) from None
    _say_what_next(terminal, home, report)


def _fetch(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.tour import DAYS, PAIRS, fetch_history

    _step(terminal, 1, "An exchange in a box opens, and its history goes into an event log")
    with terminal.progress("backfill through ccxt", 100) as advance:
        found = fetch_history(home, seed, lambda done, of: advance(100 * done // max(of, 1)))
    terminal.say(
        f"The market is made up (seed {seed}): {PAIRS} pairs, one of which was delisted; what earns here need not earn"
        " anywhere else."
    )
    rows = [
        [one.symbol, one.status, count(one.settlements), "/".join(one.intervals), count(one.bars)]
        for one in found.pairs
    ]
    terminal.table(["pair", "status", "settlements", "every h", "hourly bars"], rows, left=(0, 1))
    if found.appended:
        terminal.say(f"{found.appended:,} events of the {DAYS} days before {_day_of_start()}, written to {home}")
    else:
        terminal.say(f"{home} holds the {DAYS} days before {_day_of_start()} already: nothing added")


def _day_of_start() -> str:
    from carryfold.adapters.tour import START
    from carryfold.projections.cursor import format_time

    return short_time(format_time(START))


def _verify_log(terminal: Terminal, home: Path) -> None:
    from carryfold.eventlog import verify

    _step(terminal, 2, "Is every byte of the log what was written?")
    with terminal.progress("checking every event"):
        report = verify(home)
    if not report.ok:
        raise CheckFailed(report.error or "the log is damaged")
    terminal.say(
        f"Yes: {report.events:,} events, the chain of digests is unbroken up to {report.head_digest.hex()[:16]}"
    )


def _backtest(terminal: Terminal, place: Place) -> Path:
    """Steps 3 and 4, over the history as it was known when the paper run began: the same each time."""
    from carryfold.adapters.tour import START
    from carryfold.projections.cursor import format_time

    with open_bench(place, Request(strategy=STRATEGY, as_of=format_time(START)), terminal) as bench:
        report = _compare(terminal, bench, place.home)
        _check_lookahead(terminal, bench)
    return report


def _compare(terminal: Terminal, bench: Bench, home: Path) -> Path:
    from carryfold.adapters.cli.figures import show_comparison
    from carryfold.projections.backtest import compare

    _step(terminal, 3, "What would each strategy have earned, after all costs?")
    with terminal.progress("folding each strategy"):
        comparison, runs = compare(bench.tape, bench.params, bench.selection, cursor=bench.cursor)
    show_comparison(terminal, comparison)
    report = home / REPORT_NAME
    command = f"carryfold --home {home} backtest --strategy {STRATEGY} --html {report}"
    bench.write_report(report, runs[STRATEGY], comparison.strategies[STRATEGY], runs["hold"], command)
    return report


def _check_lookahead(terminal: Terminal, bench: Bench) -> None:
    _step(terminal, 4, "Did any decision use the future?")
    checked = bench.check_lookahead(terminal, CUTS)
    if not checked.ok:
        raise CheckFailed(f"a decision depends on the future: {checked.first_difference}")
    terminal.say(
        f"No: with the history after {checked.cuts} moments cut off, and then filled with nonsense, every decision of"
        f" {STRATEGY} up to there stayed the same ({checked.decisions:,} in all)"
    )


def _trade_on_paper(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.tour import HOURS, SETS, SPEED, paper_decisions, run_paper
    from carryfold.projections.runs import list_runs

    _step(terminal, 5, f"The daemon trades on paper: {HOURS} hours of live streams, {SPEED:,.0f} times as fast")
    with open_reader(home) as reader:
        is_done = bool(list_runs(reader))
    if not is_done:
        with terminal.progress("following the streams", HOURS * 3_600) as advance:
            run_paper(home, seed, advance)
    with open_reader(home) as reader:
        runs = dict(zip((info.run for info in list_runs(reader)), SETS, strict=False))
        decisions = list(paper_decisions(reader))
    if is_done:
        terminal.say(f"{home} holds its runs already: nothing added")
    rows = [
        [short_time(_told(one.at)), runs.get(one.run, ""), one.symbol, one.action, amount(one.size or None),
         f"{one.rate * 1e4:.2f}", one.reason]
        for one in decisions[:DECISIONS_SHOWN]
    ]  # fmt: skip
    terminal.table(["at", "set", "pair", "decision", "size", "rate, bp of 8 h", ""], rows, left=(0, 1, 2, 3, 6))
    terminal.say(
        f"{len(rows)} of {len(decisions)} decisions of {len(runs)} parameter sets side by side; each is in the log"
    )


def _told(at: int) -> str:
    from carryfold.projections.cursor import format_time

    return format_time(at)


def _verify_runs(terminal: Terminal, home: Path) -> None:
    from carryfold.adapters.tour import SETS, paper_result
    from carryfold.domain.fold import CODE_DIGEST
    from carryfold.projections.runs import list_runs, verify_run

    _step(terminal, 6, "Does the log alone bring out the same decisions?")
    rows = []
    with open_reader(home) as reader:
        tape = open_tape(home, reader, terminal)
        announce_compiling(terminal)
        for info, name in zip(list_runs(reader), SETS, strict=False):
            found = verify_run(reader, tape, info, CODE_DIGEST)
            if not found.identical:
                raise CheckFailed(f"run {info.run} came out differently: carryfold --home {home} verify-run {info.run}")
            result = paper_result(tape, info)
            rows.append([
                count(info.run), name, count(found.decisions), count(found.fills), found.state_hash[:16],
                count(result.held),
                *(amount(value, signed=True) for value in (result.funding, -result.fees, result.net)),
            ])  # fmt: skip
    terminal.say("Yes, to the last bit: every decision, every simulated booking, and the state at the end")
    columns = ["run", "set", "decisions", "bookings", "state", "still held", "funding", "fees", "net P&L"]
    terminal.table(columns, rows, left=(1, 4))
    terminal.say("Ten hours say nothing about a strategy: what it costs to get in takes days of funding to earn.")


def _say_what_next(terminal: Terminal, home: Path, report: Path) -> None:
    _step(terminal, 7, "What to look at next")
    rows = [
        ["open", str(report)],
        ["try", f"carryfold --home {home} backtest --set enter=0.0002 --trades"],
        ["", f"carryfold --home {home} log show --kind EntryDecided --limit 1"],
        ["", f"carryfold --home {home} verify-run"],
        ["with real data", "carryfold backfill --pairs top:20 --since 2025-01-01"],
        ["", "carryfold compare"],
        ["live, on paper", "carryfold run --mode paper"],
    ]
    terminal.table(["", ""], rows, left=(0, 1))


def _step(terminal: Terminal, number: int, title: str) -> None:
    terminal.say(f"\n{number}. {title}", style="bold")
