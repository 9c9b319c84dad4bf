"""The parts after the curves: attribution, risk, venues, assumptions, data and reproduction."""

from decimal import Decimal
from typing import Final

import msgspec

from carryfold.adapters.report.formats import amount, percent, plain, plural, ratio
from carryfold.adapters.report.tables import Cell, Table
from carryfold.adapters.report.words import leg_words
from carryfold.domain.params import SIZES, Parameters
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.remarks import span_note
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import MAX, Cursor, format_time

__all__ = [
    "assumptions", "attribution", "attribution_note", "cursor_text", "data_table", "pair_names", "parameter_table",
    "refusals", "reproduction_table", "risk_table", "venue_table",
]  # fmt: skip

PAIRS_NAMED: Final = 60


def attribution(figures: Figures) -> Table:
    """Profit and loss by source and year; costs are negative, so that each line adds up to its net."""
    rows = [
        _attributed(str(y.year), y.funding, y.long_pnl, y.short_pnl, y.fees, y.borrow, y.net_pnl, y.return_on_capital)
        for y in figures.by_year
    ]
    f = figures
    rows.append(
        _attributed("total", f.funding, f.long_pnl, f.short_pnl, f.fees, f.borrow, f.net_pnl, f.return_on_capital)
    )
    head = ("year (UTC)", "funding", *leg_words({f.legs}), "fees", "borrow", "net", "on capital")
    return Table(head, rows, last_is_sum=True)


def attribution_note(figures: Figures) -> str:
    """Remarks on the amounts of the attribution."""
    f = figures
    long, short = leg_words({f.legs})
    parts = ["Net is the exact sum of its parts."]
    if f.slippage:
        parts.append(f"The {long} and {short} columns include slippage and spread of {amount(f.slippage)}.")
    if f.liquidations:
        made = amount(f.liquidation, signed=True)
        parts.append(f"They include {made} of {plural(f.liquidations, 'liquidated leg')}.")
    if f.open_positions:
        parts.append("Open positions are valued at their last prices.")
    if f.legs != "carry":
        parts.append(f"Spot legs made {amount(f.spot_pnl, signed=True)}, perpetuals {amount(f.perp_pnl, signed=True)}.")
    return " ".join(parts)


def _attributed(name: str, *values: Decimal | float) -> list[str | Cell]:
    funding, long, short, fees, borrow, net, on_capital = values
    parts = [Decimal(v) for v in (funding, long, short, -fees, -borrow, net)]
    exact = [Cell(amount(part, signed=True), title=f"{part:f}") for part in parts]
    return [name, *exact, percent(float(on_capital))]


def risk_table(figures: Figures) -> Table:
    """Risk and size, each figure with its meaning."""
    f = figures
    borrowed = f"; interest of {amount(f.borrow)} was paid on borrowed quote" if f.borrow else ""
    rows = [
        ("maximum drawdown", percent(f.max_drawdown, signed=False), "largest fall of equity below its highest so far"),
        ("Sharpe", ratio(f.sharpe), "a year, of daily returns over cash, with idle cash; as if days were independent"),
        ("Sharpe, Lo", ratio(f.sharpe_lo), "the same, corrected for the dependence between days; from 60 days on"),
        ("lowest free capital", amount(f.min_free), f"cash less margin and pending orders{borrowed}"),
        ("lowest margin health", ratio(f.min_health), "collateral over maintenance margin, where shorts were held"),
        ("mean deployed", amount(f.mean_deployed), "time-weighted spot cost and margin"),
        ("liquidation value", amount(f.liquidation_value), "what is left after closing every position at the end"),
        ("closed trades", f"{f.trades:,}", "round trips, entry to last exit"),
        ("open positions", f"{f.open_positions:,}", "at the end of the run"),
        ("decisions", f"{f.decisions:,}", "entries and exits"),
        ("entries given up", f"{f.dropped:,}", "ordered, but never filled"),
    ]
    return Table(("figure", "value"), [(Cell(name, meaning=meaning), value) for name, value, meaning in rows])


def venue_table(figures: Figures) -> Table | None:
    """The account at each venue, where there are several."""
    if len(figures.venues) < 2:
        return None
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
    return Table(head, rows)


def assumptions(run: Backtest, figures: Figures, availability: tuple[float, float] | None) -> list[str]:
    """The assumptions of the simulation, as sentences."""
    p = run.params
    fees = f"Fees: {p.spot_taker_bp:g} bp of each spot fill and {p.perp_taker_bp:g} bp of each perpetual fill, as taker"
    impact = f"square-root market impact times {p.impact:g}" if p.impact else "no market impact"
    words = [
        f"{fees}; others: {p.fees}." if p.fees else f"{fees}.",
        f"Price: half a spread of {p.half_spread_bp:g} bp at bar prices, slippage of {p.slippage_bp:g} bp, {impact}.",
        _fill_rule(p),
    ]
    begin = span_note(figures)
    if begin is not None:
        words.append(f"{begin[0].upper()}{begin[1:]}.")
    if figures.legs != "spread":
        haircut = percent(p.delist_haircut, signed=False)
        words.append(f"Delisting: the spot leg is sold {haircut} below its last price. Nobody knows this beforehand.")
    words += [
        f"A pair without data for {p.dead_s / 86400:g} days counts as delisted.",
        *(f"{one[0].upper()}{one[1:]}." for one in figures.assumptions),
        f"Account: {p.account}; borrowed quote costs {percent(p.borrow_apr, signed=False)} a year.",
        f"In returns with idle cash the capital not deployed earns {percent(p.cash_apr, signed=False)} a year.",
        _availability(availability),
    ]
    return words


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
        return "Availability: every row is used from when the log says that it became known."
    return (
        f"Availability: an imported bar is known {delays[0]:g} s after its close, an imported settlement "
        f"{delays[1]:g} s after its time."
    )


def parameter_table(params: Parameters) -> Table:
    """Every parameter; a share of the capital also in quote."""
    defaults = Parameters()
    rows = []
    for name, value in msgspec.to_builtins(params).items():
        default = getattr(defaults, name)
        shown = plain(value)
        if name in SIZES and isinstance(value, str):
            shown += f" = {plain(params.in_quote(name))}"
        rows.append((name, shown, "" if value == default else plain(default)))
    return Table(("parameter", "value", "default, where changed"), rows)


def data_table(figures: Figures) -> Table:
    """The input of the run, and its faults."""
    f = figures
    modelled = f.basis_modelled if isinstance(f.basis_modelled, str) else ("no", "yes")[f.basis_modelled]
    rows = [
        ("market data begin", f.data_since or "no market rows"),
        ("figures begin", f.since or "no market rows"),
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
    return Table(("data", "value"), rows)


def refusals(figures: Figures) -> Table | None:
    """Refused entries by gate, the most frequent first."""
    refused = [
        (gate.replace("_", " "), f"{n:,}") for gate, n in sorted(figures.refused.items(), key=lambda g: -g[1]) if n
    ]
    return Table(("gate", "refusals"), refused) if refused else None


def pair_names(run: Backtest, figures: Figures) -> str:
    """The pairs of the run, as far as there is room."""
    labels = [run.selection.label(pair) for pair in range(min(figures.pairs, PAIRS_NAMED))]
    more = f" and {figures.pairs - PAIRS_NAMED:,} more" if figures.pairs > PAIRS_NAMED else ""
    return (", ".join(labels) or "none") + more


def reproduction_table(figures: Figures, cursor: Cursor) -> Table:
    """The cursor, and the hashes that a second run must give."""
    rows = [
        ("cursor", Cell(cursor_text(cursor))),
        ("decisions hash", Cell(figures.decisions_hash, is_code=True)),
        ("state hash", Cell(figures.state_hash, is_code=True)),
    ]
    return Table(("", ""), rows, words=2)


def cursor_text(cursor: Cursor) -> str:
    """The two bounds in words."""
    bounds = []
    if cursor.as_of != MAX:
        bounds.append(f"as of {format_time(cursor.as_of)}")
    if cursor.upto_seq != MAX:
        bounds.append(f"up to seq {cursor.upto_seq}")
    return ", ".join(bounds) or "everything in the log"
