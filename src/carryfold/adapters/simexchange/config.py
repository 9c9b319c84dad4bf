"""What exchange to start."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

__all__ = ["KeyRights", "SimConfig"]

MAX_PAIRS = 1_000
SPEED_MAX = 100_000


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """What the one API key may do, as /v5/user/query-api tells it."""

    trade: bool = True
    withdraw: bool = False
    read_only: bool = False


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to choose.

    `seed`, `history_days`: the made market. `replay`: the home of a recorded one to play instead.
    `pairs`: how many; 0 for eight, or for all that were recorded, else those with most turnover.
    `start_ms`: venue time at the start, 0 for now (in a replay: for a sensible place in the record).
    `speed`: venue seconds a second; 0: the clock stands and only `clock.advance` moves it.
    `schedule`: symbol -> ((day of the history, interval in hours), ...), settlement intervals that were switched.
    `auto_switch`: a settlement at the cap makes a pair settle hourly until it was calm for a day.
    `closed_history`: whether closed symbols still answer for their history.
    `balances`: what the account starts with, by coin; fees are fractions.
    `ip_limit`: requests in 5 s before HTTP 403; `ip_ban_s`: for how long after it; 0 requests: no limit.
    `private_limits`: whether the limits per second of private endpoints hold.
    `publish_delay_ms`: how long after a settlement its row appears in the history, in venue time.
    `push_ms`: how often streams are looked at, in real milliseconds; `reply_ms`: real delay of private pushes.
    """

    seed: int = 7
    pairs: int = 0
    history_days: int = 420
    start_ms: int = 0
    speed: float = 1.0
    replay: Path | None = None
    port: int = 0
    schedule: dict[str, tuple[tuple[int, int], ...]] | None = None
    auto_switch: bool = True
    closed_history: bool = True
    balances: dict[str, Decimal] = msgspec.field(default_factory=lambda: {"USDT": Decimal(100_000)})
    rights: KeyRights = KeyRights()
    spot_taker: Decimal = Decimal("0.001")
    spot_maker: Decimal = Decimal("0.001")
    perp_taker: Decimal = Decimal("0.00055")
    perp_maker: Decimal = Decimal("0.0002")
    ip_limit: int = 600
    ip_ban_s: float = 600.0
    private_limits: bool = True
    publish_delay_ms: int = 3_000
    push_ms: int = 100
    reply_ms: int = 0
    faults: tuple[dict[str, object], ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("the seed must not be negative")
        if not 0 <= self.pairs <= MAX_PAIRS:
            raise ValueError(f"pairs must be 0 to {MAX_PAIRS}")
        if not 2 <= self.history_days <= 4_000:
            raise ValueError("history_days must be 2 to 4000")
        if not 0 <= self.speed <= SPEED_MAX:
            raise ValueError(f"the speed must be 0 to {SPEED_MAX:,}")
        if self.push_ms < 10:
            raise ValueError("push_ms must be at least 10")
