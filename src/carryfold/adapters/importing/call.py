"""What one import call knows, and the log entries it makes.

Entries carry the domain's own key: its beginning (kind and instrument) is made once an instrument by `event_key` and
kept, the times at its end are put on here, which is several times quicker than a whole key per row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from carryfold.adapters.importing.availability import Availability
from carryfold.adapters.importing.names import read_name, refuse_other_contracts
from carryfold.adapters.importing.report import RowRefused
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import ActivityObserved, BarClosed, FundingSettled, InstrumentListed
from carryfold.domain.instruments import Instrument, nominal_settlement

NS_PER_MS: Final = 1_000_000
MS_PER_MINUTE: Final = 60_000
ASSUMED_LOT: Final = 1e-6
ASSUMED_MIN_NOTIONAL: Final = 5.0
MAX_SYMBOLS: Final = 100_000

LogEntry = tuple[bytes, bytes | None, int | None]
"""(payload, key, known_at), as `EventLog.append` takes it."""


class Instruments:
    """Instruments met in this call. Each brings an assumed listing.

    It is the same whatever else is imported before or after, so that order and splitting of files do not matter; a
    listing with its real time has another key and outranks the assumed one in the fold.
    """

    def __init__(self) -> None:
        self._met: set[Instrument] = set()
        self._waiting: list[LogEntry] = []

    def meet(self, name: Instrument) -> None:
        """A row of this instrument is about to become an event. Raises RowRefused for one that is not traded here."""
        if name in self._met:
            return
        if len(self._met) >= MAX_SYMBOLS:
            raise RowRefused(f"more than {MAX_SYMBOLS} symbols in one import")
        if name.kind == "perp":
            refuse_other_contracts(name.venue, name.symbol)
        self._met.add(name)
        said = read_name(name.venue, name.symbol)
        listed = InstrumentListed(
            *name, 0, said.base, said.quote, ASSUMED_LOT, ASSUMED_MIN_NOTIONAL, said.multiplier
        )  # fmt: skip
        self._waiting.append((encode(listed), event_key(listed), 0))

    @property
    def perpetuals(self) -> int:
        """Perpetuals met."""
        return sum(name.kind == "perp" for name in self._met)

    def take(self) -> list[LogEntry]:
        """The entries not taken yet."""
        waiting, self._waiting = self._waiting, []
        return waiting


class Call:
    """One import: its options, the present, and what earlier files of it said about the instruments."""

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
        self.instruments = Instruments()

    def settlements(self, venue: str, symbol: str) -> Callable[[int, float, float], LogEntry]:
        """A maker of a perpetual's settlement entries: (settled_at_ms, rate, interval_hours or 0) -> entry. Whatever
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
        """A maker of an instrument's bars: (close_ms, close or 0, mark or 0, turnover or -1) -> entry."""
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
        """A maker of the open interest that is observed beside a bar: (close_ms, open_interest) -> entry."""
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
