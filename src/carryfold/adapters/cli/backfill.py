"""`carryfold backfill`: a venue's history into the log, over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import Json
from carryfold.adapters.terminal import Terminal, count, short_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from carryfold.adapters.backfill import BackfillReport, Wanted
    from carryfold.adapters.bybit import BybitMarket
    from carryfold.adapters.importing import Availability
    from carryfold.eventlog import EventLog

__all__ = ["backfill"]

BAR_MINUTES: Final = {
    "none": 0,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "12h": 720,
    "1d": 1440,
}
_NS_PER_MS: Final = 1_000_000


def backfill(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="From here on. RFC 3339 or a date.")],
    pairs: Annotated[
        str,
        typer.Option("--pairs", metavar="PAIRS", help="top:N by turnover, symbols A,B,..., or all, closed ones too."),
    ] = "top:20",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End before this time.  [default: what is known by now]")
    ] = None,
    prices: Annotated[
        str, typer.Option(metavar="LENGTH", help=f"Length of the price bars: {', '.join(BAR_MINUTES)}.")
    ] = "1h",
    predicted: Annotated[
        int,
        typer.Option(
            metavar="MINUTES",
            help="Rebuild the running estimates of the rate, one every so many minutes, from the premium index; 0: do"
            " not. Costs a request for each 16 hours of a pair.",
            min=0,
            max=480,
        ),
    ] = 0,
    venue: Annotated[str, typer.Option(metavar="NAME", help="bybit is the only one.")] = "bybit",
    endpoint: Annotated[
        str, typer.Option(metavar="NAME", help="mainnet, testnet, demo, or an address like https://HOST.")
    ] = "mainnet",
    young: Annotated[bool, typer.Option("--innovation", help="Also instruments of the innovation zone.")] = False,
    json: Json = False,
) -> None:
    """Fetch a venue's history into the log.

    Settled rates, price bars of both legs and the mark, listings and delistings. Needs no key. Goes on where it was
    interrupted; what the log has already is not asked for again.
    """
    import asyncio

    from carryfold.adapters.backfill import Wanted
    from carryfold.adapters.bootstrap import open_log
    from carryfold.adapters.importing import Availability
    from carryfold.adapters.venue import VenueError
    from carryfold.projections.cursor import MAX, parse_time

    if venue != "bybit":
        raise UsageFailed(f"there is no venue '{venue}': bybit is the only one that can be asked")
    if prices not in BAR_MINUTES:
        raise UsageFailed(f"--prices {prices}: there are {', '.join(BAR_MINUTES)}")
    first, end = parse_time(since), MAX if until is None else parse_time(until)
    wanted = Wanted(first // _NS_PER_MS, end // _NS_PER_MS, BAR_MINUTES[prices], predicted)
    settings = context.obj.load_config().data
    rule = Availability(settings.bar_delay_s, settings.settlement_delay_s)
    terminal = Terminal(json=json)
    try:
        with open_log(context.obj.home) as log, terminal.progress(f"backfill from {venue}", 100) as advance:
            work = _work(log, endpoint, pairs, wanted, rule, lambda done, of: advance(100 * done // of), young=young)
            report = asyncio.run(work)
            last_seq = log.last.seq
    except VenueError as error:
        raise CheckFailed(str(error)) from None
    if json:
        terminal.emit({"appended": report.appended, "last_seq": last_seq, "report": report})
    else:
        _show(terminal, report, last_seq)


async def _work(
    log: EventLog,
    endpoint: str,
    chosen: str,
    wanted: Wanted,
    rule: Availability,
    progress: Callable[[int, int], None],
    *,
    young: bool,
) -> BackfillReport:
    from carryfold.adapters.backfill import choose_pairs, run_backfill
    from carryfold.adapters.bybit import BybitMarket, parse_endpoint

    market: BybitMarket = BybitMarket(parse_endpoint(endpoint), young=young)
    try:
        now = await market.server_time()
        listed = await market.pairs()
        turnover = await market.turnover() if chosen.startswith("top:") else {}
        pairs = choose_pairs(chosen, listed, turnover, market.why_not)
        return await run_backfill(log, market.history, pairs, wanted, now, progress=progress, availability=rule)
    finally:
        await market.close()


def _show(terminal: Terminal, report: BackfillReport, last_seq: int) -> None:
    columns = ["pair", "status", "settlements", "first", "last", "hours", "odd", "bars", "new events", "refused"]
    rows = [
        [
            one.symbol if one.listing == 1 else f"{one.symbol} #{one.listing}", one.status, count(one.settlements),
            short_time(one.first_settled_at), short_time(one.last_settled_at), "/".join(one.intervals),
            count(one.odd_spacings), count(one.bars), count(one.appended), count(one.rejected),
        ]
        for one in report.pairs
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    for one in report.pairs:
        for reason in one.refused:
            terminal.say(f"{one.symbol}: {reason}")
        if not one.settlements:
            terminal.say(f"{one.symbol} ({one.status}): asked, and the venue gave no settled rates")
    conflicts = sum(one.conflicts for one in report.pairs)
    if conflicts:
        terminal.say(f"{conflicts:,} observations are in the log with another value: the first one stays in force")
    terminal.say(
        f"{len(report.pairs)} pairs from {short_time(report.since)} to {short_time(report.until)},"
        f" {report.appended:,} new events; the log ends at seq {last_seq:,}."
    )
