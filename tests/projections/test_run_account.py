"""A run's account adds up: part by part, and against the cash that its events moved."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.domain import events as ev
from carryfold.domain.instruments import Leg, carry_pair
from carryfold.projections.facts import Fact
from carryfold.projections.run_account import Attribution, RunAccount

RUN = 7
PAIRS = [carry_pair("v", name, spot_symbol=name) for name in ("AUSDT", "BUSDT")]
LOT = 1_000_000

amounts = st.decimals(-500, 500, places=8)
paid = st.decimals(0, 500, places=8)
legs = st.sampled_from(["long", "short"])
pairs = st.sampled_from(PAIRS)
fills = st.builds(
    lambda pair, leg, lots, value, fee, name: ev.OrderFilled(
        RUN, 1, pair, leg, "c", f"f{name}", lots * LOT, value, fee, qty=Decimal(lots)
    ),
    pairs, legs, st.integers(-5, 5).filter(bool), paid, amounts, st.integers(0, 40),
)  # fmt: skip
others = st.one_of(
    st.builds(lambda pair, leg, amount: ev.FundingPaid(RUN, 1, pair, leg, 1, amount), pairs, legs, amounts),
    st.builds(
        lambda pair, leg, amount: ev.FundingCorrected(RUN, 1, pair, leg, 1, amount, Decimal(1)), pairs, legs, amounts
    ),
    st.builds(lambda amount: ev.BorrowCharged(RUN, 1, amount), paid),
    st.builds(lambda cash: ev.ReconciliationCorrected(RUN, 1, None, 0, 0, cash), amounts),
    st.builds(
        lambda pair, lots, cash: ev.ReconciliationCorrected(RUN, 1, pair, lots * LOT, 0, cash),
        pairs, st.integers(-3, 3), amounts,
    ),
    st.builds(lambda amount: ev.BorrowCharged(RUN + 1, 1, amount), paid),
)  # fmt: skip


def cash_moved(event: ev.Event) -> Decimal:
    """The cash that an event moves, at a venue that pays out the proceeds of short sales."""
    if isinstance(event, ev.OrderFilled):
        return (event.value if event.units < 0 else -event.value) - event.fee
    if isinstance(event, ev.FundingPaid | ev.FundingCorrected):
        return event.amount
    if isinstance(event, ev.ReconciliationCorrected):
        return event.cash
    assert isinstance(event, ev.BorrowCharged)
    return -event.amount


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(fills, others), max_size=30))
def test_the_net_of_all_entries_is_the_cash_that_moved_and_the_cost_of_what_is_held(events: list[ev.Event]) -> None:
    account = RunAccount(RUN)
    entries = list(account.entries(Fact(1, seq, event) for seq, event in enumerate(events, 1)))
    total = Attribution()
    for entry in entries:
        total = total.plus(entry.change)

    cash = sum((cash_moved(entry.fact.event) for entry in entries), Decimal(0))
    cost = sum((one.long.cost - one.short.cost for one in account.holdings.pairs.values()), Decimal(0))
    parts = total.funding + total.long_pnl + total.short_pnl - total.fees - total.borrow + total.corrected
    assert total == account.total()
    assert total.net == parts == cash + cost


def test_a_pair_is_held_since_the_event_that_opened_it_last() -> None:
    account = RunAccount(RUN)

    def fill(seq: int, leg: Leg, lots: int) -> None:
        account.apply(Fact(seq, seq, ev.OrderFilled(
            RUN, 1, PAIRS[0], leg, "c", f"f{seq}", lots * LOT, Decimal(1), Decimal(0), qty=Decimal(lots)
        )))  # fmt: skip

    fill(1, "long", 2)
    fill(2, "short", -2)
    assert account.opened_at == {PAIRS[0]: 1}
    fill(3, "long", -2)
    fill(4, "short", 2)
    assert account.opened_at == {}
    fill(5, "long", 1)
    assert account.opened_at == {PAIRS[0]: 5}


def test_what_belongs_to_another_run_or_moves_nothing_is_no_entry() -> None:
    account = RunAccount(RUN)

    strange = [Fact(1, 1, ev.BorrowCharged(RUN + 1, 1, Decimal(1))), Fact(1, 2, ev.MarginObserved(RUN, 1, 3.0))]

    assert not any(map(account.apply, strange))
    assert list(account.entries(strange)) == []
