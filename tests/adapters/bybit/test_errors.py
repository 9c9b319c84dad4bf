"""The table of errors is total over what ccxt can raise, and its texts hold no secrets."""

import inspect
import json

import ccxt
import pytest

from carryfold.adapters.bybit.errors import (
    BY_CLASS,
    BY_CODE,
    ErrorKind,
    RequestRejected,
    classify,
    place_outcome,
    venue_error,
)
from carryfold.adapters.venues import VenueError
from carryfold.domain.execution.reports import Accepted, Rejected, Retry, Unknown

CLASSES = sorted(
    (cls for _, cls in inspect.getmembers(ccxt, inspect.isclass) if issubclass(cls, ccxt.BaseError)),
    key=lambda cls: cls.__name__,
)
KEY = "AbCdEfGhIjKlMnOpQr"


def answer(code: int, message: str) -> str:
    """How ccxt words an error that the venue answered."""
    return "bybit " + json.dumps({"retCode": code, "retMsg": message, "result": {}, "time": 1})


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_that_ccxt_exports_was_judged(cls: type[Exception]) -> None:
    assert cls.__name__ in BY_CLASS, "a new class: decide whether the venue can have done it, and add it to the table"
    assert classify(cls("bybit GET https://api.bybit.com/v5/order/create")).kind is BY_CLASS[cls.__name__]


def test_nothing_is_judged_that_ccxt_does_not_have() -> None:
    assert {cls.__name__ for cls in CLASSES} == set(BY_CLASS)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_whatever_may_have_reached_the_venue_is_no_refusal(cls: type[Exception]) -> None:
    """F13: all of ccxt's OperationFailed may have been done, but for those that the venue sends instead of doing it."""
    refused_unread = (ccxt.RateLimitExceeded, ccxt.DDoSProtection, ccxt.InvalidNonce)
    if issubclass(cls, ccxt.OperationFailed) and not (
        issubclass(cls, refused_unread) and cls is not ccxt.ChecksumError
    ):
        assert isinstance(place_outcome(cls("bybit POST https://api.bybit.com/v5/order/create")), Unknown)


@pytest.mark.parametrize(
    ("cls", "text", "expected"),
    [
        (ccxt.InvalidOrder, answer(110072, "OrderLinkedID is duplicate"), Accepted()),
        (ccxt.InvalidOrder, answer(170141, "Duplicate clientOrderId"), Accepted()),
        (ccxt.InvalidOrder, answer(170146, "Order creation timeout."), Unknown("code 170146: Order creation timeout.")),
        (ccxt.RequestTimeout, answer(170007, "Timeout waiting"), Unknown("code 170007: Timeout waiting")),
        (ccxt.ExchangeError, answer(10000, "Server Timeout"), Unknown("code 10000: Server Timeout")),
        (ccxt.ExchangeError, answer(10016, "Internal error"), Unknown("code 10016: Internal error")),
        (ccxt.ExchangeError, answer(999999, "new"), Unknown("code 999999: new")),
        (ccxt.ExchangeError, answer(30228, "delisting"), Rejected("code 30228: delisting")),
        (ccxt.InsufficientFunds, answer(110007, "no money"), Rejected("code 110007: no money")),
        (ccxt.InvalidOrder, answer(110094, "too small"), Rejected("code 110094: too small")),
        (ccxt.RateLimitExceeded, answer(10006, "Too many visits."), Retry("code 10006: Too many visits.", 1.0)),
        (ccxt.RequestTimeout, "bybit POST https://api.bybit.com/v5/order/create", Unknown("no answer in time")),
        (ccxt.ExchangeNotAvailable, "bybit POST https://x/v5/order/create 502 Bad Gateway <html>", Unknown("HTTP 502")),
        (ccxt.RateLimitExceeded, "bybit POST https://x/v5/order/create 429 Too Many Requests", Unknown("HTTP 429")),
    ],
)
def test_the_venues_code_overrules_the_class(cls: type[Exception], text: str, expected: object) -> None:
    assert place_outcome(cls(text)) == expected


def test_too_many_requests_are_answered_with_a_long_silence() -> None:
    """F23: the venue bans an address for ten minutes."""
    outcome = place_outcome(ccxt.RateLimitExceeded("bybit POST https://x/v5/order/create 403 Forbidden <html>"))

    assert isinstance(outcome, Retry)
    assert outcome.after_s == 600.0


@pytest.mark.parametrize("code", [code for code, kind in BY_CODE.items() if kind is ErrorKind.FATAL])
def test_what_no_order_can_survive_is_an_error_in_one_line(code: str) -> None:
    """F28: the key is wrong, expired or without permission."""
    with pytest.raises(VenueError, match=f"code {code}") as raised:
        place_outcome(ccxt.AuthenticationError(answer(int(code), "no")))

    assert "\n" not in str(raised.value)


def test_no_text_holds_a_key_a_signature_or_an_address() -> None:
    signature = "a1b2c3d4" * 8
    message = f"error sign! origin_string[1700000000000{KEY}5000category=linear]"
    loud = [
        ccxt.AuthenticationError(answer(10004, message)),
        ccxt.ExchangeError(answer(1, message)),
        ccxt.ExchangeError(answer(2, f"key {KEY} sign {signature}")),
        ccxt.RequestTimeout(f"bybit GET https://api.bybit.com/v5/order?api_key={KEY}&sign={signature}"),
        ccxt.ExchangeError(f"bybit {KEY}"),
    ]
    for error in loud:
        for text in (classify(error).reason, str(venue_error(error, "its time"))):
            assert KEY not in text
            assert signature not in text
            assert "https://" not in text


def test_hostile_texts_become_one_short_line() -> None:
    message = "x\ny\x1b[2J " * 1_000

    reason = classify(ccxt.ExchangeError(answer(5, message))).reason

    assert len(reason) < 200
    assert reason.isprintable()


def test_a_rejected_request_is_another_error_than_a_venue_without_an_answer() -> None:
    refused = venue_error(ccxt.BadRequest(answer(10001, "Not supported symbols")), "the rates of X")
    lost = venue_error(ccxt.ExchangeNotAvailable("bybit GET https://x"), "the rates of X")

    assert isinstance(refused, RequestRejected)
    assert str(refused) == "bybit has no answer about the rates of X: code 10001: Not supported symbols"
    assert not isinstance(lost, RequestRejected)
    assert str(lost).startswith("bybit cannot be asked for the rates of X: no connection: check the network")
