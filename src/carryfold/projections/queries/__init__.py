"""The room of questions: what a log holds and what its runs did, as typed answers under a cursor.

    with open_home(Path(".carryfold")) as home:
        now = home.at()
        for one in ledger(now).by_pair: ...

The command line, reports and libraries ask here and nowhere else. Every answer is a msgspec struct that is encoded to
JSON as it is: times are RFC 3339 text, amounts are exact decimals, and null is what is not known.
"""

from collections.abc import Callable
from typing import Any, Final

from carryfold.projections.queries.answers import Answer, QueryError, UnknownKind
from carryfold.projections.queries.data_quality import Quality, quality
from carryfold.projections.queries.feed_health import FeedHealth, Feeds, feeds
from carryfold.projections.queries.funding import Predictions, Rates, Settlements, predictions, rates, settlements
from carryfold.projections.queries.log_events import EventFilter, LogEvent, events
from carryfold.projections.queries.log_state import DerivedStatus, LogStatus, TapeStatus, derived_status, log_status
from carryfold.projections.queries.market import Instruments, Pairs, instruments, pairs
from carryfold.projections.queries.run_decisions import Decision, Decisions, decisions
from carryfold.projections.queries.run_equity import Equity, EquityDay, equity
from carryfold.projections.queries.run_fills import FillRecord, Fills, fills
from carryfold.projections.queries.run_ledger import Ledger, LedgerEntry, PairAttribution, ledger
from carryfold.projections.queries.run_orders import OrderRecord, Orders, ProcessRecord, orders
from carryfold.projections.queries.run_positions import LegPosition, Position, Positions, positions
from carryfold.projections.queries.run_records import RunRecord, Runs, runs
from carryfold.projections.queries.sources import OpenHome, Sources, open_home
from carryfold.projections.run_account import Attribution

__all__ = [
    "QUESTIONS", "Answer", "Attribution", "Decision", "Decisions", "DerivedStatus", "Equity", "EquityDay",
    "EventFilter", "FeedHealth", "Feeds", "FillRecord", "Fills", "Instruments", "Ledger", "LedgerEntry",
    "LegPosition", "LogEvent", "LogStatus", "OpenHome", "OrderRecord", "Orders", "PairAttribution", "Pairs",
    "Position", "Positions", "Predictions", "ProcessRecord", "Quality", "QueryError", "Rates", "RunRecord", "Runs",
    "Settlements", "Sources", "TapeStatus", "UnknownKind", "decisions", "derived_status", "equity", "events",
    "feeds", "fills", "instruments", "ledger", "log_status", "open_home", "orders", "pairs", "positions",
    "predictions", "quality", "rates", "runs", "settlements",
]  # fmt: skip

QUESTIONS: Final[tuple[Callable[..., Any], ...]] = (
    instruments, pairs, rates, settlements, predictions, quality, runs, decisions, orders, fills, positions, ledger,
    equity, feeds, log_status, derived_status, events,
)  # fmt: skip
"""Every question that can be asked; each takes `Sources` first."""
