"""Asking: repeated while it may help, given up with one line, and never louder than needed."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from carryfold.adapters.bybit.client import MAX_ATTEMPTS, RestClient
from carryfold.adapters.bybit.errors import RequestRejected
from carryfold.adapters.venues import Credentials, VenueError
from tests.adapters.bybit.venue import answering, no_pause, run

TIME = "public_get_v5_market_time"
GOOD = {"retCode": 0, "retMsg": "OK", "result": {"timeSecond": "1", "timeNano": "1000000"}, "time": 1}


async def ask(answer: Any, status: int = 200, method: str = TIME, key: Credentials | None = None) -> tuple[str, int]:
    """(what came, or was raised; how many requests)."""
    seen: list[web.Request] = []
    async with answering(answer, status, seen) as endpoint:
        client = RestClient(endpoint, key, rate_limit_ms=1, sleep=no_pause)
        try:
            return str((await client.get(method, {}, "its time")).result), len(seen)
        except VenueError as error:
            return f"{type(error).__name__}: {error}", len(seen)
        finally:
            await client.close()


def refusal(code: int, message: str = "no") -> dict[str, Any]:
    return {"retCode": code, "retMsg": message, "result": {}, "time": 1}


def failing(times: int, failure: Callable[[], web.Response]) -> Callable[[web.Request], Any]:
    """An answer that is good only after so many failures."""
    left = times

    def answer(_: web.Request) -> Any:
        nonlocal left
        left -= 1
        return failure() if left >= 0 else GOOD

    return answer


@pytest.mark.parametrize(
    "failure",
    [
        lambda: web.Response(status=502, text="<html>bad gateway"),
        lambda: web.Response(status=200, text="<html>hello"),
        lambda: web.Response(status=200, text=""),
        lambda: web.json_response([1, 2]),
        lambda: web.json_response({"retCode": 0, "result": None}),
        lambda: web.json_response(refusal(10006)),
        lambda: web.json_response(refusal(10016)),
    ],
)
def test_an_error_that_may_pass_is_retried(failure: Callable[[], web.Response]) -> None:
    text, requests = run(ask(failing(2, failure)))

    assert text == str(GOOD["result"])
    assert requests == 3


def test_a_venue_that_never_answers_well_is_given_up() -> None:
    text, requests = run(ask("<html>", 502))

    assert text.startswith("VenueError: bybit cannot be asked for its time: HTTP 502: check the network")
    assert requests == MAX_ATTEMPTS


def test_an_error_that_a_retry_cannot_change_is_not_retried() -> None:
    for answer, status, expected in (
        (refusal(10001, "Not supported symbols"), 200, "RequestRejected"),
        (refusal(10010), 200, "VenueError: bybit refuses"),
        ("<html>forbidden", 403, "wait ten minutes"),
    ):
        text, requests = run(ask(answer, status))

        assert expected in text
        assert requests == 1, text


def test_no_network_is_one_line() -> None:
    async def nobody() -> str:
        async with answering(GOOD) as endpoint:
            pass  # and gone
        client = RestClient(endpoint, rate_limit_ms=1, sleep=no_pause)
        try:
            with pytest.raises(VenueError) as raised:
                await client.server_time_ms()
            return str(raised.value)
        finally:
            await client.close()

    assert "no connection: check the network" in run(nobody())


def test_a_wrong_clock_is_set_once_and_then_told() -> None:
    """10002 says that the time stamp of a signed request is outside the venue's window."""

    def answer(request: web.Request) -> Any:
        return GOOD if request.path == "/v5/market/time" else refusal(10002, "invalid request, check your timestamp")

    key = Credentials("k", "s")
    text, requests = run(ask(answer, method="private_get_v5_user_query_api", key=key))

    assert "code 10002: the clock of this machine is wrong: let it follow a time server" in text
    assert requests == 3, "the request, the venue's clock, the request again"


def test_a_clock_that_is_only_a_little_off_is_followed() -> None:
    behind = 7_000
    stamps: list[int] = []

    def answer(request: web.Request) -> Any:
        if request.path == "/v5/market/time":
            return {**GOOD, "time": 1_700_000_000_000}
        stamp = int(request.headers["X-BAPI-TIMESTAMP"])
        stamps.append(stamp)
        return GOOD if abs(stamp - 1_700_000_000_000) < behind else refusal(10002)

    text, _ = run(ask(answer, method="private_get_v5_user_query_api", key=Credentials("k", "s")))

    assert text == str(GOOD["result"])
    assert len(stamps) == 2


def test_a_public_client_signs_nothing() -> None:
    seen: list[web.Request] = []

    async def work() -> None:
        async with answering(GOOD, seen=seen) as endpoint:
            client = RestClient(endpoint)
            try:
                assert await client.server_time_ms() == 1
            finally:
                await client.close()

    run(work())

    assert not any(name.upper().startswith("X-BAPI") for request in seen for name in request.headers)


def test_ccxt_cannot_be_made_to_log_signed_headers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run(ask(GOOD, method="private_get_v5_user_query_api", key=Credentials("the-key-of-a-test", "the-secret")))

    assert "the-key-of-a-test" not in caplog.text


def test_a_refused_question_is_its_own_error() -> None:
    assert issubclass(RequestRejected, VenueError)
