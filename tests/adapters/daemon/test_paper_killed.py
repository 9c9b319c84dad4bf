"""kill -9, again and again: the log is intact, the run continues, no decision is lost or repeated. (F01)"""

import random
import signal
from pathlib import Path

import pytest

from carryfold.domain.events import EntryDecided, ExitDecided, RunArmed, RunStarted, RunStopped
from carryfold.eventlog import verify
from tests.adapters.daemon.processes import daemon_process, exchange_process, wait_for_seq, write_config
from tests.adapters.daemon.world import events_of, verify_all

SPEED = 300.0
CHOICE = (
    "--pairs", "top:6", "--set", "enter=0.00002", "--set", "exit=0.00001", "--set", "max_positions=6",
    "--set", "rate_source=blend",
)  # fmt: skip


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)  # fmt: skip
def test_f01_a_paper_daemon_that_is_killed_takes_its_run_up_again(tmp_path: Path, rounds: int) -> None:
    home, chance = tmp_path / "home", random.Random(rounds)
    write_config(home, "[recording]\nquote_s = 2.0\nestimate_s = 10.0\n")
    numbers = []
    with exchange_process(SPEED) as endpoint:
        for _ in range(rounds):
            with daemon_process(home, endpoint, SPEED, *CHOICE) as process:
                if chance.random() < 0.8:
                    armed = process.line(event="armed")
                    numbers.append(armed["runs"])
                    wait_for_seq(home, armed["seq"] + chance.randrange(1, 300))
                else:  # somewhere between the first write and being armed
                    wait_for_seq(home, chance.randrange(1, 4))
                process.send(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            report = verify(home)
            assert report.ok, report.error
        with daemon_process(home, endpoint, SPEED, *CHOICE) as process:
            armed = process.line(event="armed")
            wait_for_seq(home, armed["seq"] + 200)
            process.send(signal.SIGTERM)
            assert process.wait() == 0, process.texts

    started = events_of(home, RunStarted)
    assert len(started) == 1
    assert {tuple(runs) for runs in numbers} <= {(started[0][0],)}
    assert isinstance(events_of(home)[-1][2], RunStopped)
    assert len(events_of(home, RunArmed)) >= rounds // 2
    decided = [event for _, _, event in events_of(home, EntryDecided, ExitDecided)]
    assert decided
    assert len({(event.event_at, event.pair, type(event)) for event in decided}) == len(decided)
    (found,) = verify_all(home)
    assert found.identical, found
    assert found.recorded_state_hash == found.state_hash
