"""`carryfold demo`: exchange, history, backtests, look-ahead check and a verified paper run, all offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from carryfold.adapters.bootstrap import (
    BacktestRequest,
    Workspace,
    announce_compiling,
    open_backtest,
    open_queries,
    open_reader,
    open_tape,
)
from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.terminal import Terminal, amount, count, short_time

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import BacktestSession

__all__ = ["demo"]

DEMO_HOME: Final = Path("demo")
CUTS: Final = 3
STRATEGY: Final = "composite"
REPORT_NAME: Final = "report.html"
DECISIONS_SHOWN: Final = 12


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the simulated market.", min=0)] = 7,
) -> None:
    """Show every step on a simulated market, without keys or network.

    Starts a simulated exchange, fetches 90 days of its history, runs backtests and look-ahead checks, writes a report,
    trades on paper for ten hours at high speed, and verifies the paper runs. Writes to ./demo unless --home or
    $CARRYFOLD_HOME names another folder. A second run adds nothing.
    """
    terminal = Terminal()
    home = context.obj.home if context.obj.home_given else DEMO_HOME
    workspace = Workspace(home, context.obj.config_file)
    workspace.load_config()  # a strategy that it names is registered before the fold is imported
    from carryfold.adapters.demo import NotTheDemo
    from carryfold.adapters.venues import VenueError
    from carryfold.projections.runs import RunError

    try:
        _fetch(terminal, home, seed)
        _verify_log(terminal, home)
        report = _backtest(terminal, workspace)
        _trade_on_paper(terminal, home, seed)
        _verify_runs(terminal, home)
    except (NotTheDemo, VenueError, RunError) as error:
        raise CheckFailed(str(error)) from None
    _show_next_steps(terminal, home, report)


def _fetch(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.demo import DAYS, PAIRS, fetch_history

    _step(terminal, 1, "A simulated exchange starts, and its history is fetched into an event log")
    with terminal.progress("backfill through ccxt", 100) as advance:
        found = fetch_history(home, seed, lambda done, of: advance(100 * done // max(of, 1)))
    terminal.print(
        f"The market is simulated (seed {seed}): {PAIRS} pairs, one of them delisted. Profit here says nothing about"
        " profit in a real market."
    )
    rows = [
        [one.symbol, one.status, count(one.settlements), "/".join(one.intervals), count(one.bars)]
        for one in found.pairs
    ]
    terminal.table(["pair", "status", "settlements", "every h", "hourly bars"], rows, left=(0, 1))
    if found.appended:
        terminal.print(f"{found.appended:,} events of the {DAYS} days before {_day_of_start()}, written to {home}")
    else:
        terminal.print(f"{home} holds the {DAYS} days before {_day_of_start()} already: nothing added")


def _day_of_start() -> str:
    from carryfold.adapters.demo import START
    from carryfold.projections.cursor import format_time

    return short_time(format_time(START))


def _verify_log(terminal: Terminal, home: Path) -> None:
    from carryfold.eventlog import verify

    _step(terminal, 2, "Is the log undamaged?")
    with terminal.progress("checking every event"):
        report = verify(home)
    if not report.ok:
        raise CheckFailed(report.error or "the log is damaged")
    terminal.print(
        f"Yes: {report.events:,} events; the chain of digests is intact up to {report.head_digest.hex()[:16]}"
    )


def _backtest(terminal: Terminal, workspace: Workspace) -> Path:
    """Steps 3 and 4, on the history known at the start of the paper run, so that every run gives the same result."""
    from carryfold.adapters.demo import START
    from carryfold.projections.cursor import format_time

    with open_backtest(workspace, BacktestRequest(strategy=STRATEGY, as_of=format_time(START)), terminal) as session:
        report = _compare(terminal, session, workspace.home)
        _check_lookahead(terminal, session)
    return report


def _compare(terminal: Terminal, session: BacktestSession, home: Path) -> Path:
    from carryfold.adapters.cli.figures import show_comparison
    from carryfold.projections.backtest import compare

    _step(terminal, 3, "What would each strategy have earned, after all costs?")
    with terminal.progress("folding each strategy"):
        comparison, runs = compare(session.tape, session.params, session.selection, cursor=session.cursor)
    show_comparison(terminal, comparison)
    report = home / REPORT_NAME
    command = f"carryfold --home {home} backtest --strategy {STRATEGY} --html {report}"
    session.write_report(report, runs[STRATEGY], comparison.strategies[STRATEGY], runs["hold"], command)
    return report


def _check_lookahead(terminal: Terminal, session: BacktestSession) -> None:
    _step(terminal, 4, "Does the backtest depend on the future?")
    checked = session.check_lookahead(terminal, CUTS)
    if not checked.ok:
        raise CheckFailed(f"the run depends on the future: {checked.first_difference}")
    terminal.print(
        f"Checked at {checked.cuts} cuts, with the later history left out, and then replaced by wild values: no"
        f" difference found in the state and the decisions of {STRATEGY} ({checked.decisions:,} in all)"
    )


def _trade_on_paper(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.demo import HOURS, PARAMETER_SETS, SPEED, run_paper
    from carryfold.projections.queries import decisions, runs

    _step(terminal, 5, f"The daemon trades on paper: {HOURS} hours of live streams, {SPEED:,.0f} times as fast")
    with open_queries(home, terminal) as opened:
        is_done = bool(runs(opened.at()).runs)
    if not is_done:
        with terminal.progress("following the streams", HOURS * 3_600) as advance:
            run_paper(home, seed, advance)
    with open_queries(home, terminal) as opened:
        now = opened.at()
        names = dict(zip((one.run for one in runs(now).runs), PARAMETER_SETS, strict=False))
        decided = [(one, name) for run, name in names.items() for one in decisions(now, run=run).decisions]
    decided.sort(key=lambda one: one[0].seq)
    if is_done:
        terminal.print(f"{home} holds its runs already: nothing added")
    rows = [
        [short_time(one.at), name, one.pair, one.action, amount(one.size), f"{one.working['estimate_8h'] * 1e4:.2f}",
         one.reason]
        for one, name in decided[:DECISIONS_SHOWN]
    ]  # fmt: skip
    terminal.table(["at", "set", "pair", "decision", "size", "rate, bp of 8 h", ""], rows, left=(0, 1, 2, 3, 6))
    terminal.print(
        f"{len(rows)} of {len(decided)} decisions of {len(names)} parameter sets side by side; each is in the log"
    )


def _verify_runs(terminal: Terminal, home: Path) -> None:
    from carryfold.adapters.demo import PARAMETER_SETS
    from carryfold.domain.fold import CODE_DIGEST
    from carryfold.projections.run_verification import verify_run
    from carryfold.projections.runs import list_runs

    _step(terminal, 6, "Does the log alone reproduce the same decisions?")
    rows = []
    with open_reader(home) as reader:
        tape = open_tape(home, reader, terminal)
        announce_compiling(terminal)
        for info, name in zip(list_runs(reader), PARAMETER_SETS, strict=False):
            found = verify_run(reader, tape, info, CODE_DIGEST)
            if not found.identical:
                raise CheckFailed(f"run {info.run} was not reproduced: carryfold --home {home} verify-run {info.run}")
            net = found.equity - info.parameters.capital
            rows.append([
                count(info.run), name, count(found.decisions), count(found.fills), found.state_hash[:16],
                count(len(found.held)), *(amount(value, signed=True) for value in (found.funding, -found.fees, net)),
            ])  # fmt: skip
    terminal.print("Yes, bit for bit: every decision, every simulated fill, and the final state")
    columns = ["run", "set", "decisions", "fills", "state", "still held", "funding", "fees", "net P&L"]
    terminal.table(columns, rows, left=(1, 4))
    terminal.print("Ten hours say nothing about a strategy: funding takes days to pay for the costs of entry.")


def _show_next_steps(terminal: Terminal, home: Path, report: Path) -> None:
    _step(terminal, 7, "Next steps")
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
    terminal.print(f"\n{number}. {title}", style="bold")
