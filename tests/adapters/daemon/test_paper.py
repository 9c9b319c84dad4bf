"""A paper run is the fold of its log: live, verified later, and as a backtest."""

from pathlib import Path

import pytest

from carryfold.domain.codec import encode
from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated, FundingSettled, RunStopped
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.projections.backtest import Selection, run_blocks
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.run_verification import verify_run
from carryfold.projections.runs import RunInfo, list_runs, make_state, recorded, refold
from carryfold.projections.tape import Tape
from tests.adapters.daemon.world import events_of, read, verify_all


def test_a_run_with_three_sets_folds_again_to_the_same_bits(paper_home: Path) -> None:
    found = verify_all(paper_home)

    assert [one.identical for one in found] == [True, True, True]
    assert all(one.decisions > 2 and one.fills > 2 and one.recorded_state_hash == one.state_hash for one in found)
    assert len({one.state_hash for one in found}) == 3
    assert len({(info.group, info.mode) for info in infos_of(paper_home)}) == 1


def test_the_run_crossed_settlements_and_was_paid(paper_home: Path) -> None:
    settled = {event.event_at for _, _, event in events_of(paper_home, FundingSettled)}
    payments = [event for _, _, event in events_of(paper_home, FillSimulated) if event.action == "funding"]

    assert len(settled) > 3
    assert payments


def test_the_end_of_a_run_is_its_last_event(paper_home: Path) -> None:
    for info in infos_of(paper_home):
        own = [(seq, event) for seq, _, event in events_of(paper_home) if getattr(event, "run", 0) == info.run]
        assert isinstance(own[-1][1], RunStopped)
        assert own[-1][0] == info.last_seq
        assert own[-1][1].event_at >= max(event.event_at for _, event in own)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_backtest_under_the_same_cursor_is_the_run(paper_home: Path, number: int) -> None:
    with read(paper_home) as (reader, tape):
        info = list_runs(reader)[number]
        made = backtest(tape, info)
        state, outputs = refold(tape, info, info.last_seq)
        for _ in outputs:
            pass
        entries_and_exits = made.decisions[made.decisions["action"] != ACTIONS.index("refused")]
        decided = decisions_recorded(info.run, state, entries_and_exits)
        filled = fills_recorded(info.run, state, made.fills)
        log = list(recorded(reader, info))

    assert [encode(event) for event in decided] == [encode(e) for e in log if isinstance(e, EntryDecided | ExitDecided)]
    bookings = [event for event in log if isinstance(event, FillSimulated) and event.action != "funding"]
    assert [encode(event) for event in filled] == [encode(event) for event in bookings]
    assert bytes(made.book.tobytes()) == bytes(state.book[0].tobytes())
    assert made.state.hash() == state.hash() == info.state_hash


def test_later_backfills_change_nothing_under_the_cursor_and_hindsight_is_reported(
    two_homes: tuple[Path, Path],
) -> None:
    before, after = (verify_all(home) for home in two_homes)

    assert [one.identical for one in after] == [True, True, True]
    assert [one.state_hash for one in after] == [one.state_hash for one in before]
    assert [one.hindsight_decisions for one in before] == [0, 0, 0]
    assert sum(one.hindsight_decisions for one in after) > 0
    assert all((one.hindsight_first_at is None) == (one.hindsight_decisions == 0) for one in after)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_backtest_after_backfills_is_the_run_under_upto_seq_and_another_one_without(
    two_homes: tuple[Path, Path], number: int
) -> None:
    with read(two_homes[1]) as (reader, tape):
        info = list_runs(reader)[number]
        then, now = backtest(tape, info), backtest(tape, info, Cursor())
    with read(two_homes[0]) as (_, tape):
        first = backtest(tape, info)

    assert then.decisions_hash == first.decisions_hash
    assert bytes(then.book.tobytes()) == bytes(first.book.tobytes())
    assert bytes(now.book.tobytes()) != bytes(first.book.tobytes())


def test_a_run_that_was_never_stopped_is_verified_as_far_as_it_came(paper_home: Path) -> None:
    with read(paper_home) as (reader, tape):
        info = list_runs(reader)[0]
        first = min(seq for seq, _, event in events_of(paper_home, EntryDecided) if event.run == info.run)
        info.last_seq, info.state_hash, info.stopped_at = first, "", None
        found = verify_run(reader, tape, info, CODE_DIGEST)

    assert found.first_difference is not None  # what was decided after that
    assert found.first_difference.refolded is None


def test_a_state_has_the_pairs_of_its_run_in_the_order_of_ties(paper_home: Path) -> None:
    with read(paper_home) as (reader, tape):
        info = list_runs(reader)[0]
        state = make_state(info, tape.instruments)

    assert state.pairs == sorted(info.pairs, key=lambda pair: pair.order)
    assert state.pairs == list(info.pairs)


def infos_of(home: Path) -> list[RunInfo]:
    with read(home) as (reader, _):
        return list_runs(reader)


def backtest(tape: Tape, info: RunInfo, cursor: Cursor | None = None) -> Backtest:
    """A backtest of the run's pairs with its parameters, from its start on."""
    under = Cursor(MAX, info.last_seq) if cursor is None else cursor
    selection = Selection(tape.instruments, info.pairs)
    return run_blocks(
        lambda: tape.blocks(under, instrument_ids=selection.instrument_ids),
        info.parameters,
        selection,
        since=info.started_at,
    )
