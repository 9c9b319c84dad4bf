"""A backtest as one self-contained HTML page."""

from carryfold.adapters.report.page import render_report

__all__ = ["render_report"]
