"""One websocket against a server that refuses, closes and talks nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from carryfold.adapters.bybit.client import release
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.sockets import Socket, batches
from carryfold.adapters.venues import Credentials, VenueError
from tests.adapters.bybit.test_streams import at_once
from tests.adapters.bybit.venue import run

Answer = Callable[[dict[str, Any]], list[Any]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[Endpoint, list[dict[str, Any]]]]:
    """A websocket server that answers each request with `answer(request)`, and the requests. None closes it."""
    requests: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            requests.append(json.loads(message.data))
            for reply in answer(requests[-1]):
                if reply is None:
                    await socket.close()
                else:
                    await socket.send_str(reply if isinstance(reply, str) else json.dumps(reply))
        return socket

    app = web.Application()
    app.router.add_get("/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Endpoint.at(f"http://127.0.0.1:{runner.addresses[0][1]}"), requests
    finally:
        await runner.cleanup()


def good(request: dict[str, Any]) -> list[Any]:
    """An acknowledgement, and a message of each topic."""
    topics = [{"topic": topic, "data": {}} for topic in request.get("args", [])]
    return [{"success": True, "op": request["op"], "req_id": request.get("req_id"), "ret_msg": ""}, *topics]


class Seen:
    """The calls that a socket made."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def follow(
        self,
        endpoint: Endpoint,
        topics: list[list[str]],
        until: str,
        and_then: Callable[[Socket], object] = lambda _: True,
        **options: Any,
    ) -> Socket:
        """Run a socket until its last call is this one, within ten seconds."""
        socket = Socket(
            endpoint,
            endpoint.ws_linear,
            topics,
            take=lambda message: self.calls.append(message["topic"]),
            up=lambda _: self.calls.append("up"),
            down=lambda why: self.calls.append(f"down: {why}"),
            sleep=at_once,
            **options,
        )
        task = asyncio.ensure_future(socket.run())
        try:
            for _ in range(1_000):
                if self.calls[-1:] == [until] and and_then(socket):
                    return socket
                if task.done():
                    await task
                await asyncio.sleep(0.01)
            raise TimeoutError(str(self.calls))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def subscribed(requests: list[dict[str, Any]]) -> list[list[str]]:
    return [request["args"] for request in requests if request["op"] == "subscribe"]


def test_topics_are_subscribed_in_their_batches_and_up_comes_first() -> None:
    async def work() -> None:
        seen = Seen()
        async with serving(good) as (endpoint, requests):
            await seen.follow(endpoint, [["a", "b"], ["c"]], until="c")
            assert subscribed(requests) == [["a", "b"], ["c"]]
        assert seen.calls == ["up", "a", "b", "c"]

    run(work())


@pytest.mark.parametrize("names_it", [True, False])
def test_a_topic_that_the_venue_refuses_does_not_take_the_others_with_it(names_it: bool) -> None:
    """F27: a pair was delisted, and the venue refuses every request with its topic in it."""

    def answer(request: dict[str, Any]) -> list[Any]:
        if "gone" in request.get("args", []):
            text = "Invalid topic: gone" if names_it else "error"
            more = {} if names_it else {"req_id": request["req_id"]}
            return [{"success": False, "op": "subscribe", "ret_msg": text, **more}]
        return good(request)

    async def work() -> None:
        seen = Seen()
        async with serving(answer) as (endpoint, requests):
            left = [["kept"], ["other"]]
            topics = [["other"], ["kept", "gone"]]
            socket = await seen.follow(
                endpoint,
                topics,
                until="kept",
                and_then=lambda one: one.refused and sorted(subscribed(requests)[-2:]) == left,
            )
            assert socket.refused == {"gone"}
        assert "down: a subscription was refused" in seen.calls

    run(work())


def test_when_every_topic_is_refused_it_ends_in_one_line() -> None:
    def answer(request: dict[str, Any]) -> list[Any]:
        return [{"success": False, "op": "subscribe", "ret_msg": "error", "req_id": request.get("req_id")}]

    async def work() -> None:
        async with serving(answer) as (endpoint, _):
            with pytest.raises(VenueError, match="none of the requested streams"):
                await Seen().follow(endpoint, [["a"]], until="never")

    run(work())


def test_an_account_whose_streams_are_refused_ends_in_one_line() -> None:
    def answer(request: dict[str, Any]) -> list[Any]:
        if request["op"] == "auth":
            return [{"success": True, "ret_msg": "", "op": "auth", "conn_id": "1"}]
        return [{"success": False, "op": "subscribe", "ret_msg": "error", "req_id": request.get("req_id")}]

    async def work() -> None:
        async with serving(answer) as (endpoint, _):
            with pytest.raises(VenueError, match="the key may lack the permission"):
                await Seen().follow(endpoint, [["order"]], until="never", credentials=Credentials("k", "s"))

    run(work())


@pytest.mark.parametrize("nonsense", ["{", '"text"', "[1, 2]", "null", "\x00\xff", None, "17"])
def test_nonsense_and_goodbyes_are_a_gap(nonsense: str | None) -> None:
    """F26."""
    left = 1

    def answer(request: dict[str, Any]) -> list[Any]:
        nonlocal left
        left -= 1
        return [*good(request)[:2], nonsense] if left >= 0 else good(request)

    async def work() -> None:
        seen = Seen()
        async with serving(answer) as (endpoint, _):
            await seen.follow(endpoint, [["a"], ["b"]], until="b")
        assert seen.calls[:2] == ["up", "a"]
        assert [one.split(":")[0] for one in seen.calls].count("down") == 1
        assert seen.calls.count("up") == 2

    run(work())


def test_a_bug_in_the_reader_is_raised_and_not_passed_over() -> None:
    async def work() -> None:
        async with serving(good) as (endpoint, _):

            def broken(message: dict[str, Any]) -> None:
                raise KeyError(message["topic"])

            socket = Socket(
                endpoint, endpoint.ws_linear, [["a"]], take=broken, up=lambda _: None, down=lambda _: None,
                sleep=at_once,
            )  # fmt: skip
            with pytest.raises(KeyError, match="a"):
                await asyncio.wait_for(socket.run(), 10)

    run(work())


def test_a_server_that_is_not_there_is_told_once_and_tried_again() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)
        if len(pauses) == 9:
            raise asyncio.CancelledError

    async def work() -> list[str]:
        calls: list[str] = []
        async with serving(good) as (endpoint, _):
            pass
        socket = Socket(
            endpoint, endpoint.ws_linear, [["a"]], take=lambda _: None, up=lambda _: calls.append("up"),
            down=calls.append, sleep=pause,
        )  # fmt: skip
        with pytest.raises(asyncio.CancelledError):
            await socket.run()
        return calls

    assert len(run(work())) == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0


def test_topics_are_cut_into_batches() -> None:
    assert [list(batch) for batch in batches(["a", "b", "c"], 2)] == [["a", "b"], ["c"]]


def test_an_exchange_is_closed_to_the_end_though_whoever_waits_is_cancelled() -> None:
    class Slow:
        is_closed = False

        async def close(self) -> None:
            await asyncio.sleep(0.05)
            self.is_closed = True

    async def work() -> None:
        slow = Slow()
        task = asyncio.ensure_future(release(slow))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert slow.is_closed

    run(work())
