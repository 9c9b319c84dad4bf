"""Backtests over the tape: selection, run, figures, trades, comparison, look-ahead checks."""

from carryfold.projections.backtest.compare import Comparison, compare
from carryfold.projections.backtest.figures import Figures, VenueFigures, YearFigures, money
from carryfold.projections.backtest.lookahead import LookaheadReport, check_lookahead
from carryfold.projections.backtest.measures import compute_figures
from carryfold.projections.backtest.run import Backtest, run_backtest, run_blocks
from carryfold.projections.backtest.selection import (
    NothingListed,
    PairRequest,
    Selection,
    SelectionError,
    choose_pairs,
    listed_ids,
    parse_universe,
    select_pairs,
)
from carryfold.projections.backtest.settlements import Settlements, list_settlements
from carryfold.projections.backtest.trades import Trade, decision_rows, list_trades

__all__ = [
    "Backtest",
    "Comparison",
    "Figures",
    "LookaheadReport",
    "NothingListed",
    "PairRequest",
    "Selection",
    "SelectionError",
    "Settlements",
    "Trade",
    "VenueFigures",
    "YearFigures",
    "check_lookahead",
    "choose_pairs",
    "compare",
    "compute_figures",
    "decision_rows",
    "list_settlements",
    "list_trades",
    "listed_ids",
    "money",
    "parse_universe",
    "run_backtest",
    "run_blocks",
    "select_pairs",
]
