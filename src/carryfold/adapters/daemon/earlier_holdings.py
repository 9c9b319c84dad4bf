"""What an earlier run still has on: it is taken over by the run that begins, and two runs never trade on one account.

Holdings and their cost are the fold of the earlier run's own events, in units of its own, so that a run of any version
can be taken over: nobody has to fold its rows again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from carryfold.adapters.daemon.recovery import run_events
from carryfold.adapters.venue import VenueError
from carryfold.domain.events import Event, Halted, HoldingAdopted, OrderFilled, ReconciliationCorrected, Resumed
from carryfold.domain.execution import OurBooks, run_tag
from carryfold.domain.execution.reports import PositionReport
from carryfold.domain.instruments import LOT_UNITS, Leg, Pair
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["EarlierRun", "earlier_run", "refuse_strangers"]

_E8: Final = Decimal("0.00000001")
_LOT_DIGITS: Final = 6
"""Digits that a lot can have: what a fill rounded away of a unit is far behind them."""

_LEGS: Final[tuple[Leg, ...]] = ("long", "short")


class _Leg(msgspec.Struct):
    """Units of a leg, both counted positive, and what they cost, or were sold for, at average cost."""

    units: int = 0
    value: Decimal = Decimal(0)

    def move(self, units: int, value: Decimal) -> None:
        """`units` come in (> 0) for `value`, or go out for their share of the cost. What goes beyond zero to the other
        side has a negative cost: what was received for units that are owed."""
        signed = value if units > 0 else -value
        if not units:
            return
        if not self.units or (self.units > 0) == (units > 0):
            self.value += signed
        elif abs(units) <= abs(self.units):
            self.value -= self.value * abs(units) / abs(self.units)
        else:
            self.value = signed * (abs(units) - abs(self.units)) / abs(units)
        self.units += units


class _Holding(msgspec.Struct):
    """A pair as an earlier run holds it. `unit`: coins of one, learnt from the largest fill since the pair was flat,
    best from one of a perpetual, whose fees take no coins."""

    long: _Leg
    short: _Leg
    unit: float = 0.0
    learnt_from: tuple[bool, int] = (False, 0)

    def leg(self, leg: Leg) -> _Leg:
        return self.long if leg == "long" else self.short

    def fill(self, event: OrderFilled) -> None:
        if not (self.long.units or self.short.units):
            self.unit, self.learnt_from = 0.0, (False, 0)
        self._learn(event)
        self.leg(event.leg).move(event.units if event.leg == "long" else -event.units, event.value)

    def _learn(self, event: OrderFilled) -> None:
        instrument = event.instrument
        teacher = instrument.kind == "perp", abs(event.units)
        if teacher <= self.learnt_from or not event.units:
            return
        takes_coins = instrument.kind == "spot" and event.fee_coin and instrument.symbol.startswith(event.fee_coin)
        coins = abs(event.qty - (event.fee_qty if takes_coins else Decimal(0)))
        lot = float(f"{float(coins / abs(event.units)) * LOT_UNITS:.{_LOT_DIGITS}g}")
        self.unit, self.learnt_from = lot / LOT_UNITS, teacher


class EarlierRun(msgspec.Struct, frozen=True):
    """A live run of the log that still has something on: holdings, or orders without an end, by pair. `halted`: why it
    alone was halted and is not resumed; empty: it is not."""

    run: int
    holdings: dict[Pair, _Holding]
    pairs: tuple[Pair, ...]
    halted: str = ""

    def adopted_by(self, run: int, at: int) -> list[HoldingAdopted | Halted]:
        """What a run that begins takes over. Where the earlier one had to be halted, a person resumes this one."""
        halted = [Halted(run, at, f"run {self.run} was halted: {self.halted}")] if self.halted else []
        return [*self._holdings(run, at), *halted]

    def _holdings(self, run: int, at: int) -> list[HoldingAdopted]:
        return [
            HoldingAdopted(
                run,
                at,
                pair,
                leg,
                self.run,
                holding.leg(leg).units,
                holding.unit,
                holding.leg(leg).value.quantize(_E8, ROUND_HALF_EVEN),
                caused_by=run,
            )
            for pair, holding in self.holdings.items()
            for leg in _LEGS
            if holding.leg(leg).units
        ]


def earlier_run(reader: LogReader, known: Sequence[RunInfo]) -> EarlierRun | None:
    """The live run of the log that still has something on, and that no later run has taken over. Reads the log from the
    first live run on. Raises VenueError where there are several: a run that was never taken over, beside a later
    one."""
    live = {info.run: _Tracker(info) for info in known if info.live}
    for seq, _, event in run_events(reader, min(live) - 1) if live else ():
        live.pop(getattr(event, "adopts", 0), None)
        for tracker in live.values():
            tracker.see(seq, event)
    found = [one for tracker in live.values() if (one := tracker.standing()).pairs]
    if len(found) > 1:
        runs = " and ".join(str(one.run) for one in found)
        raise VenueError(f"runs {runs} both still have something on: start each as it was and flatten it")
    return found[0] if found else None


class _Tracker:
    """What one run has on, event by event."""

    def __init__(self, info: RunInfo) -> None:
        self._run = info.run
        self._books = OurBooks(run_tag(info.started_at), info.run, info.started_at, {})
        self._holdings: dict[Pair, _Holding] = {}
        self._halted = ""

    def see(self, seq: int, event: Event) -> None:
        run = getattr(event, "run", None)
        if isinstance(event, Resumed) and run in (0, self._run):
            self._halted = ""
        if run != self._run:
            return
        if isinstance(event, Halted):
            self._halted = event.reason or "no reason given"
        if not (isinstance(event, OrderFilled) and event.fill_id in self._books.fill_ids):
            _hold(self._holdings, event)
        self._books.apply(event, seq)

    def standing(self) -> EarlierRun:
        held = {pair: one for pair, one in self._holdings.items() if one.long.units or one.short.units}
        at_work = {intent.pair for intent in self._books.intents.values()}
        pairs = sorted({*held, *at_work}, key=lambda pair: pair.order)
        return EarlierRun(self._run, held, tuple(pairs), self._halted)


def _hold(holdings: dict[Pair, _Holding], event: Event) -> None:
    """Move what is held by an event of the run."""
    if not isinstance(event, OrderFilled | HoldingAdopted | ReconciliationCorrected) or event.pair is None:
        return
    holding = holdings.setdefault(event.pair, _Holding(_Leg(), _Leg()))
    if isinstance(event, OrderFilled):
        holding.fill(event)
    elif isinstance(event, HoldingAdopted):
        holding.unit, holding.learnt_from = event.unit, (True, LOT_UNITS**2)
        holding.leg(event.leg).move(event.units, event.value)
    else:
        for leg, units in ((holding.long, event.long_units), (holding.short, event.short_units)):
            leg.move(units, _at_average(leg, units))


def _at_average(leg: _Leg, units: int) -> Decimal:
    """What units that nobody explains are worth: as much as those that are held."""
    return leg.value * abs(units) / abs(leg.units) if leg.units else Decimal(0)


def refuse_strangers(venue: str, positions: Iterable[PositionReport], pairs: Container[tuple[str, str]]) -> None:
    """Before a live run trades for the first time: a position that it cannot have made may be the hedge of coins that
    belong to somebody else, or to a home that is lost. `pairs`: venue and symbol of each perpetual. Raises
    VenueError."""
    found = sorted(one.symbol for one in positions if (venue, one.symbol) in pairs and one.qty)
    if found:
        raise VenueError(
            f"the account has positions in {', '.join(found)} that no run of this log has made: start with the home"
            f" they belong to, or close them, or leave these pairs out"
        )
