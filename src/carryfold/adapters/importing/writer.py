"""Entries into the log in batches; what the log has already is counted, what it has otherwise is recorded beside it.

The first value of an observation stays. Another value of a settlement becomes FundingRevised, of anything else
ObservationCorrected, known from now on and under a key of its own, so that importing again adds nothing.

Two sources that agree in what both tell do not contradict each other. What the second one adds is recorded as known
from the same moment, so the fold has all of it whichever source came first:

 - the interval of a settlement, as a FundingRevised of the same rate;
 - the close, mark or turnover of a bar, each as a BarClosed of that value alone. Its key is the bar's with the number
   of the value behind it.

Rejected rows are recorded as DataRejected, one event a file and reason, under a key that names these very rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final

from carryfold.adapters.importing.availability import Availability, agree_on_availability
from carryfold.adapters.importing.call import Instruments, LogEntry
from carryfold.adapters.importing.report import Tally
from carryfold.domain.codec import decode_batch, encode, event_key, read
from carryfold.domain.events import (
    ActivityObserved,
    BarClosed,
    DataRejected,
    Event,
    FundingRevised,
    FundingSettled,
    InstrumentChanged,
    InstrumentDelisted,
    InstrumentListed,
    ObservationCorrected,
)
from carryfold.eventlog import AppendResult, EventLog, LogReader

BATCH: Final = 4_096
REJECTED_KEY: Final = b"\x10"  # a kind of key that the domain does not use: DataRejected has none there
_BAR_VALUES: Final = (("close", 0.0), ("mark", 0.0), ("turnover", -1.0))
"""What a bar may tell, and how it says that it does not."""

_CORRECTED: Final = (
    BarClosed, ActivityObserved, InstrumentListed, InstrumentChanged, InstrumentDelisted, FundingRevised
)  # fmt: skip
_IDENTITY: Final = frozenset({"venue", "symbol", "kind", "listing", "event_at", "caused_by"})

Progress = Callable[[str, int], None]
"""Told after each batch: (file, rows read so far)."""


class Writer:
    """Appends for one import call."""

    def __init__(
        self, log: EventLog, availability: Availability, instruments: Instruments, progress: Progress | None
    ) -> None:
        self._log = log
        self._availability = availability
        self._instruments = instruments
        self._progress = progress
        self._agreed = False
        self._reader: LogReader | None = None
        self._batch: dict[int, tuple[int, Event]] = {}

    def write(self, entries: Iterable[LogEntry], tally: Tally) -> None:
        """Append all entries. What comes in one batch is one append."""
        iterator = iter(entries)
        while batch := list(islice(iterator, BATCH)):
            self._append(batch, tally)
            if self._progress is not None:
                self._progress(tally.report.file, tally.report.rows)

    def write_rejections(self, tallies: Sequence[Tally], now_ns: int) -> None:
        """Record what was rejected."""
        events: list[LogEntry] = []
        for tally in tallies:
            file = tally.report.file
            for reason, rows in sorted(tally.reasons.items()):
                name = b"\0".join((file.encode(), reason.encode(), b"%d" % rows.count, rows.digest))
                event = DataRejected(now_ns, file, rows.first_line, reason, rows.count)
                events.append((encode(event), REJECTED_KEY + blake2b(name, digest_size=16).digest(), None))
        for start in range(0, len(events), BATCH):
            self._log.append(
                events[start : start + BATCH]
            )  # known ones come as conflicts (their time differs): as meant

    def close(self) -> None:
        """Give up what was opened to look into the log."""
        if self._reader is not None:
            self._reader.close()

    def _append(self, batch: list[LogEntry], tally: Tally) -> None:
        if not self._agreed:
            agree_on_availability(self._log, self._availability)
            self._agreed = True
        waiting = self._instruments.take()
        if waiting:
            self._log.append(waiting)
        result = self._log.append(batch)
        report = tally.report
        report.appended += result.count
        report.duplicates += result.duplicates
        if result.conflicts:
            self._keep_differences(batch, result, tally)

    def _keep_differences(self, batch: Sequence[LogEntry], result: AppendResult, tally: Tally) -> None:
        report = tally.report
        differences: list[LogEntry] = []
        additions: list[LogEntry] = []
        sources: list[int] = []  # for each addition the place of its source in the batch
        for conflict in sorted(result.conflicts, key=lambda one: one.seq):
            (ours,) = read(batch[conflict.index][0])
            known_at, first = self._stamped(conflict.seq)
            added = _added(ours, first, conflict.seq)
            if added is None:
                report.conflicts += 1
                differences.append(_live(_difference(ours, first, conflict.seq)))
            elif added:
                additions += [(encode(event), key, known_at) for event, key in added]
                sources += [conflict.index] * len(added)
            else:
                report.duplicates += 1
        if additions:
            differences += self._add(additions, sources, tally)
        if differences:
            self._log.append(differences)

    def _add(self, additions: Sequence[LogEntry], sources: Sequence[int], tally: Tally) -> list[LogEntry]:
        """Append what was added to observations, count their sources, and give the differences found on the way."""
        result = self._log.append(additions)
        outcomes: defaultdict[int, set[str]] = defaultdict(set)
        taken = {conflict.index for conflict in result.conflicts}
        kept = set(range(len(additions)) if result.kept is None else result.kept)
        for place, source in enumerate(sources):
            outcomes[source].add("conflict" if place in taken else "new" if place in kept else "known")
        for found in outcomes.values():
            tally.report.conflicts += "conflict" in found
            tally.report.appended += found <= {"new", "known"} and "new" in found
            tally.report.duplicates += found == {"known"}
        differences = []
        for conflict in result.conflicts:
            (ours,) = read(additions[conflict.index][0])
            differences.append(_live(_difference(ours, self._stamped(conflict.seq)[1], conflict.seq)))
        return differences

    def _stamped(self, seq: int) -> tuple[int, Event]:
        """(known_at, event) of what is in the log."""
        if seq not in self._batch:
            if self._reader is None:
                self._reader = LogReader.open(self._log.home)
            batch = next(self._reader.read(seq - 1, limit_batches=1))
            self._batch = {
                at: (known_at, event) for at, known_at, event in decode_batch(batch.payload, batch.first_seq)
            }
        return self._batch[seq]


def _live(event: Event) -> LogEntry:
    return encode(event), event_key(event), None


def _added(ours: Event, first: Event, seq: int) -> list[tuple[Event, bytes]] | None:
    """What `ours` tells of an observation that `first`, in the log as `seq`, does not; None if they contradict each
    other."""
    if isinstance(ours, FundingSettled) and isinstance(first, FundingSettled):
        if ours.rate != first.rate or 0.0 not in (ours.interval_hours, first.interval_hours):
            return None
        told = _difference(ours, first, seq)
        return [(told, _key(told))] if ours.interval_hours else []
    if isinstance(ours, BarClosed) and isinstance(first, BarClosed):
        return _added_to_bar(ours, first)
    return None


def _added_to_bar(ours: BarClosed, first: BarClosed) -> list[tuple[Event, bytes]] | None:
    added: list[tuple[Event, bytes]] = []
    for number, (name, untold) in enumerate(_BAR_VALUES):
        value, in_log = getattr(ours, name), getattr(first, name)
        if value in (untold, in_log):
            continue
        if in_log != untold:
            return None
        values = [value if other == name else nothing for other, nothing in _BAR_VALUES]
        bar = BarClosed(*ours.instrument, ours.event_at, ours.minutes, *values)
        added.append((bar, _key(bar) + bytes([number])))
    return added


def _key(event: Event) -> bytes:
    key = event_key(event)
    assert key is not None, "observations have keys"
    return key


def _difference(ours: Event, first: Event, seq: int) -> FundingRevised | ObservationCorrected:
    if isinstance(ours, FundingSettled) and isinstance(first, FundingSettled):
        return FundingRevised(
            ours.venue, ours.symbol, ours.listing, ours.event_at, ours.rate, first.rate, ours.interval_hours, seq
        )
    assert isinstance(ours, _CORRECTED)
    return ObservationCorrected(*ours.instrument, ours.event_at, type(ours).__name__, tuple(_numbers(ours)), seq)


def _numbers(event: Event) -> Iterator[float]:
    """The numbers behind an event's identity, in the order of its fields; -1 for one that is not told."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name not in _IDENTITY and (value is None or isinstance(value, (int, float))):
            yield -1.0 if value is None else float(value)
