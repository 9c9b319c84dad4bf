"""A live restart from snapshots: it reads nothing of the log before them, and trades on."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryfold.domain.events import RunStarted
from carryfold.eventlog import LogReader
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import exchange, run, trading_on
from tests.adapters.daemon.test_start_snapshots import Counter
from tests.adapters.daemon.world import events_of


def test_a_live_restart_reads_the_end_of_the_log_alone_and_closes_what_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.open()
                held = session.figure("held")
            with LogReader.open(tmp_path) as reader:
                ended = reader.last.seq
                batches = sum(1 for _ in reader.read())
            counter = Counter(monkeypatch)
            async with trading_on(venue, tmp_path, halted=False) as session:
                assert session.figure("held") == held > 0
                assert len([seq for seq in counter.seqs if seq <= ended]) <= 3 < batches / 10
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    assert len(events_of(tmp_path, RunStarted)) == 1
