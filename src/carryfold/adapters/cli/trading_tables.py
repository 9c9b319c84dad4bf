"""Tables about runs and feeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from carryfold.adapters.terminal import EMPTY, Terminal, amount, clean, count, short_time

if TYPE_CHECKING:
    from carryfold.projections.queries import (
        Attribution,
        Decisions,
        Equity,
        EquityDay,
        Feeds,
        Fills,
        Ledger,
        LedgerEntry,
        LegPosition,
        Orders,
        Positions,
        Runs,
    )

__all__ = [
    "show_decisions", "show_equity", "show_feeds", "show_fills", "show_ledger", "show_orders", "show_positions",
    "show_runs",
]  # fmt: skip

ROWS_SHOWN: Final = 200  # the latest ones

R = TypeVar("R")


def show_runs(terminal: Terminal, found: Runs) -> None:
    """A line for each run."""
    columns = [
        "run",
        "mode",
        "strategy",
        "set",
        "status",
        "started",
        "stopped",
        "pairs",
        "decisions",
        "orders",
        "fills",
    ]
    rows = [
        [
            str(one.run), one.mode, one.strategy, one.group or EMPTY, one.status, short_time(one.started_at),
            short_time(one.stopped_at), count(len(one.pairs)), count(one.decisions), count(one.orders),
            count(one.fills),
        ]
        for one in found.runs
    ]  # fmt: skip
    terminal.table(columns, rows, left=(1, 2, 3, 4, 5, 6))
    terminal.print(f"{len(found.runs)} runs")


def show_decisions(terminal: Terminal, found: Decisions) -> None:
    """A line for each decision; the rate is that of 8 hours which decided it."""
    rows = [
        [
            str(one.seq), short_time(one.at), one.pair, one.action, count(one.lots), amount(one.size),
            _rate_bp(one.working.get("estimate_8h")), one.reason or EMPTY,
        ]
        for one in _latest(terminal, found.decisions, "decisions")
    ]  # fmt: skip
    columns = ["seq", "at", "pair", "action", "lots", "size", "rate bp", "because"]
    terminal.table(columns, rows, left=(1, 2, 3, 7))
    terminal.print(f"run {found.run} ({found.mode}): {len(found.decisions):,} decisions")


def show_orders(terminal: Terminal, found: Orders) -> None:
    """A line for each order, then one for each process that did not do all it should."""
    rows = [
        [
            short_time(one.intended_at), one.instrument, one.side, f"{one.qty:f}", f"{one.filled:f}", one.status,
            EMPTY if one.average_price is None else f"{one.average_price:g}", amount(one.fees), one.purpose,
            one.client_id, clean(one.reason),
        ]
        for one in _latest(terminal, found.orders, "orders")
    ]  # fmt: skip
    columns = ["at", "instrument", "side", "qty", "filled", "status", "price", "fees", "for", "client id", ""]
    terminal.table(columns, rows, left=(0, 1, 2, 5, 8, 9, 10))
    for process in found.processes:
        if process.reason:
            terminal.print(
                f"{process.pair}: {process.work} {process.process} ended {process.outcome}: {clean(process.reason)}"
            )
    terminal.print(
        f"run {found.run} ({found.mode}): {len(found.orders):,} orders, {len(found.processes):,} processes ended"
    )


def show_fills(terminal: Terminal, found: Fills) -> None:
    """A line for each fill of a leg."""
    rows = [
        [
            short_time(one.at), one.pair, one.leg, one.kind, one.side, f"{one.coins:f}",
            EMPTY if one.price is None else f"{one.price:g}", amount(one.value), amount(one.fee),
            amount(one.pnl, signed=True),
        ]
        for one in _latest(terminal, found.fills, "fills")
    ]  # fmt: skip
    columns = ["at", "pair", "leg", "kind", "side", "coins", "price", "value", "fee", "P&L"]
    terminal.table(columns, rows, left=(0, 1, 2, 3, 4))
    simulated = ", simulated" if found.is_simulated else ""
    terminal.print(f"run {found.run} ({found.mode}): {len(found.fills):,} fills{simulated}")


def show_positions(terminal: Terminal, found: Positions) -> None:
    """A line for each pair that is held."""
    rows = [
        [
            one.pair, short_time(one.opened_at), f"{one.long.coins:f}", f"{one.short.coins:f}", _prices(one.long),
            _prices(one.short), amount(one.long.value), amount(one.funding, signed=True),
            amount(one.unrealised, signed=True), amount(one.fees), amount(one.net, signed=True),
        ]
        for one in found.positions
    ]  # fmt: skip
    columns = ["pair", "held since", "long coins", "short coins", "long in/now", "short in/now", "value", "funding",
               "unrealised", "fees", "net"]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    if found.at_cost:
        terminal.print(f"without prices, at cost: {', '.join(found.at_cost)}")
    terminal.print(f"run {found.run} ({found.mode}): {len(found.positions)} pairs held")


def show_ledger(terminal: Terminal, found: Ledger) -> None:
    """A line for each movement, then the sums by pair."""
    parts = ["funding", "long P&L", "short P&L", "fees", "borrow", "corrected", "net"]
    rows = [
        [str(one.seq), short_time(one.at), one.pair or EMPTY, one.leg or EMPTY, one.kind, *_amounts(one)]
        for one in _latest(terminal, found.entries, "entries")
    ]
    terminal.table(["seq", "at", "pair", "leg", "kind", *parts], rows, left=(1, 2, 3, 4))
    sums = [[one.pair or "the account", count(one.entries), *_amounts(one.sums)] for one in found.by_pair]
    terminal.table(["pair", "entries", *parts], [*sums, [], ["all", count(len(found.entries)), *_amounts(found.total)]])
    terminal.print(f"run {found.run} ({found.mode}): realised; `carryfold equity` has open legs at the market")


def show_equity(terminal: Terminal, found: Equity) -> None:
    """A line for each day."""
    rows = [
        [
            one.day, amount(one.equity), *_amounts(one), count(one.held), amount(one.long_value),
            ", ".join(one.at_cost),
        ]
        for one in _latest(terminal, found.days, "days")
    ]  # fmt: skip
    parts = ["funding", "long P&L", "short P&L", "fees", "borrow", "corrected", "net"]
    terminal.table(["day", "equity", *parts, "held", "long value", "at cost"], rows, left=(0, 11))
    terminal.print(f"run {found.run} ({found.mode}): capital {amount(found.capital)}")
    if found.is_simulated:
        terminal.print("simulated: without interest on borrowed cash, which the fold charges and does not record")


def show_feeds(terminal: Terminal, found: Feeds) -> None:
    """A line for each stream."""
    rows = [
        [
            one.feed, "up" if one.up else "down", short_time(one.since), count(one.connections), count(one.losses),
            f"{one.down_s:,.0f} s", short_time(one.last_lost_at), clean(one.last_loss_reason),
        ]
        for one in found.feeds
    ]  # fmt: skip
    columns = ["feed", "state", "since", "connected", "lost", "down", "last lost", "why"]
    terminal.table(columns, rows, left=(0, 1, 2, 6, 7))
    if found.clock_steps:
        now = "the clocks agree" if found.clock_step_s == 0 else f"off by {found.clock_step_s:,.3f} s"
        terminal.print(f"steps of the clock: {found.clock_steps}; {now}")


def _latest(terminal: Terminal, rows: Sequence[R], what: str) -> Sequence[R]:
    """The last of many rows, with a note about the others."""
    if len(rows) > ROWS_SHOWN:
        terminal.note(f"the latest {ROWS_SHOWN} of {len(rows):,} {what}; --json has them all")
    return rows[-ROWS_SHOWN:]


def _rate_bp(rate: float | None) -> str:
    """A rate in basis points; nothing for a decision of an older release."""
    return EMPTY if rate is None else f"{rate * 1e4:.3f}"


def _prices(leg: LegPosition) -> str:
    entry, now = (EMPTY if price is None else f"{price:g}" for price in (leg.entry_price, leg.price))
    return f"{entry} / {now}"


def _amounts(one: LedgerEntry | Attribution | EquityDay) -> list[str]:
    """The cells of an attribution, in the order of its columns."""
    return [
        amount(one.funding, signed=True), amount(one.long_pnl, signed=True), amount(one.short_pnl, signed=True),
        amount(-one.fees, signed=True), amount(-one.borrow, signed=True), amount(one.corrected, signed=True),
        amount(one.net, signed=True),
    ]  # fmt: skip
