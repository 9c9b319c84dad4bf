"""The computation of a run's figures from its book, its account and its days."""

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold.codes import HEALTHY
from carryfold.domain.fold.money import account_equity, equity, free_capital, long_pnl, short_pnl, spot_pnl
from carryfold.domain.fold.state import NEVER
from carryfold.domain.records import gate_names
from carryfold.domain.rows import E8
from carryfold.domain.strategies import strategy_named
from carryfold.projections.backtest.equity import (
    day_closes,
    excess_returns,
    run_span,
    sharpe,
    sharpe_lo,
    years_between,
)
from carryfold.projections.backtest.figures import Figures, VenueFigures, YearFigures, money
from carryfold.projections.backtest.remarks import assumptions, basis_modelled, warnings
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import HOUR_NS, format_time

__all__ = ["compute_figures", "ended_legs"]

_BOOKED: Final = ("funding", "long_pnl", "short_pnl", "spot_pnl", "fees", "borrow")
"""Amounts (1e-8) that both the book and its day closes have."""

_OF_ACCOUNT: Final = (
    "capital", "cash", "borrow", "spot_cost", "spot_value", "perp_pnl", "perp_notional", "margin", "min_free",
    "largest_in", "largest_out",
)  # fmt: skip

Bools = npt.NDArray[np.bool_]


def compute_figures(run: Backtest, hold: Figures | None = None) -> Figures:
    """The figures of a finished run; `hold`: those of hold on the same capital and span."""
    book, params = run.book, run.params
    booked = _booked(run)
    net, capital = _net(booked), int(book["capital"])
    assert net == int(equity(book)) - capital, "the parts must add up to the whole"
    gates = gate_names(strategy_named(params.strategy))
    first, last = run_span(run)
    years = years_between(first, last) if first is not None and last is not None and last > first else None
    deployed = _mean_deployed_e8(run, first, last)
    idle_cash = params.cash_apr * (years or 0.0) * max(0.0, capital - deployed)
    excess = excess_returns(day_closes(run), capital / E8, params.cash_apr)
    venues = _venues(run)
    figures = Figures(
        strategy=params.strategy,
        params=msgspec.to_builtins(params),
        legs=params.legs,
        data_since=None if run.first_row_at is None else format_time(run.first_row_at),
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
        **_amounts(booked),  # type: ignore[arg-type]
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
        hold_return_on_capital=None if hold is None else hold.return_on_capital,
        hold_return_with_idle_cash=None if hold is None else hold.return_with_idle_cash,
        cash_return_on_capital=None if years is None else params.cash_apr * years,
        max_drawdown=float(book["max_drawdown"]),
        sharpe=sharpe(excess),
        sharpe_lo=sharpe_lo(excess),
        min_free=min(venue.min_free for venue in venues),
        min_health=min((venue.min_health for venue in venues if venue.min_health is not None), default=None),
        venues=venues,
        basis_modelled=basis_modelled(run),
        pairs_ended=int(np.logical_or(*ended_legs(run)).sum()),
        by_year=_by_year(run, booked),
        decisions_hash=run.decisions_hash,
        state_hash=run.state.hash(),
        rows_per_second=int(book["rows"]) / run.fold_seconds if run.fold_seconds > 0 else None,
    )
    return msgspec.structs.replace(figures, assumptions=assumptions(run), warnings=warnings(run, figures))


def _booked(run: Backtest) -> dict[str, int]:
    """The amounts of _BOOKED at the end of the run."""
    book = run.book
    marked = {"long_pnl": long_pnl(book), "short_pnl": short_pnl(book), "spot_pnl": spot_pnl(book)}
    return {name: int(marked[name] if name in marked else book[name]) for name in _BOOKED}


def _net(booked: dict[str, int]) -> int:
    """Net P&L of the amounts of _BOOKED."""
    return booked["funding"] + booked["long_pnl"] + booked["short_pnl"] - booked["fees"] - booked["borrow"]


def _amounts(booked: dict[str, int]) -> dict[str, Decimal]:
    """The same as decimals, and the P&L of perpetual legs, which is that of all legs less that of spot legs."""
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


def _annual(value: float, years: float | None) -> float | None:
    """A return over the span, per year; None for spans under a day."""
    return value / years if years is not None and years > 1 / 365.25 else None


def _mean_deployed_e8(run: Backtest, first: int | None, last: int | None) -> float:
    """Time-weighted mean of spot cost plus the shorts' margin."""
    if first is None or last is None or last <= first:
        return 0.0
    return float(run.book["deployed_e8_h"]) / ((last - first) / HOUR_NS)


def _closing_cost_e8(run: Backtest) -> int:
    """The cost of closing every open leg at the last prices: fees, spread and slippage, without impact."""
    params, pairs = run.params, run.state.pair
    held = pairs[pairs["held"] != 0]
    bp = params.half_spread_bp + params.slippage_bp
    cost = sum(float((held[f"{leg}_value"] * (bp + held[f"{leg}_bp"])).sum()) for leg in ("long", "short"))
    return round(cost / 1e4)


def ended_legs(run: Backtest) -> tuple[Bools, Bools]:
    """By pair: had the market of the long leg, had that of the short leg ended by the end of the run? A market has
    ended if it is delisted, or had no row for more than dead_s. The rule is that of the fold (gates.ended_legs)."""
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
    """True where there were market rows, and none for more than dead_s."""
    silent_ns = int(run.book["now"]) - np.maximum(known_at, int(run.book["data_since"]))
    silent: Bools = (known_at != NEVER) & (silent_ns > run.params.dead_s * 10**9)
    return silent


def _by_year(run: Backtest, final: dict[str, int]) -> list[YearFigures]:
    """The run cut at each New Year (UTC) that it crossed."""
    if run.last_row_at is None:
        return []
    starts = run.days["day"].astype("M8[D]").astype("M8[Y]").astype(int) + 1970
    out: list[YearFigures] = []
    before = dict.fromkeys(_BOOKED, 0)
    first_year = _year_of(run_span(run)[0] or 0)
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
