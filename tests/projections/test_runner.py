"""Projections follow the log, commit state and position together, and are built again when they cannot be trusted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.projections.tape_logs import START, Append, append_all, appends, decoded

from carryfold.domain import events as ev
from carryfold.domain import legacy
from carryfold.domain.codec import decode_batch
from carryfold.eventlog import Checkpoints, EventLog, LogReader
from carryfold.projections import event_scan
from carryfold.projections import runner as runner_module
from carryfold.projections.catalogue import ALL_PROJECTIONS
from carryfold.projections.runner import Projection, ProjectionError, Projections, Stamp, Status

BTC = ("bybit", "BTCUSDT", 1)
ETH = ("bybit", "ETHUSDT", 1)
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _symbol(_: Stamp, event: ev.FundingSettled | ev.ClockTicked) -> str:
    return event.symbol if isinstance(event, ev.FundingSettled) else "clock"


def _collect(state: list[int], stamp: Stamp, _: object) -> None:
    state.append(stamp.seq)


def collecting(version: int = 1, name: str = "seqs") -> Projection[list[int]]:
    """Collects the seqs of settlements by symbol, and of ticks."""
    return Projection(
        name, version, (ev.FundingSettled, ev.ClockTicked), _symbol, list, _collect,
        msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[int]).decode,
    )  # fmt: skip


SEQS = collecting()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def opened(home: Path, *projections: Projection[Any]) -> Iterator[Projections]:
    with LogReader.open(home) as reader, Projections.open(home, reader, projections or (SEQS,)) as found:
        yield found


def settled(*pairs: tuple[str, str, int]) -> Append:
    return [(ev.FundingSettled(*pair, START, 0.0001), START) for pair in pairs]


def updated(home: Path, projection: Projection[Any] = SEQS) -> tuple[int, dict[str, Any]]:
    with opened(home, projection) as projections:
        projections.update()
        return projections.view(projection)


@quick
@given(appends=appends, stops=st.sets(st.integers(0, 5)), commit=st.sampled_from([1, 7, 200_000]))
def test_projections_built_in_steps_equal_projections_built_at_once(
    appends: list[Append], stops: set[int], commit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(runner_module, "COMMIT_EVENTS", commit):
        home = Path(folder)
        for number, append in enumerate(appends):
            append_all(home, [append])
            if number in stops:
                with opened(home, *ALL_PROJECTIONS, SEQS) as projections:
                    projections.update()
        with opened(home, *ALL_PROJECTIONS, SEQS) as projections:
            projections.update()
            steps = [projections.view(projection) for projection in (*ALL_PROJECTIONS, SEQS)]
            for projection in (*ALL_PROJECTIONS, SEQS):
                projections.rebuild(projection.name)
            assert [projections.view(projection) for projection in (*ALL_PROJECTIONS, SEQS)] == steps
        with LogReader.open(home) as reader:
            wanted = [seq for _, seq, event in decoded(reader) if isinstance(event, SEQS.events)]
    assert sorted(seq for shard in steps[-1].shards.values() for seq in shard) == wanted
    assert steps[-1].position == sum(map(len, appends))


def test_an_event_of_an_older_class_is_taken_in_as_what_it_says_today(home: Path) -> None:
    seen = Projection(
        "seen", 1, (ev.BarClosed, ev.ClockTicked), lambda _, event: getattr(event, "kind", "clock"), list, _collect,
        msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[int]).decode,
    )  # fmt: skip
    bars = [legacy.PairBarClosed(*BTC, START, 60, spot, 100.0) for spot in (100.0, 0.0)]
    append_all(home, [[(ev.ClockTicked(START), START), *((bar, START) for bar in bars)]])
    assert updated(home, seen) == (3, {"clock": [1], "perp": [2, 3], "spot": [2]})


def test_only_the_shards_that_changed_are_written(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)])
    updated(home)
    append_all(home, [settled(ETH)])
    written: list[str] = []
    real = Checkpoints.put_many

    def put_many(store: Checkpoints, items: dict[str, bytes]) -> None:
        written.extend(name.rpartition("/")[2] for name in items)
        real(store, items)

    with patch.object(Checkpoints, "put_many", put_many):
        assert updated(home) == (3, {"BTCUSDT": [1], "ETHUSDT": [2, 3]})
    assert written == ["ETHUSDT", "seqs"]


def test_a_commit_that_fails_moves_neither_state_nor_position(home: Path) -> None:
    append_all(home, [settled(BTC)])
    updated(home)
    append_all(home, [settled(BTC)])
    with opened(home) as projections:
        with patch.object(Checkpoints, "put_many", side_effect=OSError("no space")), pytest.raises(OSError, match="no"):
            projections.update()
        assert projections.view(SEQS) == (1, {"BTCUSDT": [1]})
        projections.update()
        assert projections.view(SEQS) == (2, {"BTCUSDT": [1, 2]})


def test_another_version_is_built_from_the_start(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)])
    updated(home)
    append_all(home, [settled(ETH)])
    second = collecting(version=2)
    with opened(home, second) as projections:
        assert projections.view(second) == (0, {}), "what another version made is not shown"
        assert projections.status() == [Status("seqs", 2, 2, 1, 2, 4, False, "built by version 1")]
        projections.update()
        assert projections.view(second) == (3, {"BTCUSDT": [1], "ETHUSDT": [2, 3]})
    with Checkpoints.open(home) as store:
        assert len(store.names("projection/seqs/")) == 2, "the shards of the first version are gone"


def test_another_log_is_noticed(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    append_all(home, [settled(BTC), settled(BTC)])
    append_all(other, [settled(ETH), settled(ETH), settled(ETH)])
    updated(home)
    with LogReader.open(other) as reader, Projections.open(home, reader, [SEQS]) as projections:
        assert projections.status()[0].reason == "built from another log"
        projections.update()
        assert projections.view(SEQS) == (3, {"ETHUSDT": [1, 2, 3]})
    assert updated(home) == (2, {"BTCUSDT": [1, 2]}), "a shorter log is another log"


def test_a_damaged_shard_is_reported_and_built_again(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)])
    updated(home)
    with opened(home) as projections, Checkpoints.open(home) as store:
        shard = store.names("projection/seqs/")[0]
        for harm in (lambda data: data[:-1], lambda data: data[:-1] + b"\x07", lambda data: b""):
            data = store.get(shard)
            assert data is not None
            store.put(shard, harm(data))
            with pytest.raises(ProjectionError, match="carryfold project rebuild seqs"):
                projections.view(SEQS)
            assert "damaged" in projections.status()[0].reason
            append_all(home, [settled(BTC)])
            projections.update()
            assert projections.status()[0].ok
            assert projections.view(SEQS).shards["ETHUSDT"] == [2]
            shard = store.names("projection/seqs/")[0]


def test_a_damaged_position_means_building_again(home: Path) -> None:
    append_all(home, [settled(BTC)])
    updated(home)
    with opened(home) as projections, Checkpoints.open(home) as store:
        store.put("projection/seqs", b"?")
        assert projections.view(SEQS) == (0, {})
        assert projections.status()[0].reason == "not built yet"
        projections.update()
        assert projections.view(SEQS) == (1, {"BTCUSDT": [1]})


def test_a_view_is_of_one_position_while_others_update(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)])
    updated(home)
    append_all(home, [settled(BTC, ETH)])
    meanwhile = iter([updated])  # once: another process brings the projection forward while we read it

    def decode(data: bytes) -> list[int]:
        for update in meanwhile:
            update(home)
        return SEQS.decode(data)

    slow = replace(SEQS, decode=decode)
    with opened(home, slow) as projections:
        assert projections.view(slow) == (4, {"BTCUSDT": [1, 3], "ETHUSDT": [2, 4]})


def test_names_are_those_of_the_last_update(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)])
    with opened(home) as projections:
        assert projections.names(SEQS) == []
        projections.update()
        assert projections.names(SEQS) == ["BTCUSDT", "ETHUSDT"]
        assert projections.view(SEQS, "ETH").shards == {"ETHUSDT": [2]}


def test_the_status_tells_position_lag_and_size(home: Path) -> None:
    append_all(home, [settled(BTC, ETH), settled(ETH)])
    updated(home)
    append_all(home, [settled(BTC), settled(ETH)])
    with opened(home, SEQS, collecting(name="new")) as projections:
        assert projections.status() == [
            Status("seqs", 1, 3, 2, 2, 5, True, ""),
            Status("new", 1, 0, 5, 0, 0, False, "not built yet"),
        ]


def test_projections_at_different_positions_are_brought_to_the_same(home: Path) -> None:
    append_all(home, [settled(BTC), settled(ETH)])
    updated(home)
    append_all(home, [settled(BTC)])
    other = collecting(name="other")
    with opened(home, SEQS, other) as projections:
        projections.update()
        assert projections.view(SEQS) == projections.view(other) == (3, {"BTCUSDT": [1, 3], "ETHUSDT": [2]})


def test_an_event_that_this_version_does_not_know_is_named_with_its_seq(home: Path) -> None:
    append_all(home, [settled(BTC)])
    with EventLog.open(home) as log:
        log.append([(msgspec.msgpack.encode(["Teleported", 1]), None, None)])
    with opened(home) as projections, pytest.raises(ProjectionError, match="seq 2 is a Teleported, which this version"):
        projections.update()


def test_a_commit_without_an_event_that_is_asked_for_is_not_decoded(home: Path) -> None:
    quote = ev.Quoted(*BTC[:2], "perp", 1, START, 1.0, 2.0)
    append_all(home, [settled(BTC), [(quote, START), (quote, START)], [(quote, START), *settled(ETH)]])
    decoded_seqs: list[int] = []

    def noted(payload: bytes, first_seq: int) -> Iterator[tuple[int, int, ev.Event]]:
        decoded_seqs.append(first_seq)
        return decode_batch(payload, first_seq)

    with patch.object(event_scan, "decode_batch", noted):
        assert updated(home) == (5, {"BTCUSDT": [1], "ETHUSDT": [5]})
    assert decoded_seqs == [1, 4]


def test_an_unknown_projection_is_refused(home: Path) -> None:
    append_all(home, [settled(BTC)])
    with opened(home) as projections, pytest.raises(ProjectionError, match="no projection 'rats'; known: seqs"):
        projections.rebuild("rats")


def test_many_may_update_at_once(home: Path) -> None:
    append_all(home, [settled(BTC, ETH)] * 20)
    with patch.object(runner_module, "COMMIT_EVENTS", 3), ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: updated(home), range(8)))
    assert results == [(40, {"BTCUSDT": list(range(1, 41, 2)), "ETHUSDT": list(range(2, 41, 2))})] * 8


def test_progress_is_told_and_an_empty_log_is_no_trouble(home: Path) -> None:
    append_all(home, [])
    assert updated(home) == (0, {})
    append_all(home, [settled(BTC, ETH), settled(ETH)])
    told: list[tuple[int, int]] = []
    with patch.object(runner_module, "COMMIT_EVENTS", 1), opened(home) as projections:
        projections.update(lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]
