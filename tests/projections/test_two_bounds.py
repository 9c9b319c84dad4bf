"""One order, two bounds: a cursor on a long log is the whole of a shorter one, and a live fold is its replay.

Logs here are random mixtures of backfills, late rows, live commits, outcomes of several runs and clock steps.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.projections.tape_logs import ticking

from carryfold.domain import events as ev
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.domain.fold import State, simulate
from carryfold.domain.instruments import Instrument, Legs
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows, row_values
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.backtest import run_backtest, select_pairs
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape
from carryfold.synthetic import synthetic_events

PARAMS = Parameters(enter=0.00012, exit=0.00005, min_age_d=0, cadence_s=3600)

Appends = list[list[tuple[ev.Event, int | None]]]
WALL = 1_800_000_000 * 10**9


def at_another_venue(event: ev.Event) -> ev.Event:
    """The same instrument elsewhere: a little dearer, and with rates of its own."""
    if not isinstance(event, ev.InstrumentEvent):
        return event
    changes: dict[str, Any] = {"venue": "another"}
    for name in ("bid", "ask", "close", "mark", "rate"):
        if hasattr(event, name):
            changes[name] = getattr(event, name) * (0.4 if name == "rate" else 1.0005)
    return msgspec.structs.replace(event, **changes)


def mixed_history(seed: int, legs: Legs = "carry") -> Appends:
    """A small market cut into appends: most in known order, some held back and backfilled at the end, with operation
    events and outcomes of two runs in between. With other `legs` it is at two venues."""
    draw = Random(seed)
    events = list(synthetic_events(seed, pairs=4, days=15, predictions=True, unpriced=1))
    if legs != "carry":
        events += [(at_another_venue(event), known_at) for event, known_at in events]
        events.sort(key=lambda one: one[1])
    held_back = [one for one in events if draw.random() < 0.1]
    kept = {id(one) for one in held_back}
    appends: Appends = []
    rest: list[tuple[ev.Event, int | None]] = [one for one in events if id(one) not in kept]
    while rest:
        n = draw.randrange(1, 400)
        appends.append(rest[:n])
        rest = rest[n:]
        if draw.random() < 0.3:
            at = appends[-1][-1][1] or 0
            appends.append([(draw.choice(OPERATIONS)(at), None)])
    late: list[tuple[ev.Event, int | None]] = list(held_back)
    draw.shuffle(late)
    for first in range(0, len(late), 50):
        appends.insert(draw.randrange(len(appends) // 2, len(appends) + 1), late[first : first + 50])
    return appends


OPERATIONS: list[Callable[[int], ev.Event]] = [
    lambda at: ev.RunStarted(at, "paper", {}, "code"),
    lambda at: ev.Halted(1, at, "outcome of a run"),
    lambda at: ev.ClockStepped(at, 5 * 10**9),
    lambda at: ev.ClockStepped(at, 0),
    ev.ClockTicked,
    lambda at: ev.FeedLost(at, "linear"),
]


def write(home: Path, appends: Appends, wall: int = WALL) -> None:
    with EventLog.open(home, clock=ticking(wall)) as log:
        for append in appends:
            log.append([(encode(event), event_key(event), known_at) for event, known_at in append])


def folded(home: Path, cursor: Cursor, strategy: str, legs: Legs) -> tuple[str, str, int]:
    """(state hash, decisions hash, number of entries) of a backtest under a cursor."""
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        selection = select_pairs(tape, cursor, legs=legs, carry_across=legs != "carry")
        run = run_backtest(tape, PARAMS.changed({"strategy": strategy}), selection, cursor=cursor)
        return run.state.hash(), run.decisions_hash, int(run.book["entries"])


def cut(home: Path, cursor: Cursor) -> Appends:
    """What a log that ends at the cursor holds, one append."""
    with LogReader.open(home) as reader:
        found: list[tuple[ev.Event, int | None]] = []
        for batch in reader.read():
            for seq, known_at, event in decode_batch(batch.payload, batch.first_seq):
                if cursor.admits(known_at, seq):
                    found.append((event, known_at))
        return [found]


@pytest.mark.parametrize(("seed", "legs"), [*((seed, "carry") for seed in range(6)), (6, "both"), (7, "both")])
@pytest.mark.parametrize("strategy", ["simple", "composite", "hold"])
def test_the_fold_of_a_cursor_is_the_fold_of_a_log_cut_there(
    tmp_path: Path, seed: int, legs: Legs, strategy: str
) -> None:
    appends, draw = mixed_history(seed, legs), Random(f"cut {seed}")
    write(tmp_path / "whole", appends)
    known = sorted(known_at for append in appends for _, known_at in append if known_at)
    with LogReader.open(tmp_path / "whole") as reader:
        last = reader.last.seq
    entries = 0
    for n in range(2):
        as_of = known[draw.randrange(len(known) // 3, len(known))] if draw.random() < 0.7 else NOW.as_of
        cursor = Cursor(as_of, draw.randrange(last // 3, last + 1))
        home = tmp_path / f"cut {n}"
        write(home, cut(tmp_path / "whole", cursor), WALL + 10**12)  # later, so that no known_at is clamped

        found = folded(tmp_path / "whole", cursor, strategy, legs)
        assert found == folded(home, NOW, strategy, legs)
        entries += found[2]
    assert entries > 0 or strategy == "composite"


def as_rows(commit: Sequence[tuple[int, int, ev.Event]], ids: dict[Instrument, int]) -> Rows:
    """What a daemon makes of a commit: its input rows."""
    rows = []
    for known_at, seq, event in commit:
        values = row_values(event)
        if values is None or values[0] >= Kind.ORDER_ACCEPTED:
            continue
        kind, slot, *abc = values
        subject = ids[event.instrument] if isinstance(event, ev.InstrumentEvent) else -1
        rows.append((known_at, event.event_at, seq, subject, kind, slot, *abc))
    return np.array(rows, ROW)


@pytest.mark.parametrize("seed", range(4))
def test_a_live_fold_over_commits_is_the_replay_of_its_cursor(tmp_path: Path, seed: int) -> None:
    """Warm-up from history, then commit by commit as they came, gap fills included; later backfills change nothing."""
    events = list(synthetic_events(seed, pairs=4, days=15))
    draw = Random(seed)
    half = len(events) // 2
    gap = [one for one in events[half:] if draw.random() < 0.05]  # these come in one late commit each fifty
    missed = {id(one) for one in gap}
    write(tmp_path, [list(events[:half])])
    live = [one[0] for one in events[half:] if id(one) not in missed]
    known = {id(one[0]): one[1] for one in events}
    commits: list[list[ev.Event]] = []
    while live:
        n = draw.randrange(1, 9)
        commits.append(live[:n])
        live = live[n:]
    for first in range(0, len(gap), 50):
        commits.insert(draw.randrange(len(commits)), [one[0] for one in gap[first : first + 50]])

    with LogReader.open(tmp_path) as reader:
        tape = Tape.open(tmp_path, reader)
        selection = select_pairs(tape, NOW)
        ids = {one.instrument: i for i, one in enumerate(tape.instruments)}
        warm = [block.copy() for block in tape.blocks()]
    now = [events[half - 1][1] + 10**9]
    clock = Clock(wall=lambda: now[0], monotonic=lambda: now[0])
    decided = 0
    with EventLog.open(tmp_path, clock=clock) as log:
        started = log.append([(encode(ev.RunStarted(WALL, "paper", {}, "code")), None, None)])
        state = State(PARAMS, selection.instruments, selection.pairs, start=started.recorded_at)
        for block in warm:
            simulate(state, block)
        for commit in commits:
            now[0] = max(now[0] + 1, known[id(commit[-1])])
            result = log.append([(encode(event), None, None) for event in commit])
            stamped = [(result.recorded_at, result.first_seq + n, event) for n, event in enumerate(commit)]
            rows = as_rows(stamped, ids)
            if len(rows):
                decided += len(simulate(state, rows).decisions)
        end = log.last
        log.append([(encode(event), event_key(event), at) for event, at in gap])  # hindsight

    with LogReader.open(tmp_path) as reader:
        tape = Tape.open(tmp_path, reader)
        cursor = Cursor(upto_seq=end.seq)
        replay = run_backtest(tape, PARAMS, select_pairs(tape, cursor), cursor=cursor, since=started.recorded_at)

    assert decided > 0
    assert state.hash() == replay.state.hash()
