"""A run sees nothing of an instrument before the log could say that a pair needs it."""

import numpy as np
from tests.domain.build import HOUR, MIDNIGHT, Market, closed, listing, settlement
from tests.domain.compiled import ordered

from carryfold.domain.instruments import Instrument, Listing, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.backtest import Selection, decision_rows, run_blocks
from carryfold.projections.backtest.known_legs import KnownLegs

SPOT, PERP = Instrument("v", "XUSDT", "spot"), Instrument("v", "XUSDT", "perp")
SELECTION = Selection([Listing(one, "X", "USDT") for one in (SPOT, PERP)], [Pair(SPOT, PERP)])


def listed_at(hours: float, subject: int, lot: float = 1e-6) -> tuple[int, ...]:
    at = MIDNIGHT + round(hours * HOUR)
    return (at, at, *listing(subject, lot=lot)[2:])  # type: ignore[return-value]


def changed_at(hours: float, subject: int, lot: float) -> tuple[int, ...]:
    at = MIDNIGHT + round(hours * HOUR)
    return (at, at, 0, subject, Kind.INSTRUMENT_CHANGED, 0, lot, -1.0, -1.0)  # type: ignore[return-value]


def spot_first() -> Rows:
    """A spot market with prices and a change of its lot, years before its perpetual is listed at hour 100."""
    rows: Market = [listed_at(0, 0), changed_at(50, 0, 0.5), listed_at(100, 1)]  # type: ignore[list-item]
    rows += [closed(h, 0, 100.0) for h in range(1, 200)]
    rows += [closed(h, 1, 100.0) for h in range(101, 200)]
    rows += [settlement(8 * k, 1, 0.001) for k in range(13, 24)]
    return ordered(rows)


def filtered(rows: Rows, pieces: int) -> Rows:
    blocks = np.array_split(np.unique(rows["known_at"]), pieces)
    found = KnownLegs(SELECTION).filter(rows[np.isin(rows["known_at"], times)] for times in blocks)
    return np.concatenate(list(found))


def test_rows_come_from_when_the_pair_is_known_and_rules_are_handed_over_then() -> None:
    rows = spot_first()

    for pieces in (1, 7, 150):
        found = filtered(rows, pieces)
        assert found["known_at"].min() == MIDNIGHT + 100 * HOUR
        assert (np.diff(found["known_at"]) >= 0).all()
        first = found[found["known_at"] == MIDNIGHT + 100 * HOUR]
        assert [(row["subject"], row["kind"], row["a"]) for row in first] == [
            (0, Kind.INSTRUMENT_LISTED, 1e-6),
            (0, Kind.INSTRUMENT_CHANGED, 0.5),
            (1, Kind.INSTRUMENT_LISTED, 1e-6),
        ], "in the order in which they happened"
        later = rows[rows["known_at"] > MIDNIGHT + 100 * HOUR]
        assert (found[len(first) :] == later).all()


def test_a_run_trades_by_rules_that_changed_before_its_pair_was_known() -> None:
    run = run_blocks(lambda: iter([spot_first()]), Parameters(notional=999.0), SELECTION)

    entered = next(one for one in decision_rows(run) if one["action"] == "enter")
    assert (entered["lots"], entered["size"]) == (19, 999.0), "of half a coin at 100"


def test_rows_of_a_leg_that_is_never_listed_are_never_seen() -> None:
    rows = spot_first()
    unlisted = rows[~((rows["kind"] == Kind.INSTRUMENT_LISTED) & (rows["subject"] == 0))]

    found = filtered(unlisted, 5)

    assert set(found["subject"].tolist()) == {1}
