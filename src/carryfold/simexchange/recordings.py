"""Reading the log of a home for a replay: the bars, settlements and delisting of each instrument."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from carryfold.domain.codec import decode_batch
from carryfold.domain.events import BarClosed, FundingSettled, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument, Listing, pairs_of
from carryfold.eventlog import LogReader

if TYPE_CHECKING:
    from pathlib import Path

    from carryfold.simexchange.seeded_random import Floats, Ints

__all__ = ["Bars", "Recording", "read_recordings"]

_NS_PER_MS: Final = 1_000_000
_DAY_MINUTES: Final = 1_440


class Bars(NamedTuple):
    """Bars of one instrument, ascending by their time of close, without duplicates. A price of 0 was not observed."""

    at_ms: Ints
    close: Floats
    mark: Floats


class Recording:
    """The record of one instrument. `ended_ms` 0: not delisted."""

    def __init__(self) -> None:
        self.settled: dict[int, float] = {}  # UTC ms -> rate
        self.ended_ms = 0
        self._times, self._close, self._mark = array("q"), array("d"), array("d")
        self._turnover = self._turnover_bars = 0.0
        self._minutes = 1

    def add_bar(self, bar: BarClosed) -> None:
        """Add one bar."""
        self._times.append(bar.event_at // _NS_PER_MS)
        self._close.append(bar.close)
        self._mark.append(bar.mark)
        self._minutes = bar.minutes
        if bar.turnover >= 0.0:
            self._turnover += bar.turnover
            self._turnover_bars += 1

    @property
    def turnover(self) -> float:
        """Mean turnover of a day in quote; 0 when unknown."""
        if not self._turnover_bars:
            return 0.0
        return self._turnover / self._turnover_bars * _DAY_MINUTES / max(self._minutes, 1)

    @property
    def has_bars(self) -> bool:
        """Whether any bar was recorded."""
        return bool(self._times)

    def bars(self) -> Bars:
        """The bars in order of time."""
        times, first = np.unique(np.array(self._times, np.int64), return_index=True)
        return Bars(times, np.array(self._close)[first], np.array(self._mark)[first])


class _RecordingIndex:
    """Recordings and listings by instrument, filled event by event."""

    def __init__(self) -> None:
        self.listings: dict[Instrument, Listing] = {}
        self.recordings: dict[Instrument, Recording] = {}

    def add(self, event: object) -> None:
        if isinstance(event, BarClosed):
            self._of(event.instrument).add_bar(event)
        elif isinstance(event, FundingSettled):
            self._of(event.instrument).settled.setdefault(event.event_at // _NS_PER_MS, event.rate)
        elif isinstance(event, InstrumentDelisted):
            self._of(event.instrument).ended_ms = event.event_at // _NS_PER_MS
        elif isinstance(event, InstrumentListed):
            self.listings[event.instrument] = Listing(event.instrument, event.base, event.quote)

    def _of(self, name: Instrument) -> Recording:
        return self.recordings.setdefault(name, Recording())


def read_recordings(home: Path) -> list[tuple[str, Recording, Recording | None]]:
    """(symbol, perpetual, its spot instrument) of every perpetual with bars. Raises ValueError for events unknown to
    this version, and the errors of the log."""
    found = _RecordingIndex()
    with LogReader.open(home) as reader:
        for batch in reader.read():
            try:
                for _, _, event in decode_batch(batch.payload, batch.first_seq):
                    found.add(event)
            except msgspec.ValidationError as error:
                raise ValueError(f"{home} holds an event unknown to this version ({error})") from None
    spots: dict[Instrument, Recording] = {}
    for pair in pairs_of(found.listings.values()):
        if pair.long in found.recordings:
            spots.setdefault(pair.short, found.recordings[pair.long])
    perps = sorted(name for name, recording in found.recordings.items() if name.kind == "perp" and recording.has_bars)
    return [(name.symbol, found.recordings[name], spots.get(name)) for name in perps]
