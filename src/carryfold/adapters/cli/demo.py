"""`carryfold demo`: the whole way, offline: market, log, check, backtests, look-ahead, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from carryfold.adapters.bootstrap import Place, Request, open_bench, open_log
from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.terminal import Terminal

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import Bench

__all__ = ["demo"]

DEMO_HOME: Final = Path("demo")
SEED_SETTING: Final = "synthetic_seed"
PAIRS: Final = 12
UNPRICED: Final = 1
DAYS: Final = 365
CUTS: Final = 3
STRATEGY: Final = "composite"
REPORT_NAME: Final = "report.html"


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(metavar="N", help="Which synthetic market to make.", min=0)] = 7,
) -> None:
    """A tour of it all, without keys and without network.

    A synthetic market, its log, backtests, look-ahead checks, and a report, in ./demo unless --home or $CARRYFOLD_HOME
    names another folder. A second run adds nothing.
    """
    terminal = Terminal()
    home = context.obj.home if context.obj.given else DEMO_HOME
    _write_market(terminal, home, seed)
    _verify(terminal, home)
    place = Place(home, context.obj.config_file)
    with open_bench(place, Request(strategy=STRATEGY), terminal) as bench:
        report = _compare(terminal, bench, home)
        _check_lookahead(terminal, bench)
    _say_what_next(terminal, home, report)


def _write_market(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.synthetic import write_synthetic

    _step(terminal, 1, "A market that never was goes into an event log")
    with open_log(home) as log, terminal.progress("writing events") as advance:
        found = log.get_meta(SEED_SETTING)
        if log.last.seq and found is None:
            raise CheckFailed(f"{home} holds a log that is not the demo's: name another folder with --home")
        if found is not None and int(found) != seed:
            raise CheckFailed(f"{home} holds the market of seed {int(found)}: name another folder with --home")
        log.set_meta(SEED_SETTING, str(seed).encode())
        written = write_synthetic(log, seed, pairs=PAIRS, days=DAYS, unpriced=UNPRICED, progress=advance)
        last_seq = log.last.seq
    if written:
        terminal.say(f"{written:,} events of {PAIRS} pairs over {DAYS} days (seed {seed}), written to {home}")
    else:
        terminal.say(f"{home} holds the market of seed {seed} already: nothing added to its {last_seq:,} events")


def _verify(terminal: Terminal, home: Path) -> None:
    from carryfold.eventlog import verify

    _step(terminal, 2, "Is every byte of the log what was written?")
    with terminal.progress("checking every event"):
        report = verify(home)
    if not report.ok:
        raise CheckFailed(report.error or "the log is damaged")
    terminal.say(
        f"Yes: {report.events:,} events, the chain of digests is unbroken up to {report.head_digest.hex()[:16]}"
    )


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


def _say_what_next(terminal: Terminal, home: Path, report: Path) -> None:
    _step(terminal, 5, "What to look at next")
    rows = [
        ["open", str(report)],
        ["try", f"carryfold --home {home} backtest --set enter=0.0002 --trades"],
        ["", f"carryfold --home {home} quality"],
        ["", f"carryfold --home {home} log show --kind FundingSettled --limit 5"],
        ["with real data", "carryfold import funding.csv.gz bars.csv.gz    (docs/data.md has the formats)"],
        ["", "carryfold compare"],
    ]
    terminal.table(["", ""], rows, left=(0, 1))


def _step(terminal: Terminal, number: int, title: str) -> None:
    terminal.say(f"\n{number}. {title}", style="bold")
