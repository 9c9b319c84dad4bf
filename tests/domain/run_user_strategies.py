"""Fold a small market with strategies of two files and print the results as JSON.

    python -m tests.domain.run_user_strategies FOLDER

A process of its own, because files have to be named before the fold is imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from carryfold.adapters.strategy_files import register_file
from carryfold.domain.params import Parameters, parse_settings

MINIMAL = '''
"""simple, written again."""
from carryfold.domain.strategies import NOT_WANTED

def score(v, p, q):
    return q if q >= p.enter else NOT_WANTED

def size(v, p, d):
    return p.notional

def leaves(v, p, q):
    return q < p.exit
'''

PATIENT = '''
"""Enter where the rate rises, after some observations, at a share of the notional."""
from carryfold.domain.strategies.library import NOT_WANTED, clip, trend_score

PARAMETERS = {"patience": (3, 0, 1000), "share": (0.5, 0.1, 1.0)}
READS = ("averages",)
SCORES = ("rate", "trend")
CAPS = ("share", "room", "never")
GATES = ("patience", "open")
EXEMPT = ("slots",)

def wanted(v, p, q):
    return q >= p.enter

def score(v, p, q):
    if not wanted(v, p, q):
        return NOT_WANTED
    return clip(q / p.level_full) + trend_score(v)

def size(v, p, d):
    d.caps[0] = p.share * p.notional
    d.caps[1] = d.capital_room
    d.caps[2] = -1.0
    return min(d.caps[0], d.caps[1])

def leaves(v, p, q):
    return not wanted(v, p, q)

def gates(v, p, d):
    return 1 if v.rate_count <= p.patience else 0

def explain(v, p, d):
    d.scores[0] = d.estimate_8h
    d.scores[1] = trend_score(v)
'''

SETS = (
    ("strategy=simple",),
    ("strategy=minimal",),
    ("strategy=minimal", "enter=0.0004"),
    ("strategy=patient",),
    ("strategy=patient", "patience=6", "share=0.25"),
    ("strategy=patient", "patience=1000"),
    ("strategy=composite", "min_age_d=0"),
)


def main(folder: Path) -> None:
    for name, source in (("minimal", MINIMAL), ("patient", PATIENT)):
        (folder / f"{name}.py").write_text(source)
        register_file(folder / f"{name}.py")
    print(json.dumps(run([parse_settings([*one, "max_positions=1"]) for one in SETS])))


def run(sets: list[Parameters]) -> dict[str, Any]:
    """Every set by itself, and all of them at once."""
    from carryfold.domain.fold import CODE_DIGEST, State, simulate, simulate_many
    from carryfold.domain.records import decisions_recorded, gate_names
    from carryfold.domain.strategies import strategy_named
    from tests.domain.build import bar, listed, settled
    from tests.domain.compiled import carry, figures, ordered

    rows: list[Any] = [listed(0), listed(1), *(bar(h, 100.0, pair=i) for h in range(1, 100) for i in (0, 1))]
    for k in range(1, 12):
        rows += [settled(8 * k, rate * k, pair=i) for i, rate in enumerate((1e-4, 2e-4))]
    rows += [settled(96, 0.0, pair=i) for i in (0, 1)]
    market = ordered(rows)
    singles = []
    for params in sets:
        state = State(params, *carry("XUSDT", "YUSDT"))
        output = simulate(state, market)
        again = State.load(state.dump())
        found = figures(state, output)
        refused = dict(
            zip(gate_names(strategy_named(params.strategy)), state.book[0]["refused"].tolist(), strict=False)
        )
        singles.append(
            {
                "hash": state.hash(),
                "reloaded": again.hash(),
                "figures": msgspec.to_builtins({n: found[n] for n in ("decisions", "fills", "payments", "equity_e8")}),
                "refused": refused,
                "recorded": msgspec.to_builtins(decisions_recorded(7, state, output.decisions)),
                "parameters": msgspec.to_builtins(params),
                "read_back": msgspec.convert(msgspec.to_builtins(params), Parameters) == params,
            }
        )
    together = [State(params, *carry("XUSDT", "YUSDT")) for params in sets]
    simulate_many(together, market, threads=2)
    return {"digest": CODE_DIGEST, "singles": singles, "together": [state.hash() for state in together]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
