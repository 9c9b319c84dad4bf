"""A log that refuses a commit while orders are under way: the daemon ends, and the next start puts things in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from carryfold.domain.events import OrderIntended
from carryfold.eventlog import AnyEntry, AppendResult, EventLog, Follow, LogError
from carryfold.eventlog.entries import Columns
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of


class Refusal(LogError):
    """Fail like a full disk."""


def refuse_from(monkeypatch: pytest.MonkeyPatch, number: int, *, folded: bool) -> None:
    """The commit that is so many after that of the first order, and every one after it, fails: at once, or when it has
    been folded."""
    append = EventLog.append_columns
    done: list[int] = []

    def refuse(follow: Follow, result: AppendResult) -> Sequence[AnyEntry]:
        follow(result)
        raise Refusal("no room")

    def refusing(self: EventLog, groups: Sequence[Columns]) -> list[AppendResult]:
        if done or any(b"OrderIntended" in payload for one in groups for payload in one.payloads):
            done.append(1)
        if len(done) <= number:
            return append(self, groups)
        if folded:
            late = [one._replace(follow=partial(refuse, one.follow)) for one in groups if one.follow is not None]
            append(self, late)
        raise Refusal("no room")

    monkeypatch.setattr(EventLog, "append_columns", refusing)


async def trade_until_it_fails(session: Session) -> None:
    """Open every pair."""
    await session.begin_open()
    await session.until(session.task.done, "a failure")


@pytest.mark.parametrize("folded", [False, True], ids=["at once", "folded"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_f33_a_commit_that_fails_ends_the_daemon_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, folded: bool
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="BTCUSDT")
            with monkeypatch.context() as patched, pytest.raises(LogError):
                async with trading_on(venue, tmp_path, settings) as session:
                    refuse_from(patched, number, folded=folded)
                    await trade_until_it_fails(session)
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                await session.halt()
                await session.until(
                    lambda: session.is_quiet and not session.figure("pending_entries"), "the end of the entry"
                )
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    kinds = [type(event) for _, _, event in events_of(tmp_path)]
    assert OrderIntended in kinds
