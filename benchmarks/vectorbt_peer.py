"""vectorbt's side of `sweep_speed.py`: run by a Python that has vectorbt, driven over its pipes.

`python vectorbt_peer.py MARKET` reads the arrays that sweep_speed.py wrote, prints its version as a line of JSON, and
then answers each workload named on a line of standard input with the seconds for SETS parameter sets. `engine="auto"`
uses vectorbt's Rust engine if vectorbt-rust is installed, which is the faster one. A few sets in each call are faster
than all sets in one call, whose arrays exceed the cache; BATCH was chosen by measurement.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import vectorbt as vbt

SETS, BATCH = 20, {"one-leg": 4, "both-legs": 2}
EXIT, NOTIONAL, CAPITAL, SPOT_FEE, PERP_FEE = 0.0001, 1000.0, 10_000.0, 0.001, 0.00055
LONG_ONLY, SHORT_ONLY = 0, 1
HOURS_8 = 8

Market = dict[str, Any]


def one_leg(market: Market, levels: Any) -> Any:
    """Spot only: bought at a rate of `level` or more, sold below EXIT, with fees; no second leg, funding or shared
    cash."""
    rate, count = market["rate"], len(levels)
    enters = np.concatenate([rate >= level for level in levels], axis=1)
    leaves, prices = np.tile(rate < EXIT, (1, count)), np.tile(market["spot"], (1, count))
    return vbt.Portfolio.from_signals(prices, enters, leaves, fees=SPOT_FEE, freq="1h").total_return().to_numpy()


def both_legs(market: Market, levels: Any) -> Any:
    """Spot long and perpetual short, fees of both, cash shared within a set, funding added from the positions held."""
    rate, count, pairs = market["rate"], len(levels), market["rate"].shape[1]
    enters = np.concatenate([np.tile(rate >= level, (1, 2)) for level in levels], axis=1)
    leaves = np.tile(rate < EXIT, (1, 2 * count))
    prices = np.tile(np.concatenate([market["spot"], market["perp"]], axis=1), (1, count))
    held = vbt.Portfolio.from_signals(
        prices,
        enters,
        leaves,
        direction=np.tile(np.repeat([LONG_ONLY, SHORT_ONLY], pairs), count)[None, :],
        fees=np.tile(np.repeat([SPOT_FEE, PERP_FEE], pairs), count)[None, :],
        size=NOTIONAL,
        size_type="value",
        init_cash=CAPITAL,
        group_by=np.repeat(np.arange(count), 2 * pairs),
        cash_sharing=True,
        freq="1h",
    )
    assets = held.assets().to_numpy().reshape(len(prices), count, 2, pairs)[:, :, 1]
    paid_at = np.arange(HOURS_8 - 1, len(prices), HOURS_8)
    values = market["settled"] * market["perp"][paid_at]
    funding = -np.einsum("tsp,tp->s", assets[paid_at - 1], values)
    return np.atleast_1d(held.total_return()) + funding / CAPITAL


WORKLOADS = {"one-leg": one_leg, "both-legs": both_legs}


def run(market: Market, workload: str) -> dict[str, Any]:
    """Run all sets once."""
    levels, batch = np.linspace(0.0002, 0.0006, SETS), BATCH[workload]
    started = time.perf_counter()
    returns = [WORKLOADS[workload](market, levels[k : k + batch]) for k in range(0, SETS, batch)]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "sets": SETS, "mean_return": float(np.concatenate(returns).mean())}


def main() -> None:
    with np.load(Path(sys.argv[1])) as arrays:
        market = {name: arrays[name] for name in arrays.files}
    engine = "rust" if importlib.util.find_spec("vectorbt_rust") else "numba"
    print(json.dumps({"version": f"{vbt.__version__} {engine}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(market, line.strip())), flush=True)


if __name__ == "__main__":
    main()
