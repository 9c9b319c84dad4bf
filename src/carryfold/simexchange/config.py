"""The settings of a simulated exchange."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

__all__ = ["KeyRights", "SimConfig"]

MAX_PAIRS = 1_000
SPEED_MAX = 100_000


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """The rights of the API key, as /v5/user/query-api shows them."""

    trade: bool = True
    withdraw: bool = False
    read_only: bool = False


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one exchange. Raises ValueError for values out of range.

    `seed`, `history_days`: the generated market. `replay`: home with a recorded market, used instead.
    `pairs`: number of pairs; 0 means eight, or all recorded ones. A replay takes those with the greatest turnover.
    `start_ms`: venue time at the start; 0 means now, or in a replay a time within the record.
    `speed`: venue seconds per real second; with 0 only `advance` moves the clock.
    `schedule`: symbol -> ((day of the history, interval in hours), ...), changes of the settlement interval.
    `auto_switch`: after a settlement at the cap, a pair settles hourly until it has been calm for a day.
    `closed_history`: whether closed symbols still return their history.
    `balances`: starting balances by coin. Fees are fractions.
    `ip_limit`: requests in 5 s before HTTP 403, 0 for no limit; `ip_ban_s`: duration of the ban in seconds.
    `private_limits`: whether the per-second limits of private endpoints apply.
    `publish_delay_ms`: venue time from a settlement until its row appears in the history.
    `push_ms`: real time between two updates of the streams; `reply_ms`: real delay of private pushes.
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
