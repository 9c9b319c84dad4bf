"""The parts of `carryfold demo`: a simulated exchange on loopback, a backfill of its history, and a paper run."""

from carryfold.adapters.demo.history import NotTheDemo, fetch_history
from carryfold.adapters.demo.market import DAYS, PAIRS, SPEED, START
from carryfold.adapters.demo.paper import HOURS, PARAMETER_SETS, run_paper

__all__ = [
    "DAYS", "HOURS", "PAIRS", "PARAMETER_SETS", "SPEED", "START", "NotTheDemo", "fetch_history", "run_paper",
]  # fmt: skip
