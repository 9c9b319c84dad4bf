"""What an error of ccxt means for the caller: the one table.

If the venue has certainly done nothing, the error is REJECTED (it never will), RETRY (it may later) or FATAL (nothing
works until a person acts). If it may have carried out the request, the error is UNKNOWN, and only a query can tell. A
class that is not in the table is UNKNOWN; a test walks over every class that ccxt exports, so a person has to classify
a new one.

The venue's own code overrules the class, because ccxt maps some codes to other classes (170146, a time-out, is
InvalidOrder there). Texts hold only the venue's code and message: ccxt puts addresses and whole responses into its
messages, and Bybit echoes the API key when it complains about a signature.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import Final, NamedTuple

from carryfold.adapters.venues import VenueError
from carryfold.domain.execution.reports import Accepted, PlaceOutcome, Rejected, Retry, Unknown

__all__ = [
    "BY_CLASS",
    "BY_CODE",
    "BY_STATUS",
    "ClassifiedError",
    "ErrorKind",
    "RequestRejected",
    "classify",
    "place_outcome",
    "venue_error",
]


class ErrorKind(Enum):
    """How the caller has to go on."""

    REJECTED = "rejected"  # the venue did nothing and never will
    UNKNOWN = "unknown"  # the venue may have carried it out: query it
    RETRY = "retry"  # the venue did nothing; the request may be sent again
    FATAL = "fatal"  # the venue did nothing, and will not until a person changes something
    DUPLICATE = "duplicate"  # the venue has this order already


class ClassifiedError(NamedTuple):
    """The kind of an error with its reason in one line. `after_s`: seconds to wait before a retry. `code`: the venue's
    own, empty where it gave none."""

    kind: ErrorKind
    reason: str
    after_s: float = 0.0
    code: str = ""


_REJECTED, _UNKNOWN, _RETRY, _FATAL, _DUPLICATE = ErrorKind

BY_CLASS: Final[dict[str, ErrorKind]] = {
    "BaseError": _UNKNOWN,
    "ExchangeError": _UNKNOWN,  # ccxt's class for any code it does not know
    "AuthenticationError": _FATAL,
    "PermissionDenied": _FATAL,
    "AccountNotEnabled": _FATAL,
    "AccountSuspended": _FATAL,
    "ArgumentsRequired": _REJECTED,  # raised before anything is sent
    "BadRequest": _REJECTED,
    "BadSymbol": _REJECTED,
    "OperationRejected": _REJECTED,
    "NoChange": _REJECTED,
    "MarginModeAlreadySet": _REJECTED,
    "MarketClosed": _REJECTED,
    "ManualInteractionNeeded": _FATAL,
    "RestrictedLocation": _FATAL,
    "InsufficientFunds": _REJECTED,
    "InvalidAddress": _REJECTED,
    "AddressPending": _REJECTED,
    "InvalidOrder": _REJECTED,
    "OrderNotFound": _REJECTED,
    "OrderNotCached": _REJECTED,
    "OrderImmediatelyFillable": _REJECTED,
    "OrderNotFillable": _REJECTED,
    "DuplicateOrderId": _DUPLICATE,
    "ContractUnavailable": _REJECTED,
    "NotSupported": _REJECTED,
    "InvalidProxySettings": _FATAL,
    "ExchangeClosedByUser": _FATAL,
    "OperationFailed": _UNKNOWN,
    "NetworkError": _UNKNOWN,
    "DDoSProtection": _RETRY,
    "RateLimitExceeded": _RETRY,
    "ExchangeNotAvailable": _UNKNOWN,
    "OnMaintenance": _UNKNOWN,
    "InvalidNonce": _RETRY,  # a time stamp outside the window: refused unread
    "ChecksumError": _UNKNOWN,
    "RequestTimeout": _UNKNOWN,
    "BadResponse": _UNKNOWN,
    "NullResponse": _UNKNOWN,
    "CancelPending": _UNKNOWN,
    "UnsubscribeError": _UNKNOWN,
}

BY_CODE: Final[dict[str, ErrorKind]] = {
    "10000": _UNKNOWN,  # server time-out
    "10001": _REJECTED,
    "10002": _RETRY,  # our clock
    "10003": _FATAL,
    "10004": _FATAL,
    "10005": _FATAL,
    "10006": _RETRY,
    "10007": _FATAL,
    "10008": _FATAL,
    "10009": _FATAL,
    "10010": _FATAL,
    "10014": _UNKNOWN,  # "duplicate request": its twin may be an order
    "10016": _UNKNOWN,
    "10018": _RETRY,
    "10019": _UNKNOWN,
    "10024": _FATAL,
    "10027": _FATAL,
    "10028": _FATAL,
    "10029": _FATAL,
    "10429": _RETRY,
    "30228": _REJECTED,  # no new positions while delisting
    "33004": _FATAL,
    "110072": _DUPLICATE,
    "110079": _UNKNOWN,  # the order is being processed
    "110125": _REJECTED,  # the trading terms were not accepted
    "170007": _UNKNOWN,
    "170141": _DUPLICATE,
    "170146": _UNKNOWN,
    "170147": _UNKNOWN,
}

BY_STATUS: Final[dict[str, ErrorKind]] = {"403": _RETRY, "418": _RETRY, "429": _UNKNOWN}
"""HTTP statuses of answers that are not the venue's own JSON, where ccxt's class says less."""

_AFTER_S: Final = {"10002": 1.0, "10006": 1.0, "10018": 5.0, "10429": 1.0, "HTTP 403": 600.0, "HTTP 418": 600.0}
_USUAL_AFTER_S: Final = 2.0
_ADVICE: Final = {
    "10002": "the clock of this machine is wrong: let it follow a time server",
    "10003": "the API key is wrong, or of another endpoint (mainnet, testnet, demo)",
    "10004": "the API secret does not belong to the key",
    "10005": "the API key lacks a permission: it needs to read, and to trade spot and contracts",
    "10009": "the venue has banned this address",
    "10010": "the API key is bound to another IP address",
    "10024": "the venue does not serve this account or region",
    "33004": "the API key has expired: make a new one",
    "HTTP 403": "too many requests from this address, or a region it does not serve: wait ten minutes",
}
_CODE: Final = re.compile(r'"ret_?[cC]ode"\s*:\s*"?(-?\d+)')
_STATUS: Final = re.compile(r"^bybit (?:GET|POST) \S+ (\d{3}) ")
_SECRETIVE: Final = re.compile(r"[A-Za-z0-9+/_=]{16,}")  # keys, signatures
_MAX_TEXT: Final = 160


def classify(error: BaseException) -> ClassifiedError:
    """What `error`, raised by ccxt or below it, means."""
    text = str(error)
    code = _code(text)
    by_code = BY_CODE.get(code)
    if by_code is not None:
        return ClassifiedError(by_code, _reason(code, text), _AFTER_S.get(code, _USUAL_AFTER_S), code)
    status = "" if code else _status(text)
    by_status = BY_STATUS.get(status)
    name = f"HTTP {status}"
    if by_status is not None:
        return ClassifiedError(by_status, _advised(name), _AFTER_S.get(name, _USUAL_AFTER_S))
    kind = next((BY_CLASS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in BY_CLASS), _UNKNOWN)
    reason = _reason(code, text) if code else name if status else _PLAIN.get(type(error).__name__, "no clear answer")
    return ClassifiedError(kind, reason, _USUAL_AFTER_S, code)


def place_outcome(error: BaseException) -> PlaceOutcome:
    """What is known about an order after `error`. Raises VenueError where no order can work."""
    kind, reason, after_s, _ = classify(error)
    match kind:
        case ErrorKind.REJECTED:
            return Rejected(reason)
        case ErrorKind.UNKNOWN:
            return Unknown(reason)
        case ErrorKind.RETRY:
            return Retry(reason, after_s)
        case ErrorKind.DUPLICATE:
            return Accepted()
        case ErrorKind.FATAL:
            raise VenueError(f"bybit refuses: {reason}") from None


class RequestRejected(VenueError):
    """The venue understood a request for data and has no answer, for example of an unknown symbol."""


def venue_error(error: BaseException, subject: str) -> VenueError:
    """The one line for the user, after the retries of a request for data are used up. `subject`: what was requested."""
    kind, reason, _, code = classify(error)
    if kind is ErrorKind.REJECTED:
        return RequestRejected(f"bybit has no answer about {subject}: {reason}")
    if kind is ErrorKind.FATAL or code:
        return VenueError(f"bybit refuses to tell {subject}: {reason}")
    return VenueError(
        f"bybit cannot be asked for {subject}: {reason}: check the network and the venue's status, try again"
    )


_PLAIN: Final = {
    "AuthenticationError": "the API key was not accepted: it is wrong, expired, or of another endpoint",
    "RequestTimeout": "no answer in time",
    "TimeoutError": "no answer in time",
    "ExchangeNotAvailable": "no connection",
    "NetworkError": "the connection was lost",
    "OnMaintenance": "the venue is under maintenance",
    "BadResponse": "the answer is not what the venue documents",
    "NullResponse": "the answer is empty",
    "ValueError": "the answer is not what the venue documents",
    "TypeError": "the answer is not what the venue documents",
}


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _status(text: str) -> str:
    found = _STATUS.match(text)
    return found[1] if found else ""


def _reason(code: str, text: str) -> str:
    advice = _ADVICE.get(code)
    return f"code {code}: {advice if advice else _message(text)}"


def _advised(name: str) -> str:
    advice = _ADVICE.get(name)
    return f"{name}: {advice}" if advice else name


def _message(text: str) -> str:
    """The venue's own words, without what could be a key."""
    start = text.find("{")
    try:
        answer = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        answer = {}
    said = str(answer.get("retMsg") or answer.get("ret_msg") or "no message") if isinstance(answer, dict) else ""
    plain = " ".join(said.split("origin_string")[0].split())
    shown = "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in plain)
    masked = _SECRETIVE.sub("***", shown)
    return masked[:_MAX_TEXT] or "no message"
