"""What one import call knows, and the log entries it makes.

Entries carry the domain's own key: its beginning (kind, venue, symbol, listing) is made once a pair by `event_key`
and kept, the times at its end are put on here, which is several times quicker than a whole key per row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from carryfold.adapters.importing.availability import Availability
from carryfold.adapters.importing.report import RowRefused
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import ActivityObserved, BarClosed, FundingSettled, PairChanged, PairListed

NS_PER_MS: Final = 1_000_000
MS_PER_MINUTE: Final = 60_000
ASSUMED_LOT: Final = 1e-6
ASSUMED_MIN_NOTIONAL: Final = 5.0
MAX_SYMBOLS: Final = 100_000

LogEntry = tuple[bytes, bytes | None, int | None]
"""(payload, key, known_at), as `EventLog.append` takes it."""


class Pairs:
    """Pairs met in this call. Each brings an assumed listing and, with its first spot close, the fact that it is
    priced.

    Both are the same whatever else is imported before or after, so that order and splitting of files do not matter; a
    listing with its real time has another key and outranks the assumed one in the fold.
    """

    def __init__(self) -> None:
        self._met: set[tuple[str, str]] = set()
        self._priced: set[tuple[str, str]] = set()
        self._waiting: list[LogEntry] = []

    def meet(self, venue: str, symbol: str) -> None:
        """A row of this pair is about to become an event."""
        if (venue, symbol) not in self._met:
            if len(self._met) >= MAX_SYMBOLS:
                raise RowRefused(f"more than {MAX_SYMBOLS} symbols in one import")
            self._met.add((venue, symbol))
            self._wait(PairListed(venue, symbol, 1, 0, ASSUMED_LOT, ASSUMED_MIN_NOTIONAL))

    def price(self, venue: str, symbol: str) -> None:
        """This pair has a spot close."""
        if (venue, symbol) not in self._priced:
            self._priced.add((venue, symbol))
            self._wait(PairChanged(venue, symbol, 1, 0, priced=True))

    @property
    def count(self) -> int:
        """Pairs met."""
        return len(self._met)

    def take(self) -> list[LogEntry]:
        """The entries not taken yet."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _wait(self, event: PairListed | PairChanged) -> None:
        self._waiting.append((encode(event), event_key(event), 0))


class Call:
    """One import: its options, the present, and what earlier files of it said about the pairs."""

    def __init__(
        self,
        *,
        now_ns: int,
        venue: str | None = None,
        availability: Availability | None = None,
        bar_minutes: int | None = None,
        without_spot: bool = False,
    ) -> None:
        rule = availability or Availability()
        self.now_ms = now_ns // NS_PER_MS
        self.venue = venue
        self.bar_minutes = bar_minutes
        self.without_spot = without_spot
        self.bar_delay_ns = rule.bar_delay_ns
        self.settlement_delay_ns = rule.settlement_delay_ns
        self.rate_caps: dict[tuple[str, str], float] = {}
        self.pairs = Pairs()
        self.notes: list[str] = []

    def settlements(self, venue: str, symbol: str) -> Callable[[int, float, float], LogEntry]:
        """A maker of this pair's settlement entries: (settled_at_ms, rate, interval_hours or 0) -> entry."""
        prefix = _key_start(FundingSettled(venue, symbol, 1, 0, 0.0), 8)
        delay = self.settlement_delay_ns

        def make(at_ms: int, rate: float, hours: float) -> LogEntry:
            at = at_ms * NS_PER_MS
            event = FundingSettled(venue, symbol, 1, at, rate, hours)
            return encode(event), prefix + at.to_bytes(8, "big"), at + delay

        self.pairs.meet(venue, symbol)
        return make

    def bars(self, venue: str, symbol: str, minutes: int) -> Callable[[int, float, float, float, float], LogEntry]:
        """A maker of this pair's bars: (close_ms, spot_close, perp_close, mark_close, perp_turnover) -> entry."""
        prefix = _key_start(BarClosed(venue, symbol, 1, 0, 0, 0.0, 0.0), 12)
        suffix = minutes.to_bytes(4, "big")
        delay = self.bar_delay_ns

        def make(close_ms: int, spot: float, perp: float, mark: float, turnover: float) -> LogEntry:
            at = close_ms * NS_PER_MS
            event = BarClosed(venue, symbol, 1, at, minutes, spot, perp, mark, turnover)
            return encode(event), prefix + at.to_bytes(8, "big") + suffix, at + delay

        self.pairs.meet(venue, symbol)
        return make

    def activity(self, venue: str, symbol: str, minutes: int) -> Callable[[int, float, float], LogEntry]:
        """A maker of what is observed beside a bar: (close_ms, spot_turnover or -1, open_interest or -1) -> entry."""
        prefix = _key_start(ActivityObserved(venue, symbol, 1, 0, 0), 12)
        suffix = minutes.to_bytes(4, "big")
        delay = self.bar_delay_ns

        def make(close_ms: int, spot_turnover: float, open_interest: float) -> LogEntry:
            at = close_ms * NS_PER_MS
            event = ActivityObserved(venue, symbol, 1, at, minutes, spot_turnover, -1.0, open_interest)
            return encode(event), prefix + at.to_bytes(8, "big") + suffix, at + delay

        return make


def _key_start(event: FundingSettled | BarClosed | ActivityObserved, end: int) -> bytes:
    key = event_key(event)
    assert key is not None
    return key[:-end]
