"""The figures a backtest reports, with the definitions of docs/semantics.md 6. Amounts are decimals in quote, costs are
positive, ratios are fractions, times RFC 3339; what cannot be said is null, never NaN."""

import math
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold.codes import F_DELISTED, F_ENDED, HEALTHY
from carryfold.domain.fold.state import GATES
from carryfold.domain.rows import E8
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS, HOUR_NS, format_time

__all__ = ["Figures", "YearFigures", "compute_figures", "daily_equity", "money", "sharpe", "sharpe_lo", "years_between"]

YEAR_NS: Final = 365.25 * DAY_NS
LO_LAGS_MIN: Final = 30


class YearFigures(msgspec.Struct, frozen=True):
    """One calendar year (UTC) of a run."""

    year: int
    net_pnl: Decimal
    funding: Decimal
    spot_pnl: Decimal
    perp_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    return_on_capital: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All reported figures of one run. net_pnl == funding + spot_pnl + perp_pnl - fees - borrow, exactly."""

    strategy: str
    params: dict[str, Any]
    since: str | None
    until: str | None
    years: float | None
    rows: int
    pairs: int
    settlements: int
    payments: int
    no_mark: int
    gaps: int
    suspect: int
    late: int
    capital: Decimal
    net_pnl: Decimal
    funding: Decimal
    spot_pnl: Decimal
    perp_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    slippage: Decimal
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
    basis_modelled: bool | str
    pairs_ended: int
    by_year: list[YearFigures]
    decisions_hash: str
    state_hash: str
    rows_per_second: float | None
    warnings: list[str] = []


def money(amount_e8: Any) -> Decimal:
    """An int64 of 1e-8 quote as a decimal."""
    return Decimal(int(amount_e8)) / E8


def years_between(first: int, last: int) -> float:
    """Years of 365.25 days between two times in ns."""
    return (last - first) / YEAR_NS


def compute_figures(run: Backtest, hold_return: float | None = None) -> Figures:
    """The figures of a finished run; `hold_return`: hold's return on the same capital and span."""
    book, params = run.book, run.params
    spot = int(book["spot_realised"] + book["spot_value"] - book["spot_cost"])
    perp = int(book["perp_realised"] + book["perp_entry"] - book["perp_value"])
    net = int(book["funding"]) + spot + perp - int(book["fees"]) - int(book["borrow"])
    capital = int(book["capital"])
    first, last = _span(run)
    years = years_between(first, last) if first is not None and last is not None and last > first else None
    deployed = _mean_deployed_e8(run, first, last)
    idle_cash = params.cash_apr * (years or 0.0) * (capital - deployed)
    equity = daily_equity(run)
    return Figures(
        strategy=params.strategy,
        params=msgspec.to_builtins(params),
        since=None if first is None else format_time(first),
        until=None if last is None else format_time(last),
        years=years,
        rows=int(book["rows"]),
        pairs=len(run.selection.ids),
        settlements=int(book["settlements"]),
        payments=int(book["payments"]),
        no_mark=int(book["no_mark"]),
        gaps=int(book["gaps"]),
        suspect=int(book["suspect"]),
        late=int(book["late"]),
        capital=money(capital),
        net_pnl=money(net),
        funding=money(book["funding"]),
        spot_pnl=money(spot),
        perp_pnl=money(perp),
        fees=money(book["fees"]),
        borrow=money(book["borrow"]),
        slippage=money(book["slippage"]),
        liquidation=money(book["liquidation"]),
        liquidation_value=money(capital + net - _closing_cost_e8(run)),
        trades=int(book["trades"]),
        open_positions=int(book["held"]),
        decisions=int(book["decisions"]),
        dropped=int(book["dropped"]),
        refused={gate: int(n) for gate, n in zip(GATES, book["refused"], strict=True)},
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
        sharpe=sharpe(equity, capital, params.cash_apr),
        sharpe_lo=sharpe_lo(equity, capital, params.cash_apr),
        min_free=money(book["min_free"]),
        min_health=None if book["min_health"] >= HEALTHY else float(book["min_health"]),
        basis_modelled=_basis_modelled(run),
        pairs_ended=_pairs_ended(run),
        by_year=_by_year(run, net),
        decisions_hash=run.decisions_hash,
        state_hash=run.state.hash(),
        rows_per_second=int(book["rows"]) / run.fold_seconds if run.fold_seconds > 0 else None,
        warnings=_warnings(run, net, hold_return, years, capital),
    )


def daily_equity(run: Backtest) -> npt.NDArray[np.float64]:
    """Equity (e8) at each 00:00 UTC from the first one after the first market row to the end; days without rows repeat
    the last."""
    if len(run.days) == 0 or run.first_row_at is None:
        return np.zeros(0)
    days = run.days["day"]
    every = np.arange(max(int(days[0]), run.first_row_at // DAY_NS + 1), int(days[-1]) + 1)
    out: npt.NDArray[np.float64] = run.days["equity"][np.searchsorted(days, every, side="right") - 1].astype(np.float64)
    return out


def _daily_excess(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> npt.NDArray[np.float64]:
    return np.diff(equity_e8) / capital_e8 - cash_apr / 365


def sharpe(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> float | None:
    """Annual Sharpe ratio of daily changes on capital over cash, flat days included; None below three days or without
    variance."""
    excess = _daily_excess(equity_e8, capital_e8, cash_apr)
    if len(excess) < 3 or _is_flat(equity_e8):
        return None
    deviation = float(excess.std(ddof=1))
    return float(excess.mean()) / deviation * math.sqrt(365) if deviation > 0 else None


def sharpe_lo(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> float | None:
    """The same with the long-run variance (Bartlett weights over at least 30 lags), after Lo (2002): days of a carry
    book are not independent. None below 60 days or without variance."""
    excess = _daily_excess(equity_e8, capital_e8, cash_apr)
    n = len(excess)
    if n < 2 * LO_LAGS_MIN or _is_flat(equity_e8):
        return None
    centred = excess - excess.mean()
    lags = max(LO_LAGS_MIN, math.floor(4 * (n / 100) ** (2 / 9)))
    variance = float(centred @ centred) / n
    for k in range(1, lags + 1):
        variance += 2 * (1 - k / (lags + 1)) * float(centred[k:] @ centred[:-k]) / n
    return float(excess.mean()) / math.sqrt(variance) * math.sqrt(365) if variance > 0 else None


def _is_flat(equity_e8: npt.NDArray[np.float64]) -> bool:
    """Every day alike: there is no variance but that of rounding."""
    return bool(np.ptp(np.diff(equity_e8)) == 0)


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
    spot = float(held["spot_value"].sum()) * (bp + params.spot_taker_bp)
    perp = float(held["perp_value"].sum()) * (bp + params.perp_taker_bp)
    return round((spot + perp) / 1e4)


def _basis_modelled(run: Backtest) -> bool | str:
    priced = run.state.view["priced"][run.selection.ids] != 0
    return "partly" if priced.any() and not priced.all() else bool(priced.all())


def _pairs_ended(run: Backtest) -> int:
    """Selected pairs that were delisted, or whose data ended more than dead_s before the end."""
    views = run.state.view[run.selection.ids]
    seen = views["first_at"] != 0
    dead = seen & (int(run.book["now"]) - views["market_known_at"] > run.params.dead_s * 10**9)
    return int(((views["delisted"] != 0) | dead).sum())


def _by_year(run: Backtest, net: int) -> list[YearFigures]:
    """The run cut at each New Year (UTC) that it crossed."""
    names = ("funding", "spot_pnl", "perp_pnl", "fees", "borrow")
    if run.last_row_at is None:
        return []
    book = run.book
    final = {
        "funding": int(book["funding"]),
        "spot_pnl": int(book["spot_realised"] + book["spot_value"] - book["spot_cost"]),
        "perp_pnl": int(book["perp_realised"] + book["perp_entry"] - book["perp_value"]),
        "fees": int(book["fees"]),
        "borrow": int(book["borrow"]),
    }
    starts = run.days["day"].astype("M8[D]").astype("M8[Y]").astype(int) + 1970
    out: list[YearFigures] = []
    before = dict.fromkeys(names, 0)
    first_year = _year_of(run.first_row_at or 0)
    for year in range(first_year, _year_of(run.last_row_at) + 1):
        later = np.flatnonzero(starts > year)
        at_end = {n: int(run.days[n][later[0]]) for n in names} if len(later) else final
        part = {n: at_end[n] - before[n] for n in names}
        earned = part["funding"] + part["spot_pnl"] + part["perp_pnl"] - part["fees"] - part["borrow"]
        before = at_end
        amounts = {n: money(part[n]) for n in names}
        out.append(YearFigures(year, money(earned), return_on_capital=earned / int(book["capital"]), **amounts))
    assert sum(y.net_pnl for y in out) == money(net), "the years must add up to the whole"
    return out


def _year_of(at: int) -> int:
    return int(np.datetime64(at, "ns").astype("M8[Y]").astype(int)) + 1970


def _warnings(run: Backtest, net: int, hold: float | None, years: float | None, capital: int) -> list[str]:
    """What a careful reader should know before believing the figures."""
    out: list[str] = []
    book, params = run.book, run.params
    ret = net / capital
    if _basis_modelled(run) is not True:
        out.append("some pairs have no prices: their basis, and what it costs or earns, is not modelled")
    if params.strategy != "hold" and hold is not None and ret <= hold:
        out.append("no edge over holding: hold earned as much or more on the same capital")
    if years and ret <= params.cash_apr * years:
        out.append("no edge over cash: the same capital at cash_apr earned as much or more")
    if params.strategy != "hold" and book["decisions"] and book["trades"] < 30:
        out.append(f"only {int(book['trades'])} closed trades: too few to tell skill from luck")
    if params.fill == "same":
        out.append("fill = same trades at the decision's own price, before anybody could have acted on it")
    if book["no_mark"]:
        out.append(
            f"{int(book['no_mark'])} payments could not be priced: no mark at or before the settlement was known"
        )
    if np.isin(run.fills["action"], (F_DELISTED, F_ENDED)).any():
        out.append(f"positions closed by delisting lose {params.delist_haircut:.0%} of their spot leg: an assumption")
    if book["suspect"]:
        out.append(f"{int(book['suspect'])} price rows looked wrong (basis jumped over 3 %) and were not traded on")
    return out
