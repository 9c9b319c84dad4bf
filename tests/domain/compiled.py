"""Runs of the compiled fold, with results in the oracle's format, so that the two can be compared."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from carryfold.domain.fold import Output, State, simulate
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, HEALTHY, LEGS
from carryfold.domain.fold.money import account_equity, equity, free_capital, long_pnl, short_pnl
from carryfold.domain.instruments import Instrument, Pair, carry_pair, pairs_of
from carryfold.domain.params import Parameters
from carryfold.domain.records import gate_names
from carryfold.domain.rows import ROW, Rows
from carryfold.domain.strategies import strategy_named

__all__ = ["carry", "differences", "figures", "fold_rows", "ordered", "run_compiled"]


def carry(*symbols: str, venue: str = "v", priced: bool = True) -> tuple[list[Instrument], list[Pair]]:
    """(instruments, pairs) of one venue: pair n of spot 2n and perpetual 2n + 1. Give the symbols in byte order."""
    assert list(symbols) == sorted(symbols)
    instruments = [Instrument(venue, symbol, kind) for symbol in symbols for kind in ("spot", "perp")]
    return instruments, [carry_pair(venue, symbol, spot_symbol=symbol if priced else None) for symbol in symbols]


def ordered(rows: Iterable[Any] | Rows) -> Rows:
    """Rows, and lists of rows, as an array in known order."""
    if isinstance(rows, np.ndarray):
        array: Rows = rows.copy()
    else:
        array = np.array([row for one in rows for row in (one if isinstance(one, list) else [one])], ROW)
    return array[np.argsort(array["known_at"], kind="stable")]


def fold_rows(
    rows: Rows,
    instruments: Sequence[Instrument],
    pairs: Sequence[Pair],
    params: Parameters,
    *,
    since: int = 0,
    until: int | None = None,
) -> tuple[State, Output]:
    """Simulate ordered rows as a backtest would."""
    state = State(params, instruments, pairs, start=since)
    return state, simulate(state, seen_rows(rows, instruments, pairs, until))


def seen_rows(rows: Rows, instruments: Sequence[Instrument], pairs: Sequence[Pair], until: int | None = None) -> Rows:
    """The rows of the pairs' legs, and of no instrument, before `until`."""
    legs = {leg for pair in pairs for leg in pair}
    kept = np.isin(rows["subject"], [-1, *(i for i, one in enumerate(instruments) if one in legs)])
    if until is not None:
        kept &= rows["known_at"] < until
    found: Rows = rows[kept]
    return found


def run_compiled(case: Any) -> dict[str, Any]:
    """A case of the oracle's generator, through the compiled fold."""
    pairs = case.pairs
    if pairs is None:
        pairs = pairs_of(case.listings, case.params.legs, carry_across=case.params.carry_across)
    instruments = [one.instrument for one in case.listings]
    return figures(*fold_rows(ordered(case.rows), instruments, pairs, case.params, since=case.since, until=case.until))


def figures(state: State, output: Output) -> dict[str, Any]:
    """The figures of the oracle's Result, from the fold's records."""
    b = state.book[0]
    funding = BOOKINGS.index("funding")
    healths = state.account["min_health"]
    return {
        "decisions": [
            (int(d["t"]), state.pairs[d["pair"]], ACTIONS[d["action"]], int(d["lots"]))
            for d in output.decisions
            if ACTIONS[d["action"]] != "refused"
        ],
        "fills": [
            (
                *(int(f["t"]), state.pairs[f["pair"]], BOOKINGS[f["action"]], int(f["units"])),
                *(int(f[n]) for n in ("long_value", "short_value", "long_fee", "short_fee")),
            )
            for f in output.fills
            if f["action"] != funding
        ],
        "payments": [
            (int(f["t"]), int(f["settled_at"]), state.pairs[f["pair"]], LEGS[f["leg"]], int(f["amount"]))
            for f in output.fills
            if f["action"] == funding
        ],
        "days": [(int(d["day"]), int(d["equity"])) for d in output.days],
        "venues": {venue: venue_figures(state, i) for i, venue in enumerate(state.venues)},
        "capital_e8": int(b["capital"]),
        "funding_e8": int(b["funding"]),
        "long_pnl_e8": int(long_pnl(b)),
        "short_pnl_e8": int(short_pnl(b)),
        "fees_e8": int(b["fees"]),
        "borrow_e8": int(b["borrow"]),
        "equity_e8": int(equity(b)),
        "slippage_e8": int(b["slippage"]),
        "liquidation_e8": int(b["liquidation"]),
        "liquidations": int(b["liquidations"]),
        "max_drawdown": float(b["max_drawdown"]),
        "min_health": float("inf") if min(healths) >= HEALTHY else float(min(healths)),
        "rows": int(b["rows"]),
        "settlements": int(b["settlements"]),
        "payments_count": int(b["payments"]),
        "edge_payments": int(b["edge_payments"]),
        "no_mark": int(b["no_mark"]),
        "gaps": int(b["gaps"]),
        "suspect": int(b["suspect"]),
        "late": int(b["late"]),
        "dropped": int(b["dropped"]),
        "trades": int(b["trades"]),
        "open_positions": int(b["held"]),
        "refused": dict.fromkeys(gate_names(strategy_named("composite")), 0)
        | dict(zip(gate_names(strategy_named(state.params.strategy)), (int(n) for n in b["refused"]), strict=False)),
    }


def venue_figures(state: State, number: int) -> dict[str, int]:
    """A run's account at one venue, at its end."""
    account = state.account[number]
    return {
        "capital": int(account["capital"]),
        "borrow": int(account["borrow"]),
        "equity": int(account_equity(account)),
        "free": int(free_capital(account)),
        "min_free": int(account["min_free"]),
    }


def differences(expected: Any, found: dict[str, Any]) -> list[str]:
    """The differences between the oracle's Result and `figures`, one line each; of lists the first difference."""
    out = []
    for name, value in found.items():
        want = getattr(expected, name)
        if name == "payments":
            want = sorted([*expected.payments, *expected.revisions])
            value = sorted(value)
        elif name == "venues":
            want = {
                venue: {field: getattr(one, field) for field in value.get(venue, ())} for venue, one in want.items()
            }
        if want == value:
            continue
        if isinstance(want, list):
            k = next(
                (i for i, (a, b) in enumerate(zip(want, value, strict=False)) if a != b), min(len(want), len(value))
            )
            out.append(f"{name}[{k}] of {len(want)}/{len(value)}: {want[k : k + 1]} != {value[k : k + 1]}")
        else:
            out.append(f"{name}: {want} != {value}")
    return out
