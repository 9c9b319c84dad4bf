"""What differs between venues and is no matter of their API: the rules of their funding, orders and history."""

from __future__ import annotations

from typing import Literal

import msgspec

from carryfold.domain.premium import FundingFormula

__all__ = ["ClientIds", "VenueFacts"]


class ClientIds(msgspec.Struct, frozen=True):
    """The client ids of orders. `pattern` is the regular expression of every id that the venue takes. `reuse`: when an
    id that has been used names a new order; only with `never` may a lost order be recognised by a second one."""

    pattern: str
    reuse: Literal["never", "after the order has ended", "unknown"]


class VenueFacts(msgspec.Struct, frozen=True):
    """The rules of one venue. Times in seconds.

    `funding_price`: the price that a funding payment is computed with. `intervals_hours` are the settlement intervals
    that occur. A settlement's stamp is at most `settlement_jitter_s` off its nominal time. A position opened or closed
    within `settlement_edge_s` of a settlement may or may not take part in it. For `quiet_s` after a settlement the
    running estimate is not that of the new interval. `receive_window_s` is how long a signed request stays valid:
    after it, a delayed order can no longer arrive. `account`: whether spot and perpetuals share one balance.
    `spot_fee_coin`: the coin in which the fee of a spot purchase is taken. `bar_minutes` are the lengths of candles.
    """

    funding: FundingFormula
    funding_price: Literal["mark", "oracle"]
    intervals_hours: tuple[int, ...]
    settlement_jitter_s: float
    settlement_edge_s: float
    quiet_s: float
    receive_window_s: float
    client_ids: ClientIds
    account: Literal["unified", "split"]
    quote_coin: str
    spot_fee_coin: Literal["received", "quote"]
    bar_minutes: tuple[int, ...]

    @property
    def intervals_ms(self) -> frozenset[int]:
        """The settlement intervals in milliseconds."""
        return frozenset(hours * 3_600_000 for hours in self.intervals_hours)
