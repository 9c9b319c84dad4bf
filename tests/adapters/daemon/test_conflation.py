"""Which events of busy streams are recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.adapters.daemon.conflation import WAITING_MAX, Conflator, RecordingPolicy
from carryfold.domain.events import Event, FeedLost, FundingPredicted, Quoted
from carryfold.domain.instruments import Instrument, InstrumentKind, Pair, carry_pair
from tests.adapters.daemon.world import SECOND

POLICY = RecordingPolicy(quote_s=10.0, hot_s=1.0, estimate_s=60.0)
T0 = 1_000_000 * SECOND


def quote(at_s: float, symbol: str = "A", kind: InstrumentKind = "perp") -> Quoted:
    return Quoted("v", symbol, kind, 1, T0 + round(at_s * SECOND), 100.0, 101.0)


def spot(at_s: float, symbol: str = "A") -> Quoted:
    return quote(at_s, symbol, "spot")


def estimate(at_s: float, rate: float, next_s: float, symbol: str = "A") -> FundingPredicted:
    return FundingPredicted("v", symbol, 1, T0 + round(at_s * SECOND), rate, T0 + round(next_s * SECOND), 8.0)


def take(conflator: Conflator, at_s: float, *hot: str) -> list[Event]:
    return conflator.take(T0 + round(at_s * SECOND), {Instrument("v", symbol, "perp") for symbol in hot})


def conflator_of(*symbols: str) -> Conflator:
    """A conflator that follows the carry pairs of these symbols."""
    conflator = Conflator(POLICY)
    conflator.follow(carry_pair("v", symbol, 1, symbol) for symbol in symbols)
    return conflator


def test_the_latest_quote_of_each_instrument_is_recorded_each_quote_s() -> None:
    conflator = Conflator(POLICY)
    for at in range(30):
        conflator.offer(quote(at))
        conflator.offer(quote(at, "B"))
    first = take(conflator, 30)
    conflator.offer(quote(31))

    assert first == [quote(29), quote(29, "B")]
    assert take(conflator, 39.9) == []
    assert take(conflator, 40.0) == [quote(31)]
    assert conflator.replaced == 58


def test_pairs_that_are_held_are_recorded_each_hot_s() -> None:
    conflator = Conflator(POLICY)
    conflator.offer(quote(0))
    take(conflator, 0)
    conflator.offer(quote(1))
    conflator.offer(quote(1, "B"))
    take(conflator, 1, "B")
    conflator.offer(quote(2))
    conflator.offer(quote(2, "B"))

    assert take(conflator, 2, "B") == [quote(2, "B")]


def test_a_leg_takes_the_other_one_s_latest_quote_along_so_that_a_pair_comes_in_one_instant() -> None:
    conflator = conflator_of("A", "B")
    conflator.offer(quote(0))
    assert take(conflator, 0) == [quote(0)]
    conflator.offer(spot(1))
    conflator.offer(spot(7))
    conflator.offer(quote(8))
    conflator.offer(quote(8, "B"))

    assert take(conflator, 10) == [quote(8), spot(7), quote(8, "B")]
    assert take(conflator, 10) == [], "each of them once"


def test_legs_that_were_recorded_together_stay_together() -> None:
    conflator = conflator_of("A")
    taken: list[list[Event]] = []
    for tenth in range(1, 2_000):
        conflator.offer(quote(tenth / 10) if tenth % 3 else spot(tenth / 10))
        taken.append(take(conflator, tenth / 10))

    recorded = [[event.kind for event in events if isinstance(event, Quoted)] for events in taken if events]
    assert recorded[2:] == [["perp", "spot"]] * len(recorded[2:])
    assert len(recorded) <= 2 + 200 / POLICY.quote_s


def test_the_first_quotes_of_both_legs_do_not_wait_for_their_turn() -> None:
    conflator = conflator_of("A")
    conflator.offer(quote(0))
    assert take(conflator, 0) == [quote(0)]
    conflator.offer(quote(1))
    conflator.offer(spot(1))

    assert take(conflator, 1) == [quote(1), spot(1)]
    conflator.offer(quote(2))
    conflator.offer(spot(2))
    assert take(conflator, 2) == []


def test_a_leg_whose_other_one_is_silent_is_recorded_in_its_turn() -> None:
    conflator = conflator_of("A")
    conflator.offer(quote(0))
    conflator.offer(spot(0))
    take(conflator, 0)
    conflator.offer(quote(3))

    assert take(conflator, 3) == []
    assert take(conflator, 10) == [quote(3)]


def test_an_instrument_in_several_pairs_comes_with_each_of_them() -> None:
    conflator = Conflator(POLICY)
    legs = [Instrument("v", "A", "perp"), Instrument("v", "B", "perp"), Instrument("v", "C", "perp")]
    conflator.follow([Pair(legs[0], legs[1]), Pair(legs[1], legs[2])])
    conflator.offer(quote(0, "B"))
    take(conflator, 0)
    for symbol in "ABC":
        conflator.offer(quote(5, symbol))

    assert take(conflator, 5) == [quote(5, "B"), quote(5, "A"), quote(5, "C")]


def test_the_last_estimate_before_a_settlement_is_always_recorded() -> None:
    conflator = Conflator(POLICY)
    conflator.offer(estimate(0, 1e-4, 100))
    take(conflator, 0)
    conflator.offer(estimate(30, 2e-4, 100))
    conflator.offer(estimate(99, 3e-4, 100))
    conflator.offer(estimate(101, 0.0, 200))

    assert take(conflator, 101) == [estimate(99, 3e-4, 100), estimate(101, 0.0, 200)]


def test_an_older_observation_never_replaces_a_newer_one() -> None:
    conflator = Conflator(POLICY)
    conflator.offer(quote(5))
    conflator.offer(quote(4))

    assert take(conflator, 10) == [quote(5)]


def test_everything_else_passes_at_once_and_the_stream_waits_when_too_much_does() -> None:
    conflator = Conflator(POLICY)
    lost = FeedLost(T0, "f", "why")
    for _ in range(WAITING_MAX):
        conflator.offer(lost)

    assert conflator.is_full
    assert len(take(conflator, 0)) == WAITING_MAX
    assert not conflator.is_full


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 50), st.booleans()), max_size=60))
def test_what_is_recorded_of_an_instrument_never_goes_back_and_memory_is_bounded(
    steps: list[tuple[str, int, bool]],
) -> None:
    conflator, at, seen = Conflator(POLICY), 0.0, dict[str, int]()
    for symbol, tenths, is_hot in steps:
        at += tenths / 10
        conflator.offer(quote(at, symbol))
        for event in take(conflator, at, *(["A"] if is_hot else [])):
            assert isinstance(event, Quoted)
            assert event.event_at >= seen.get(event.symbol, 0)
            seen[event.symbol] = event.event_at
    assert len(take(conflator, at + 10)) <= 3


@pytest.mark.parametrize("field", ["quote_s", "hot_s", "estimate_s", "commits_a_second"])
def test_the_policy_has_defaults(field: str) -> None:
    assert getattr(RecordingPolicy(), field) > 0
