"""The figures that a backtest reports, as docs/semantics.md 7 defines them. Amounts are decimals in quote, costs are
positive, ratios are fractions, times RFC 3339; an unknown figure is null, never NaN."""

from decimal import Decimal
from typing import Any

import msgspec

from carryfold.domain.rows import E8

__all__ = ["Figures", "VenueFigures", "YearFigures", "money"]


class VenueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A run's account at one venue. equity == cash - spot_cost + spot_value + perp_pnl, and free == cash - spot_cost +
    perp_pnl - margin - pending. `cash`: the capital at the start and everything booked since; `perp_pnl` of open legs.
    `largest_in` and `largest_out`: the most by which equity was above and below its start, which is the transfer out of
    the venue or into it that would have restored the venues' shares."""

    name: str
    capital: Decimal
    equity: Decimal
    cash: Decimal
    borrow: Decimal
    spot_cost: Decimal
    spot_value: Decimal
    perp_pnl: Decimal
    perp_notional: Decimal
    margin: Decimal
    pending: Decimal
    free: Decimal
    min_free: Decimal
    min_health: float | None
    largest_in: Decimal
    largest_out: Decimal


class YearFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One calendar year (UTC) of a run."""

    year: int
    net_pnl: Decimal
    funding: Decimal
    long_pnl: Decimal
    short_pnl: Decimal
    spot_pnl: Decimal
    perp_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    return_on_capital: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All reported figures of one run. net_pnl == funding + long_pnl + short_pnl - fees - borrow, exactly, and the same
    with spot_pnl + perp_pnl. `since`, `until`: the span of the figures, which begins when the run could first trade;
    `data_since`: the first market row. `edge_payments`: payments within 5 s of a fill."""

    strategy: str
    params: dict[str, Any]
    legs: str
    data_since: str | None
    since: str | None
    until: str | None
    years: float | None
    rows: int
    pairs: int
    settlements: int
    payments: int
    edge_payments: int
    no_mark: int
    gaps: int
    suspect: int
    late: int
    capital: Decimal
    net_pnl: Decimal
    funding: Decimal
    long_pnl: Decimal
    short_pnl: Decimal
    spot_pnl: Decimal
    perp_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    slippage: Decimal
    liquidations: int
    liquidation: Decimal
    liquidation_value: Decimal
    trades: int
    open_positions: int
    decisions: int
    dropped: int
    refused: dict[str, int]
    return_on_capital: float
    return_on_capital_annual: float | None
    return_on_deployed: float | None
    return_on_deployed_annual: float | None
    return_with_idle_cash: float
    return_with_idle_cash_annual: float | None
    mean_deployed: Decimal
    hold_return_on_capital: float | None = None
    hold_return_with_idle_cash: float | None = None
    cash_return_on_capital: float | None
    max_drawdown: float
    sharpe: float | None
    sharpe_lo: float | None
    min_free: Decimal
    min_health: float | None
    venues: list[VenueFigures]
    basis_modelled: bool | str
    pairs_ended: int
    by_year: list[YearFigures]
    decisions_hash: str
    state_hash: str
    rows_per_second: float | None
    assumptions: list[str] = []
    warnings: list[str] = []


def money(amount_e8: Any) -> Decimal:
    """An int64 of 1e-8 quote as a decimal."""
    return Decimal(int(amount_e8)) / E8
