"""What an earlier live run still holds, for the run that begins to adopt. Two runs never trade on one account.

Holdings and their cost are the fold of the earlier run's own events, in units of its own. So a run of any version can
be adopted, and its rows need not be folded again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from carryfold.adapters.daemon.recovery import Logged, run_events
from carryfold.adapters.venues import VenueError
from carryfold.domain.events import FillSimulated, Halted, HoldingAdopted, Resumed
from carryfold.domain.execution import RunBooks, run_tag
from carryfold.domain.execution.holdings import PairHolding
from carryfold.domain.execution.reports import PositionReport
from carryfold.domain.instruments import Leg, Pair
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["EarlierRun", "earlier_run", "refuse_unknown_positions"]

_E8: Final = Decimal("0.00000001")
_LEGS: Final[tuple[Leg, ...]] = ("long", "short")


class EarlierRun(msgspec.Struct, frozen=True):
    """A live run of the log with unfinished business: `holdings` by pair, and orders without a known end. `pairs` has
    the pairs of both. `halted`: the reason for which this run alone was halted and not resumed; empty if it was
    not."""

    run: int
    holdings: dict[Pair, PairHolding]
    pairs: tuple[Pair, ...]
    halted: str = ""

    def adopted_by(self, run: int, at: int) -> list[HoldingAdopted | Halted]:
        """The events by which run `run`, which begins, adopts everything at time `at` (UTC ns). A halt goes over to it,
        until a person resumes."""
        halted = [Halted(run, at, f"run {self.run} was halted: {self.halted}")] if self.halted else []
        return [*self._adoptions(run, at), *halted]

    def _adoptions(self, run: int, at: int) -> list[HoldingAdopted]:
        return [
            HoldingAdopted(
                run,
                at,
                pair,
                leg,
                self.run,
                holding.leg(leg).units,
                float(holding.unit),
                holding.leg(leg).cost.quantize(_E8, ROUND_HALF_EVEN),
                caused_by=run,
            )
            for pair, holding in self.holdings.items()
            for leg in _LEGS
            if holding.leg(leg).units
        ]


def earlier_run(reader: LogReader, known: Sequence[RunInfo]) -> EarlierRun | None:
    """The live run of the log that still holds something or has an order without an end, and that no later run has
    adopted. `known`: the runs of the log. Raises VenueError if there are several, RunError if the log's run events
    cannot be read."""
    adopted = {info.adopts for info in known}
    live = [info for info in known if info.live and info.run not in adopted]
    if not live:
        return None
    events = run_events(reader, {info.run for info in live})
    found = [one for info in live if (one := _folded(info, events)).pairs]
    if len(found) > 1:
        runs = " and ".join(str(one.run) for one in found)
        raise VenueError(f"runs {runs} both have open positions or orders: start each as it was and flatten it")
    return found[0] if found else None


def _folded(info: RunInfo, events: Iterable[Logged]) -> EarlierRun:
    """The run after these events of the log, which include the operator's commands to every run."""
    books = RunBooks(run_tag(info.started_at), info.run, info.started_at, {})
    halted = ""
    for seq, _, event in events:
        if isinstance(event, Resumed) and event.run in (0, info.run):
            halted = ""
        elif isinstance(event, Halted) and event.run == info.run:
            halted = event.reason or "no reason given"
        if not isinstance(event, FillSimulated):  # only real fills move what a live account holds
            books.apply(event, seq)
    held = books.holdings.held()
    pairs = {*held, *(intent.pair for intent in books.intents.values())}
    return EarlierRun(info.run, held, tuple(sorted(pairs, key=lambda pair: pair.order)), halted)


def refuse_unknown_positions(
    venue: str, positions: Iterable[PositionReport], pairs: Container[tuple[str, str]]
) -> None:
    """Refuse a position that the run cannot have made, before a live run trades for the first time: it may be the hedge
    of coins that belong to somebody else, or to a home that is lost. `pairs`: venue and symbol of each perpetual.
    Raises VenueError."""
    found = sorted(one.symbol for one in positions if (venue, one.symbol) in pairs and one.qty)
    if found:
        raise VenueError(
            f"the account has positions in {', '.join(found)} that no run of this log has made: start with the home"
            f" they belong to, or close them, or leave these pairs out"
        )
