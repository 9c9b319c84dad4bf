"""Two-leg execution as a pure process: an intent, reports of the venue, quotes and time in; orders to send out."""

from carryfold.domain.execution.actions import Actions, Alert
from carryfold.domain.execution.books import OurBooks, PairBooks, Predecessor, VenueBooks
from carryfold.domain.execution.ids import parse_client_id, process_id, run_tag
from carryfold.domain.execution.ledger import Ledger, ProcessEvent, ProcessSpec
from carryfold.domain.execution.limits import ExecutionLimits
from carryfold.domain.execution.pair import LegRules, TradedPair
from carryfold.domain.execution.process import Execution
from carryfold.domain.execution.quotes import LegQuote, Quotes
from carryfold.domain.execution.reconcile import Reconciliation, funding_paid, needs_repair, reconcile
from carryfold.domain.execution.summary import Summary

__all__ = [
    "Actions",
    "Alert",
    "Execution",
    "ExecutionLimits",
    "Ledger",
    "LegQuote",
    "LegRules",
    "OurBooks",
    "PairBooks",
    "Predecessor",
    "ProcessEvent",
    "ProcessSpec",
    "Quotes",
    "Reconciliation",
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
