"""Logs for the tests of projections: random ones, and the plain-Python truth about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from unittest.mock import patch

from hypothesis import strategies as st

from carryfold.domain import events as ev
from carryfold.domain import legacy
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.domain.instruments import Instrument, Pair, carry_pair, nominal_settlement
from carryfold.domain.rows import KINDS, Kind, Role, Rows, Subject, row_values
from carryfold.eventlog import Clock, Entry, EventLog, LogReader
from carryfold.projections import tape_build, tape_merge
from carryfold.projections.cursor import DAY_NS, HOUR_NS, NOW, Cursor

START = 19_000 * DAY_NS
END = START + 4 * DAY_NS  # when everything in a random log is committed

Row = tuple[int, int, int, int, int, int, float, float, float]
Stamped = tuple[int, ev.Event]
Written = ev.Event | legacy.Legacy
Append = Sequence[tuple[Written, int | None]]


def ticking(wall: int = END) -> Clock:
    """A clock that counts one ns at each look."""
    ticks = count()
    return Clock(wall=lambda: wall, monotonic=lambda: next(ticks))


def append_all(home: Path, appends: Sequence[Append], *, keyed: bool = False) -> None:
    """Append lists of (event, known_at or None: live), one commit each."""
    with EventLog.open(home, clock=ticking()) as log:
        for append in appends:
            log.append([Entry(encode(event), event_key(event) if keyed else None, at) for event, at in append])


def decoded(reader: LogReader) -> list[tuple[int, int, ev.Event]]:
    """(known_at, seq, event) of all events, in seq order."""
    return [
        (known_at, seq, event)
        for batch in reader.read()
        for seq, known_at, event in decode_batch(batch.payload, batch.first_seq)
    ]


def expected_rows(reader: LogReader, cursor: Cursor = NOW) -> list[Row]:
    """What a tape has to hold under a cursor: all events decoded, numbered, sorted and filtered, without cunning."""
    instruments: dict[Instrument, int] = {}
    pairs: dict[Pair, int] = {}
    runs = {0: 0}
    rows: list[Row] = []
    for known_at, seq, event in decoded(reader):
        values = row_values(event)
        if isinstance(event, ev.RunStarted):
            runs[seq] = len(runs)
        if values is None:
            continue
        kind, slot, a, b, c = values
        event_at, subject, spec = event.event_at, -1, KINDS[Kind(kind)]
        if isinstance(event, ev.InstrumentEvent):
            subject = instruments.setdefault(event.instrument, len(instruments))
        elif spec.subject is Subject.PAIR and event.pair is not None:  # type: ignore[union-attr]
            subject = pairs.setdefault(event.pair, len(pairs))  # type: ignore[union-attr]
        if isinstance(event, ev.FundingSettled | ev.FundingRevised):
            event_at = nominal_settlement(event_at)
        if spec.role is Role.OUTCOME:
            slot = runs.get(event.run, -1)  # type: ignore[union-attr]
        rows.append((known_at, event_at, seq, subject, int(kind), slot, a, b, c))
    return sorted((row for row in rows if cursor.admits(row[0], row[2])), key=_tape_order)


def _tape_order(row: Row) -> tuple[float, ...]:
    known_at, event_at, seq, subject, kind, slot, a, b, c = row
    return (known_at, KINDS[Kind(kind)].phase, event_at, subject, kind, -a, b, c, slot, seq)


def listed(blocks: Iterator[Rows]) -> list[Row]:
    """All rows of some blocks as tuples."""
    return [row for block in blocks for row in block.tolist()]


@contextmanager
def small_sizes() -> Iterator[None]:
    """Runs, parts and merge buffers of a few rows, so that small logs meet every seam."""
    with (
        patch.object(tape_merge, "RUN_ROWS", 16),
        patch.object(tape_merge, "MERGE_ROWS", 12),
        patch.object(tape_merge, "_LEAST_TAKEN", 2),
        patch.object(tape_build, "PART_ROWS", 8),
    ):
        yield


# Few distinct times, so that instants hold several rows; close to midnight, so that days are crossed.
times = st.builds(
    lambda day, hour, ns: START + day * DAY_NS + hour * HOUR_NS + ns,
    st.integers(0, 2),
    st.sampled_from([0, 1, 12, 23]),
    st.sampled_from([0, 1, HOUR_NS - 1]),
)
_symbols = st.sampled_from(["BTCUSDT", "ETHUSDT", "DOGEUSDT"])
_names = st.tuples(st.sampled_from(["bybit", "other"]), _symbols, st.integers(1, 2))
_rates = st.sampled_from([0.0001, 0.0003, -0.0002, 0.00005])
_prices = st.sampled_from([0.0, 99.0, 100.0, 104.0, 110.0])
_runs = st.integers(0, 12)


def _event(name: tuple[str, str, int], at: int, rate: float, spot: float, perp: float, run: int, which: int) -> Written:
    """One event of every kind that matters here, of today's classes and of older ones, chosen by number."""
    venue, symbol, listing = name
    long, short = (*Instrument(venue, symbol, "spot"), at), (*Instrument(venue, symbol, "perp", listing), at)
    of_old = (*name, at)
    pair = carry_pair(venue, symbol, listing, symbol)
    kinds: list[Written] = [
        ev.BarClosed(*short, 60, perp, perp, 1e6),
        ev.BarClosed(*long, 60, spot),
        ev.BarClosed(*short, 480, perp),
        ev.Quoted(*short, perp, perp),
        ev.Quoted(*long, spot, spot),
        ev.ActivityObserved(*long, 60, 1e5),
        ev.FundingSettled(*of_old, rate),
        ev.FundingSettled(*of_old, rate, 8.0),
        ev.FundingRevised(*of_old, rate, 0.0001),
        ev.FundingPredicted(*of_old, rate, at + 8 * HOUR_NS),
        ev.InstrumentListed(*short, symbol[:-4], "USDT", 0.001, 5.0),
        ev.InstrumentListed(*long, symbol[:-4], "USDT", 0.001, 5.0),
        ev.InstrumentChanged(*short, lot=0.01),
        ev.InstrumentDelisted(*short),
        ev.ObservationCorrected(*short, "BarClosed", (1.0, rate)),
        ev.DataRejected(at, f"{symbol}.csv", run + 1, "rate out of range"),
        ev.ClockStepped(at, 2_000_000_000),
        ev.ClockTicked(at),
        ev.RunStarted(at, "paper", {}, "code"),
        ev.OrderFilled(run, at, pair, "long", "c1", "f1", 3, Decimal("1.5"), Decimal("0.01")),
        ev.HedgeEnded(run, at, pair, "c", "entry", "done"),
        ev.FundingPaid(run, at, pair, "short", at, Decimal("0.25")),
        ev.ReconciliationCorrected(run, at, None if spot else pair, 0, 0, Decimal(1)),
        ev.EntryDecided(run, at, pair, 3, Decimal(10)),
        ev.Halted(run, at, "asked"),
        ev.FillSimulated(run, at, pair, "funding", 1, {"leg": "short", "amount": 5, "units": 1, "unit": 1.0}),
        ev.OrderIntended(run, at, pair, "long", "c1", "buy", Decimal(3)),
        ev.RunStopped(run, at, "stopped"),
        ev.FeedLost(at, "public", "closed"),
        legacy.PairListed(*of_old, 0.001, 5.0, priced=spot > 0),
        legacy.PairChanged(*of_old, priced=True),
        legacy.PairBarClosed(*of_old, 60, spot, perp),
        legacy.PairFundingPredicted(*of_old, rate, at + 8 * HOUR_NS, 8.0, perp),
        legacy.PairQuoted(*of_old, spot, spot, perp, perp),
        legacy.OldRunStarted(at, "paper", {}, "code"),
        legacy.OldOrderFilled(run, at, *name, "c1", "f1", "spot", 3, Decimal("1.5"), Decimal("0.01"), ended=True),
    ]
    return kinds[which % len(kinds)]


events = st.builds(_event, _names, times, _rates, _prices, _prices, _runs, st.integers(0, 40))
appends = st.lists(st.lists(st.tuples(events, st.none() | times), min_size=1, max_size=12), min_size=1, max_size=6)
cursors = st.builds(Cursor, st.just(NOW.as_of) | times, st.just(NOW.upto_seq) | st.integers(0, 60))
