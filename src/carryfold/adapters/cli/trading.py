"""Commands about runs: `runs`, `decisions`, `orders`, `fills`, `positions`, `ledger`, `equity`; and `feeds`."""

from __future__ import annotations

import typer

from carryfold.adapters.cli.options import AsOf, Json, UptoSeq, Venue
from carryfold.adapters.cli.questions import (
    Names,
    RunNumber,
    Since,
    Until,
    give,
    open_sources,
    parse_span,
    split_names,
)
from carryfold.adapters.cli.trading_tables import (
    show_decisions,
    show_equity,
    show_feeds,
    show_fills,
    show_ledger,
    show_orders,
    show_positions,
    show_runs,
)
from carryfold.adapters.terminal import Terminal

__all__ = ["decisions", "equity", "feeds", "fills", "ledger", "orders", "positions", "runs"]


def runs(context: typer.Context, as_of: AsOf = None, upto_seq: UptoSeq = None, json: Json = False) -> None:
    """Paper and live runs of the log, with their status."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        give(terminal, queries.runs(sources), show_runs)


def decisions(
    context: typer.Context,
    run: RunNumber = None,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Entries and exits of a run; --json has the full working."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.decisions(sources, run=run, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_decisions)


def orders(
    context: typer.Context,
    run: RunNumber = None,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """The orders of a live run, and the processes they belong to."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.orders(sources, run=run, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_orders)


def fills(
    context: typer.Context,
    run: RunNumber = None,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """The fills of a run, real or simulated."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.fills(sources, run=run, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_fills)


def positions(
    context: typer.Context,
    run: RunNumber = None,
    only: Names = None,
    venue: Venue = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Pairs that a run holds, at the last prices."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.positions(sources, run=run, names=split_names(only), venue=venue)
    give(terminal, found, show_positions)


def ledger(
    context: typer.Context,
    run: RunNumber = None,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Every movement of money of a run, with its attribution."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.ledger(sources, run=run, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_ledger)


def equity(
    context: typer.Context,
    run: RunNumber = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """The equity of a run by day, with its attribution."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.equity(sources, run=run)
    give(terminal, found, show_equity)


def feeds(context: typer.Context, as_of: AsOf = None, upto_seq: UptoSeq = None, json: Json = False) -> None:
    """Market streams: up or down, since when, how often lost."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        give(terminal, queries.feeds(sources), show_feeds)
