"""A reconciliation under way: the books as they will be, and what has been found so far."""

from decimal import Decimal

import msgspec

from carryfold.domain.events import ReconciliationCorrected, TradingEvent
from carryfold.domain.execution.books import OurBooks
from carryfold.domain.execution.pair import TradedPair

__all__ = ["Verdict"]


class Verdict(msgspec.Struct):
    """`books` are our own copy, moved on by every event."""

    books: OurBooks
    now: int
    events: list[TradingEvent] = msgspec.field(default_factory=list)
    reasons: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    def log(self, event: TradingEvent) -> None:
        """An event that brings our books closer."""
        self.events.append(event)
        self.books.apply(event)

    def correct(self, pair: TradedPair, long_units: int, short_units: int, reason: str) -> None:
        """Adopt a difference that no record explains; a person has to look at it."""
        units = long_units, short_units
        self.log(ReconciliationCorrected(self.books.run, self.now, pair.pair, *units, Decimal(0), reason))
        self.reasons.append(f"{pair.name}: {reason}")
