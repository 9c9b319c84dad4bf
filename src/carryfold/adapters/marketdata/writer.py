"""Log entries in batches: duplicates are counted, and observations that differ from the log are recorded beside it.

The first value of an observation stays. Another value of a settlement becomes FundingRevised, another value of anything
else ObservationCorrected, known from now on and under a key of its own, so importing again adds nothing.

Two sources do not contradict each other when they agree in the values that both give. The values that only the second
source gives are recorded as known from the same moment, so the fold has all of them whichever source came first:

 - the interval of a settlement, as a FundingRevised of the same rate;
 - the close, mark or turnover of a bar, each as a BarClosed of that value alone, under the bar's key followed by the
   number of the value.

Rejected rows are recorded as DataRejected, one event for each file and reason, under a key that names these very rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final

from carryfold.adapters.marketdata.entries import AssumedListings, LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.domain.availability import Availability, agree_on_availability
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
from carryfold.domain.listings import without_rules
from carryfold.eventlog import AppendResult, EventLog, LogReader

BATCH: Final = 4_096
REJECTED_KEY: Final = b"\x10"  # a kind of key that the domain does not use: DataRejected has none there
_BAR_VALUES: Final = (("close", 0.0), ("mark", 0.0), ("turnover", -1.0))
"""The values of a bar, each with the number that stands for a missing one."""

_CORRECTED: Final = (
    BarClosed, ActivityObserved, InstrumentListed, InstrumentChanged, InstrumentDelisted, FundingRevised
)  # fmt: skip
_IDENTITY: Final = frozenset({"venue", "symbol", "kind", "listing", "event_at", "caused_by"})

Progress = Callable[[str, int], None]
"""Called after each batch with (file, rows read so far)."""


class Writer:
    """Appends the entries of one import or backfill."""

    def __init__(
        self, log: EventLog, availability: Availability, instruments: AssumedListings, progress: Progress | None
    ) -> None:
        self._log = log
        self._availability = availability
        self._instruments = instruments
        self._progress = progress
        self._agreed = False
        self._reader: LogReader | None = None
        self._batch: dict[int, tuple[int, Event]] = {}

    def write(self, entries: Iterable[LogEntry], builder: ReportBuilder) -> None:
        """Append all entries, one batch at a time, and count the outcome in `builder`."""
        iterator = iter(entries)
        while batch := list(islice(iterator, BATCH)):
            self._append(batch, builder)
            if self._progress is not None:
                self._progress(builder.report.file, builder.report.rows)

    def write_rejections(self, builders: Sequence[ReportBuilder], now_ns: int) -> None:
        """Record the rejected rows."""
        events: list[LogEntry] = []
        for builder in builders:
            file = builder.report.file
            for reason, rows in sorted(builder.reasons.items()):
                name = b"\0".join((file.encode(), reason.encode(), b"%d" % rows.count, rows.digest))
                event = DataRejected(now_ns, file, rows.first_line, reason, rows.count)
                events.append((encode(event), REJECTED_KEY + blake2b(name, digest_size=16).digest(), None))
        for start in range(0, len(events), BATCH):
            self._log.append(
                events[start : start + BATCH]
            )  # those of an earlier import come back as conflicts, because their time differs

    def close(self) -> None:
        """Close the reader of the log."""
        if self._reader is not None:
            self._reader.close()

    def _append(self, batch: list[LogEntry], builder: ReportBuilder) -> None:
        if not self._agreed:
            agree_on_availability(self._log, self._availability)
            self._agreed = True
        listings = self._instruments.take()
        if listings:
            self._log.append(listings)
        result = self._log.append(batch)
        report = builder.report
        report.appended += result.count
        report.duplicates += result.duplicates
        if result.conflicts:
            self._keep_differences(batch, result, builder)

    def _keep_differences(self, batch: Sequence[LogEntry], result: AppendResult, builder: ReportBuilder) -> None:
        report = builder.report
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
            differences += self._add(additions, sources, builder)
        if differences:
            self._log.append(differences)

    def _add(self, additions: Sequence[LogEntry], sources: Sequence[int], builder: ReportBuilder) -> list[LogEntry]:
        """Append additions to observations, count their sources, and return the differences that this brings out."""
        result = self._log.append(additions)
        outcomes: defaultdict[int, set[str]] = defaultdict(set)
        taken = {conflict.index for conflict in result.conflicts}
        kept = set(range(len(additions)) if result.kept is None else result.kept)
        for place, source in enumerate(sources):
            outcomes[source].add("conflict" if place in taken else "new" if place in kept else "known")
        for found in outcomes.values():
            builder.report.conflicts += "conflict" in found
            builder.report.appended += found <= {"new", "known"} and "new" in found
            builder.report.duplicates += found == {"known"}
        differences = []
        for conflict in result.conflicts:
            (ours,) = read(additions[conflict.index][0])
            differences.append(_live(_difference(ours, self._stamped(conflict.seq)[1], conflict.seq)))
        return differences

    def _stamped(self, seq: int) -> tuple[int, Event]:
        """(known_at, event) of an event in the log."""
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
    """The values of an observation that `ours` gives and `first`, in the log as `seq`, does not; None if the two
    contradict each other."""
    if isinstance(ours, InstrumentListed) and isinstance(first, InstrumentListed):
        return [] if ours == without_rules(first) else None  # older versions put the rules into the listing
    if isinstance(ours, FundingSettled) and isinstance(first, FundingSettled):
        if ours.rate != first.rate or 0.0 not in (ours.interval_hours, first.interval_hours):
            return None
        revised = _difference(ours, first, seq)
        return [(revised, _key(revised))] if ours.interval_hours else []
    if isinstance(ours, BarClosed) and isinstance(first, BarClosed):
        return _added_to_bar(ours, first)
    return None


def _added_to_bar(ours: BarClosed, first: BarClosed) -> list[tuple[Event, bytes]] | None:
    added: list[tuple[Event, bytes]] = []
    for number, (name, missing) in enumerate(_BAR_VALUES):
        value, in_log = getattr(ours, name), getattr(first, name)
        if value in (missing, in_log):
            continue
        if in_log != missing:
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
    """The numbers of an event apart from its identity, in the order of its fields; -1 for one that is not given."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name not in _IDENTITY and (value is None or isinstance(value, (int, float))):
            yield -1.0 if value is None else float(value)
