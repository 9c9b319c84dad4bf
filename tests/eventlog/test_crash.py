"""F01: the writer is killed at any instant, again and again. All acknowledged events are there, in order."""

from __future__ import annotations

import random
import time
from pathlib import Path

import msgspec
from tests.eventlog.conftest import Spawn

from carryfold.eventlog import EventLog, LogReader, verify

ROUNDS = 50


def test_f01_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_append(home: Path, spawn: Spawn) -> None:
    chance = random.Random(1)
    checked = 0
    for round_number in range(ROUNDS):
        acknowledged = _run_and_kill(home, spawn, round_number, chance)

        with LogReader.open(home) as reader:
            last = reader.last.seq
            assert last >= acknowledged
            assert last >= checked
            _check_whole_appends(reader, checked, last)
            checked = last
    report = verify(home)
    assert (report.ok, report.head_seq) == (True, checked)
    with EventLog.open(home) as log:
        assert log.append([(msgspec.msgpack.encode("still alive"),)]).first_seq == checked + 1


def _run_and_kill(home: Path, spawn: Spawn, seed: int, chance: random.Random) -> int:
    child = spawn("append_forever.py", home, seed)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for _ in range(chance.randrange(1, 12)):
        child.stdout.readline()
    until = time.perf_counter() + chance.random() * 0.004
    while time.perf_counter() < until:  # busy waiting, to hit an instant within a commit
        pass
    child.kill()
    acknowledged = [int(line) for line in child.stdout.read().splitlines()]
    child.wait()
    return acknowledged[-1] if acknowledged else 0


def _check_whole_appends(reader: LogReader, after: int, last: int) -> None:
    """Each append wrote [seed, serial, index, size] for every index below size, with a key on the odd ones."""
    events: list[list[int]] = []
    expected_first = after + 1
    for batch in reader.read(after):
        assert batch.first_seq == expected_first
        expected_first = batch.last_seq + 1
        events += [event for _, event in msgspec.msgpack.decode(batch.payload, type=list[tuple[int, list[int]]])]
    assert expected_first == last + 1
    at = 0
    while at < len(events):
        seed, serial, index, size = events[at]
        assert index == 0
        assert events[at : at + size] == [[seed, serial, one, size] for one in range(size)]
        for one in range(1, size, 2):
            assert reader.find_key(f"{seed}/{serial}/{one}".encode()) == after + at + one + 1
        at += size
