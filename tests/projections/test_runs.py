"""Runs as the log tells them, and what folding one again shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from carryfold.domain import events as ev
from carryfold.domain.codec import encode, event_key
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.instruments import Pair, carry_pair
from carryfold.domain.params import Parameters, parse_settings
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.run_facts import RUN_PROJECTIONS
from carryfold.projections.run_verification import Verification, verify_run
from carryfold.projections.runs import RunError, RunInfo, list_runs, make_state, recorded, refold
from carryfold.projections.tape import Tape

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
T0 = 480_000 * HOUR
A, B, Z = (carry_pair("v", name, spot_symbol=name) for name in "ABZ")
EASY = ("enter=0.0001", "exit=0.00005", "cadence_s=60", "stale_s=600", "latency_ms=0")


class World:
    """A log that is written by hand, at times that are said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = T0

    def append(self, at: int, *events: ev.Event, known_at: int | None = None) -> int:
        """One commit at `at`; the seq of its first event."""
        with EventLog.open(self.home, clock=Clock(lambda: at, lambda: 0)) as log:
            return log.append([(encode(event), event_key(event), known_at) for event in events]).first_seq

    def begin(self, *settings: str, mode: str = "paper", pairs: Sequence[Pair] = (A,)) -> int:
        parameters = msgspec.to_builtins(parse_settings([*EASY, *settings]))
        return self.append(T0 + HOUR, ev.RunStarted(T0 + HOUR, mode, parameters, CODE_DIGEST, "", tuple(pairs)))

    @contextmanager
    def opened(self) -> Iterator[tuple[LogReader, Tape]]:
        with LogReader.open(self.home) as reader:
            yield reader, Tape.open(self.home, reader)

    def infos(self) -> list[RunInfo]:
        with self.opened() as (reader, _):
            return list_runs(reader)

    def verify(self, number: int = 0) -> Verification:
        with self.opened() as (reader, tape):
            return verify_run(reader, tape, list_runs(reader)[number], CODE_DIGEST)

    def record_what_it_makes(self, number: int = 0) -> None:
        """As a daemon would have."""
        with self.opened() as (reader, tape):
            info = list_runs(reader)[number]
            state, outputs = refold(tape, info, tape.last_seq)
            made: list[ev.Event] = []
            for output in outputs:
                made += decisions_recorded(info.run, state, output.decisions)
                made += fills_recorded(info.run, state, output.fills)
        self.append(T0 + 90 * HOUR, *made)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A market that pays well for a day and then no more; a run that has not started."""
    made = World(tmp_path)
    legs = [leg for pair in (A, B) for leg in pair]
    made.append(T0, *(ev.InstrumentListed(*leg, 0, leg.symbol, "USDT", 0.001, 1.0) for leg in legs))
    made.append(T0 + 1, *(ev.FundingSettled("v", name, 1, T0, 5e-4, 8.0) for name in "AB"))
    return made


def live_on(world: World, hours: int = 20) -> None:
    """Quotes each ten minutes; the third settlement is poor."""
    for step in range(hours * 6):
        at = T0 + HOUR + (step + 1) * 600 * SECOND
        events: list[ev.Event] = []
        for pair in (A, B):
            events += [ev.Quoted(*pair.long, at, 100.0, 100.1), ev.Quoted(*pair.short, at, 100.2, 100.3)]
        if step == 42:
            events += [ev.FundingSettled("v", name, 1, T0 + 8 * HOUR, 4e-4, 8.0) for name in "AB"]
        if step == 90:
            events += [ev.FundingSettled("v", name, 1, T0 + 16 * HOUR, 1e-5, 8.0) for name in "AB"]
        world.append(at, *events)


def test_a_run_is_listed_with_what_it_was_started_with_and_where_it_ended(world: World) -> None:
    run = world.begin("notional=500")
    armed = world.append(T0 + 2 * HOUR, ev.RunArmed(run, T0 + 2 * HOUR))
    world.append(T0 + 2 * HOUR + 1, ev.ClockTicked(T0 + 2 * HOUR))
    (info,) = world.infos()

    assert (info.run, info.mode, info.pairs, info.last_seq) == (run, "paper", (A,), armed)
    assert info.started_at == T0 + HOUR
    assert info.parameters.notional == 500.0
    assert info.stopped_at is None
    stopped = world.append(T0 + 3 * HOUR, ev.RunStopped(run, T0 + 3 * HOUR, "stopped", "abc"))
    (info,) = world.infos()
    assert (info.last_seq, info.stopped_at, info.state_hash) == (stopped, T0 + 3 * HOUR, "abc")
    world.append(T0 + 4 * HOUR, ev.RunArmed(run, T0 + 4 * HOUR))
    (info,) = world.infos()
    assert (info.stopped_at, info.state_hash) == (None, ""), "it was taken up again"


def test_runs_are_told_apart_and_events_of_no_run_or_an_unknown_one_belong_to_none(world: World) -> None:
    first, second = world.begin(), world.begin("notional=5")
    world.append(T0 + 2 * HOUR, ev.Halted(0, T0 + 2 * HOUR), ev.RunArmed(999, T0 + 2 * HOUR))

    assert [(info.run, info.last_seq) for info in world.infos()] == [(first, first), (second, second)]


def test_a_run_of_another_version_is_listed_with_the_parameters_that_both_know(world: World) -> None:
    told = msgspec.to_builtins(parse_settings(["notional=700"])) | {"max_unhedged_s": 10.0, "of_tomorrow": "x"}
    world.append(T0, ev.RunStarted(T0, "paper", told, "another", "", ()))
    with LogReader.open(world.home) as reader:
        (info,) = list_runs(reader)
        with pytest.raises(RunError, match="another version"):
            verify_run(reader, Tape.open(world.home, reader), info, CODE_DIGEST)

    assert info.parameters == parse_settings(["notional=700"])


def test_a_run_of_a_strategy_file_that_is_not_named_here_is_listed_and_not_folded(world: World) -> None:
    told = msgspec.to_builtins(parse_settings(["notional=700"])) | {"strategy": "mine", "own": {"patience": 3.0}}
    world.append(T0, ev.RunStarted(T0, "paper", told, CODE_DIGEST, "", (A,)))
    with world.opened() as (reader, tape):
        (info,) = list_runs(reader)
        with pytest.raises(RunError, match=f"run {info.run} cannot be folded: .*no strategy 'mine'"):
            make_state(info, tape.instruments)

    assert (info.parameters.notional, info.parameters.strategy) == (700.0, "simple")


def test_an_event_of_a_kind_that_is_not_known_is_named_with_its_seq(world: World) -> None:
    with EventLog.open(world.home, clock=Clock(lambda: T0 + HOUR, lambda: 0)) as log:
        seq = log.append([(msgspec.msgpack.encode(["Teleported", 1]), None, None)]).first_seq
    with LogReader.open(world.home) as reader, pytest.raises(RunError, match=f"seq {seq} is a Teleported, which"):
        list_runs(reader)


def test_a_run_that_trades_comes_out_again_to_the_bit(world: World) -> None:
    world.begin()
    live_on(world)
    world.record_what_it_makes()
    found = world.verify()

    assert found.identical, found
    assert found.decisions == 2
    assert found.fills >= 3, "an entry, a payment, an exit"
    assert found.first_difference is None


def test_a_state_that_is_not_the_recorded_one_is_not_identical(world: World) -> None:
    run = world.begin()
    live_on(world)
    world.record_what_it_makes()
    world.append(T0 + 91 * HOUR, ev.RunStopped(run, T0 + 91 * HOUR, "stopped", "0" * 32))
    found = world.verify()

    assert not found.identical
    assert found.first_difference is None
    assert found.recorded_state_hash != found.state_hash


@pytest.mark.parametrize("less", ["decisions", "fills"])
def test_a_record_that_is_missing_or_too_many_is_the_first_difference(world: World, less: str) -> None:
    run = world.begin()
    live_on(world)
    with world.opened() as (reader, tape):
        info = list_runs(reader)[0]
        state, outputs = refold(tape, info, tape.last_seq)
        decided: list[ev.Event] = []
        filled: list[ev.Event] = []
        for output in outputs:
            decided += decisions_recorded(run, state, output.decisions)
            filled += fills_recorded(run, state, output.fills)
    (decided if less == "decisions" else filled).pop()
    world.append(T0 + 90 * HOUR, *decided, *filled)
    found = world.verify()

    assert not found.identical
    assert found.first_difference is not None
    assert (found.first_difference.stream, found.first_difference.recorded) == (less, None)
    assert found.first_difference.refolded is not None


def test_what_was_recorded_later_is_hindsight_and_no_fault(world: World) -> None:
    world.begin()
    live_on(world)
    world.record_what_it_makes()
    poor = ev.FundingSettled("v", "A", 1, T0 + HOUR // 2, 1e-6, 8.0)
    world.append(T0 + 92 * HOUR, poor, known_at=T0 + HOUR // 2 + 60 * SECOND)
    found = world.verify()

    assert found.identical
    assert found.hindsight_decisions >= 1
    assert found.hindsight_first_at is not None


def test_another_version_of_the_fold_is_not_judged(world: World) -> None:
    world.begin()
    with world.opened() as (reader, tape), pytest.raises(RunError, match="another version of the fold"):
        verify_run(reader, tape, list_runs(reader)[0], "f" * 64)


def test_a_run_about_a_pair_that_the_log_does_not_have_is_refused(world: World) -> None:
    world.begin(pairs=[Z])
    with world.opened() as (reader, tape), pytest.raises(RunError, match="Z, of which the log knows nothing"):
        make_state(list_runs(reader)[0], tape.instruments)


def test_records_of_other_runs_are_not_taken_for_ones_own(world: World) -> None:
    first, second = world.begin(), world.begin("notional=5")
    exits = [ev.ExitDecided(run, 5, A, 1, "r") for run in (first, second, first)]
    world.append(T0 + 2 * HOUR, *exits)
    with world.opened() as (reader, _):
        assert list(recorded(reader, list_runs(reader)[0])) == [exits[0], exits[2]]


def test_parameters_come_back_as_they_were(world: World) -> None:
    world.begin("rate_source=blend", "enter=0.00012345678901234")
    (info,) = world.infos()

    assert info.parameters == parse_settings([*EASY, "rate_source=blend", "enter=0.00012345678901234"])
    assert isinstance(info.parameters, Parameters)


def test_every_event_that_names_a_run_is_among_the_projections_of_runs() -> None:
    kept = {cls for projection in RUN_PROJECTIONS for cls in projection.events}
    naming = {cls for cls in (*ev.TRADING, *ev.OPERATION) if "run" in cls.__struct_fields__}

    assert kept == naming | {ev.RunStarted}


def test_the_runs_of_a_log_that_grew_are_those_of_one_that_is_read_at_once(world: World, tmp_path: Path) -> None:
    runs = [world.begin(), world.begin("notional=5")]
    events: list[ev.Event] = [
        ev.RunArmed(runs[0], 1), ev.Halted(0, 2), ev.FlattenRequested(runs[1], 3), ev.RunStopped(runs[0], 4, "", "h"),
        ev.ClockTicked(5), ev.Resumed(runs[0], 6), ev.RunStopped(runs[1], 7, "", "i"),
    ]  # fmt: skip
    for number, event in enumerate(events):
        world.append(T0 + (2 + number) * HOUR, event)
        found = world.infos()
        shutil.rmtree(world.home / "derived")
        assert world.infos() == found
    assert [info.state_hash for info in found] == ["", "i"]


def test_a_run_whose_parameters_this_version_refuses_is_listed_with_those_it_accepts(world: World) -> None:
    told: dict[str, object] = msgspec.to_builtins(parse_settings(["notional=700"]))
    told |= {"max_positions": "as many as there are", "strategy": "of tomorrow", "exit": 2.0, "enter": 1.0}
    world.append(T0, ev.RunStarted(T0, "paper", told, CODE_DIGEST, "", ()))
    (info,) = world.infos()

    assert info.problem
    assert (info.parameters.notional, info.parameters.max_positions) == (700.0, Parameters().max_positions)
