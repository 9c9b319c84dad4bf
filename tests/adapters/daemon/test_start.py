"""The choice of pairs and runs at a start."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.settings import Mode, ParameterSet
from carryfold.adapters.daemon.start import StartedRuns, follow_pairs, open_runs, resumable_runs
from carryfold.adapters.marketdata.pair_choice import choose_pairs
from carryfold.adapters.venues import LegRules, PairSpec, VenueError
from carryfold.domain.codec import encode
from carryfold.domain.events import EntryDecided, Event, ExitDecided, FundingSettled, InstrumentListed, RunStarted
from carryfold.domain.instruments import Instrument, carry_pair
from carryfold.domain.params import parse_settings
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.last_settlements import last_settlements
from carryfold.projections.runs import RunInfo, list_runs, recorded
from tests.adapters.daemon.conftest import SETS
from tests.adapters.daemon.world import copy_of, events_of, read, rewritten

ONE = Decimal(1)
RULES = LegRules(ONE, ONE, ONE, ONE, ONE)


def spec(symbol: str, listing: int = 1, status: str = "Trading", spot: Instrument | None = None) -> PairSpec:
    facts = symbol, "USDT", 1.0, 5.0
    bought = InstrumentListed(*(spot or Instrument("bybit", symbol, "spot")), 0, *facts)
    perp = InstrumentListed("bybit", symbol, "perp", listing, 5 * listing, *facts)
    return PairSpec(bought, perp, RULES, RULES, status=status)


def info(*symbols: str, run: int = 1) -> RunInfo:
    pairs = tuple(carry_pair("bybit", symbol, 1, symbol) for symbol in symbols)
    return RunInfo(run, 1, "paper", parse_settings([]), "d", "", pairs, 9)


def chosen(
    text: str, specs: list[PairSpec], turnover: dict[str, float], *runs: RunInfo, held: tuple[str, ...] = ()
) -> list[str]:
    by_perp = {one.perp.instrument: turnover[one.symbol] for one in specs if one.symbol in turnover}
    return [one.symbol for one in follow_pairs(text, specs, by_perp, lambda _: "", runs, held)]


def test_top_n_keeps_the_pairs_of_the_run_that_is_taken_up() -> None:
    specs = [spec("A"), spec("B"), spec("C")]
    turnover = {"A": 3.0, "B": 2.0, "C": 1.0}

    assert chosen("top:2", specs, turnover) == ["A", "B"]
    assert chosen("top:2", specs, turnover, info("B", "C")) == ["B", "C"]
    assert chosen("top:3", specs, turnover, info("B", "C")) == ["A", "B", "C"]
    assert chosen("top:2", specs, turnover, info("B", "Z")) == ["A", "B"]
    assert chosen("A,C", specs, turnover, info("B", "C")) == ["A", "C"]


def test_a_run_that_had_all_pairs_there_were_keeps_the_one_that_closed() -> None:
    specs = [spec("A"), spec("B", status="Closed"), spec("C")]
    all_there_were = info("A", "B", "C")

    assert chosen("top:20", specs, {}, all_there_were) == ["A", "B", "C"]
    assert chosen("top:20", [*specs, spec("D")], {}, all_there_were) == ["A", "C", "D"]
    assert chosen("top:2", specs, {}, all_there_were) == ["A", "C"], "fewer were asked for"


def test_the_newest_run_that_fits_is_the_one_whose_pairs_are_kept() -> None:
    specs = [spec("A"), spec("B"), spec("C")]
    runs = [info("A", "B"), info("B", "C", run=5)]

    assert chosen("top:2", specs, {}, *runs) == ["B", "C"]


def test_what_an_earlier_run_holds_comes_along_whatever_is_chosen() -> None:
    specs = [spec("A"), spec("B"), spec("C")]

    assert chosen("A", specs, {}, held=("C", "A")) == ["A", "C"]
    assert chosen("top:1", specs, {"A": 3.0}, held=("B",)) == ["A", "B"]
    assert chosen("A", specs, {}, held=("Z",)) == ["A"], "the venue does not list it any more"


def test_a_symbol_that_is_none_is_refused() -> None:
    with pytest.raises(VenueError, match="no pair XUSDT"):
        choose_pairs("XUSDT", [spec("A")], {})


def opened(
    home: Path, specs: list[PairSpec], sets: tuple[ParameterSet, ...] = SETS, mode: Mode = "paper"
) -> StartedRuns:
    last = LogReader.open(home)
    now = last.last.recorded_at
    last.close()
    with EventLog.open(home, clock=Clock(lambda: now, lambda: 0)) as log, LogReader.open(home) as reader:
        return open_runs(log, reader, list_runs(reader), mode, sets, specs, Notices(Metrics()))


def specs_of(home: Path) -> list[PairSpec]:
    with read(home) as (reader, _):
        return [spec(pair.short.symbol, pair.short.listing, spot=pair.long) for pair in list_runs(reader)[0].pairs]


@pytest.fixture
def home(paper_home: Path, tmp_path: Path) -> Path:
    return copy_of(paper_home, tmp_path)


def test_a_restart_takes_up_every_set_where_it_was(home: Path) -> None:
    before = [(event[0], event[2].state_hash) for event in events_of(home) if type(event[2]).__name__ == "RunStopped"]
    started = opened(home, specs_of(home))

    assert len(events_of(home, RunStarted)) == 3
    assert started.missing == []
    assert [run.state.hash() for run in started.runs] == [state_hash for _, state_hash in before]


def test_other_parameters_pairs_or_modes_are_other_runs(home: Path) -> None:
    with read(home) as (reader, _):
        known = list_runs(reader)
    pairs = specs_of(home)
    other = ParameterSet("other", parse_settings(["enter=0.5"]))

    opened(home, pairs, (other,))
    opened(home, pairs[:-1], SETS[:1])
    opened(home, pairs, SETS[:1], "live")
    assert len(events_of(home, RunStarted)) == 6
    assert [one.run for one in resumable_runs(known, "paper", SETS[:1])] == [known[0].run]
    assert resumable_runs(known, "live", SETS) == []


def test_a_pair_that_closed_meanwhile_does_not_end_its_run(home: Path) -> None:
    pairs = specs_of(home)
    pairs[0] = msgspec.structs.replace(pairs[0], status="Closed")
    opened(home, pairs)

    assert len(events_of(home, RunStarted)) == 3


def test_a_relisting_under_an_old_name_is_another_run(home: Path) -> None:
    pairs = specs_of(home)
    name = pairs[0].symbol
    pairs[0] = msgspec.structs.replace(pairs[0], status="Closed")
    listed = spec(name, 2, spot=pairs[0].spot.instrument)
    with EventLog.open(home) as log:
        log.append([(encode(listed.perp), None, None)])
    started = opened(home, [*pairs, listed], SETS[:1])

    assert len(events_of(home, RunStarted)) == 4
    listings = [pair.short.listing for pair in started.runs[0].info.pairs if pair.short.symbol == name]
    assert listings == [2]


def test_what_a_killed_daemon_did_not_come_to_record_is_made_up_for(paper_home: Path, tmp_path: Path) -> None:
    last, _, event = events_of(paper_home, EntryDecided, ExitDecided)[-1]
    killed = rewritten(paper_home, tmp_path / "killed", lambda seq, kept: kept if seq < last else None)
    started = opened(killed, specs_of(paper_home))

    assert event in started.missing
    for run in started.runs:
        with read(killed) as (reader, _):
            had = list(recorded(reader, run.info))
        assert all(one not in had for one in started.missing)


def test_history_that_was_added_gives_a_paper_run_a_successor_and_stops_a_live_one(
    two_homes: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = copy_of(two_homes[1], tmp_path)
    started = opened(home, specs_of(home))

    successors = [run.info.run for run in started.runs if run.info.run > 1_000]
    assert len(successors) >= 1, "the backfill changed no run: the test shows nothing"
    assert "history was added" in caplog.text
    assert len(events_of(home, RunStarted)) == 3 + len(successors)


def test_a_live_run_whose_log_was_changed_is_not_abandoned(paper_home: Path, tmp_path: Path) -> None:
    def change(_: int, event: Event) -> Event:
        if isinstance(event, RunStarted):
            return msgspec.structs.replace(event, mode="live")
        return event

    home = rewritten(paper_home, tmp_path / "live", change)
    with pytest.raises(VenueError, match="a live run is not abandoned"):
        opened(home, specs_of(paper_home), SETS[1:], "live")


def test_the_last_settlement_of_each_perpetual_is_known(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    with LogReader.open(home) as reader:
        found = last_settlements(reader)
    expected: dict[Instrument, int] = {}
    for _, _, event in events_of(paper_home, FundingSettled):
        expected[event.instrument] = max(event.event_at, expected.get(event.instrument, 0))

    assert found == expected
