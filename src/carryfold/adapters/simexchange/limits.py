"""Rate limits: requests per address, and per second and endpoint for the account. Real time, whatever the venue's
clock does: that is what a client can pace itself by."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, NamedTuple

from carryfold.adapters.simexchange.answers import Refused

__all__ = ["TOO_MANY", "Allowance", "Limits"]

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
    """What is left of an endpoint's limit in this second; `allowed` False: this request was one too many."""

    limit: int
    left: int
    reset_ms: int
    allowed: bool

    def check(self) -> None:
        """Raises Refused when it was one too many."""
        if not self.allowed:
            raise Refused(10006, TOO_MANY)


class Limits:
    """Counts requests."""

    def __init__(self, ip_limit: int, ip_ban_s: float, *, private: bool) -> None:
        self._ip_limit = ip_limit
        self._ip_ban_s = ip_ban_s
        self._private = private
        self._times: deque[float] = deque()
        self._banned_until = 0.0
        self._used: dict[str, tuple[int, int]] = {}

    def admits_address(self) -> bool:
        """Count a request from the address; False while it is banned for having sent too many."""
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
        """Answer HTTP 403 for so long; 0 ends it."""
        self._banned_until = time.monotonic() + seconds
        self._times.clear()

    def take(self, path: str, category: str) -> Allowance:
        """Count a signed request."""
        by_category = _PER_SECOND.get(path, {})
        limit = by_category.get(category, by_category.get("", _DEFAULT))
        second = int(time.time())
        name = f"{path} {category}" if category in by_category else path
        counted, used = self._used.get(name, (second, 0))
        used = used + 1 if counted == second else 1
        self._used[name] = (second, used)
        allowed = used <= limit or not self._private
        return Allowance(limit, max(limit - used, 0), (second + 1) * 1_000, allowed)
