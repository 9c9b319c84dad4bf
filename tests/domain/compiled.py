"""The compiled fold run over a test's rows, and its results in the oracle's shape so that the two can be compared."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carryfold.domain.fold import Output, State, simulate
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, HEALTHY
from carryfold.domain.fold.state import GATES
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Rows

__all__ = ["differences", "fold_rows", "ordered", "run_compiled"]


def ordered(rows: Sequence[Any] | Rows) -> Rows:
    """Rows as an array in known order, seq stamped in that order."""
    array: Rows = rows.copy() if isinstance(rows, np.ndarray) else np.array(list(rows), ROW)
    return array[np.argsort(array["known_at"], kind="stable")]


def fold_rows(
    rows: Rows,
    symbols: Sequence[bytes],
    params: Parameters,
    *,
    since: int = 0,
    until: int | None = None,
    selected: set[int] | None = None,
    universe: int | None = None,
) -> tuple[State, Output]:
    """Simulate ordered rows as a backtest would."""
    chosen = set(range(len(symbols))) if selected is None else selected
    state = State(params, start=since, universe=len(chosen) if universe is None else universe)
    state.add_pairs(list(symbols), [i in chosen for i in range(len(symbols))])
    kept = np.isin(rows["pair"], [*chosen, -1])
    if until is not None:
        kept &= rows["known_at"] < until
    return state, simulate(state, rows[kept])


def run_compiled(case: Any) -> dict[str, Any]:
    """A case of the oracle's generator, through the compiled fold."""
    rows = ordered(case.rows)
    state, output = fold_rows(
        rows,
        case.symbols,
        case.params,
        since=case.since,
        until=case.until,
        selected=case.selected,
        universe=case.universe,
    )
    return figures(state, output)


def figures(state: State, output: Output) -> dict[str, Any]:
    """Everything the oracle reports, from the fold's records."""
    b = state.book[0]
    names = [s.decode() for s in state.symbols]
    funding = BOOKINGS.index("funding")
    return {
        "decisions": [
            (int(d["t"]), names[d["pair"]], ACTIONS[d["action"]], int(d["lots"]))
            for d in output.decisions
            if ACTIONS[d["action"]] != "refused"
        ],
        "fills": [
            (
                *(int(f["t"]), names[f["pair"]], BOOKINGS[f["action"]], int(f["units"])),
                *(int(f[n]) for n in ("spot_value", "perp_value", "spot_fee", "perp_fee")),
            )
            for f in output.fills
            if f["action"] != funding
        ],
        "payments": [
            (int(f["t"]), int(f["settled_at"]), names[f["pair"]], int(f["amount"]))
            for f in output.fills
            if f["action"] == funding
        ],
        "days": [(int(d["day"]), int(d["equity"])) for d in output.days],
        "capital_e8": int(b["capital"]),
        "funding_e8": int(b["funding"]),
        "spot_pnl_e8": int(b["spot_realised"] + b["spot_value"] - b["spot_cost"]),
        "perp_pnl_e8": int(b["perp_realised"] + b["perp_entry"] - b["perp_value"]),
        "fees_e8": int(b["fees"]),
        "borrow_e8": int(b["borrow"]),
        "slippage_e8": int(b["slippage"]),
        "liquidation_e8": int(b["liquidation"]),
        "min_free_e8": int(b["min_free"]),
        "max_drawdown": float(b["max_drawdown"]),
        "min_health": float("inf") if b["min_health"] >= HEALTHY else float(b["min_health"]),
        "rows": int(b["rows"]),
        "settlements": int(b["settlements"]),
        "payments_count": int(b["payments"]),
        "no_mark": int(b["no_mark"]),
        "gaps": int(b["gaps"]),
        "suspect": int(b["suspect"]),
        "late": int(b["late"]),
        "dropped": int(b["dropped"]),
        "trades": int(b["trades"]),
        "open_positions": int(b["held"]),
        "refused": dict(zip(GATES, (int(n) for n in b["refused"]), strict=True)),
    }


def differences(expected: Any, found: dict[str, Any]) -> list[str]:
    """What differs between the oracle's Result and `figures`, one line each; lists by their first difference."""
    out = []
    for name, value in found.items():
        want = getattr(expected, name)
        if name == "payments":
            want = sorted([*expected.payments, *expected.revisions])
            value = sorted(value)
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
