"""Fault injection.

A fault is triggered the next `count` times it matches, after `after` matches have passed, each time with its
probability. Every fault has its own random generator, seeded by the exchange's seed, its place in the order of
injection and its name, and draws once per match. The same seed and the same requests therefore trigger the same faults.
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
    "drop_request": ("before", "the connection breaks before the request is executed"),
    "timeout_before": (
        "before",
        "the request is not executed; the connection breaks after `seconds` without an answer",
    ),
    "http_error": ("before", "HTTP status `value` (503); the request is not executed"),
    "rate_limit": ("before", "retCode 10006; the request is not executed"),
    "ip_ban": ("before", "HTTP 403 for `seconds`; the request is not executed"),
    "refuse": ("before", "retCode `value` (10016) with `text`; the request is not executed"),
    "lose_response": ("after", "the request is executed, then the connection breaks"),
    "timeout_after": ("after", "the request is executed; the connection breaks after `seconds` without an answer"),
    "slow": ("after", "the answer is delayed by `seconds`"),
    "error_after": ("after", "the request is executed, but the answer is retCode `value` (10016) with `text`"),
    "create_timeout": (
        "after",
        "the request is executed, but the answer is retCode 170146 on spot and 10000 on linear",
    ),
    "stale": ("after", "the list of the answer is empty"),
    "corrupt": ("after", "the answer is cut in half; with `text`, every number in it becomes that text instead"),
    "partial_fill": ("order", "at most the share `value` (0.5) of the order fills at once; with 0 none of it"),
    "late_reject": ("order", "the order is accepted, then rejected with `text` (EC_Others)"),
    "disconnect": ("push", "the connection breaks instead of the push"),
    "drop": ("push", "the push is lost"),
    "duplicate": ("push", "the push is sent `value` (2) times"),
    "reorder": ("push", "the push is sent after the next one"),
    "late": ("push", "the push is delayed by `seconds` of venue time"),
    "silence": ("push", "matching topics push nothing for `seconds` of venue time; pings are still answered"),
    "corrupt_push": ("push", "the push is cut in half; with `text`, every number in it becomes that text instead"),
    "refuse_connect": ("connect", "a websocket is closed as soon as it is opened"),
    "clock_skew": ("state", "the venue's clock is off by `value` ms"),
    "outage": ("state", "HTTP 503 for `seconds` of venue time; every websocket breaks"),
    "switch_interval": ("state", "`symbol` settles every `value` hours from its next settlement on"),
    "delist": ("state", "the delisting of `symbol` in `seconds` of venue time is announced"),
    "adl": ("state", "the share `value` (1) of the position in `symbol` is auto-deleveraged"),
    "revoke_key": ("state", "the key is no longer valid"),
    "hand_trade": ("state", "the account trades `value` coins of `symbol` (sold < 0) outside the bot"),
    "disconnect_all": ("state", "every websocket breaks"),
}

FOR_EVER: Final = 1 << 62


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault. Raises ValueError for an unknown name or impossible numbers.

    `where`: an endpoint without /v5/, or a topic, with * and ? as wildcards. `category`, `symbol`: only matching
    requests and pushes; for state faults, their target. `at_s`: for state faults, venue seconds after the start.
    `seconds`, `value`, `text`: see the fault's description; an unset `value` takes the default given there.
    `triggered`: how often it was triggered.
    """

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
    triggered: int = 0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown fault '{self.name}'; known faults: {', '.join(NAMES)}")
        if not 0 <= self.probability <= 1 or self.count < 0 or self.after < 0 or self.seconds < 0 or self.at_s < 0:
            raise ValueError(f"fault '{self.name}': a number is out of range")

    @property
    def stage(self) -> Stage:
        """The point of processing at which it is triggered."""
        return NAMES[self.name][0]

    def number(self, default: float) -> float:
        """`value`, or the default when it is unset."""
        return default if self.value is None else self.value


class Faults:
    """The armed faults. `triggered` lists (name, where) of every fault triggered so far."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._active: list[tuple[Fault, random.Random]] = []
        self._injected = 0
        self.triggered: list[tuple[str, str]] = []

    def inject(self, name: str, **details: Any) -> Fault:
        """Arm a fault; `details` are fields of Fault. Raises ValueError for an invalid one."""
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
        """Disarm all faults."""
        self._active.clear()

    def trigger(self, stage: Stage, where: str, params: Mapping[str, Any]) -> Fault | None:
        """The first armed fault that is triggered here, counted, or None."""
        for fault, random_ in self._active:
            if fault.stage != stage or not fault.count or not _matches(fault, where, params):
                continue
            if fault.after:
                fault.after -= 1
                continue
            if fault.probability < 1 and random_.random() >= fault.probability:
                continue
            fault.count -= 1
            fault.triggered += 1
            self.triggered.append((fault.name, where))
            return fault
        return None

    def due(self, since_start_s: float) -> list[Fault]:
        """State faults that are due, counted."""
        found = [
            fault for fault, _ in self._active if fault.stage == "state" and fault.count and fault.at_s <= since_start_s
        ]
        for fault in found:
            fault.count = 0
            fault.triggered += 1
            self.triggered.append((fault.name, fault.symbol))
        return found


def _matches(fault: Fault, where: str, params: Mapping[str, Any]) -> bool:
    return (
        fnmatchcase(where, fault.where)
        and fault.category in ("", params.get("category"))
        and fault.symbol in ("", params.get("symbol"))
    )
