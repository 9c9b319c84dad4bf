"""Faults on demand or by seed.

A fault has a name, says where it strikes, and how often: the next `count` times after letting `after` pass, each
with a probability. Every fault draws from its own generator, seeded by the exchange's seed and its own place in the
order of injection, once for each request or push that it might strike: the same seed and the same requests bring the
same faults.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec

__all__ = ["NAMES", "Fault", "Faults", "Stage"]

Stage = Literal["before", "after", "order", "push", "connect", "state"]

NAMES: Final[dict[str, tuple[Stage, str]]] = {
    "drop_request": ("before", "the connection breaks before anything is done"),
    "timeout_before": ("before", "nothing is done and nothing is answered for `seconds`, then the connection breaks"),
    "http_error": ("before", "HTTP status `value` (503), nothing is done"),
    "rate_limit": ("before", "retCode 10006, nothing is done"),
    "ip_ban": ("before", "HTTP 403 for `seconds`, nothing is done"),
    "refuse": ("before", "retCode `value` (10016) with `text`, nothing is done"),
    "lose_response": ("after", "it is done, then the connection breaks"),
    "timeout_after": ("after", "it is done, nothing is answered for `seconds`, then the connection breaks"),
    "slow": ("after", "the answer comes `seconds` late"),
    "error_after": ("after", "it is done, but the answer is retCode `value` (10016) with `text`"),
    "create_timeout": ("after", "it is done, but the answer is 170146 on spot and 10000 on linear"),
    "stale": ("after", "the list of the answer is empty"),
    "corrupt": ("after", "the answer is cut in the middle, or has `text` for each number when that is given"),
    "partial_fill": ("order", "no more than the share `value` (0.5) of the order fills at once; 0: none of it"),
    "late_reject": ("order", "the order is accepted, then rejected with `text` (EC_Others)"),
    "disconnect": ("push", "the connection breaks instead of the push"),
    "drop": ("push", "the push is lost"),
    "duplicate": ("push", "the push comes `value` (2) times"),
    "reorder": ("push", "the push comes after the next one"),
    "late": ("push", "the push comes `seconds` of venue time late"),
    "silence": ("push", "nothing that it matches is pushed for `seconds` of venue time; pings are answered"),
    "corrupt_push": ("push", "the push is cut in the middle, or has `text` for each number when that is given"),
    "refuse_connect": ("connect", "a websocket is closed as soon as it opens"),
    "clock_skew": ("state", "the venue's clock is off by `value` ms"),
    "outage": ("state", "HTTP 503 and no websockets for `seconds` of venue time"),
    "switch_interval": ("state", "`symbol` settles every `value` hours from its next settlement on"),
    "delist": ("state", "`symbol` is announced to close in `seconds` of venue time"),
    "adl": ("state", "the share `value` (1) of the position in `symbol` is auto-deleveraged"),
    "revoke_key": ("state", "the key is no longer valid"),
    "hand_trade": ("state", "somebody trades `value` coins of `symbol` on the account by hand, sold < 0"),
    "disconnect_all": ("state", "every websocket breaks"),
}

FOR_EVER: Final = 1 << 62


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault. `where`: an endpoint without /v5/, or a topic; * stands for anything. `category`, `symbol`: only
    requests for these (for state faults, what it is about). `at_s`: for state faults, venue seconds after the start.
    The rest is explained with each name; unset numbers take the default that stands there."""

    name: str
    where: str = "*"
    category: str = ""
    symbol: str = ""
    count: int = 1
    after: int = 0
    probability: float = 1.0
    seconds: float = 30.0
    value: float | None = None
    text: str = ""
    at_s: float = 0.0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"there is no fault '{self.name}'; known: {', '.join(NAMES)}")
        if not 0 <= self.probability <= 1 or self.count < 0 or self.after < 0 or self.seconds < 0 or self.at_s < 0:
            raise ValueError(f"the numbers of the fault '{self.name}' make no sense")

    @property
    def stage(self) -> Stage:
        """At which point it strikes."""
        return NAMES[self.name][0]

    def number(self, default: float) -> float:
        """`value`, or what it is when unset."""
        return default if self.value is None else self.value


class Faults:
    """What will go wrong. `struck` lists (name, where) of all that did."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._active: list[tuple[Fault, random.Random]] = []
        self._injected = 0
        self.struck: list[tuple[str, str]] = []

    def inject(self, name: str, **details: Any) -> Fault:
        """Arm a fault; see Fault for the details. Raises ValueError for one that makes no sense."""
        try:
            fault = msgspec.convert({"name": name, **details}, Fault)
        except msgspec.ValidationError as error:
            raise ValueError(f"fault '{name}': {error}") from None
        if "count" not in details and "probability" in details:
            fault.count = FOR_EVER
        self._active.append((fault, random.Random(f"{self._seed}/{self._injected}/{name}")))  # noqa: S311 - repeatable
        self._injected += 1
        return fault

    def clear(self) -> None:
        """Disarm everything."""
        self._active.clear()

    def strike(self, stage: Stage, where: str, params: Mapping[str, Any]) -> Fault | None:
        """The first fault that strikes here, counted, or None."""
        for fault, random_ in self._active:
            if fault.stage != stage or not fault.count or not _matches(fault, where, params):
                continue
            if fault.after:
                fault.after -= 1
                continue
            if fault.probability < 1 and random_.random() >= fault.probability:
                continue
            fault.count -= 1
            fault.struck += 1
            self.struck.append((fault.name, where))
            return fault
        return None

    def due(self, since_start_s: float) -> list[Fault]:
        """State faults whose time has come, counted."""
        found = [
            fault for fault, _ in self._active if fault.stage == "state" and fault.count and fault.at_s <= since_start_s
        ]
        for fault in found:
            fault.count = 0
            fault.struck += 1
            self.struck.append((fault.name, fault.symbol))
        return found


def _matches(fault: Fault, where: str, params: Mapping[str, Any]) -> bool:
    return (
        fnmatchcase(where, fault.where)
        and fault.category in ("", params.get("category"))
        and fault.symbol in ("", params.get("symbol"))
    )
