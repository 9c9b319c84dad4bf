"""A daemon that is stopped before it has started."""

import asyncio
import threading
from pathlib import Path

import pytest

from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settlements import SettlementCollector
from carryfold.adapters.daemon.tasks import in_thread
from carryfold.eventlog import verify
from tests.adapters.daemon.world import exchange, kinds_of, run, settings_for, verify_all


def test_a_stop_before_anything_began_ends_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            await run_daemon(tmp_path, settings_for(venue), signals=False, started=lambda daemon: daemon.stopping.set())

    run(work())
    assert verify(tmp_path).ok
    assert "RunArmed" not in kinds_of(tmp_path)


def test_a_stop_while_settlements_are_fetched_ends_the_runs_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Daemon] = []

    async def never(_: object) -> None:
        begun[0].stopping.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(SettlementCollector, "fill_gaps", never)

    async def work() -> None:
        async with exchange() as venue:
            await run_daemon(tmp_path, settings_for(venue), signals=False, started=begun.append)

    run(work())
    assert kinds_of(tmp_path)[-2:] == ["RunStarted", "RunStopped"]
    assert verify_all(tmp_path)[0].identical


def test_a_thread_that_works_on_the_log_is_waited_for_by_whoever_is_cancelled() -> None:
    entered, go, over = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert go.wait(10.0)
        over.set()

    async def work() -> bool:
        task = asyncio.ensure_future(in_thread(slow))
        await asyncio.to_thread(entered.wait, 10.0)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, go.set)
        await asyncio.gather(task, return_exceptions=True)
        return over.is_set() and task.cancelled()

    assert run(work())
