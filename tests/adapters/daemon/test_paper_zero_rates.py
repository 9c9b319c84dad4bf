"""The venue shows a rate of 0 for a while after each settlement, which is not the predicted rate."""

from pathlib import Path

import numpy as np
import pytest

from carryfold.domain.events import ExitDecided, FundingPredicted, FundingSettled
from carryfold.domain.fold import CODE_DIGEST, simulate
from carryfold.domain.records import decisions_recorded
from carryfold.domain.rows import Kind, Rows
from carryfold.domain.run_filter import RunFilter
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunInfo, list_runs, make_state, recorded
from carryfold.projections.tape import Tape
from tests.adapters.daemon.world import SECOND, events_of, read


@pytest.mark.parametrize("source", ["predicted", "blend"])
def test_zero_rates_after_settlements_close_nothing(paper_home: Path, source: str) -> None:
    with read(paper_home) as (reader, tape):
        info = next(info for info in list_runs(reader) if names(info) == source)
        log = list(recorded(reader, info))
        decisions, held = folded(tape, info)
        others = [folded(tape, info, shown)[0] for shown in (0.003, -0.003)]

    assert info.code_digest == CODE_DIGEST
    assert held, "no pair was held while its rate was shown as 0: the test shows nothing"
    assert others == [decisions, decisions], "what the venue shows instead of a rate decides nothing, whatever it is"
    assert [e for e in log if not hasattr(e, "action")] == decisions


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
        if any(event.pair.short.symbol == symbol and 0 <= event.event_at - at < 60 * SECOND for symbol, at in after):
            assert event.working["estimate_8h"] == event.working["rate_8h"], (
                "a pair is left for its settled rate, or not at all"
            )


def names(info: RunInfo) -> str:
    """The name of a run of the fixture."""
    return "composite" if info.parameters.strategy == "composite" else info.parameters.rate_source


def folded(tape: Tape, info: RunInfo, shown: float = 0.0) -> tuple[list[object], list[tuple[int, int]]]:
    """(the run's decisions had the venue shown this instead of 0, the instants at which a held pair showed 0)."""
    state = make_state(info, tape.instruments)
    slot = tape.runs.index(info.run)
    rows_of = RunFilter(len(tape.instruments), state, tape.pairs, slot, live=False)
    pair_of = {number: place for place, number in enumerate(state.view["short"].tolist())}
    decisions: list[object] = []
    held: list[tuple[int, int]] = []
    for block in tape.blocks(Cursor(MAX, info.last_seq)):
        for rows in instants(rows_of(block)):
            zero = (rows["kind"] == Kind.FUNDING_PREDICTED) & (rows["a"] == 0.0)
            shown_at = [(int(r["known_at"]), pair_of[int(r["subject"])]) for r in rows[zero]]
            held += [(at, pair) for at, pair in shown_at if state.pair[pair]["held"]]
            changed = rows.copy()
            changed["a"][zero] = shown
            decisions += decisions_recorded(info.run, state, simulate(state, changed).decisions)
    return decisions, held


def instants(rows: Rows) -> list[Rows]:
    """One array for each known_at."""
    if not len(rows):
        return []
    return list(np.split(rows, np.flatnonzero(np.diff(rows["known_at"])) + 1))
