"""Each pair has its own phase and keeps it."""

from carryfold.adapters.daemon.conflation import Conflator, RecordingPolicy
from carryfold.domain.events import Event, Quoted
from carryfold.domain.instruments import carry_pair

SECOND = 1_000_000_000
TICK = SECOND // 4
START = 1_700_000_000 * SECOND
PAIRS = 200


def recorded(conflator: Conflator, ticks: range) -> list[list[Event]]:
    """The events taken at each tick while every pair quotes all the time."""
    taken = []
    for tick in ticks:
        now = START + tick * TICK
        for number in range(PAIRS):
            for kind in ("spot", "perp"):
                conflator.offer(Quoted("bybit", f"P{number}USDT", kind, 1, now, 1.0, 1.1))
        taken.append(conflator.take(now, ()))
    return taken


def conflator_of_all() -> Conflator:
    """A conflator that follows every pair."""
    conflator = Conflator(RecordingPolicy())
    conflator.follow(carry_pair("bybit", f"P{number}USDT", 1, f"P{number}USDT") for number in range(PAIRS))
    return conflator


def test_quotes_of_many_pairs_are_spread_over_the_period() -> None:
    first, *then = recorded(conflator_of_all(), range(401))

    assert len(first) == 2 * PAIRS, "everything is recorded at once when it is first seen"
    sizes = [len(events) for events in then[40:]]
    assert max(sizes) <= 2 * 3 * PAIRS / 40, "a share of the pairs each tick"
    assert sum(sizes) == 2 * PAIRS * len(sizes) // 40, "both legs of each pair once in ten seconds"


def test_each_pair_keeps_its_step_when_ticks_are_late() -> None:
    conflator = conflator_of_all()
    recorded(conflator, range(41))
    for late in range(41, 400, 40):  # each time three ticks fall out
        taken = recorded(conflator, range(late + 3, late + 40))

    assert max(len(events) for events in taken[1:]) <= 2 * 3 * PAIRS / 40


def test_one_pair_is_recorded_each_quote_s() -> None:
    conflator = Conflator(RecordingPolicy())
    found = []
    for tick in range(200):
        now = START + tick * TICK
        conflator.offer(Quoted("bybit", "BTCUSDT", "perp", 1, now, 1.0, 1.1))
        found += [event.event_at for event in conflator.take(now, ())]

    assert found == [START + second * 10 * SECOND for second in range(5)]
