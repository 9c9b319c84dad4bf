"""Sources that each tell a part of a bar: whichever comes first, the log has all of it in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument
from carryfold.domain.params import Parameters
from carryfold.eventlog import LogReader
from carryfold.projections.backtest import run_backtest, select_pairs
from carryfold.projections.cursor import NOW as ALL
from carryfold.projections.cursor import Cursor
from carryfold.projections.tape import Tape

from .test_importing import BARS_HEADER, FUNDING_HEADER, HOUR, MIDNIGHT, kline, load, opened, response, stamped, write

Bars = dict[tuple[Instrument, int, int, int], dict[str, set[float]]]

UNTOLD = {"close": 0.0, "mark": 0.0, "turnover": -1.0}


def bars_of(home: Path) -> Bars:
    """The values of each bar of a log, by instrument, time, length and known_at; none is given twice."""
    bars: Bars = defaultdict(lambda: defaultdict(set))
    for event, known_at in stamped(home):
        if isinstance(event, ev.BarClosed):
            bar = bars[event.instrument, event.event_at, event.minutes, known_at]
            for name, untold in UNTOLD.items():
                value = getattr(event, name)
                if value != untold:
                    assert not bar[name]
                    bar[name].add(value)
    return bars


def sources(folder: Path) -> dict[str, Path]:
    """Ten hours of one perpetual: its klines, its marks, and two tables that have a part of both."""
    opens = [MIDNIGHT + n * HOUR for n in range(10)]
    perp = response(
        [kline(at, str(100 + n), str(70 + n)) for n, at in enumerate(opens)], category="linear", symbol="AAAUSDT"
    )
    mark = response([kline(at, str(101 + n)) for n, at in enumerate(opens)], category="linear", symbol="AAAUSDT")
    some = [f"AAAUSDT,{at},,{101 + n},{100 + n},," for n, at in enumerate(opens)]
    turned = [f"AAAUSDT,{at},99,,{100 + n},{70 + n}," for n, at in enumerate(opens)]
    return {
        "perp": write(folder / "perp.json", perp), "mark": write(folder / "mark.json", mark),
        "some": write(folder / "some.csv", BARS_HEADER, *some),
        "turned": write(folder / "turned.csv", BARS_HEADER, *turned),
    }  # fmt: skip


def test_in_whatever_order_parts_of_bars_come_the_log_has_all_of_them_once(tmp_path: Path) -> None:
    files = sources(tmp_path)
    with opened(tmp_path / "together") as log:
        report = load(log, *files.values())
        assert (report.conflicts, report.rejected) == (0, 0)
    expected = bars_of(tmp_path / "together")
    assert len(expected) == 20  # ten of the spot market
    for number, order in enumerate(permutations(files.values())):
        with opened(tmp_path / f"home{number}") as log:
            reports = [load(log, file) for file in order]
            seq = log.last.seq
            again = [load(log, file) for file in order]
            assert log.last.seq == seq
        assert [report.conflicts for report in (*reports, *again)] == [0] * 8
        assert [report.appended for report in again] == [0] * 4
        assert [report.duplicates for report in again] == [20 if file == files["turned"] else 10 for file in order]
        assert bars_of(tmp_path / f"home{number}") == expected


def test_marks_of_another_call_are_added_and_known_with_the_bar(tmp_path: Path) -> None:
    files = sources(tmp_path)
    with opened(tmp_path / "home") as log:
        load(log, files["perp"])
        report = load(log, files["mark"])
        assert (report.appended, report.duplicates, report.conflicts) == (10, 0, 0)
    first, *_, last = (one for one in stamped(tmp_path / "home") if isinstance(one[0], ev.BarClosed))
    at = (MIDNIGHT + HOUR) * 10**6
    assert first == (ev.BarClosed("bybit", "AAAUSDT", "perp", 1, at, 60, 100.0, 0.0, 70.0), at + 10**9)
    at += 9 * HOUR * 10**6
    assert last == (ev.BarClosed("bybit", "AAAUSDT", "perp", 1, at, 60, 0.0, 110.0, -1.0), at + 10**9)


@pytest.mark.parametrize("values", ["105,102", "103,108", "105,108"])
def test_another_value_of_any_part_is_a_contradiction(tmp_path: Path, values: str) -> None:
    """Of the fourth bar, the mark of which came later than its close: 104 and 103."""
    files = sources(tmp_path)
    mark, close = values.split(",")
    wrong = write(tmp_path / "wrong.csv", BARS_HEADER, f"AAAUSDT,{MIDNIGHT + 3 * HOUR},,{mark},{close},,")
    with opened(tmp_path / "home") as log:
        load(log, files["perp"])
        load(log, files["mark"])
        before = bars_of(tmp_path / "home")
        report = load(log, wrong, bar_minutes=60)
        assert (report.appended, report.duplicates, report.conflicts) == (0, 0, 1)
        seq = log.last.seq
        assert load(log, wrong, bar_minutes=60).conflicts == 1
        assert log.last.seq == seq
    assert bars_of(tmp_path / "home") == before
    corrected = [event for event, _ in stamped(tmp_path / "home") if isinstance(event, ev.ObservationCorrected)]
    assert [(one.observation, one.instrument) for one in corrected] == [
        ("BarClosed", Instrument("bybit", "AAAUSDT", "perp"))
    ]


# --- what is decided --------------------------------------------------------------------------------------------------

SETTINGS = Parameters(strategy="composite", capital=90_000, min_age_d=0, w_basis=0.5)


def market(folder: Path) -> dict[str, list[Path]]:
    """Sixty days of two pairs with wrong prints, the marks of which tell another basis than the perpetual's closes.
    `closes` is what `perps` says without the turnover."""
    rates: list[str] = []
    files: dict[str, list[Path]] = {"spots": [], "perps": [], "marks": [], "closes": []}
    for symbol, base in (("AAAUSDT", 100.0), ("BBBUSDT", 7.0)):
        opens = [MIDNIGHT + n * HOUR for n in range(1_440)]
        spots = [base * (1 + 0.01 * ((n * 37 % 101) / 101 - 0.5)) for n in range(1_440)]
        marks = [price * (1 + 0.002 * ((n * 53 % 89) / 89 - 0.5)) for n, price in enumerate(spots)]
        perps = [price * (1.06 if n % 97 == 50 else 1.0001) for n, price in enumerate(spots)]
        turnovers = [str(200_000 + n * 7919 % 100_000) for n in range(1_440)]
        spot = [kline(at, f"{p:.4f}", "1000000") for at, p in zip(opens, spots, strict=True)]
        perp = [kline(at, f"{p:.4f}", t) for at, p, t in zip(opens, perps, turnovers, strict=True)]
        mark = [kline(at, f"{p:.4f}") for at, p in zip(opens, marks, strict=True)]
        close = [f"{symbol},{at},{p:.4f}" for at, p in zip(opens, perps, strict=True)]
        files["spots"].append(write(folder / f"spot-{symbol}.json", response(spot, category="spot", symbol=symbol)))
        files["perps"].append(write(folder / f"perp-{symbol}.json", response(perp, category="linear", symbol=symbol)))
        files["marks"].append(write(folder / f"mark-{symbol}.json", response(mark, category="linear", symbol=symbol)))
        files["closes"].append(write(folder / f"{symbol}.csv", "symbol,open_at_ms,perp_close", *close))
        rates += [f"{symbol},{at},{0.0006 if n % 24 < 20 else -0.0002},8" for n, at in enumerate(opens[::8])]
    return files | {"rates": [write(folder / "rates.csv", FUNDING_HEADER, *rates)]}


def decided(home: Path, calls: Sequence[Sequence[Path]], cursor: Cursor = ALL) -> tuple[object, ...]:
    """Decisions and money after some import calls."""
    with opened(home) as log:
        for paths in calls:
            report = load(log, *paths)
            assert report.conflicts == report.rejected == 0
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        run = run_backtest(tape, SETTINGS, select_pairs(tape, cursor), cursor=cursor)
    assert run.book["decisions"] > 10
    return run.decisions_hash, run.funding, run.fills.tolist(), run.days.tolist()


def test_marks_given_later_or_earlier_decide_what_both_at_once_decide(tmp_path: Path) -> None:
    files = market(tmp_path)
    rates, spots, perps, marks = files["rates"], files["spots"], files["perps"], files["marks"]
    expected = decided(tmp_path / "together", [[*rates, *spots, *perps, *marks]])

    assert decided(tmp_path / "later", [[*rates, *spots, *perps], marks]) == expected
    assert decided(tmp_path / "earlier", [marks, [*rates, *spots, *perps]]) == expected
    assert decided(tmp_path / "apart", [[file] for file in (*marks, *perps, *spots, *rates)]) == expected
    assert decided(tmp_path / "without", [[*rates, *spots, *perps]]) != expected, "the marks make no difference here"


def test_turnovers_given_later_or_earlier_decide_what_both_at_once_decide(tmp_path: Path) -> None:
    files = market(tmp_path)
    others, perps, closes = [*files["rates"], *files["spots"], *files["marks"]], files["perps"], files["closes"]
    expected = decided(tmp_path / "together", [[*others, *perps]])

    assert decided(tmp_path / "later", [[*others, *closes], perps]) == expected
    assert decided(tmp_path / "earlier", [perps, [*closes, *others]]) == expected
    assert decided(tmp_path / "apart", [closes, files["marks"], perps, files["spots"], files["rates"]]) == expected
    assert decided(tmp_path / "without", [[*others, *closes]]) != expected, "the turnovers make no difference here"


def test_a_cursor_before_the_marks_were_told_still_gives_what_it_gave(tmp_path: Path) -> None:
    files = market(tmp_path)
    before = decided(tmp_path / "home", [[*files["rates"], *files["spots"], *files["perps"]]])
    with LogReader.open(tmp_path / "home") as reader:
        cursor = Cursor(upto_seq=reader.last.seq)

    after = decided(tmp_path / "home", [files["marks"]])

    assert after != before
    assert decided(tmp_path / "home", [], cursor) == before
