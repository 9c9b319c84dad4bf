"""What a run is judged by: its span, its days, its Sharpe ratios, and the sentences about it."""

import math

import numpy as np
import pytest
from tests.domain.build import MIDNIGHT, Market, bar, closed, listed, listing, settled, settlement
from tests.domain.compiled import ordered

from carryfold.domain.instruments import Instrument, Listing, Pair, carry_pair, pairs_of
from carryfold.domain.params import Parameters
from carryfold.projections.backtest import Backtest, Figures, Selection, compute_figures, run_blocks
from carryfold.projections.backtest.equity import day_closes, excess_returns, sharpe, sharpe_lo
from carryfold.projections.backtest.remarks import span_note
from carryfold.projections.cursor import DAY_NS, parse_time
from carryfold.projections.pair_choices import PairChoice

SPOT, PERP = Instrument("v", "XUSDT", "spot"), Instrument("v", "XUSDT", "perp")
LISTINGS = [Listing(one, "X", "USDT") for one in (SPOT, PERP)]


def run(rows: Market, selection: Selection | None = None, *, since: int = 0, **settings: object) -> Backtest:
    selection = selection or Selection(LISTINGS, [Pair(SPOT, PERP)])
    return run_blocks(lambda: iter([ordered(rows)]), Parameters().changed(settings), selection, since=since)


def perp_first(spot_from_h: int, hours: int) -> Market:
    """A perpetual with prices and rates from the first hour, whose spot market has prices from `spot_from_h` on."""
    rows: Market = [listed(), *(closed(h, 1, 100.0) for h in range(1, hours))]
    rows += [closed(h, 0, 100.0) for h in range(spot_from_h, hours)]
    return [*rows, *(settled(8 * k, 0.001) for k in range(1, hours // 8))]


def test_figures_begin_when_both_legs_have_prices() -> None:
    """Half a year of a perpetual alone, in which nothing could be bought, is no half year of bad returns."""
    figures = compute_figures(run(perp_first(4380, 8760)))

    assert figures.data_since == "2024-01-01T01:00:01Z"
    assert figures.since == "2024-07-01T12:00:01Z"
    assert figures.years == pytest.approx(0.5, abs=0.01)
    assert figures.cash_return_on_capital == pytest.approx(0.04 * 0.5, abs=0.001)
    assert figures.return_on_capital_annual == pytest.approx(2 * figures.return_on_capital, rel=0.01)
    assert span_note(figures) == (
        "the figures begin at 2024-07-01T12:00:01Z, when the first pair could be traded; market data begin at "
        "2024-01-01T01:00:01Z"
    )


def test_an_unpriced_pair_can_be_traded_from_its_first_settled_rate() -> None:
    selection = Selection([Listing(PERP, "X", "USDT")], [carry_pair("v", "XUSDT")])
    rows: Market = [listing(0), *(closed(h, 0, 100.0) for h in range(1, 300))]
    rows += [settlement(8 * k, 0, 0.001) for k in range(10, 30)]

    figures = compute_figures(run(rows, selection))

    assert figures.since == "2024-01-04T08:01:00Z"
    assert figures.payments > 0


def test_a_later_start_of_the_run_is_the_start_of_the_figures() -> None:
    since = MIDNIGHT + 200 * DAY_NS

    figures = compute_figures(run(perp_first(100, 8760), since=since))

    assert figures.since is not None and parse_time(figures.since) == since
    assert span_note(figures) is None


def test_days_are_those_of_the_span_however_old_the_listings_are() -> None:
    """A backfilled log lists an instrument years before its first row."""
    old = [(MIDNIGHT - 900 * DAY_NS, MIDNIGHT - 900 * DAY_NS, *row[2:]) for row in (listing(0), listing(1))]
    rows: Market = [*old, *(bar(h, 100.0) for h in range(1, 400)), *(settled(8 * k, 0.001) for k in range(1, 49))]
    found = run(rows)

    closes = day_closes(found)

    first = MIDNIGHT // DAY_NS + 1
    assert (closes.times / DAY_NS).tolist() == list(range(first, first + 16))
    by_day = dict(zip(found.days["day"].tolist(), found.days["equity"].tolist(), strict=True))
    assert closes.equity.tolist() == [by_day[day] / 1e8 for day in range(first, first + 16)]
    assert len(set(closes.equity.tolist())) > 10, "funding is paid every day"


def test_excess_returns_credit_idle_cash_and_charge_cash_on_all_capital() -> None:
    """A run that holds nothing earns exactly cash, so its excess is zero and it has no Sharpe ratio."""
    idle = day_closes(run(perp_first(100, 2000), enter=0.01))
    rates = [settled(8 * k, 0.001 + k % 5 * 0.0001) for k in range(1, 500)]
    busy = run([*perp_first(100, 4000)[:-499], *rates])
    closes, capital = day_closes(busy), 10_000.0

    excess = excess_returns(closes, capital, 0.04)

    assert not excess_returns(idle, capital, 0.04).any()
    assert sharpe(excess_returns(idle, capital, 0.04)) is None
    expected = [
        (closes.equity[n + 1] - closes.equity[n]) / capital - 0.04 / 365 * closes.deployed[n] / capital
        for n in range(len(excess))
    ]
    assert excess == pytest.approx(np.array(expected), abs=1e-12)
    figures = compute_figures(busy)
    assert figures.sharpe == pytest.approx(excess.mean() / excess.std(ddof=1) * math.sqrt(365))
    assert figures.sharpe_lo == sharpe_lo(excess)


def test_both_sharpe_ratios_have_the_sign_of_the_return_over_cash() -> None:
    """They are of one series: where days are nearly independent they are nearly equal, and they never disagree."""
    draw = np.random.Generator(np.random.PCG64(4))
    for mean in (-0.0002, 0.0002):
        excess = draw.normal(mean, 0.0005, 4000)
        plain, corrected = sharpe(excess), sharpe_lo(excess)
        assert plain is not None and corrected is not None
        assert plain * corrected > 0
        assert corrected == pytest.approx(plain, rel=0.25)


def warned(figures: Figures, text: str) -> bool:
    return any(text in one for one in figures.warnings)


def test_edges_are_judged_with_idle_cash_on_both_sides() -> None:
    """0.1 % a day on a tenth of the capital is less than cash on all of it, and more together with cash on the rest."""
    figures = compute_figures(run(perp_first(100, 8760), enter=0.0001), compute_figures(run(perp_first(100, 8760))))
    small = compute_figures(run(perp_first(100, 8760), notional=100.0))

    assert small.return_on_capital < (small.cash_return_on_capital or 0) + 0.01
    assert small.return_with_idle_cash > (small.cash_return_on_capital or 0)
    assert not warned(small, "no edge over cash")
    assert warned(figures, "no edge over holding"), "an equal return is no edge"


@pytest.mark.parametrize(("notional", "is_small"), [("5%", True), ("20%", False), (500.0, True)])
def test_a_run_that_leaves_nine_tenths_of_its_capital_idle_says_so(notional: float | str, is_small: bool) -> None:
    figures = compute_figures(run(perp_first(100, 2000), notional=notional))

    assert figures.open_positions == 1
    assert warned(figures, "of the capital was deployed on average") == is_small


def test_the_result_on_capital_does_not_depend_on_the_capital_when_sizes_are_shares() -> None:
    """Without impact and rounding, twice the capital earns twice as much."""
    rows = perp_first(100, 2000)
    capitals = (10_000.0, 20_000.0)
    small, large = (compute_figures(run(rows, capital=one, impact=0.0, notional="10%")) for one in capitals)
    fixed = compute_figures(run(rows, capital=20_000.0, impact=0.0, notional=1000.0))

    assert large.return_on_capital == pytest.approx(small.return_on_capital, rel=1e-6)
    assert fixed.return_on_capital == pytest.approx(small.return_on_capital / 2, rel=1e-6)


def test_pairs_that_were_named_or_chosen_later_are_reported_as_hindsight() -> None:
    rows = perp_first(100, 2000)
    later, before = MIDNIGHT + 400 * DAY_NS, MIDNIGHT - 400 * DAY_NS
    choices = [
        PairChoice("v", "top:20", later, later),
        PairChoice("v", "top:5", before, before),
        PairChoice("v", "all", later, later),
        PairChoice("w", "top:7", later, later),
    ]
    pairs = pairs_of(LISTINGS)
    by_backfill = compute_figures(run(rows, Selection(LISTINGS, pairs, choices=choices)))
    by_name = compute_figures(run(rows, Selection(LISTINGS, pairs, named=("XUSDT",))))
    by_nothing = compute_figures(run(rows, Selection(LISTINGS, pairs)))

    assert [one for one in by_backfill.warnings if "hindsight" in one] == [
        "pairs chosen with hindsight: the log has pairs of v chosen by their turnover on 2025-02-04 (top:20)"
    ]
    assert [one for one in by_name.warnings if "hindsight" in one] == [
        "pairs chosen with hindsight: this run names XUSDT"
    ]
    assert not warned(by_nothing, "hindsight")
