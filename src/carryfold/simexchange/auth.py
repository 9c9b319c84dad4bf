"""Authentication of signed requests: HMAC-SHA256 signature, timestamp window and rights of the key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.request_params import Refused

__all__ = ["Authenticator", "sign"]

_DEFAULT_WINDOW: Final = "5000"
_LONGEST_WINDOW_MS: Final = 60_000
_TRADING: Final = ("/v5/order/create", "/v5/order/cancel", "/v5/order/cancel-all", "/v5/order/amend",
                   "/v5/position/set-leverage", "/v5/position/switch-mode")  # fmt: skip


def sign(secret: str, text: str) -> str:
    """Hex HMAC-SHA256 of a text."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Authenticator:
    """Checks signed requests and websocket logins against the one key."""

    def __init__(self, exchange: Exchange, key: str, secret: str) -> None:
        self._exchange = exchange
        self._key = key
        self._secret = secret

    def check_request(self, headers: Mapping[str, str], path: str, payload: str) -> None:
        """Check a signed request. `payload` is the raw query of a GET or the raw body of a POST. Raises Refused."""
        key = headers.get("X-BAPI-API-KEY", "")
        stamp = headers.get("X-BAPI-TIMESTAMP", "")
        window = headers.get("X-BAPI-RECV-WINDOW", _DEFAULT_WINDOW)
        if not stamp.isdigit() or not window.isdigit():
            raise Refused(10001, "params error: X-BAPI-TIMESTAMP invalid")
        self._check_key(key)
        clock = self._exchange.clock
        if not clock.accepts(int(stamp), min(int(window), _LONGEST_WINDOW_MS)):
            raise Refused(
                10002,
                "invalid request, please check your server timestamp or recv_window param. "
                f"req_timestamp[{stamp}],server_timestamp[{clock.server_time_ms()}],recv_window[{window}]",
            )
        text = stamp + key + window + payload
        if not hmac.compare_digest(sign(self._secret, text), headers.get("X-BAPI-SIGN", "").lower()):
            raise Refused(10004, f"error sign! origin_string[{text}]")
        self.check_rights(path)

    def check_rights(self, path: str) -> None:
        """Raises Refused when the key has no right to call this path."""
        rights = self._exchange.rights
        if path in _TRADING and (rights is None or rights.read_only or not rights.trade):
            raise Refused(10005, "Permission denied, please check your API key permissions.")

    def check_login(self, arguments: Sequence[object]) -> None:
        """Check the arguments of a websocket auth: key, expiry in ms, signature. Raises Refused."""
        if len(arguments) != 3:
            raise Refused(10001, "Params Error")
        key, expires, signature = (str(argument) for argument in arguments)
        self._check_key(key)
        if not expires.isdigit() or self._exchange.clock.expired(int(expires)):
            raise Refused(10002, "Params Error: expires is in the past")
        if not hmac.compare_digest(sign(self._secret, f"GET/realtime{expires}"), signature.lower()):
            raise Refused(10004, "error sign!")

    def _check_key(self, key: str) -> None:
        if key != self._key or self._exchange.rights is None:
            raise Refused(10003, "API key is invalid.")
