"""Two-leg execution as a pure process: a decision, reports of venues, quotes and time in; events and orders out."""

from carryfold.domain.execution.actions import Actions, Alert
from carryfold.domain.execution.books import PairBooks, Predecessor, RunBooks, VenueBooks
from carryfold.domain.execution.client_ids import parse_client_id, process_id, run_tag
from carryfold.domain.execution.holdings import Holdings, LegHolding, PairHolding
from carryfold.domain.execution.limits import ExecutionLimits
from carryfold.domain.execution.pricing import LegQuote, Quotes
from carryfold.domain.execution.process import Execution, Summary
from carryfold.domain.execution.process_state import ProcessEvent, ProcessSpec, ProcessState
from carryfold.domain.execution.reconciliation import Reconciliation, funding_paid, needs_repair, reconcile
from carryfold.domain.execution.traded_pair import LegRules, TradedPair

__all__ = [
    "Actions",
    "Alert",
    "Execution",
    "ExecutionLimits",
    "Holdings",
    "LegHolding",
    "LegQuote",
    "LegRules",
    "PairBooks",
    "PairHolding",
    "Predecessor",
    "ProcessEvent",
    "ProcessSpec",
    "ProcessState",
    "Quotes",
    "Reconciliation",
    "RunBooks",
    "Summary",
    "TradedPair",
    "VenueBooks",
    "funding_paid",
    "needs_repair",
    "parse_client_id",
    "process_id",
    "reconcile",
    "run_tag",
]
