"""What `carryfold demo` does: a made-up venue on loopback, its history fetched, and a paper run against it."""

from carryfold.adapters.tour.history import NotTheDemo, fetch_history
from carryfold.adapters.tour.market import DAYS, PAIRS, SPEED, START
from carryfold.adapters.tour.paper import (
    HOURS,
    SETS,
    PaperDecision,
    PaperResult,
    paper_decisions,
    paper_result,
    run_paper,
)

__all__ = [
    "DAYS", "HOURS", "PAIRS", "SETS", "SPEED", "START", "NotTheDemo", "PaperDecision", "PaperResult", "fetch_history",
    "paper_decisions", "paper_result", "run_paper",
]  # fmt: skip
