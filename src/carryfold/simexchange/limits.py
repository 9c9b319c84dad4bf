"""Rate limits: requests per address, and requests per second for each endpoint of the account.

Limits count real time, whatever the venue's clock does, because clients pace themselves by real time.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final, NamedTuple

from carryfold.simexchange.request_params import Refused

__all__ = ["TOO_MANY", "Allowance", "RateLimits"]

TOO_MANY: Final = "Too many visits. Exceeded the API Rate Limit."

_IP_WINDOW_S: Final = 5.0
_DEFAULT: Final = 50
_PER_SECOND: Final = {
    "/v5/order/create": {"linear": 10, "spot": 20},
    "/v5/order/cancel": {"linear": 10, "spot": 20},
    "/v5/order/amend": {"linear": 10, "spot": 10},
    "/v5/order/cancel-all": {"linear": 10, "spot": 20},
    "/v5/account/transaction-log": {"": 25},
    "/v5/account/fee-rate": {"": 5},
    "/v5/position/set-leverage": {"": 10},
    "/v5/position/switch-mode": {"": 10},
    "/v5/user/query-api": {"": 10},
    "/v5/asset/coin/query-info": {"": 5},
}


class Allowance(NamedTuple):
    """The state of an endpoint's limit in the running second. `allowed` is False when the request exceeded it."""

    limit: int
    left: int
    reset_ms: int
    allowed: bool

    def check(self) -> None:
        """Raises Refused when the request exceeded the limit."""
        if not self.allowed:
            raise Refused(10006, TOO_MANY)


class RateLimits:
    """Counts requests against the limits."""

    def __init__(self, ip_limit: int, ip_ban_s: float, *, private: bool) -> None:
        self._ip_limit = ip_limit
        self._ip_ban_s = ip_ban_s
        self._private = private
        self._times: deque[float] = deque()
        self._banned_until = 0.0
        self._used: dict[str, tuple[int, int]] = {}

    def admit_address(self) -> bool:
        """Count a request of the address. Returns False while the address is banned for sending too many."""
        now = time.monotonic()
        if now < self._banned_until:
            return False
        self._times.append(now)
        while self._times[0] < now - _IP_WINDOW_S:
            self._times.popleft()
        if self._ip_limit and len(self._times) > self._ip_limit:
            self.ban(self._ip_ban_s)
            return False
        return True

    def ban(self, seconds: float) -> None:
        """Answer every request with HTTP 403 for some seconds; 0 ends the ban."""
        self._banned_until = time.monotonic() + seconds
        self._times.clear()

    def count(self, path: str, category: str) -> Allowance:
        """Count a signed request against its endpoint's limit."""
        by_category = _PER_SECOND.get(path, {})
        limit = by_category.get(category, by_category.get("", _DEFAULT))
        second = int(time.time())
        name = f"{path} {category}" if category in by_category else path
        counted, used = self._used.get(name, (second, 0))
        used = used + 1 if counted == second else 1
        self._used[name] = (second, used)
        allowed = used <= limit or not self._private
        return Allowance(limit, max(limit - used, 0), (second + 1) * 1_000, allowed)
