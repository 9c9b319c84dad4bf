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
from carryfold.domain.codec import BATCH_DECODER, encode, event_key
from carryfold.domain.rows import KIND_OF, KINDS, PAIR_KINDS, Role, Rows, row_values
from carryfold.eventlog import Clock, Entry, EventLog, LogReader
from carryfold.projections import tape_build, tape_merge
from carryfold.projections.cursor import DAY_NS, HOUR_NS, NOW, Cursor

START = 19_000 * DAY_NS
END = START + 4 * DAY_NS  # when everything in a random log is committed

Row = tuple[int, int, int, int, int, int, float, float, float, float]
Stamped = tuple[int, ev.Event]
Append = Sequence[tuple[ev.Event, int | None]]


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
        for seq, (known_at, event) in enumerate(BATCH_DECODER.decode(batch.payload), batch.first_seq)
    ]


def expected_rows(reader: LogReader, cursor: Cursor = NOW) -> list[Row]:
    """What a tape has to hold under a cursor: all events decoded, numbered, sorted and filtered, without cunning."""
    pairs: dict[tuple[str, str, int], int] = {}
    runs = {0: 0}
    rows: list[Row] = []
    for known_at, seq, event in decoded(reader):
        values = row_values(event)
        if isinstance(event, ev.RunStarted):
            runs[seq] = len(runs)
        if values is None:
            continue
        kind, slot, a, b, c, d = values
        row_kind = KIND_OF[type(event)]
        pair = -1
        if row_kind in PAIR_KINDS:
            name = (event.venue, event.symbol, event.listing)  # type: ignore[union-attr]
            pair = pairs.setdefault(name, len(pairs))
        if KINDS[row_kind].role is Role.OUTCOME:
            slot = runs.get(event.run, -1)  # type: ignore[union-attr]
        rows.append((known_at, event.event_at, seq, pair, int(kind), slot, a, b, c, d))
    return sorted((row for row in rows if cursor.admits(row[0], row[2])), key=lambda row: (row[0], row[2]))


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
_pairs = st.tuples(st.sampled_from(["bybit", "other"]), _symbols, st.integers(1, 2))
_rates = st.sampled_from([0.0001, 0.0003, -0.0002, 0.00005])
_prices = st.sampled_from([0.0, 99.0, 100.0, 104.0, 110.0])
_runs = st.integers(0, 12)


def _event(
    pair: tuple[str, str, int], at: int, rate: float, spot: float, perp: float, run: int, which: int
) -> ev.Event:
    """One event of every kind that matters here, chosen by number."""
    order = (run, at, *pair)
    kinds: list[ev.Event] = [
        ev.BarClosed(*pair, at, 60, spot, perp),
        ev.BarClosed(*pair, at, 480, spot, perp, perp, 1e6),
        ev.Quoted(*pair, at, spot, spot, perp, perp),
        ev.FundingSettled(*pair, at, rate),
        ev.FundingSettled(*pair, at, rate, 8.0),
        ev.FundingRevised(*pair, at, rate, 0.0001),
        ev.FundingPredicted(*pair, at, rate, at + 8 * HOUR_NS),
        ev.PairListed(*pair, at, 0.001, 5.0, priced=spot > 0),
        ev.PairChanged(*pair, at, priced=True),
        ev.PairDelisted(*pair, at),
        ev.ObservationCorrected(*pair, at, "BarClosed", (1.0, rate)),
        ev.DataRejected(at, f"{pair[1]}.csv", run + 1, "rate out of range"),
        ev.ClockStepped(at, 2_000_000_000),
        ev.ClockTicked(at),
        ev.RunStarted(at, "paper", {}, "code"),
        ev.OrderFilled(*order, "c1", "f1", "spot", 3, Decimal("1.5"), Decimal("0.01")),
        ev.FundingPaid(*order, at, Decimal("0.25")),
        ev.EntryDecided(*order, 3, Decimal(10)),
        ev.Halted(run, at, "asked"),
    ]
    return kinds[which % len(kinds)]


events = st.builds(_event, _pairs, times, _rates, _prices, _prices, _runs, st.integers(0, 18))
appends = st.lists(st.lists(st.tuples(events, st.none() | times), min_size=1, max_size=12), min_size=1, max_size=6)
cursors = st.builds(Cursor, st.just(NOW.as_of) | times, st.just(NOW.upto_seq) | st.integers(0, 60))
