"""Trades, venues and years of a run add up to its figures, on random markets of one and of two venues."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from tests.domain.build import Market, bar, closed, listed, listing, settled
from tests.domain.compiled import ordered
from tests.oracle.market_rows import rows_of
from tests.oracle.markets import parameters_of, shape_of

from carryfold.domain.instruments import Instrument, Legs, Listing, Pair, pairs_of
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Rows
from carryfold.projections.backtest import (
    Backtest,
    Selection,
    compute_figures,
    decision_rows,
    list_trades,
    run_blocks,
)
from carryfold.projections.backtest.measures import ended_legs


def in_halves(rows: Rows) -> Iterator[Rows]:
    """Two blocks of whole instants."""
    cut = int(np.searchsorted(rows["known_at"], rows["known_at"][len(rows) // 2])) if len(rows) else 0
    yield from (block for block in (rows[:cut], rows[cut:]) if len(block))


def run(seed: int, legs: Legs, **settings: object) -> Backtest:
    """A random market under random parameters."""
    rows, listings = rows_of(shape_of(seed))
    params = parameters_of(seed).changed({"legs": legs, "split": "", "fees": "", **settings})
    selection = Selection(listings, pairs_of(listings, legs, carry_across=legs == "both"))
    return run_blocks(lambda: in_halves(ordered(rows)), params, selection)


@pytest.mark.parametrize("legs", ["carry", "both"])
@pytest.mark.parametrize("account", ["uta", "split"])
@pytest.mark.parametrize("seed", range(20))
def test_trades_venues_and_years_add_up(seed: int, account: str, legs: Legs) -> None:
    found = run(seed, legs, account=account)

    figures, trades = compute_figures(found), list_trades(found)

    assert figures.net_pnl == figures.funding + figures.long_pnl + figures.short_pnl - figures.fees - figures.borrow
    assert figures.net_pnl == figures.funding + figures.spot_pnl + figures.perp_pnl - figures.fees - figures.borrow
    assert sum(one.net for one in trades) == figures.net_pnl + figures.borrow
    for name in ("funding", "long_pnl", "short_pnl", "fees", "slippage"):
        assert sum(getattr(one, name) for one in trades) == getattr(figures, name), name
    assert sum(one.fees - one.long_fees - one.short_fees for one in trades) == 0
    assert sum(one.long_pnl for one in trades if one.kind == "carry") == figures.spot_pnl
    assert sum(one.closed_at is not None for one in trades) == figures.trades
    assert sum(venue.equity for venue in figures.venues) == figures.capital + figures.net_pnl
    assert sum(venue.borrow for venue in figures.venues) == figures.borrow
    for name in ("net_pnl", "funding", "long_pnl", "short_pnl", "spot_pnl", "perp_pnl", "fees", "borrow"):
        assert sum(getattr(year, name) for year in figures.by_year) == getattr(figures, name), name
    msgspec.json.encode(figures)
    msgspec.json.encode(decision_rows(found))


def test_the_random_markets_show_every_way_a_trade_can_end() -> None:
    reasons = set()
    for seed in range(20):
        for account in ("uta", "split"):
            reasons |= {one.reason for one in list_trades(run(seed, "both", account=account))}

    assert {"rate below exit", "liquidated", "data ended", "open"} <= reasons


def carry(rows: Market, **settings: object) -> Backtest:
    """A run of the one carry pair of instruments 0 and 1."""
    spot, perp = Instrument("v", "XUSDT", "spot"), Instrument("v", "XUSDT", "perp")
    selection = Selection([Listing(one, "X", "USDT") for one in (spot, perp)], [Pair(spot, perp)])
    return run_blocks(lambda: iter([ordered(rows)]), Parameters().changed(settings), selection)


def test_a_trade_that_ends_in_two_fills_is_one_trade() -> None:
    """The short is liquidated at 150; the spot leg is sold at the next row. Both are of one trade."""
    rows: Market = [listed(), settled(1, 0.001), settled(2, 0.001), bar(2.5, 100.0), bar(3.5, 100.0)]
    rows += [bar(4.5, 150.0), bar(5.5, 160.0)]

    (trade,) = list_trades(carry(rows, account="split", impact=0.0, half_spread_bp=0.0, slippage_bp=0.0))

    assert (trade.reason, trade.long_entry, trade.short_entry) == ("liquidated", 100.0, 100.0)
    assert (trade.short_exit, trade.long_exit) == (150.0, 160.0)
    assert trade.closed_at == "2024-01-01T05:30:01Z"
    assert (trade.long_pnl, trade.short_pnl) == (Decimal(600), Decimal(-500))
    assert trade.fees == Decimal("1") + Decimal("0.55") + Decimal("0.825") + Decimal("1.6")


def test_pairs_end_with_the_data_of_their_legs() -> None:
    """A carry pair of one venue ends with the newer of its legs, a spread with either; as in the fold."""
    spot, perp, far = Instrument("v", "X", "spot"), Instrument("v", "X", "perp"), Instrument("w", "X", "perp")
    listings = [Listing(one, "X", "USDT") for one in (spot, perp, far)]
    pairs = [Pair(spot, perp), Pair(perp, far)]

    def ended(*last_hours: int) -> list[tuple[bool, bool]]:
        rows: Market = [listing(n) for n in range(len(last_hours))]
        rows += [closed(h, n, 100.0) for n, last in enumerate(last_hours) for h in range(1, last)]
        found = run_blocks(lambda: iter([ordered(rows)]), Parameters(legs="both"), Selection(listings, pairs))
        legs = {
            pair: (bool(long), bool(short))
            for pair, long, short in zip(found.state.pairs, *ended_legs(found), strict=True)
        }
        assert compute_figures(found).pairs_ended == sum(long or short for long, short in legs.values())
        return [legs[pair] for pair in pairs]

    assert ended(400, 400, 400) == [(False, False), (False, False)]
    assert ended(400, 10, 400) == [(False, False), (True, False)]
    assert ended(10, 10, 400) == [(True, True), (True, False)]
    assert ended(400, 400, 10) == [(False, False), (False, True)]
    assert ended(400, 400, 1) == [(False, False), (False, False)], "what never had a row has not ended"


def test_a_decision_names_scores_caps_and_gates_of_its_strategy() -> None:
    rows: Market = [listed(), *(bar(h, 100.0, turnover=1e6) for h in range(1, 200))]
    rows += [settled(8 * k, 0.001) for k in range(1, 24)]
    composite = decision_rows(carry(rows, strategy="composite", min_age_d=0.0))
    simple = decision_rows(carry(rows))

    entered = next(one for one in composite if one["action"] == "enter")
    assert [*entered["scores"]] == [*("level", "trend", "persistence", "basis", "volume", "phi", "mu", "break_even_8h")]
    assert entered["bound_by"] == min(entered["caps"], key=entered["caps"].__getitem__)
    assert entered["size"] == pytest.approx(min(entered["caps"].values()))
    assert {"break_even", "age", "interval", "too_small", "busy"} <= {*entered["passed"]}
    assert entered["market"]["round_trip_bp"] == 39.0
    assert "scores" not in simple[0]
    assert simple[0]["score"] == simple[0]["rate"]["estimate_8h"] == 0.001
