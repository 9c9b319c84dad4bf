"""Log entries of market data, and the listing that is assumed of an instrument before its venue describes it."""

from __future__ import annotations

from typing import Final

from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import MarketEvent
from carryfold.domain.instruments import Instrument
from carryfold.domain.listings import assumed_listing
from carryfold.domain.symbols import read_symbol, unsupported_contract

__all__ = ["MAX_SYMBOLS", "MS_PER_MINUTE", "NS_PER_MS", "AssumedListings", "LogEntry", "log_entry"]

NS_PER_MS: Final = 1_000_000
MS_PER_MINUTE: Final = 60_000
MAX_SYMBOLS: Final = 100_000

LogEntry = tuple[bytes, bytes | None, int | None]
"""(payload, key, known_at), as `EventLog.append` takes it. `known_at` None: known from the commit on."""


def log_entry(event: MarketEvent, known_at: int | None) -> LogEntry:
    """The entry of an observation under its own key."""
    return encode(event), event_key(event), known_at


class AssumedListings:
    """The instruments met in one import. Each brings an assumed listing of unknown time.

    That listing is the same whatever else is imported before or after, so the order and splitting of files do not
    matter. A listing with its real time has another key and outranks the assumed one in the fold.
    """

    def __init__(self) -> None:
        self._met: set[Instrument] = set()
        self._pending: list[LogEntry] = []

    def meet(self, name: Instrument) -> None:
        """A row of this instrument is about to become an event. Raises RowRefused for an unsupported contract."""
        if name in self._met:
            return
        if len(self._met) >= MAX_SYMBOLS:
            raise RowRefused(f"more than {MAX_SYMBOLS} symbols in one import")
        if name.kind == "perp" and (reason := unsupported_contract(name.venue, name.symbol)):
            raise RowRefused(reason)
        self._met.add(name)
        parts = read_symbol(name.venue, name.symbol)
        self._pending.append(log_entry(assumed_listing(name, 0, parts.base, parts.quote, parts.multiplier), 0))

    @property
    def perpetuals(self) -> int:
        """How many perpetuals were met."""
        return sum(name.kind == "perp" for name in self._met)

    def take(self) -> list[LogEntry]:
        """The entries not taken yet."""
        pending, self._pending = self._pending, []
        return pending
