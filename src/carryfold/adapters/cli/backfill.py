"""`carryfold backfill`: a venue's history into the log, over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import Json
from carryfold.adapters.terminal import Terminal, count, short_time
from carryfold.adapters.venue_names import DEFAULT_VENUE, VENUE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from carryfold.adapters.backfill import BackfillReport, BackfillRequest
    from carryfold.adapters.venues import Venue
    from carryfold.domain.availability import Availability
    from carryfold.eventlog import EventLog
    from carryfold.projections.pair_choices import PairChoice

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
        typer.Option(
            "--pairs",
            metavar="PAIRS",
            help="top:N by the turnover of the last 24 hours, symbols A,B,..., or all, closed ones too. All but `all`"
            " choose with hindsight.",
        ),
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
    venue: Annotated[str, typer.Option(metavar="NAME", help=f"One of: {', '.join(VENUE_NAMES)}.")] = DEFAULT_VENUE,
    endpoint: Annotated[
        str, typer.Option(metavar="NAME", help="mainnet, testnet, demo, or an address like https://HOST.")
    ] = "mainnet",
    innovation: Annotated[bool, typer.Option("--innovation", help="Also instruments of the innovation zone.")] = False,
    json: Json = False,
) -> None:
    """Fetch a venue's history into the log.

    Settled rates, price bars of both legs and the mark, listings and delistings. Needs no key. Goes on where it was
    interrupted; what the log has already is not fetched again. Trading rules are those of today and are known from now
    on; before that the log has assumed ones.
    """
    import asyncio

    from carryfold.adapters.backfill import BackfillRequest
    from carryfold.adapters.bootstrap import open_log
    from carryfold.adapters.venues import VenueError, venue_named
    from carryfold.domain.availability import Availability
    from carryfold.projections.cursor import MAX, parse_time
    from carryfold.projections.pair_choices import pair_choices

    if venue not in VENUE_NAMES:
        raise UsageFailed(f"there is no venue '{venue}': known is {', '.join(VENUE_NAMES)}")
    port = venue_named(venue)
    lengths = [name for name, minutes in BAR_MINUTES.items() if minutes in (0, *port.facts.bar_minutes)]
    if prices not in lengths:
        raise UsageFailed(f"--prices {prices}: there are {', '.join(lengths)}")
    first, end = parse_time(since), MAX if until is None else parse_time(until)
    request = BackfillRequest(first // _NS_PER_MS, end // _NS_PER_MS, BAR_MINUTES[prices], predicted)
    settings = context.obj.load_config().data
    rule = Availability(settings.bar_delay_s, settings.settlement_delay_s)
    terminal = Terminal(json=json)
    try:
        with open_log(context.obj.home) as log, terminal.progress(f"backfill from {venue}", 100) as advance:
            work = _fetch(
                log, port, endpoint, pairs, request, rule, lambda done, of: advance(100 * done // of),
                innovation=innovation,
            )  # fmt: skip
            report = asyncio.run(work)
            choices = pair_choices(log)
            last_seq = log.last.seq
    except VenueError as error:
        raise CheckFailed(str(error)) from None
    if json:
        terminal.emit({"appended": report.appended, "last_seq": last_seq, "report": report, "pair_choices": choices})
    else:
        _show(terminal, report, choices, last_seq)


async def _fetch(
    log: EventLog,
    venue: Venue,
    endpoint: str,
    choice: str,
    request: BackfillRequest,
    rule: Availability,
    progress: Callable[[int, int], None],
    *,
    innovation: bool,
) -> BackfillReport:
    from carryfold.adapters.backfill import run_backfill
    from carryfold.adapters.marketdata.pair_choice import choose_pairs, needs_turnover

    market = venue.market(endpoint, innovation=innovation)
    try:
        now = await market.server_time()
        listed = await market.pairs()
        turnover = await market.turnover(listed) if needs_turnover(choice) else {}
        pairs = choose_pairs(choice, listed, turnover, market.exclusion_reason)
        return await run_backfill(
            log, market.history, venue.facts, pairs, request, now, choice=choice, progress=progress, availability=rule
        )
    finally:
        await market.close()


def _show(terminal: Terminal, report: BackfillReport, choices: list[PairChoice], last_seq: int) -> None:
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
            terminal.print(f"{one.symbol}: {reason}")
        if not one.settlements:
            terminal.print(f"{one.symbol} ({one.status}): the venue returned no settled rates")
    conflicts = sum(one.conflicts for one in report.pairs)
    if conflicts:
        terminal.print(f"{conflicts:,} observations are in the log with another value: the first one stays in force")
    for choice in choices:
        if choice.is_hindsight:
            terminal.print(f"hindsight: {choice.description}; a backtest over them looks better than it was")
    terminal.print(
        f"{len(report.pairs)} pairs from {short_time(report.since)} to {short_time(report.until)},"
        f" {report.appended:,} new events; the log ends at seq {last_seq:,}."
    )
