"""Phase 4: the outcomes of a live run's orders, as `fold` books them. Prices are whole and units powers of two, so
every expected figure is exact."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from carryfold.domain.events import OrderFilled
from carryfold.domain.fold import State, simulate
from carryfold.domain.fold.codes import ENTRY, EXIT, NOTHING
from carryfold.domain.fold.state import GATES
from carryfold.domain.instruments import LOT_UNITS, carry_pair
from carryfold.domain.rows import E8, Kind, row_values
from tests.domain.compiled import carry
from tests.domain.live import (
    EIGHTH,
    FREE,
    PRICE,
    Live,
    Values,
    cancelled,
    corrected,
    filled,
    quote,
    rate,
    rejected,
    word,
)

LOTS = 20  # notional 1000 at 100, in lots of 0.5
EIGHTHS = 4 * LOTS
UNITS = LOTS * LOT_UNITS


def pending(run: Live, pair: int = 0) -> int:
    return int(run.pair(pair)["pending"])


def refused(run: Live, gate: str) -> int:
    return int(run.book["refused"][GATES.index(gate)])


def test_a_decided_entry_is_pending_and_no_price_fills_it() -> None:
    run = Live()

    decided = run.want()
    run.give(quote(PRICE))
    run.give(quote(PRICE))

    assert decided == [(0, "enter", LOTS)]
    assert (pending(run), run.pair()["held"]) == (ENTRY, 0)
    assert run.book["pending_entries"] == 1
    assert run.account["pending_e8"] == round(1000 * (1 + FREE.margin_fraction) * E8)
    assert run.decided == decided, "what is pending is not decided again"


def test_both_legs_fill_in_parts_and_the_holding_is_what_was_filled() -> None:
    run = Live()
    run.want()

    run.give(filled("long", 50, fee=0.5))
    run.give(filled("short", -30, fee=0.25))
    run.give(filled("long", 30, fee=0.25), filled("short", -10, fee=0.125))
    run.give(filled("short", -40, fee=0.5, ended=True))

    p, b = run.pair(), run.book
    assert (p["held"], p["pending"], p["long_units"], p["short_units"]) == (1, NOTHING, UNITS, UNITS)
    assert (p["long_cost"], p["short_entry"], p["held_lots"]) == (1000 * E8, 1000 * E8, LOTS)
    assert (b["entries"], b["held"], b["pending_entries"], run.account["pending_e8"], b["trades"]) == (1, 1, 0, 0, 0)
    assert run.equity() == -1.625  # the fees: all fills were at the view


def test_a_holding_is_counted_in_the_lot_of_its_decision_even_if_the_lot_changes_before_the_fill() -> None:
    run = Live()
    run.want()
    before = float(run.state.view[0]["lot"])

    run.give(tuple((leg, Kind.INSTRUMENT_CHANGED, before / 10, -1.0, -1.0) for leg in (0, 1)))
    run.give(filled("long", EIGHTHS), filled("short", -EIGHTHS, ended=True))
    held = float(run.pair()["unit"]) * LOT_UNITS
    run.give(quote(PRICE))

    assert run.state.view[0]["lot"] == before / 10
    assert held == before == float(run.pair()["unit"]) * LOT_UNITS
    assert run.pair()["long_value"] == 1000 * E8


def test_a_fee_in_base_coins_shrinks_the_units_and_costs_its_value_once() -> None:
    """80 units are bought and 1 is kept by the venue: 79 come in, at the value of 79, with the value of 1 as fee."""
    run = Live()
    run.want()
    fee = Decimal("12.5")
    event = OrderFilled(
        run=7, event_at=run.t, pair=carry_pair("v", "P0", spot_symbol="P0"), leg="long", client_id="c", fill_id="f",
        units=79 * EIGHTH, value=Decimal("987.5"), fee=fee, fee_coin="X",
    )  # fmt: skip
    values = row_values(event)
    assert values is not None
    kind, _, a, b, c = values

    run.give(((0, kind, a, b, c),))
    run.give(filled("short", -79, ended=True))

    assert (run.pair()["long_units"], run.pair()["short_units"]) == (79 * EIGHTH, 79 * EIGHTH)
    assert run.pair()["held_lots"] == LOTS
    assert run.equity() == -12.5
    assert run.pnl()["fees"] == 12.5 * E8


def test_an_entry_under_way_takes_one_slot_and_blocks_no_capital_twice() -> None:
    run = Live(FREE.changed({"max_positions": 2, "capital": 2800.0}), pairs=3)
    run.want(pair=0)
    before = run.account["pending_e8"]

    run.give(filled("long", EIGHTHS))
    long_only = run.account["pending_e8"]
    run.give(filled("short", -EIGHTHS))
    both = run.account["pending_e8"]
    decided = run.want(pair=1)
    third = run.want(pair=2)

    assert long_only == before - 1000 * E8
    assert both == 0, "what is spent is not blocked as well"
    assert decided == [(1, "enter", LOTS)], "the second slot and the second half of the capital are free"
    assert third == [] and refused(run, "slots") == 1


@pytest.mark.parametrize("end", [rejected, cancelled])
def test_an_entry_that_ends_without_a_fill_frees_its_slot_and_may_be_decided_again(end: Callable[..., Values]) -> None:
    run = Live(FREE.changed({"max_positions": 1}), pairs=2)
    run.want(pair=0)

    run.give(end(ended=False))
    kept = (pending(run), int(run.book["pending_entries"]), run.want(pair=1))
    fresh = run.give(end(ended=True))

    assert kept == (ENTRY, 1, []), "one order of the process is gone, the process is not"
    assert len(fresh) == 1, "the freed slot is taken at once"
    assert run.book["pending_entries"] == 1
    assert run.account["pending_e8"] == run.state.pair["pending_long_e8"].sum()
    assert run.book["held"] == run.book["entries"] == 0


def test_accepted_and_unknown_orders_change_no_money_and_no_order() -> None:
    run = Live()
    run.want()
    before = run.state.pair.copy(), run.pnl()

    run.give(((0, Kind.ORDER_ACCEPTED, 0.0, 0.0, 0.0), (0, Kind.ORDER_UNKNOWN, 0.0, 0.0, 0.0)))

    assert run.state.pair.tobytes() == before[0].tobytes()
    assert run.pnl() == before[1]


def test_an_entry_that_is_unwound_is_one_trade_that_ends_with_its_process() -> None:
    run = Live()
    run.want()

    run.give(filled("long", EIGHTHS))
    run.give(filled("long", -EIGHTHS, 99.0))
    flat = (run.pair()["held"], int(run.book["trades"]), run.tick())
    run.give(filled("long", EIGHTHS))  # the process tries again
    run.give(filled("long", -EIGHTHS), rejected(ended=True))

    assert flat == (1, 0, []), "flat, but not over"
    assert (run.pair()["held"], run.book["entries"], run.book["trades"]) == (0, 1, 1)
    assert run.equity() == -10.0
    assert (run.book["long_cost"], run.book["pending_entries"], pending(run)) == (0, 1, ENTRY), "wanted as before"


def test_an_exit_that_ends_half_filled_keeps_the_rest_and_is_decided_again() -> None:
    run = Live()
    run.enter()

    first = run.want(0.0)
    run.give(filled("long", -50), filled("short", 50))
    run.give(cancelled(ended=False))
    waiting = (pending(run), run.tick())
    again = run.give(cancelled(ended=True))

    assert first == [(0, "exit", LOTS)]
    assert waiting == (EXIT, [])
    left = UNITS - 50 * EIGHTH
    assert (run.pair()["held"], run.pair()["long_units"], run.pair()["short_units"]) == (1, left, left)
    assert again == [(0, "exit", 8)], "30 eighths are 7.5 lots: a begun lot counts"
    run.give(filled("long", -30, 110.0), filled("short", 30, 111.0, ended=True))
    assert (run.pair()["held"], run.book["held"], run.book["trades"]) == (0, 0, 1)
    assert run.equity() == 30 * 0.125 * (10 - 11)
    assert run.pair()["long_cost"] == run.pair()["short_entry"] == run.book["long_cost"] == run.account["margin"] == 0


def test_a_holding_is_revalued_by_prices_and_realised_by_fills() -> None:
    run = Live()
    run.enter()

    run.give(quote(120.0, 121.0))
    marked = run.pnl()
    run.give(filled("long", -20, 120.0))

    assert (marked["long"], marked["short"]) == (200 * E8, -210 * E8)
    assert run.pnl() == marked, "a fill at the view realises what was already counted"
    assert run.book["long_realised"] == 50 * E8


def test_selling_more_than_is_held_owes_the_difference_and_buying_it_back_settles_it() -> None:
    run = Live()
    run.enter()

    run.give(filled("long", -100, 110.0))
    owed = int(run.pair()["long_units"]), int(run.pair()["long_cost"])
    run.give(quote(130.0))
    short = run.pnl()["long"]
    run.give(filled("long", 20, 130.0))

    assert owed == (-20 * EIGHTH, -275 * E8)  # 2.5 coins received for at 110
    assert short == (100 - 50) * E8
    assert (run.pair()["long_units"], run.pair()["long_cost"], run.pnl()["long"]) == (0, 0, 50 * E8)


def test_a_live_run_is_paid_by_the_venue_and_not_by_the_settled_rate() -> None:
    run = Live()
    run.enter()

    run.give(rate(0.01), after_s=8 * 3600)
    unpaid = run.pnl()["funding"]
    run.give(((0, Kind.FUNDING_PAID, 3.25 * E8, 1.0, 0.0),))
    run.give(((0, Kind.FUNDING_PAID, -1.25 * E8, 1.0, 0.0),), word(Kind.BORROW_CHARGED, 0.5 * E8))

    assert unpaid == 0
    assert (run.pnl()["funding"], run.pnl()["borrow"], run.book["payments"]) == (2 * E8, E8 // 2, 2)


def test_a_halt_blocks_entries_and_nothing_else() -> None:
    run = Live(pairs=2)
    run.enter(pair=0)

    run.give(word(Kind.HALTED))
    blocked = run.want(pair=1)
    left = run.want(0.0, pair=0)
    run.give(filled("long", -EIGHTHS), filled("short", EIGHTHS, ended=True))
    resumed = run.give(word(Kind.RESUMED))

    assert blocked == [] and refused(run, "halted") >= 1
    assert left == [(0, "exit", LOTS)]
    assert run.book["trades"] == 1
    assert resumed == [(1, "enter", LOTS)]


def test_flatten_closes_everything_and_opens_nothing_until_resumed() -> None:
    run = Live(pairs=3)
    run.enter(pair=0)
    run.enter(pair=1)
    run.want(pair=2)

    closed = run.give(word(Kind.FLATTEN_REQUESTED))
    for pair in (0, 1):
        run.give(filled("long", -EIGHTHS, pair=pair), filled("short", EIGHTHS, ended=True, pair=pair))
    run.give(filled("long", EIGHTHS, pair=2))  # the entry that was under way when flatten came
    late = run.give(filled("short", -EIGHTHS, ended=True, pair=2))
    run.give(filled("long", -EIGHTHS, pair=2), filled("short", EIGHTHS, ended=True, pair=2))
    blocked = [*run.tick(), *run.tick()]
    resumed = run.give(word(Kind.RESUMED))

    assert closed == [(0, "exit", LOTS), (1, "exit", LOTS)]
    assert late == [(2, "exit", LOTS)]
    assert blocked == [] and run.book["held"] == 0
    assert len(resumed) == 3, "all three are still wanted"


def test_flatten_does_not_wait_for_the_next_decision() -> None:
    run = Live(msgspec.structs.replace(FREE, cadence_s=3600))
    run.enter()

    closed = run.give(word(Kind.FLATTEN_REQUESTED))

    assert closed == [(0, "exit", LOTS)]


def test_a_holding_of_a_pair_that_is_gone_is_closed() -> None:
    run = Live(pairs=2)
    run.enter(pair=0)
    run.enter(pair=1)

    delisted = run.give(((1, Kind.INSTRUMENT_DELISTED, 0.0, 0.0, 0.0),))
    assert run.tick(after_s=FREE.dead_s / 2) == []
    silent = run.tick(after_s=FREE.dead_s / 2 + 10.0)

    assert delisted == [(0, "exit", LOTS)]
    assert silent == [(1, "exit", LOTS)], "its data ended"


def test_margin_health_as_reported_by_the_venue_blocks_entries() -> None:
    run = Live()

    run.give(word(Kind.MARGIN_OBSERVED, 2.9))
    blocked = run.want()
    healthy = run.give(word(Kind.MARGIN_OBSERVED, 3.0))

    assert blocked == [] and refused(run, "margin") == 1
    assert healthy == [(0, "enter", LOTS)]


def test_missing_coins_are_a_loss_at_once_and_not_later() -> None:
    run = Live()
    run.enter()
    run.give(quote(200.0))

    run.give(corrected(long=-EIGHTHS // 2))
    at_once = run.equity()
    run.give(quote(200.0))
    later = run.equity()
    run.give(filled("long", -EIGHTHS // 2, 200.0), filled("short", EIGHTHS, 200.0, ended=True))

    assert at_once == later == -1000.0  # 5 coins at 200
    assert run.equity() == -1000.0
    assert (run.pair()["long_cost"], run.book["long_cost"], run.pair()["held"]) == (0, 0, 0)


def test_an_added_short_is_worth_nothing_until_prices_move() -> None:
    """A missed fill is adopted: coins and their price in cash against each other, the short at the price of now."""
    run = Live()

    run.give(corrected(EIGHTHS, EIGHTHS, -1000.0))
    found = run.equity(), int(run.pair()["held"]), int(run.pair()["held_lots"]), float(run.pair()["held_size"])
    run.give(quote(110.0, 109.0))
    moved = run.equity()

    assert found == (0.0, 1, LOTS, 1000.0)
    assert moved == 10 * (10 - 9)
    assert run.want(0.0) == [(0, "exit", LOTS)], "what was adopted is closed like any other holding"


def test_a_removed_short_leaves_its_gain() -> None:
    run = Live()
    run.enter()
    run.give(quote(90.0))

    run.give(corrected(short=-EIGHTHS))

    assert run.equity() == 0.0
    assert run.book["short_realised"] == 100 * E8
    assert (run.pair()["short_entry"], run.book["short_value"], run.account["margin"]) == (0, 0, 0)


def test_a_correction_of_everything_closes_the_holding() -> None:
    run = Live()
    run.enter()

    run.give(corrected(-EIGHTHS, -EIGHTHS, 1000.0))

    assert (run.pair()["held"], run.book["trades"], run.equity()) == (0, 1, 0.0)


def test_a_correction_before_any_price_is_valued_at_the_newest_mark() -> None:
    run = Live()
    run.state.view["viewed"] = 0
    run.give(((1, Kind.FUNDING_PREDICTED, 0.0, 90.0, 0.0),))

    run.give(corrected(EIGHTHS, EIGHTHS, -900.0))
    found = run.equity()
    run.give(quote(90.0))

    assert found == run.equity() == 0.0


def test_cash_of_the_whole_account_is_corrected_without_a_pair() -> None:
    run = Live()

    run.give(corrected(cash=-7.5, pair=-1))

    assert run.equity() == -7.5


def test_fills_after_the_process_are_booked_as_they_come() -> None:
    """Auto-deleveraging, a liquidation, a manual trade: the holding changes without an open order of ours."""
    run = Live()
    run.enter()

    run.give(filled("short", EIGHTHS, 95.0))
    naked = int(run.pair()["held"]), int(run.pair()["short_units"])
    run.give(filled("long", -EIGHTHS))

    assert naked == (1, 0)
    assert (run.pair()["held"], run.equity(), run.book["trades"]) == (0, 50.0, 1)


def test_a_payment_that_the_venue_corrects_counts_once() -> None:
    run = Live()
    run.enter()

    run.give(((0, Kind.FUNDING_PAID, 3.25 * E8, 1.0, 0.0),))
    run.give(((0, Kind.FUNDING_CORRECTED, -0.75 * E8, 1.0, 0.0),))

    assert (run.pnl()["funding"], run.book["payments"]) == (2.5 * E8, 1)


def test_a_repair_ends_no_order_of_the_run() -> None:
    run = Live()
    run.want()

    run.give(filled("long", EIGHTHS), ((0, Kind.HEDGE_ENDED, 0.0, 0.0, 0.0),))

    assert pending(run) == ENTRY


@pytest.mark.parametrize("spread", [False, True])
def test_a_holding_of_an_earlier_run_is_taken_over_at_its_cost_and_closed_like_any_other(spread: bool) -> None:
    """It is counted in the lot it was opened in, whatever the lot is now."""
    run = Live(spread=spread)
    run.give(((0, Kind.LONG_ADOPTED, 400.0, 900.0 * E8, 0.025), (0, Kind.SHORT_ADOPTED, 400.0, 950.0 * E8, 0.025)))
    adopted = run.equity(), int(run.pair()["held"]), float(run.pair()["unit"]), float(run.pair()["held_size"])

    left = run.want(0.0)
    run.give(((0, Kind.LONG_FILLED, -400.0, 1000.0 * E8, 0.0), (0, Kind.SHORT_FILLED, 400.0, 1000.0 * E8, 0.0)))
    run.give(((0, Kind.HEDGE_ENDED, 1.0, 0.0, 0.0),))

    assert adopted == (50.0, 1, 0.025, 950.0), "100 gained by the long leg and 50 lost by the short one"
    assert [(pair, action) for pair, action, _ in left] == [(0, "exit")]
    assert (run.equity(), run.book["trades"], run.pair()["held"]) == (50.0, 1, 0)


def test_a_live_fold_and_a_simulated_one_decide_alike_until_an_order_fills() -> None:
    run = Live()
    twin = State(FREE, *carry("P0"))

    run.want()

    simulate(twin, np.concatenate(run.rows))
    assert twin.book["trace"] == run.book["trace"] != 0
