"""Spans that were fetched: merged, subtracted, and kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from carryfold.adapters.backfill.coverage import Coverage, Span, merged, missing
from carryfold.domain.instruments import Instrument

X = Instrument("v", "X", "perp")
SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


class Kept:
    """Settings in memory."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get_meta(self, name: str) -> bytes | None:
        return self.values.get(name)

    def set_meta(self, name: str, value: bytes) -> None:
        self.values[name] = value


def times(spans: list[Span]) -> set[int]:
    return {time for since, until in spans for time in range(since, until)}


@given(SPANS)
def test_merged_spans_are_the_same_times_apart_from_each_other(spans: list[Span]) -> None:
    found = merged(spans)

    assert times(found) == times(spans)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(found))


@given(SPANS, st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_what_is_missing_is_what_is_wanted_and_not_covered(spans: list[Span], wanted: Span) -> None:
    found = missing(spans, wanted)

    assert times(found) == times([wanted]) - times(spans)
    assert found == sorted(found, reverse=True)


def test_a_record_survives_and_does_not_depend_on_its_pieces() -> None:
    whole, parts = Kept(), Kept()
    Coverage(whole, X).add("settled", (0, 30), 3)
    for span in ((20, 30), (0, 10), (10, 20)):
        Coverage(parts, X).add("settled", span, 1)

    assert whole.values == parts.values
    assert Coverage(parts, X).missing("settled", (0, 40)) == [(30, 40)]
    assert Coverage(parts, X._replace(listing=2)).missing("settled", (0, 40)) == [(0, 40)]


def test_a_refusal_is_kept_until_the_venue_answers() -> None:
    kept = Kept()
    Coverage(kept, X).refuse("settled", "no such symbol")

    assert Coverage(kept, X).refusals() == ["settled: no such symbol"]
    Coverage(kept, X).add("settled", (0, 1), 0)
    assert Coverage(kept, X).refusals() == []
