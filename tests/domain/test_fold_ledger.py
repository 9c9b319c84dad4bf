"""Phase 4 under anything: random fills, ends, payments, corrections and orders of the operator, in any order, against
a ledger that only knows cash and units."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from carryfold.domain.fold import State, fold
from carryfold.domain.fold.codes import ENTRY, NOTHING
from carryfold.domain.fold.money import account_equity, equity
from carryfold.domain.rows import E8, Kind
from tests.domain.ledger import Ledger
from tests.domain.live import (
    EIGHTH,
    FREE,
    PRICE,
    Live,
    Values,
    cancelled,
    corrected,
    filled,
    fresh,
    quote,
    rate,
    rejected,
    word,
)

PAIRS = 3
PARAMS = FREE.changed({"max_positions": 2, "daily_loss_limit": 1.0})
SIMPLE = (Kind.HALTED, Kind.RESUMED, Kind.FLATTEN_REQUESTED)
UNHEEDED = (Kind.ORDER_ACCEPTED, Kind.ORDER_UNKNOWN)

pairs = st.integers(0, PAIRS - 1)
prices = st.integers(97, 103).map(float)
cents = st.integers(-200, 200).map(lambda n: n / 64)
flags = st.booleans()
long_or_short = st.sampled_from([0.0, 1.0])

fills = st.builds(
    filled,
    st.sampled_from(["long", "short"]),
    st.one_of(st.integers(-100, 100), *2 * [st.sampled_from([-80, 80])]),  # often just what is held
    prices,
    fee=cents,
    ended=flags,
    pair=pairs,
)
market = st.one_of(
    st.builds(lambda pair, long, basis: quote(long, long + basis, pair=pair), pairs, prices, st.integers(-1, 1)),
    st.builds(lambda pair, value: rate(value, pair=pair), pairs, st.sampled_from([0.0, 0.002])),
)
money = st.one_of(
    st.builds(lambda pair, kind, amount, leg: ((pair, kind, amount * E8, leg, 0.0),), pairs,
              st.sampled_from([Kind.FUNDING_PAID, Kind.FUNDING_CORRECTED]), cents, long_or_short),
    st.builds(lambda amount: word(Kind.BORROW_CHARGED, amount * E8), cents),
    st.builds(corrected, st.integers(-90, 90), st.integers(-90, 90), cents, pair=pairs),
    st.builds(lambda cash: corrected(cash=cash, pair=-1), cents),
)  # fmt: skip
words = st.one_of(
    st.builds(rejected, ended=flags, pair=pairs),
    st.builds(cancelled, ended=flags, pair=pairs),
    st.builds(word, st.sampled_from(SIMPLE)),
    st.builds(lambda health: word(Kind.MARGIN_OBSERVED, health), st.sampled_from([0.0, 2.0, 50.0])),
    st.builds(lambda kind, pair: ((pair, kind, 0.0, 0.0, 0.0),), st.sampled_from(UNHEEDED), pairs),
)  # fmt: skip
histories = st.lists(st.one_of(fills, fills, market, money, words), max_size=60)
thorough = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


class Orders:
    """The pairs with an order in progress, from the decisions and the ends of processes."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}

    def end(self, values: Values) -> None:
        for subject, kind, *_ in values:
            if kind == Kind.HEDGE_ENDED:
                self.open.pop(subject, None)


def check_sums(run: Live) -> None:
    """The sums of the book and of its accounts are those of the pairs, and a pair that is over has left nothing
    behind."""
    b, p, accounts = run.book, run.state.pair, run.state.account
    for name in ("long_cost", "long_value", "short_entry", "short_value", "held"):
        assert b[name] == p[name].sum(), f"the book's {name} is not the sum of the pairs'"
    for name, of_leg in (("margin", "{}_margin"), ("pending_e8", "pending_{}_e8")):
        legs = [p[of_leg.format(leg)].sum() for leg in ("long", "short")]
        expected = legs if len(accounts) == 2 else [sum(legs)]
        assert accounts[name].tolist() == expected, f"the accounts' {name} is not the sum of the pairs'"
    assert sum(account_equity(account) for account in accounts) == equity(b)
    assert b["pending_entries"] == ((p["pending"] == ENTRY) & (p["held"] == 0)).sum()
    assert b["ordered"] == (p["pending"] != NOTHING).sum()
    assert b["entries"] - b["trades"] == b["held"]
    over = p[p["held"] == 0]
    for name in ("units", "value", "margin"):
        assert (over[f"long_{name}"] == 0).all() and (over[f"short_{name}"] == 0).all(), (
            f"{name} is left of what is over"
        )
    assert (over["long_cost"] == 0).all() and (over["short_entry"] == 0).all()
    assert ((p["long_cost"] == 0) | (p["long_units"] != 0)).all()
    assert ((p["short_entry"] == 0) | (p["short_units"] != 0)).all()


def check_decisions(run: Live, ledger: Ledger, orders: Orders, decided: list[tuple[int, str, int]]) -> None:
    """Check that a pair with an order in progress has no decision, and that only flat pairs are entered, when
    allowed."""
    for pair, action, lots in decided:
        assert pair not in orders.open
        assert lots > 0
        flat = ledger.long[pair].eighths == ledger.short[pair].eighths == 0
        assert flat == (action == "enter")
        assert action == "exit" or not (ledger.halted or ledger.blocked)
        orders.open[pair] = action
    under_way = {int(i): int(run.pair(int(i))["pending"]) == ENTRY for i in np.flatnonzero(run.state.pair["pending"])}
    assert under_way == {pair: action == "enter" for pair, action in orders.open.items()}


@pytest.mark.parametrize("spread", [False, True])
@thorough
@given(history=histories)
@example(history=[filled("long", -10), corrected(20, 0), filled("long", -10), cancelled(ended=True)])
def test_the_attribution_is_that_of_a_plain_ledger_after_every_row(spread: bool, history: list[Values]) -> None:
    run, ledger, orders = Live(PARAMS, PAIRS, spread=spread), Ledger(PAIRS, spread), Orders()
    held = [False] * PAIRS
    for pair in range(PAIRS):
        for row in quote(PRICE, pair=pair):
            ledger.take(row)
        orders.open |= {i: action for i, action, _ in run.want(pair=pair)}
    start = run.state.account["capital"].tolist()
    for values in history:
        for row in values:
            ledger.take(row)
        orders.end(values)
        on = [long.eighths != 0 or short.eighths != 0 for long, short in zip(ledger.long, ledger.short, strict=True)]
        held = [on[i] or (held[i] and i in orders.open) for i in range(PAIRS)]
        decided = run.give(values)

        assert run.pnl() == ledger.pnl()
        gained = [account_equity(account) - at for account, at in zip(run.state.account, start, strict=True)]
        assert gained == ledger.equities()
        assert [int(p["long_units"]) for p in run.state.pair] == [leg.eighths * EIGHTH for leg in ledger.long]
        assert [-int(p["short_units"]) for p in run.state.pair] == [leg.eighths * EIGHTH for leg in ledger.short]
        assert [bool(p["held"]) for p in run.state.pair] == held, "a holding ends flat, and with its process"
        assert (run.book["halted"], run.book["flatten"]) == (ledger.halted, ledger.blocked)
        check_sums(run)
        check_decisions(run, ledger, orders, decided)


@thorough
@given(st.lists(st.lists(st.one_of(fills, market, money, words), min_size=1, max_size=5), max_size=15), st.data())
def test_a_live_fold_in_pieces_or_in_another_order_inside_instants_is_the_same(
    instants: list[list[Values]], data: st.DataObject
) -> None:
    run = Live(PARAMS, PAIRS)
    for instant in instants:
        run.give(*instant)

    at_once, shuffled = fresh(PARAMS, PAIRS), fresh(PARAMS, PAIRS)
    fold(at_once, np.concatenate(run.rows))
    for rows in run.rows:
        fold(shuffled, rows[data.draw(st.permutations(range(len(rows))))])

    assert at_once.hash() == run.state.hash() == shuffled.hash()
    check_sums(run)


@thorough
@given(histories, st.floats(0, 1))
def test_a_live_state_continues_from_its_snapshot_without_a_difference(history: list[Values], share: float) -> None:
    run = Live(PARAMS, PAIRS)
    stop = int(share * len(history))
    for row in history[:stop]:
        run.give(row)
    again: Any = State.load(run.state.dump())
    for row in history[stop:]:
        run.give(row)
        fold(again, run.rows[-1])

    assert again.hash() == run.state.hash()
