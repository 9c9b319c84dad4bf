"""The venue shows a rate of 0 for a while after each settlement: nobody may take that for the rate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from carryfold.domain.events import ExitDecided, FundingPredicted, FundingSettled
from carryfold.domain.fold import CODE_DIGEST, simulate
from carryfold.domain.records import decisions_recorded
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunFilter, RunInfo, list_runs, make_state, recorded
from carryfold.projections.tape import Tape
from tests.adapters.daemon.world import SECOND, events_of, read


@pytest.mark.parametrize("source", ["predicted", "blend"])
def test_zero_rates_after_settlements_close_nothing(paper_home: Path, source: str) -> None:
    with read(paper_home) as (reader, tape):
        info = next(info for info in list_runs(reader) if names(info) == source)
        log = [event for event in recorded(reader, info) if event.event_at <= (info.stopped_at or 0)]
        with_zeros, held = folded(tape, info, keep_zeros=True)
        without, _ = folded(tape, info, keep_zeros=False)

    assert info.code_digest == CODE_DIGEST
    assert held, "no pair was held while its rate was shown as 0: the test shows nothing"
    # Without these rows some instants are missing, and a decision may come a moment later: who leaves is what counts.
    assert left(with_zeros) == left(without)
    assert [e for e in log if not hasattr(e, "action")] == with_zeros


def test_zero_rates_reached_the_log_after_several_settlements(paper_home: Path) -> None:
    zeros = [event for _, _, event in events_of(paper_home, FundingPredicted) if event.rate == 0.0]
    settled = {(event.symbol, event.event_at) for _, _, event in events_of(paper_home, FundingSettled)}
    after = {
        (symbol, at)
        for symbol, at in settled
        for event in zeros
        if event.symbol == symbol and 0 <= event.event_at - at < 40 * SECOND
    }
    assert len({at for _, at in after}) >= 2
    for _, _, event in events_of(paper_home, ExitDecided):
        if any(event.symbol == symbol and 0 <= event.event_at - at < 60 * SECOND for symbol, at in after):
            assert event.working["q"] == event.working["x"], "a pair is left for its settled rate, or not at all"


def left(decisions: Sequence[object]) -> list[tuple[str, int]]:
    """(symbol, lots) of every exit, in order."""
    return [(event.symbol, event.lots) for event in decisions if isinstance(event, ExitDecided)]


def names(info: RunInfo) -> str:
    """What tells the runs of the fixture apart."""
    return "composite" if info.parameters.strategy == "composite" else info.parameters.rate_source


def folded(tape: Tape, info: RunInfo, *, keep_zeros: bool) -> tuple[list[object], list[tuple[int, int]]]:
    """(the run's decisions, the instants at which a held pair showed 0)."""
    state, ids = make_state(info, tape.pairs)
    rows_of = RunFilter(ids, tape.runs.index(info.run), live=False)
    decisions: list[object] = []
    held: list[tuple[int, int]] = []
    for block in tape.blocks(Cursor(MAX, info.last_seq)):
        for rows in instants(rows_of(block)):
            zero = (rows["kind"] == Kind.FUNDING_PREDICTED) & (rows["a"] == 0.0)
            held += [(int(r["known_at"]), int(r["pair"])) for r in rows[zero] if state.pair[r["pair"]]["held"]]
            kept = rows if keep_zeros else rows[~zero]
            if len(kept):
                decisions += decisions_recorded(info.run, tape.pairs, simulate(state, kept).decisions)
    return decisions, held


def instants(rows: Rows) -> list[Rows]:
    """One array for each known_at."""
    if not len(rows):
        return []
    return list(np.split(rows, np.flatnonzero(np.diff(rows["known_at"])) + 1))
