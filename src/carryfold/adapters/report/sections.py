"""The parts after the curves: attribution, risk, assumptions, warnings, data and how to run it again."""

from decimal import Decimal
from typing import Final

import msgspec

from carryfold.adapters.report.markup import Html, amount, escape, notes, percent, ratio, section, table
from carryfold.adapters.report.words import leg_words
from carryfold.domain.params import Parameters
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import MAX, Cursor, format_time

__all__ = ["assumptions", "attribution", "cursor_text", "data", "reproduction", "risk", "venues", "warnings"]

PAIRS_NAMED: Final = 60


def attribution(figures: Figures) -> Html:
    """Where the money came from, by year; costs with a minus, so that each line adds up to its net."""
    rows = [
        _attributed(str(y.year), y.funding, y.long_pnl, y.short_pnl, y.fees, y.borrow, y.net_pnl, y.return_on_capital)
        for y in figures.by_year
    ]
    f = figures
    rows.append(
        _attributed("total", f.funding, f.long_pnl, f.short_pnl, f.fees, f.borrow, f.net_pnl, f.return_on_capital)
    )
    long, short = leg_words({f.legs})
    head = ("year (UTC)", "funding", long, short, "fees", "borrow", "net", "on capital")
    said = (
        f"Net is the exact sum of its parts. Slippage and spread of {amount(f.slippage)} are inside the {long} and "
        f"{short} columns; {f.liquidations:,} liquidated leg{'' if f.liquidations == 1 else 's'} made "
        f"{amount(f.liquidation, signed=True)}. Open positions are valued at their last prices."
    )
    if f.legs != "carry":
        said += f" Spot legs made {amount(f.spot_pnl, signed=True)}, perpetuals {amount(f.perp_pnl, signed=True)}."
    return section("Attribution", table(head, rows, last_is_sum=True), Html(f'<p class="dim">{escape(said)}</p>'))


def _attributed(name: str, *values: Decimal | float) -> tuple[object, ...]:
    funding, long, short, fees, borrow, net, on_capital = values
    parts = [Decimal(v) for v in (funding, long, short, -fees, -borrow, net)]
    exact = [Html(f'<span title="{part:f}">{amount(part, signed=True)}</span>') for part in parts]
    return (name, *exact, percent(float(on_capital)))


def risk(figures: Figures) -> Html:
    """Risk and size, each with what it means."""
    f = figures
    rows = [
        ("maximum drawdown", percent(f.max_drawdown, signed=False), "largest fall of equity below its highest so far"),
        ("Sharpe, Lo", ratio(f.sharpe_lo), "daily, over cash, corrected for days that follow each other; from 60 days"),
        ("Sharpe", ratio(f.sharpe), "the same uncorrected: carry always looks too good in it"),
        ("lowest free capital", amount(f.min_free), "below zero: money was borrowed"),
        (
            "lowest margin health",
            ratio(f.min_health),
            "collateral over maintenance margin; n/a without a short in one account",
        ),
        ("mean deployed", amount(f.mean_deployed), "time-weighted spot cost and margin"),
        ("liquidation value", amount(f.liquidation_value), "what is left after closing every position at the end"),
        ("closed trades", f"{f.trades:,}", "round trips, entry to last exit"),
        ("open positions", f"{f.open_positions:,}", "at the end of the run"),
        ("decisions", f"{f.decisions:,}", "entries and exits"),
        ("entries given up", f"{f.dropped:,}", "ordered, but no market came to fill them"),
    ]
    return section("Risk and size", table(("figure", "value"), _meant(rows)))


def venues(figures: Figures) -> Html:
    """The accounts, where there are several: what was free there, and how far value moved from one to another."""
    if len(figures.venues) < 2:
        return Html("")
    head = (
        *("venue", "capital", "equity", "free", "lowest free", "lowest health"),
        *("largest surplus", "largest shortfall"),
    )
    rows = [
        (
            v.name,
            *(amount(value) for value in (v.capital, v.equity, v.free, v.min_free)),
            ratio(v.min_health),
            *(amount(value) for value in (v.largest_in, v.largest_out)),
        )
        for v in figures.venues
    ]
    said = (
        "Prices move value from one venue to another: what a leg loses at one, its other leg earns elsewhere. Surplus "
        "and shortfall are the most that a venue's equity stood above and below its share of the capital, which is "
        "what would have to be transferred to put the shares right. The run transfers nothing."
    )
    return section("Venues", table(head, rows), Html(f'<p class="dim">{escape(said)}</p>'))


def _meant(rows: list[tuple[str, str, str]]) -> list[tuple[object, ...]]:
    """The meaning goes below the name, so that the value stays in sight on a phone."""
    return [
        (Html(f'{escape(name)}<br><span class="dim">{escape(meaning)}</span>'), value) for name, value, meaning in rows
    ]


def assumptions(run: Backtest, figures: Figures, availability: tuple[float, float] | None) -> Html:
    """What the simulation takes for granted, in words, then every parameter."""
    p = run.params
    words = [
        f"Fees: {p.spot_taker_bp:g} bp of each spot fill and {p.perp_taker_bp:g} bp of each perpetual fill, as taker"
        + (f"; others: {p.fees}." if p.fees else "."),
        f"Price: half a spread of {p.half_spread_bp:g} bp and slippage of {p.slippage_bp:g} bp on each leg, and "
        + (f"square-root market impact times {p.impact:g}." if p.impact else "no market impact."),
        _fill_rule(p),
        (
            f"Delisting: the spot leg is sold {percent(p.delist_haircut, signed=False)} below its last price. Nobody "
            "knows this number beforehand."
        ),
        f"A pair without data for {p.dead_s / 86400:g} days counts as delisted.",
        *(f"{one[0].upper()}{one[1:]}." for one in figures.assumptions),
        (
            f"Account: {p.account}; borrowed quote costs {percent(p.borrow_apr, signed=False)} a year, idle cash earns "
            f"{percent(p.cash_apr, signed=False)} a year where a figure says so."
        ),
        _availability(availability),
    ]
    defaults = Parameters()
    rows = []
    for name, value in msgspec.to_builtins(p).items():
        default = getattr(defaults, name)
        rows.append((name, _plain(value), "" if value == default else _plain(default)))
    listed = table(("parameter", "value", "default, where changed"), rows)
    return section("Assumptions", notes(words), Html(f"<details><summary>All parameters</summary>{listed}</details>"))


def _fill_rule(p: Parameters) -> str:
    if p.fill == "same":
        return (
            "Fill rule “same”: orders trade at the price they were decided on, before anybody could have acted. "
            "Do not believe such a run."
        )
    return (
        f"Fill rule “next”: an order trades at the pair's first price that becomes known after the decision and "
        f"at least {p.latency_ms:,} ms later."
    )


def _availability(delays: tuple[float, float] | None) -> str:
    if delays is None:
        return "Availability: every row is seen when the log says it became known; no delays were given."
    return (
        f"Availability: an imported bar is known {delays[0]:g} s after its close, an imported settlement "
        f"{delays[1]:g} s after its time."
    )


def _plain(value: object) -> str:
    """A parameter as people write it, never in powers of ten."""
    if isinstance(value, dict):
        value = ", ".join(f"{name}={_plain(one)}" for name, one in value.items())
    text = f"{Decimal(repr(value)):f}".removesuffix(".0") if isinstance(value, float) else str(value)
    return text or "none"


def warnings(figures: Figures) -> Html:
    """The run's own warnings."""
    if not figures.warnings:
        return section("Warnings", Html('<p class="dim">None.</p>'))
    return section("Warnings", notes(figures.warnings, "warnings"))


def data(run: Backtest, figures: Figures) -> Html:
    """What the run was fed with, and what it refused."""
    f = figures
    modelled = f.basis_modelled if isinstance(f.basis_modelled, str) else ("no", "yes")[f.basis_modelled]
    rows = [
        ("rows", f"{f.rows:,}"),
        ("pairs", f"{f.pairs:,}"),
        ("pairs that ended", f"{f.pairs_ended:,}"),
        ("settlements", f"{f.settlements:,}"),
        ("payments booked", f"{f.payments:,}"),
        ("payments within 5 s of a fill", f"{f.edge_payments:,}"),
        ("payments without a mark", f"{f.no_mark:,}"),
        ("gaps", f"{f.gaps:,}"),
        ("suspect price rows", f"{f.suspect:,}"),
        ("late rows", f"{f.late:,}"),
        ("basis modelled", modelled),
    ]
    refused = [(gate.replace("_", " "), f"{n:,}") for gate, n in sorted(f.refused.items(), key=lambda g: -g[1]) if n]
    labels = [run.selection.label(pair) for pair in range(min(f.pairs, PAIRS_NAMED))]
    more = f" and {f.pairs - PAIRS_NAMED:,} more" if f.pairs > PAIRS_NAMED else ""
    parts: list[Html] = [table(("data", "value"), rows), Html("<h3>Refused by gate</h3>")]
    parts.append(table(("gate", "refusals"), refused) if refused else Html('<p class="dim">Nothing was refused.</p>'))
    parts.append(Html(f'<p class="dim">Pairs: {escape(", ".join(labels) or "none")}{more}.</p>'))
    return section("Data", *parts)


def reproduction(figures: Figures, command: str, cursor: Cursor) -> Html:
    """The command, the cursor and the hashes that a second run must bring out."""
    rows = [
        ("cursor", cursor_text(cursor)),
        ("decisions hash", Html(f"<code>{escape(figures.decisions_hash)}</code>")),
        ("state hash", Html(f"<code>{escape(figures.state_hash)}</code>")),
    ]
    said = (
        "The same command on the same log under the same cursor gives the same hashes. The decisions hash holds across "
        "versions of the program, the state hash within one."
    )
    return section(
        "Reproduction",
        Html(f"<pre><code>{escape(command)}</code></pre>"),
        table(("", ""), rows, words=2),
        Html(f'<p class="dim">{escape(said)}</p>'),
    )


def cursor_text(cursor: Cursor) -> str:
    """The two bounds in words."""
    bounds = []
    if cursor.as_of != MAX:
        bounds.append(f"as of {format_time(cursor.as_of)}")
    if cursor.upto_seq != MAX:
        bounds.append(f"up to seq {cursor.upto_seq}")
    return ", ".join(bounds) or "everything in the log"
