"""Figures that do not depend on the number of quotes: the marks of settlements, volatility, turnover."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.domain.fold.observe import keep_mark, mark_for
from carryfold.domain.fold.state import INSTRUMENT, MARKS_BEFORE, NEVER
from carryfold.domain.params import Parameters
from tests.domain.build import HOUR, MIDNIGHT, bar, listed, quote
from tests.domain.compiled import carry, fold_rows, ordered

TIMES = st.one_of(
    st.integers(0, 24).map(lambda hour: hour * HOUR),
    st.tuples(st.integers(0, 24), st.sampled_from([-1, 1, 2])).map(lambda one: one[0] * HOUR + one[1]),
    st.integers(0, 24 * HOUR),
).map(lambda since: MIDNIGHT + since)


@settings(deadline=None, max_examples=300)
@given(times=st.lists(TIMES, min_size=1, max_size=40), asked=st.lists(TIMES, min_size=1, max_size=10))
def test_of_each_of_the_newest_hours_the_newest_mark_is_kept(times: list[int], asked: list[int]) -> None:
    market = np.zeros(1, INSTRUMENT)
    market["mark_until"] = market["mark_at"] = NEVER
    hours: dict[int, tuple[int, float]] = {}
    for number, at in enumerate(times, 1):
        keep_mark(market[0], at, float(number))
        hour = -(-at // HOUR)
        hours[hour] = max(hours.get(hour, (at, 0.0)), (at, float(number)))
        hours = dict(sorted(hours.items())[-(MARKS_BEFORE + 1) :])

        for wanted in (*asked, at):
            known = [one for one in hours.values() if one[0] <= wanted]
            assert mark_for(market[0], wanted) == (max(known)[1] if known else 0.0)


def test_quotes_between_bars_change_neither_volatility_nor_turnover() -> None:
    prices = [100.0, 101.0, 99.0, 102.0, 102.5, 101.5]
    bars = [bar(h, price, turnover=1e6 + h) for h, price in enumerate(prices, 1)]
    quotes = [quote(h + m / 60, price + m / 100) for h, price in enumerate(prices, 1) for m in range(60)]

    plain, live = (
        fold_rows(ordered([listed(), *rows]), *carry("XUSDT"), Parameters())[0].market[1]
        for rows in (bars, [*bars, *quotes])
    )

    assert plain["vol_count"] == live["vol_count"] == len(prices) - 1
    assert plain["vol_m"] == live["vol_m"] > 0
    before = len(prices) - 1
    assert live["turnover_count"] == plain["turnover_count"] == before
    assert live["turnovers"][:before].tolist() == [1e6 + h for h in range(1, before + 1)]
    assert plain["turnovers"].tolist() == live["turnovers"].tolist()
    assert plain["turnover"] == live["turnover"] == 1e6 + len(prices)
