"""Trades and decisions one by one, newest first. Both are bounded, and a note says how many are left out."""

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np

from carryfold.adapters.report.formats import ABSENT, amount, price
from carryfold.adapters.report.tables import Table
from carryfold.adapters.report.words import leg_words
from carryfold.domain.fold.codes import ACTIONS
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.backtest.trades import Trade, decision_rows, list_trades

__all__ = ["DECISIONS_MAX", "TRADES_MAX", "Decision", "Records", "decisions", "trades"]

TRADES_MAX: Final = 500
DECISIONS_MAX: Final = 200

_LABELS: Final = {
    "rate.estimate_8h": "rate estimate, 8 h",
    "rate.rate_8h": "last settled rate, 8 h",
    "rate.rate_8h_before": "rate settled before it, 8 h",
    "rate.interval_h": "settlement interval, h",
    "book.throttle": "drawdown throttle",
    "book.health": "margin health",
    "market.gross": "held and ordered",
    "market.age_d": "age of the pair, d",
    "market.sigma_d": "volatility, daily",
    "market.turnover_24h": "turnover of the thinner leg, 24 h",
    "market.round_trip_bp": "cost of a round trip, bp",
    "scores.phi": "scores: persistence of the forecast",
    "scores.mu": "scores: mean rate of the forecast, 8 h",
    "scores.break_even_8h": "scores: settlements of 8 h to break even",
    "price_age_s": "age of the price, s",
    "rate_age_s": "age of the rate, s",
    "need": "capital needed",
    "bound_by": "size bound by",
    "passed": "gates passed",
    "failed": "gates failed",
}


class Records(NamedTuple):
    """The newest records, and a sentence that says how many there are; without any, the sentence says so."""

    note: str
    shown: Any


class Decision(NamedTuple):
    """One decision: a line, and its working as names and values."""

    action: str
    at: str
    pair: str
    size: str
    reason: str
    working: list[tuple[str, str]]


def trades(run: Backtest) -> Records:
    """The newest round trips and open positions, as a table."""
    every = list_trades(run)
    if not every:
        return Records("The run did not trade.", None)
    newest = every[-TRADES_MAX:][::-1]
    long, short = leg_words({trade.kind for trade in every})
    head = (
        *("pair", "opened", "closed", "reason", "size", "net", "funding", long, short, "fees"),
        *(f"{leg} {way}" for leg in (long, short) for way in ("in", "out")),
    )
    note = f"{len(every):,} in all, newest first."
    if len(every) > len(newest):
        note = f"The {len(newest):,} newest of {len(every):,}, newest first; --json has them all."
    return Records(note, Table(head, [_trade(trade) for trade in newest], words=4, is_compact=True))


def _trade(trade: Trade) -> tuple[str, ...]:
    return (
        trade.pair,
        _time(trade.opened_at)[:-3],
        "open" if trade.closed_at is None else _time(trade.closed_at)[:-3],
        trade.reason,
        amount(trade.size),
        *(amount(v, signed=True) for v in (trade.net, trade.funding, trade.long_pnl, trade.short_pnl, -trade.fees)),
        *(price(p) for p in (trade.long_entry, trade.long_exit, trade.short_entry, trade.short_exit)),
    )


def decisions(run: Backtest) -> Records:
    """The newest decisions with their working. Refusals get the room that entries and exits leave."""
    refused = run.decisions["action"] == ACTIONS.index("refused")
    acted = np.flatnonzero(~refused)[-DECISIONS_MAX:]
    room = DECISIONS_MAX - len(acted)
    refusals = np.flatnonzero(refused)[-room:] if room else np.zeros(0, np.int64)
    shown = copy.copy(run)
    shown.decisions = run.decisions[np.sort(np.concatenate((acted, refusals)))]
    total = len(run.decisions) + run.refusals_left_out
    if total == 0:
        return Records("The run decided nothing.", [])
    note = f"{total:,} in all, newest first; a refusal is listed when the set of failed gates changed."
    if total > len(shown.decisions):
        note = (
            f"{len(shown.decisions):,} of {total:,}, newest first: the last {len(acted):,} entries and exits, and the "
            f"last {len(refusals):,} refusals (listed when the set of failed gates changed)."
        )
    return Records(note, [_decision(row) for row in reversed(decision_rows(shown))])


def _decision(row: dict[str, Any]) -> Decision:
    action = str(row["action"])
    why = row.get("reason") or (", ".join(row["failed"]) if row.get("failed") else "")
    return Decision(
        action=action,
        at=_time(str(row["at"])),
        pair=row["pair"],
        size="" if action == "refused" else _value(row["size"]),
        reason=str(why).replace("_", " "),
        working=[*_working(row)],
    )


def _working(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of all fields, nested ones with their path as name."""
    for key, value in row.items():
        name = prefix + key
        if isinstance(value, dict):
            yield from _working(value, f"{name}.")
        else:
            yield _LABELS.get(name, name.replace("_", " ").replace(".", ": ")), _value(value)


def _value(value: object) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, list):
        return ", ".join(str(one).replace("_", " ") for one in value) or "none"
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, float):
        return price(value)
    return str(value)


def _time(text: str) -> str:
    """To the second, readable in a narrow column."""
    return text[:19].replace("T", " ")
