"""Entries into the log in batches; what the log has already is counted, what it has otherwise is recorded beside it.

The first value of an observation stays. Another value of a settlement becomes FundingRevised, of anything else
ObservationCorrected, known from now on and under a key of its own, so that importing again adds nothing. A settlement
with the same rate of which one source does not tell the interval is no other value. Where the first source was that
one, the interval is recorded as a FundingRevised of the same rate, known from the same moment as the settlement: so
the fold has it whichever source came first.

Rejected rows are recorded as DataRejected, one event a file and reason, under a key that names these very rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final, TypeGuard

from carryfold.adapters.importing.availability import Availability, agree_on_availability
from carryfold.adapters.importing.call import LogEntry, Pairs
from carryfold.adapters.importing.report import ImportReport, Tally
from carryfold.domain.codec import BATCH_DECODER, decode, encode, event_key
from carryfold.domain.events import (
    ActivityObserved,
    BarClosed,
    DataRejected,
    Event,
    FundingRevised,
    FundingSettled,
    ObservationCorrected,
    PairChanged,
    PairDelisted,
    PairListed,
)
from carryfold.eventlog import AppendResult, EventLog, LogReader

BATCH: Final = 4_096
REJECTED_KEY: Final = b"\x10"  # a kind of key that the domain does not use: DataRejected has none there

Progress = Callable[[str, int], None]
"""Told after each batch: (file, rows read so far)."""


class Writer:
    """Appends for one import call."""

    def __init__(self, log: EventLog, availability: Availability, pairs: Pairs, progress: Progress | None) -> None:
        self._log = log
        self._availability = availability
        self._pairs = pairs
        self._progress = progress
        self._agreed = False
        self._reader: LogReader | None = None
        self._batch: tuple[int, list[tuple[int, Event]]] = 0, []

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
        waiting = self._pairs.take()
        if waiting:
            self._log.append(waiting)
        result = self._log.append(batch)
        report = tally.report
        report.appended += result.count
        report.duplicates += result.duplicates
        if result.conflicts:
            self._keep_differences(batch, result, tally)

    def _keep_differences(self, batch: Sequence[LogEntry], result: AppendResult, tally: Tally) -> None:
        differences: list[LogEntry] = []
        intervals: list[LogEntry] = []
        for conflict in sorted(result.conflicts, key=lambda one: one.seq):
            ours = decode(batch[conflict.index][0])
            known_at, first = self._stamped(conflict.seq)
            if not _agree(ours, first):
                tally.report.conflicts += 1
                difference = _difference(ours, first, conflict.seq)
                differences.append((encode(difference), event_key(difference), None))
            elif ours.interval_hours:
                told = _difference(ours, first, conflict.seq)
                intervals.append((encode(told), event_key(told), known_at))
            else:
                tally.report.duplicates += 1
        if differences:
            self._log.append(differences)
        if intervals:
            added = self._log.append(intervals).count
            tally.report.appended += added
            tally.report.duplicates += len(intervals) - added

    def _stamped(self, seq: int) -> tuple[int, Event]:
        """(known_at, event) of what is in the log."""
        first_seq, events = self._batch
        if not first_seq <= seq < first_seq + len(events):
            if self._reader is None:
                self._reader = LogReader.open(self._log.home)
            batch = next(self._reader.read(seq - 1, limit_batches=1))
            first_seq, events = self._batch = batch.first_seq, BATCH_DECODER.decode(batch.payload)
        return events[seq - first_seq]


def _agree(ours: Event, first: Event) -> TypeGuard[FundingSettled]:
    """True for the same settlement of which one source does not tell the interval."""
    return (
        isinstance(ours, FundingSettled)
        and isinstance(first, FundingSettled)
        and ours.rate == first.rate
        and 0.0 in (ours.interval_hours, first.interval_hours)
    )


def _difference(ours: Event, first: Event, seq: int) -> FundingRevised | ObservationCorrected:
    if isinstance(ours, FundingSettled) and isinstance(first, FundingSettled):
        return FundingRevised(
            ours.venue, ours.symbol, ours.listing, ours.event_at, ours.rate, first.rate, ours.interval_hours
        )
    assert isinstance(ours, (BarClosed, ActivityObserved, PairListed, PairChanged, PairDelisted))
    values = tuple(_numbers(ours))
    kind = type(ours).__name__
    return ObservationCorrected(ours.venue, ours.symbol, ours.listing, ours.event_at, kind, values, seq)


def _numbers(event: BarClosed | ActivityObserved | PairListed | PairChanged | PairDelisted) -> Iterator[float]:
    """The numbers behind an event's identity, in the order of its fields; -1 for one that is not told."""
    for name in event.__struct_fields__[4:]:
        value = getattr(event, name)
        if value is None or isinstance(value, (int, float)):
            yield -1.0 if value is None else float(value)


def report_of(tallies: Iterable[Tally], notes: Sequence[str], pairs: int) -> ImportReport:
    """The report of a call."""
    return ImportReport([tally.report for tally in tallies], list(notes), pairs)
