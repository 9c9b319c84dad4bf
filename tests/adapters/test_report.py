"""The HTML page of a backtest: whole, self-contained, and true to the figures."""

import re
from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from carryfold.adapters.report import charts, curves, records, render_report, sections
from carryfold.domain.instruments import Instrument, Listing, Pair
from carryfold.domain.params import Parameters
from carryfold.projections.backtest import Figures, compute_figures
from carryfold.projections.backtest.equity import day_closes
from carryfold.projections.backtest.run import Backtest, run_blocks
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import DAY_NS, Cursor
from tests.domain.build import MIDNIGHT, Market, announced, bar, closed, listed, listing, settled, settlement
from tests.domain.compiled import ordered

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that closes what is not open, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> tuple[str, set[str]]:
    """The page's text and its tags; fails where the page is not well-formed."""
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return " ".join(parser.text), parser.tags


def market(rate: float = 0.001, days: int = 12, *, flat: bool = False) -> Market:
    """One pair, entered once and closed when its delisting is announced."""
    hours = 24 * days
    rows: Market = [
        listed(),
        *(bar(h, *((100.0, 100.0) if flat else (100.0 + h % 7, 100.1 + h % 5))) for h in range(1, hours + 1)),
    ]
    rows += [settled(8 * k, rate) for k in range(1, 3 * days - 5)]
    return [*rows, announced(hours - 30, hours + 100)]


def run(rows: Market, symbol: str = "XUSDT", **settings: object) -> Backtest:
    spot, perp = Instrument("test", symbol, "spot"), Instrument("test", symbol, "perp")
    selection = Selection([Listing(one, "X", "USDT") for one in (spot, perp)], [Pair(spot, perp)])
    return run_blocks(lambda: iter([ordered(rows)]), Parameters().changed(settings), selection)


def spread(**settings: object) -> Backtest:
    """Perpetuals of two venues whose prices rise together: a spread, entered once and held."""
    long, short = Instrument("a", "XUSDT", "perp"), Instrument("b", "X", "perp")
    selection = Selection([Listing(long, "X", "USDT"), Listing(short, "X", "USDC")], [Pair(long, short)])
    rows: Market = [listing(0), listing(1)]
    rows += [closed(h, leg, 100.0 + h / 10, mark=100.0) for h in range(1, 200) for leg in (0, 1)]
    rows += [settlement(8 * k, leg, (0.0001, 0.001)[leg]) for k in range(1, 24) for leg in (0, 1)]
    params = Parameters().changed({"legs": "spread", "half_spread_bp": 0.0, "slippage_bp": 0.0} | settings)
    return run_blocks(lambda: iter([ordered(rows)]), params, selection)


def page(run: Backtest, hold: Backtest | None = None, **options: object) -> tuple[str, Figures]:
    figures = compute_figures(run, None if hold is None else compute_figures(hold))
    return render_report(run, figures, hold=hold, command="carryfold backtest --html r.html", cursor=Cursor()), figures


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    html, _ = page(run(market()), run(market(), strategy="hold"))

    _, tags = parsed(html)

    assert html.startswith("<!DOCTYPE html>")
    assert not re.search(r"https?://|\bsrc=|\bhref=|url\(|@import", html)
    assert not tags & {"script", "link", "img", "iframe", "object"}
    assert "polyline" in tags


def test_the_page_carries_the_figures_and_what_reproduces_them() -> None:
    strategy, hold = run(market()), run(market(), strategy="hold")

    html, figures = page(strategy, hold)
    text, _ = parsed(html)

    assert figures.trades == 1
    held = compute_figures(hold)
    for value in (
        *(figures.return_on_capital, figures.return_on_deployed, figures.return_with_idle_cash),
        *(figures.return_on_capital_annual, figures.return_on_deployed_annual, held.return_on_capital),
    ):
        assert value is not None and f"{value:+.2%}" in text
    for amount in (figures.net_pnl, figures.funding, -figures.fees):
        assert f"{amount:+,.2f}" in text
    for said in (
        figures.decisions_hash,
        figures.state_hash,
        "carryfold backtest --html r.html",
        "everything in the log",
    ):
        assert said in text
    for warning in figures.warnings:
        assert warning in text
    for name in strategy.params.__struct_fields__:
        assert name in text


def test_a_spread_shows_its_venues_and_how_far_value_moved_between_them() -> None:
    strategy = spread()
    figures = compute_figures(strategy)

    html = render_report(strategy, figures, hold=None, command="c", cursor=Cursor())
    text, _ = parsed(html)

    a, b = figures.venues
    assert (a.name, b.name, figures.open_positions) == ("a", "b", 1)
    assert "<h2>Venues</h2>" in html
    assert a.largest_in > 100 and b.largest_out > 100, "prices moved value from the short's venue to the long's"
    assert a.min_free < 5000
    for amount in (a.equity, a.free, a.min_free, a.largest_in, b.equity, b.min_free, b.largest_out):
        assert f"{amount:,.2f}" in text
    assert "a:XUSDT>b:X" in text
    assert "Nothing is transferred between venues" in text
    assert "USDC, USDT are one unit of account" in text
    assert "long in" in text and "spot in" not in text


def test_the_parts_of_a_spread_add_up_to_the_whole() -> None:
    figures = compute_figures(spread())

    assert figures.net_pnl == figures.funding + figures.long_pnl + figures.short_pnl - figures.fees - figures.borrow
    assert figures.net_pnl == figures.funding + figures.spot_pnl + figures.perp_pnl - figures.fees - figures.borrow
    assert figures.spot_pnl == 0 and figures.long_pnl > 100
    assert sum(venue.equity for venue in figures.venues) == figures.capital + figures.net_pnl
    assert sum(venue.capital for venue in figures.venues) == figures.capital
    assert figures.min_free == min(venue.min_free for venue in figures.venues)
    for venue in figures.venues:
        assert venue.equity == venue.cash - venue.spot_cost + venue.spot_value + venue.perp_pnl
        assert venue.free == venue.cash - venue.spot_cost + venue.perp_pnl - venue.margin - venue.pending


def test_payments_beside_a_fill_are_counted_and_warned_of() -> None:
    """A bar that closes with a settlement fills within 5 s of it, and only what we pay is booked. Held from hour 24 to
    hour 40, at 1,000: the payments of both ends are such, that of hour 32 is not."""
    rows: Market = [listed(), *(bar(h, 100.0) for h in range(8, 200, 8))]
    rows += [settled(8 * k, 0.001 if k < 3 else -0.001) for k in range(1, 24)]

    figures = compute_figures(run(rows, cadence_s=3600, stale_s=40_000))

    assert (figures.trades, figures.payments, figures.edge_payments) == (1, 3, 2)
    assert float(figures.funding) == pytest.approx(-3.0, abs=0.01)
    assert any("within 5 s of a fill" in warning for warning in figures.warnings)


def test_the_parts_come_in_the_order_in_which_a_reader_asks() -> None:
    html, _ = page(run(market()))

    assert re.findall(r"<h2>(.*?)</h2>", html) == [
        *("Returns", "Equity and drawdown", "Attribution", "Risk and size", "Trades", "Decisions"),
        *("Assumptions", "Warnings", "Data", "Reproduction"),
    ]


def test_a_pair_cannot_smuggle_markup_into_the_page() -> None:
    strategy = run(market(), symbol="<b>&\"'")
    figures = compute_figures(strategy)

    html = render_report(strategy, figures, hold=None, command="x '<script>' \udc80", cursor=Cursor())
    text, tags = parsed(html)

    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html
    assert "<b>&" in text
    assert "script" not in tags
    html.encode("utf-8")


def test_a_run_without_trades_says_that_it_never_traded() -> None:
    html, figures = page(run(market(rate=0.0), enter=0.01))

    text, _ = parsed(html)

    assert figures.trades == 0
    assert "No edge: the strategy never traded." in text
    assert "The run did not trade." in text


def test_a_run_without_rows_has_a_page_too() -> None:
    text, _ = parsed(page(run([listed()]))[0])

    assert "Nothing to judge" in text


def test_without_hold_the_page_says_that_it_was_not_run() -> None:
    text, _ = parsed(page(run(market()))[0])

    assert "Hold was not run for comparison." in text


def test_a_loss_is_called_no_edge_and_one_lucky_trade_no_proof() -> None:
    losing, _ = page(run(market(rate=0.0, flat=True), enter=0.0, exit=0.0))
    lucky, figures = page(run(market(rate=0.005)))

    assert 'class="conclusion none">No edge: +' in losing
    assert figures.return_with_idle_cash > (figures.cash_return_on_capital or 0)
    assert 'class="conclusion open">No edge shown: +' in lucky


def test_delays_cursor_and_fill_rule_are_stated() -> None:
    strategy = run(market(), fill="same")
    cursor = Cursor(as_of=MIDNIGHT + 20 * DAY_NS, upto_seq=1234)

    html = render_report(
        strategy, compute_figures(strategy), hold=None, command="c", cursor=cursor, availability=(1.0, 60.0)
    )
    text, _ = parsed(html)

    assert "as of 2024-01-21T00:00:00Z, up to seq 1234" in text
    assert "known 1 s after its close, an imported settlement 60 s after its time" in text
    assert "Do not believe such a run." in text


def test_trades_and_decisions_are_bounded_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Market = [listed(), *(bar(h, 100.0) for h in range(1, 400))]
    rows += [settled(8 * k, 0.001 if k % 2 else -0.001) for k in range(1, 49)]
    strategy = run(rows)
    monkeypatch.setattr(records, "TRADES_MAX", 3)
    monkeypatch.setattr(records, "DECISIONS_MAX", 5)

    html, figures = page(strategy)
    text, _ = parsed(html)

    assert figures.trades > 10
    assert "The 3 newest of" in text
    assert len(re.findall(r'<details class="(?:enter|exit|refused)">', html)) == 5
    assert "5 of" in text


def test_equal_runs_give_the_same_page() -> None:
    assert page(run(market()))[0] == page(run(market()))[0]


def test_a_long_line_is_thinned_without_losing_its_trough() -> None:
    times = np.arange(5000.0)
    values = np.sin(times / 300)
    values[3333] = -9.0

    thin_times, thin_values = charts.thin(times, values)

    assert len(thin_times) <= charts.POINTS_MAX
    assert thin_values.min() == -9.0
    assert (thin_times[0], thin_times[-1]) == (0.0, 4999.0)
    assert (np.diff(thin_times) > 0).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (9990.0, 10010.0), (-0.031, 0.0), (1e-9, 3e-9), (-5.0, 1e9)])
def test_value_ticks_enclose_the_values_in_few_round_steps(low: float, high: float) -> None:
    ticks, step = charts.value_ticks(low, high)

    assert ticks[0] <= low + step * 1e-6 and ticks[-1] >= high - step * 1e-6
    assert 2 <= len(ticks) <= 8


@pytest.mark.parametrize("days", [0.1, 1, 3, 10, 40, 90, 400, 1500, 4000, 20000])
def test_time_ticks_are_few_and_inside(days: float) -> None:
    ticks = charts.time_ticks(float(MIDNIGHT), MIDNIGHT + days * DAY_NS)

    assert 1 <= len(ticks) <= charts.X_TICKS_MAX
    assert all(MIDNIGHT <= time <= MIDNIGHT + days * DAY_NS for time, _ in ticks)


def old_listings(rows: Market) -> Market:
    """The same market, listed 900 days before its first row, as a backfill leaves it."""
    long_ago = MIDNIGHT - 900 * DAY_NS
    listings = [(long_ago, long_ago, *row[2:]) for row in listed()]
    return [*listings, *rows[1:]]


def points(chart: charts.Chart | None, number: int) -> list[tuple[float, float]]:
    """A line of a chart, in the coordinates of the drawing."""
    assert chart is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in chart.lines[number].points.split())]


def test_curves_are_of_the_span_however_old_the_listings_are() -> None:
    young, old = (run(rows, cash_apr=0.0) for rows in (market(0.004), old_listings(market(0.004))))
    figures = compute_figures(old)

    drawn = curves.curves(old, figures, None)

    assert drawn.equity is not None
    assert drawn.equity == curves.curves(young, compute_figures(young), None).equity
    line = points(drawn.equity, 0)
    assert (line[0][0], line[-1][0]) == (0.0, 1000.0)
    closes = day_closes(old)
    values = [float(figures.capital), *closes.equity.tolist(), float(figures.capital + figures.net_pnl)]
    assert len(line) == len(values) == 12 + 2, "the beginning, twelve day closes and the end"
    heights = [y for _, y in line]
    slope, level = np.polyfit(values, heights, 1)
    assert slope < 0 and np.abs(slope * np.array(values) + level - heights).max() < 0.1
    assert len(set(heights)) > 6, "no straight line: funding is paid three times a day"


def test_the_equity_that_is_drawn_beside_cash_includes_interest_on_idle_cash() -> None:
    strategy = run(market(0.004), cash_apr=0.5)
    figures = compute_figures(strategy)

    drawn = curves.curves(strategy, figures, None)

    (_, top), (_, cash_top) = points(drawn.equity, 0)[-1], points(drawn.equity, 1)[-1]
    start = points(drawn.equity, 1)[0][1]
    assert figures.cash_return_on_capital
    ratio = figures.return_with_idle_cash / figures.cash_return_on_capital
    assert (start - top) / (start - cash_top) == pytest.approx(ratio, rel=0.01)


def test_no_sentence_of_the_page_says_what_did_not_happen() -> None:
    """Borrowing, liquidation and delisting are spoken of where they occurred, or could have."""
    calm, _ = parsed(page(run(market()))[0])
    figures = compute_figures(run(market()))
    borrowed = sections.risk_table(msgspec.structs.replace(figures, borrow=Decimal(3)))
    spread_page, _ = parsed(page(spread())[0])

    assert figures.borrow == 0
    assert any("interest of 3.00 was paid on borrowed quote" in row[0].meaning for row in borrowed.rows)
    for sentence in (
        "borrowed quote;",
        "was paid on borrowed",
        "liquidated leg",
        "money was borrowed",
        "looks too good",
    ):
        assert sentence not in calm
    assert "Delisting: the spot leg" not in spread_page
