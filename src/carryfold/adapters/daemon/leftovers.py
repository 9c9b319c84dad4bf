"""What others still have on: two runs must not trade on one account."""

from __future__ import annotations

from collections.abc import Container, Sequence

from carryfold.adapters.venue import VenueError
from carryfold.domain.codec import BATCH_DECODER
from carryfold.domain.events import OrderFilled, ReconciliationCorrected
from carryfold.domain.execution import OurBooks, run_tag
from carryfold.domain.execution.reports import PositionReport
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["left_on", "refuse_leftovers", "refuse_strangers"]


def left_on(reader: LogReader, info: RunInfo) -> list[str]:
    """Symbols that a live run holds, or has an order without an end on, in order."""
    books = OurBooks(run_tag(info.started_at), info.run, info.started_at, {})
    seen: set[str] = set()
    units: dict[tuple[str, str], int] = {}
    for batch in reader.read(info.run - 1):
        for _, event in BATCH_DECODER.decode(batch.payload):
            if getattr(event, "run", None) != info.run:
                continue
            if isinstance(event, OrderFilled) and event.fill_id not in seen:
                seen.add(event.fill_id)
                units[event.symbol, event.leg] = units.get((event.symbol, event.leg), 0) + event.units
            elif isinstance(event, ReconciliationCorrected):
                for leg, change in (("spot", event.spot_units), ("perp", -event.perp_units)):
                    units[event.symbol, leg] = units.get((event.symbol, leg), 0) + change
            books.apply(event)
    open_orders = {intent.symbol for intent in books.intents.values()}
    return sorted({symbol for (symbol, _), held in units.items() if held} | open_orders)


def refuse_leftovers(reader: LogReader, known: Sequence[RunInfo]) -> None:
    """Before a live run begins. Raises VenueError where one of the log still has something on."""
    for info in known:
        symbols = left_on(reader, info) if info.live else []
        if symbols:
            raise VenueError(
                f"run {info.run} still has {', '.join(symbols)} on, under other parameters, pairs or another version:"
                f" start it again as it was and flatten it before another run trades on its account"
            )


def refuse_strangers(positions: Sequence[PositionReport], symbols: Container[str]) -> None:
    """Before a live run trades for the first time: a position that it cannot have made may be the hedge of coins that
    belong to somebody else, or to a home that is lost. Raises VenueError."""
    found = sorted(one.symbol for one in positions if one.symbol in symbols and one.qty)
    if found:
        raise VenueError(
            f"the account has positions in {', '.join(found)} that no run of this log has made: start with the home"
            f" they belong to, or close them, or leave these pairs out"
        )
