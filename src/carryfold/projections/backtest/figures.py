"""The figures a backtest reports, with the definitions of docs/semantics.md 7. Amounts are decimals in quote, costs are
positive, ratios are fractions, times RFC 3339; what cannot be said is null, never NaN."""

from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold.codes import HEALTHY
from carryfold.domain.fold.money import account_equity, equity, free_capital, long_pnl, short_pnl, spot_pnl
from carryfold.domain.fold.state import NEVER
from carryfold.domain.records import gate_names
from carryfold.domain.rows import E8
from carryfold.domain.strategies import strategy_named
from carryfold.projections.backtest.equity import daily_equity, sharpe, sharpe_lo, years_between
from carryfold.projections.backtest.remarks import assumptions, basis_modelled, warnings
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS, HOUR_NS, format_time

__all__ = ["Figures", "VenueFigures", "YearFigures", "compute_figures", "ended_legs", "money"]

_BOOKED: Final = ("funding", "long_pnl", "short_pnl", "spot_pnl", "fees", "borrow")
"""What the book and each of its day closes say of the money, in 1e-8."""

_OF_ACCOUNT: Final = (
    "capital", "cash", "borrow", "spot_cost", "spot_value", "perp_pnl", "perp_notional", "margin", "min_free",
    "largest_in", "largest_out",
)  # fmt: skip

Bools = npt.NDArray[np.bool_]


class VenueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A run's account at one venue. equity == cash - spot_cost + spot_value + perp_pnl, and free == cash - spot_cost +
    perp_pnl - margin - pending. `cash`: the capital at the start and everything booked since; `perp_pnl` of open legs;
    `largest_in`: the most that equity stood above its start, which had to be sent away to keep the venues' shares, and
    `largest_out` the most below it, which had to be sent here."""

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
    with spot_pnl + perp_pnl: spot legs are always long, perpetuals on either side. `edge_payments`: those of the
    payments that fell within 5 s of a fill."""

    strategy: str
    params: dict[str, Any]
    legs: str
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


def compute_figures(run: Backtest, hold_return: float | None = None) -> Figures:
    """The figures of a finished run; `hold_return`: hold's return on the same capital and span."""
    book, params = run.book, run.params
    booked = _booked(run)
    net, capital = _net(booked), int(book["capital"])
    assert net == int(equity(book)) - capital, "the parts must add up to the whole"
    gates = gate_names(strategy_named(params.strategy))
    first, last = _span(run)
    years = years_between(first, last) if first is not None and last is not None and last > first else None
    deployed = _mean_deployed_e8(run, first, last)
    idle_cash = params.cash_apr * (years or 0.0) * (capital - deployed)
    daily = daily_equity(run)
    venues = _venues(run)
    return Figures(
        strategy=params.strategy,
        params=msgspec.to_builtins(params),
        legs=params.legs,
        since=None if first is None else format_time(first),
        until=None if last is None else format_time(last),
        years=years,
        rows=int(book["rows"]),
        pairs=len(run.selection.pairs),
        settlements=int(book["settlements"]),
        payments=int(book["payments"]),
        edge_payments=int(book["edge_payments"]),
        no_mark=int(book["no_mark"]),
        gaps=int(book["gaps"]),
        suspect=int(book["suspect"]),
        late=int(book["late"]),
        capital=money(capital),
        net_pnl=money(net),
        **_amounts(booked),
        slippage=money(book["slippage"]),
        liquidations=int(book["liquidations"]),
        liquidation=money(book["liquidation"]),
        liquidation_value=money(capital + net - _closing_cost_e8(run)),
        trades=int(book["trades"]),
        open_positions=int(book["held"]),
        decisions=int(book["decisions"]),
        dropped=int(book["dropped"]),
        refused={gate: int(n) for gate, n in zip(gates, book["refused"].tolist(), strict=False)},
        return_on_capital=net / capital,
        return_on_capital_annual=_annual(net / capital, years),
        return_on_deployed=net / deployed if deployed > 0 else None,
        return_on_deployed_annual=_annual(net / deployed, years) if deployed > 0 else None,
        return_with_idle_cash=(net + idle_cash) / capital,
        return_with_idle_cash_annual=_annual((net + idle_cash) / capital, years),
        mean_deployed=money(round(deployed)),
        hold_return_on_capital=hold_return,
        cash_return_on_capital=None if years is None else params.cash_apr * years,
        max_drawdown=float(book["max_drawdown"]),
        sharpe=sharpe(daily, capital, params.cash_apr),
        sharpe_lo=sharpe_lo(daily, capital, params.cash_apr),
        min_free=min(venue.min_free for venue in venues),
        min_health=min((venue.min_health for venue in venues if venue.min_health is not None), default=None),
        venues=venues,
        basis_modelled=basis_modelled(run),
        pairs_ended=int(np.logical_or(*ended_legs(run)).sum()),
        by_year=_by_year(run, booked),
        decisions_hash=run.decisions_hash,
        state_hash=run.state.hash(),
        rows_per_second=int(book["rows"]) / run.fold_seconds if run.fold_seconds > 0 else None,
        assumptions=assumptions(run),
        warnings=warnings(run, net, hold_return, years, capital),
    )


def _booked(run: Backtest) -> dict[str, int]:
    """What _BOOKED names, at the end of the run."""
    book = run.book
    marked = {"long_pnl": long_pnl(book), "short_pnl": short_pnl(book), "spot_pnl": spot_pnl(book)}
    return {name: int(marked[name] if name in marked else book[name]) for name in _BOOKED}


def _net(booked: dict[str, int]) -> int:
    """Net P&L of what _BOOKED names."""
    return booked["funding"] + booked["long_pnl"] + booked["short_pnl"] - booked["fees"] - booked["borrow"]


def _amounts(booked: dict[str, int]) -> dict[str, Decimal]:
    """The same as decimals, with the P&L of perpetual legs: all that is not of spot legs."""
    perp = booked["long_pnl"] + booked["short_pnl"] - booked["spot_pnl"]
    return {name: money(value) for name, value in (booked | {"perp_pnl": perp}).items()}


def _venues(run: Backtest) -> list[VenueFigures]:
    """The run's accounts by venue, in byte order."""
    return [
        VenueFigures(
            name=name,
            equity=money(account_equity(account)),
            free=money(free_capital(account)),
            pending=money(account["pending_e8"]),
            min_health=None if account["min_health"] >= HEALTHY else float(account["min_health"]),
            **{field: money(account[field]) for field in _OF_ACCOUNT},
        )
        for name, account in zip(run.state.venues, run.state.account, strict=True)
    ]


def _span(run: Backtest) -> tuple[int | None, int | None]:
    """From the run's start (or its first row) to its end (or its last row), ns. A bound more than a day beyond the data
    is none: years without data would thin the annual figures."""
    first, last = run.first_row_at, run.last_row_at
    if first is None or last is None:
        return None, None
    since = run.since if first - run.since <= DAY_NS else first
    until = run.until if run.until is not None and run.until - last <= DAY_NS else last
    return since, until


def _annual(value: float, years: float | None) -> float | None:
    """A return over the span, per year; None for spans under a day."""
    return value / years if years is not None and years > 1 / 365.25 else None


def _mean_deployed_e8(run: Backtest, first: int | None, last: int | None) -> float:
    """Time-weighted mean of spot cost plus the shorts' margin."""
    if first is None or last is None or last <= first:
        return 0.0
    return float(run.book["deployed_e8_h"]) / ((last - first) / HOUR_NS)


def _closing_cost_e8(run: Backtest) -> int:
    """What closing every open leg at the last prices would cost in fees, spread and slippage (without impact)."""
    params, pairs = run.params, run.state.pair
    held = pairs[pairs["held"] != 0]
    bp = params.half_spread_bp + params.slippage_bp
    cost = sum(float((held[f"{leg}_value"] * (bp + held[f"{leg}_bp"])).sum()) for leg in ("long", "short"))
    return round(cost / 1e4)


def ended_legs(run: Backtest) -> tuple[Bools, Bools]:
    """By pair: was the long leg's, the short leg's market gone at the end of the run: delisted, or without a row for
    more than dead_s. The rule is the fold's (decide.ended_legs): a carry pair of one venue ends with both."""
    market, view = run.state.market, run.state.view
    short = view["short"]
    long = np.where(view["long"] < 0, short, view["long"])
    known, delisted = market["market_known_at"], market["delisted"] != 0
    whole = (view["carry"] != 0) & (view["one_venue"] != 0)
    newer = np.maximum(known[long], known[short])
    either = delisted[long] | delisted[short]
    long_ended = np.where(whole, either, delisted[long]) | _is_silent(run, np.where(whole, newer, known[long]))
    short_ended = np.where(whole, either, delisted[short]) | _is_silent(run, np.where(whole, newer, known[short]))
    return long_ended, short_ended


def _is_silent(run: Backtest, known_at: npt.NDArray[np.int64]) -> Bools:
    """What had market rows, and had none for more than dead_s."""
    silent_ns = int(run.book["now"]) - np.maximum(known_at, int(run.book["heard_since"]))
    silent: Bools = (known_at != NEVER) & (silent_ns > run.params.dead_s * 10**9)
    return silent


def _by_year(run: Backtest, final: dict[str, int]) -> list[YearFigures]:
    """The run cut at each New Year (UTC) that it crossed."""
    if run.last_row_at is None:
        return []
    starts = run.days["day"].astype("M8[D]").astype("M8[Y]").astype(int) + 1970
    out: list[YearFigures] = []
    before = dict.fromkeys(_BOOKED, 0)
    first_year = _year_of(run.first_row_at or 0)
    for year in range(first_year, _year_of(run.last_row_at) + 1):
        later = np.flatnonzero(starts > year)
        at_end = {name: int(run.days[name][later[0]]) for name in _BOOKED} if len(later) else final
        part = {name: at_end[name] - before[name] for name in _BOOKED}
        before, earned = at_end, _net(part)
        on_capital = earned / int(run.book["capital"])
        out.append(YearFigures(year=year, net_pnl=money(earned), return_on_capital=on_capital, **_amounts(part)))
    assert sum(y.net_pnl for y in out) == money(_net(final)), "the years must add up to the whole"
    return out


def _year_of(at: int) -> int:
    return int(np.datetime64(at, "ns").astype("M8[Y]").astype(int)) + 1970
