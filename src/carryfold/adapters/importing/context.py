"""What one import knows, and the log entries it makes.

Entries carry the domain's own key. Its beginning (kind and instrument) is made once for each instrument by `event_key`
and kept; the times at its end are appended for each row. That is several times quicker than a whole key for each row.
"""

from __future__ import annotations

from collections.abc import Callable

from carryfold.adapters.marketdata.entries import NS_PER_MS, AssumedListings, LogEntry
from carryfold.adapters.venue_names import DEFAULT_VENUE
from carryfold.domain.availability import Availability
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import ActivityObserved, BarClosed, FundingSettled
from carryfold.domain.instruments import Instrument, nominal_settlement

__all__ = ["ImportContext"]


class ImportContext:
    """One import: its options, the present time, and what its earlier files said about the instruments."""

    def __init__(
        self,
        *,
        now_ns: int,
        venue: str | None = None,
        availability: Availability | None = None,
        bar_minutes: int | None = None,
    ) -> None:
        rule = availability or Availability()
        self.now_ms = now_ns // NS_PER_MS
        self.venue = venue
        self.bar_minutes = bar_minutes
        self.bar_delay_ns = rule.bar_delay_ns
        self.settlement_delay_ns = rule.settlement_delay_ns
        self.rate_caps: dict[tuple[str, str], float] = {}
        self.instruments = AssumedListings()

    def venue_or(self, usual: str = DEFAULT_VENUE) -> str:
        """The venue that the user named, else the one that is usual for the format."""
        return self.venue or usual

    def settlements(self, venue: str, symbol: str) -> Callable[[int, float, float], LogEntry]:
        """A factory of a perpetual's settlement entries: (settled_at_ms, rate, interval_hours or 0) -> entry. Whatever
        jitter the stamp has, the entry is at the settlement's nominal time."""
        prefix = _key_start(FundingSettled(venue, symbol, 1, 0, 0.0), 8)
        delay = self.settlement_delay_ns

        def make(at_ms: int, rate: float, hours: float) -> LogEntry:
            at = nominal_settlement(at_ms * NS_PER_MS)
            event = FundingSettled(venue, symbol, 1, at, rate, hours)
            return encode(event), prefix + at.to_bytes(8, "big"), at + delay

        self.instruments.meet(Instrument(venue, symbol, "perp"))
        return make

    def bars(self, name: Instrument, minutes: int) -> Callable[[int, float, float, float], LogEntry]:
        """A factory of an instrument's bars: (close_ms, close or 0, mark or 0, turnover or -1) -> entry."""
        prefix = _key_start(BarClosed(*name, 0, 0, 0.0), 12)
        suffix = minutes.to_bytes(4, "big")
        delay = self.bar_delay_ns
        venue, symbol, kind, listing = name

        def make(close_ms: int, close: float, mark: float, turnover: float) -> LogEntry:
            at = close_ms * NS_PER_MS
            event = BarClosed(venue, symbol, kind, listing, at, minutes, close, mark, turnover)
            return encode(event), prefix + at.to_bytes(8, "big") + suffix, at + delay

        self.instruments.meet(name)
        return make

    def open_interests(self, name: Instrument, minutes: int) -> Callable[[int, float], LogEntry]:
        """A factory of open interests observed beside a bar: (close_ms, open_interest) -> entry."""
        prefix = _key_start(ActivityObserved(*name, 0, 0), 12)
        suffix = minutes.to_bytes(4, "big")
        delay = self.bar_delay_ns
        venue, symbol, kind, listing = name

        def make(close_ms: int, open_interest: float) -> LogEntry:
            at = close_ms * NS_PER_MS
            event = ActivityObserved(venue, symbol, kind, listing, at, minutes, -1.0, open_interest)
            return encode(event), prefix + at.to_bytes(8, "big") + suffix, at + delay

        self.instruments.meet(name)
        return make


def _key_start(event: FundingSettled | BarClosed | ActivityObserved, end: int) -> bytes:
    key = event_key(event)
    assert key is not None
    return key[:-end]
