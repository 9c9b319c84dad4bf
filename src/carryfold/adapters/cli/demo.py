"""demo: an offline tour through the whole program on a synthetic market."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from carryfold.adapters.bootstrap import Request, open_bench, open_log
from carryfold.adapters.cli.options import place_of, terminal_of
from carryfold.adapters.terminal import Terminal, count

__all__ = ["demo"]

PAIRS: Final = 12
DAYS: Final = 365
CUTS: Final = 3


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(min=0, help="Which synthetic market.")] = 7,
) -> None:
    """A tour, offline and without keys: a synthetic market, the log, backtests, the look-ahead check, a report."""
    place, terminal = place_of(context), terminal_of(False)
    _write_market(terminal, place.home, seed)
    _verify(terminal, place.home)
    with open_bench(place, Request(venue="synthetic"), terminal) as bench:
        from carryfold.adapters.cli import show
        from carryfold.adapters.cli.research import _availability
        from carryfold.adapters.report import render_report
        from carryfold.projections.backtest import check_lookahead, compare, compute_figures

        terminal.say("\n3. Every strategy on the same rows, next to holding and to cash\n", style="bold")
        comparison, runs = compare(bench.tape, bench.params, bench.selection)
        show.comparison(terminal, comparison)

        terminal.say("4. Does any decision depend on the future?\n", style="bold")
        report = check_lookahead(
            lambda: bench.tape.blocks(pair_ids=set(bench.selection.ids)), bench.params, bench.selection, cuts=CUTS
        )
        terminal.say(
            f"cut and poisoned at {report.cuts} instants: "
            + (f"{report.decisions} decisions, all the same" if report.ok else str(report.first_difference))
        )

        page = place.home / "report.html"
        run, hold = runs["composite"], runs["hold"]
        figures = compute_figures(run, compute_figures(hold).return_on_capital)
        command = f"carryfold --home {place.home} backtest --strategy composite --venue synthetic --html {page}"
        text = render_report(
            run, figures, hold=hold, command=command, cursor=bench.cursor, availability=_availability(bench)
        )
        page.write_text(text, encoding="utf-8")
    _what_next(terminal, place.home, page)
    if not report.ok:
        raise typer.Exit(1)


def _write_market(terminal: Terminal, home: Path, seed: int) -> None:
    from carryfold.adapters.synthetic import write_synthetic

    terminal.say("1. A synthetic market goes into the event log\n", style="bold")
    with open_log(home) as log, terminal.progress("writing events") as advance:
        kept = log.get_meta("synthetic_seed")
        if kept is not None and int(kept) != seed:
            raise typer.BadParameter(
                f"{home} holds the market of seed {int(kept)}: use another --home for another seed"
            )
        log.set_meta("synthetic_seed", str(seed).encode())
        written = write_synthetic(log, seed, pairs=PAIRS, days=DAYS, unpriced=1, progress=advance)
        total = log.last.seq
    terminal.say(
        f"{count(written)} new events of {PAIRS} pairs over {DAYS} days (bars, funding, listings, delistings); "
        f"the log has {count(total)}" + ("" if written else ": they were all there already")
    )


def _verify(terminal: Terminal, home: Path) -> None:
    from carryfold.eventlog import verify

    terminal.say("\n2. Every byte of the log is checked\n", style="bold")
    report = verify(home)
    if not report.ok:
        terminal.note(f"carryfold: {report.error}")
        raise typer.Exit(1)
    terminal.say(f"{count(report.events)} events in {count(report.batches)} batches, digest chain unbroken")


def _what_next(terminal: Terminal, home: Path, page: Path) -> None:
    terminal.say("\n5. What next\n", style="bold")
    terminal.say(f"open    {page}")
    terminal.say(f"try     carryfold --home {home} backtest --strategy composite --trades")
    terminal.say(f"        carryfold --home {home} quality")
    terminal.say("then    carryfold import your-funding.csv your-bars.csv   (docs/data.md: the formats)")
    terminal.say("        carryfold compare")
