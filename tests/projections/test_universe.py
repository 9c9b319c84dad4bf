"""The universe of each month: chosen by turnover that was known, equal to an independent calculation."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.domain.build import MIDNIGHT, Market, closed, delisted, listing, settlement
from tests.domain.compiled import ordered

from carryfold.domain.instruments import Instrument, Listing, pairs_of
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.backtest import (
    Backtest,
    Selection,
    SelectionError,
    compute_figures,
    decision_rows,
    parse_universe,
    run_blocks,
)
from carryfold.projections.backtest.universe import Universe
from carryfold.projections.cursor import DAY_NS

DAY_H = 24
NAMES = ("A", "B", "C")


def listings() -> list[Listing]:
    """Spot and perpetual of three coins: instrument 2n and 2n + 1."""
    kinds = ("spot", "perp")
    return [Listing(Instrument("v", f"{name}USDT", kind), name, "USDT") for name in NAMES for kind in kinds]  # type: ignore[arg-type]


def history(turnover: dict[str, list[float]], days: int) -> Market:
    """Daily bars of both legs. `turnover` by coin is that of each month from January 2024; a coin without is silent."""
    rows: Market = [listing(number) for number in range(2 * len(NAMES))]
    for day in range(1, days + 1):
        month = datetime.fromtimestamp((MIDNIGHT + (day - 1) * DAY_NS) / 1e9, UTC).month - 1
        for place, name in enumerate(NAMES):
            if name in turnover and turnover[name][month] >= 0:
                rows.append(closed(day * DAY_H, 2 * place, 100.0, minutes=1440))
                amount = turnover[name][month]
                rows.append(closed(day * DAY_H, 2 * place + 1, 100.0, minutes=1440, turnover=amount))
                rows.append(settlement(day * DAY_H + 8, 2 * place + 1, 0.001))
    return rows


def in_blocks(rows: Rows, size: int) -> Iterator[Rows]:
    """Blocks of whole instants."""
    bounds = [0, *(np.flatnonzero(np.diff(rows["known_at"])) + 1).tolist(), len(rows)]
    start = 0
    for bound in bounds:
        if bound - start >= size or bound == len(rows):
            yield rows[start:bound].copy()
            start = bound


def members(rows: Market, top: int, size: int = 50) -> dict[str, list[str]]:
    perpetuals = Selection(listings(), pairs_of(listings())).perpetuals
    universe = Universe(perpetuals, top)
    found = np.concatenate(list(universe.extend(in_blocks(ordered(rows), size))))
    assert (np.diff(found["known_at"]) >= 0).all(), "the rows are still in known order"
    return {month: [one.symbol.removesuffix("USDT") for one in names] for month, names in universe.months.items()}


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_members_of_a_month_are_those_with_the_most_turnover_before_it(size: int) -> None:
    rows = history({"A": [5, 1, 9, 0], "B": [3, 6, 1, 0], "C": [1, 2, 3, 0]}, 31 + 29 + 31 + 5)

    found = members(rows, 2, size)

    assert found["1970-01-01"] == [], "nothing is known at the listings, whose time is unknown"
    assert found["2024-01-01"] == []
    assert found["2024-02-01"] == ["A", "B"]
    # the 30 days before 1 March: 31 January and February
    assert found["2024-03-01"] == ["B", "C"]
    assert found["2024-04-01"] == ["A", "C"]


def test_a_choice_uses_nothing_that_becomes_known_later() -> None:
    """The rows of a month and later change no choice made at its beginning."""
    calm = history({"A": [5, 1, 0, 0], "B": [3, 6, 0, 0], "C": [1, 2, 0, 0]}, 70)
    wild = history({"A": [5, 1, 1e9, 0], "B": [3, 6, 0, 0], "C": [1, 2, 1e9, 0]}, 70)

    assert members(calm, 1)["2024-03-01"] == members(wild, 1)["2024-03-01"] == ["B"]


def test_a_perpetual_that_was_closed_later_is_a_member_while_it_lives() -> None:
    rows = history({"A": [9, 9, -1, -1], "B": [3, 3, 3, 3]}, 31 + 29 + 31 + 5)
    rows.append(delisted((31 + 29 + 10) * DAY_H, 1))

    found = members(rows, 1)

    assert [found[f"2024-0{month}-01"] for month in (2, 3, 4)] == [["A"], ["A"], ["B"]]


def test_overlapping_observations_of_turnover_count_once() -> None:
    """Every six hours the turnover of 24 hours is observed: four times as many rows, the same turnover."""
    rows = history({"A": [5, 5, 5, 5], "B": [0, 0, 0, 0]}, 40)
    for hour in range(6, 40 * DAY_H, 6):
        at = MIDNIGHT + hour * 3600 * 10**9
        rows.append((at, at, 0, 3, Kind.ACTIVITY_OBSERVED, 1440, 4.0, -1.0, 0.0))

    assert members(rows, 1)["2024-02-01"] == ["A"]


def run(rows: Market, universe: int | None, **settings: object) -> Backtest:
    selection = Selection(listings(), pairs_of(listings()), universe=universe)
    params = Parameters(stale_s=200_000, leg_skew_s=60).changed(settings)
    return run_blocks(lambda: in_blocks(ordered(rows), 40), params, selection)


def test_only_members_are_entered_and_positions_of_former_members_stay() -> None:
    rows = history({"A": [5, 5, 0, 0], "B": [3, 9, 9, 0], "C": [1, 1, 1, 0]}, 31 + 29 + 20)

    entries = [(one["at"][:10], one["pair"]) for one in decision_rows(run(rows, 1)) if one["action"] == "enter"]
    every = {one["pair"] for one in decision_rows(run(rows, None)) if one["action"] == "enter"}

    assert [pair for _, pair in entries] == ["AUSDT", "BUSDT"]
    assert entries[0][0] >= "2024-02-01" and entries[1][0] >= "2024-03-01"
    assert every == {"AUSDT", "BUSDT", "CUSDT"}
    assert not [one for one in decision_rows(run(rows, 1)) if one["action"] == "exit"]


def test_hold_divides_by_the_members() -> None:
    rows = history({"A": [5, 5, 5, 0], "B": [3, 3, 3, 0], "C": [1, 1, 1, 0]}, 50)

    found = [one for one in decision_rows(run(rows, 2, strategy="hold")) if one["action"] == "enter"]

    assert [one["pair"] for one in found] == ["AUSDT", "BUSDT"]
    assert all(one["size"] == 2500.0 for one in found)


def test_a_run_says_by_which_universe_it_was_bound_and_when_that_was_always_empty() -> None:
    known = compute_figures(run(history({"A": [5, 5, 5, 0]}, 50), 2))
    unknown = compute_figures(run([*history({}, 0), *(closed(h, 1, 100.0) for h in range(1, 2000))], 2))

    assert any("the universe of a month is the 2 perpetuals" in one for one in known.assumptions)
    assert not any("always empty" in one for one in known.warnings)
    assert any("the universe was always empty" in one for one in unknown.warnings)


@pytest.mark.parametrize("text", ["20", "top:", "top:0", "top:-1", "top:x", "bottom:3", "top:99999"])
def test_a_universe_that_is_not_top_n_is_refused(text: str) -> None:
    assert parse_universe("top:20") == 20
    with pytest.raises(SelectionError, match="top:N"):
        parse_universe(text)
