"""Messages are handled in order and in time slices. `handle` waits for the clock itself, so nothing is timed."""

import asyncio
import time

import pytest

from carryfold.adapters.bybit import receive_queue as module
from carryfold.adapters.bybit.receive_queue import TIME_SLICE_S, ReceiveQueue


def never() -> None:
    raise AssertionError("there was room")


def slowly(seen: list[str | bytes]) -> "list[str | bytes]":
    """Use up a whole time slice."""
    until = time.perf_counter() + TIME_SLICE_S
    while time.perf_counter() < until:
        pass
    return seen


def test_messages_come_in_order() -> None:
    seen: list[str | bytes] = []

    async def use() -> None:
        inbox = ReceiveQueue(seen.append, never)
        for number in range(1_000):
            inbox.put(str(number))
        while len(inbox):
            await asyncio.sleep(0)

    asyncio.run(use())

    assert seen == [str(number) for number in range(1_000)]


def test_others_have_their_turn_between_two_slices() -> None:
    seen: list[str | bytes] = []
    waited: list[int] = []

    async def use() -> None:
        inbox = ReceiveQueue(lambda data: slowly(seen).append(data), never)
        for number in range(5):
            inbox.put(str(number))
        while len(inbox):
            await asyncio.sleep(0)
            waited.append(len(inbox))

    asyncio.run(use())

    assert len(seen) == 5
    assert waited == [4, 3, 2, 1, 0], "one slow message a turn"


def test_too_many_are_refused_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 3)
    seen: list[str | bytes] = []
    refused: list[bool] = []

    async def use() -> None:
        inbox = ReceiveQueue(seen.append, lambda: refused.append(True))
        for number in range(5):
            inbox.put(str(number))
        await asyncio.sleep(0)

    asyncio.run(use())

    assert (seen, len(refused)) == (["0", "1", "2"], 2)


def test_a_closed_inbox_forgets() -> None:
    seen: list[str | bytes] = []

    async def use() -> None:
        inbox = ReceiveQueue(seen.append, never)
        inbox.put("a message")
        inbox.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(use())

    assert seen == []
