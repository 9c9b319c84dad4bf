"""The two stores beside the log: one disposable, one durable."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryfold.eventlog import AppendRefused, Checkpoints, EventLog, LogCorrupt, MapFull, NameTaken, Research

STORES: list[type[Checkpoints] | type[Research]] = [Checkpoints, Research]


@pytest.mark.parametrize("kind", STORES)
def test_a_store_keeps_names_and_bytes(home: Path, kind: type[Checkpoints] | type[Research]) -> None:
    with kind.open(home) as store:
        store.put("a/1", b"one")
        store.put_many({"a/2": b"two", "b": b"", "a/1": b"uno"})
        assert store.delete("b")
        assert not store.delete("b")
    with kind.open(home) as store:
        assert store.names() == ["a/1", "a/2"]
        assert store.names("a/2") == ["a/2"]
        assert [store.get(name) for name in ("a/1", "a/2", "b")] == [b"uno", b"two", None]
    assert (home / kind.FOLDER / "data.mdb").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "x" * 512])
def test_a_name_has_1_to_511_bytes(home: Path, name: str) -> None:
    with Checkpoints.open(home) as store, pytest.raises(AppendRefused):
        store.put(name, b"")


def test_several_are_stored_together_or_not_at_all(home: Path) -> None:
    with Checkpoints.open(home, map_size=1 << 20) as store:
        store.put("kept", b"old")
        with pytest.raises(MapFull):
            store.put_many({"kept": b"new", "large": bytes(2 << 20)})
        assert (store.names(), store.get("kept")) == (["kept"], b"old")
        store.put("kept", b"new")
        assert store.get("kept") == b"new"


def test_a_research_name_is_written_once(home: Path) -> None:
    with Research.open(home) as research:
        research.put_new("trial/1", b"first")
        with pytest.raises(NameTaken, match="'trial/1' is recorded already"):
            research.put_new("trial/1", b"second")
        assert research.get("trial/1") == b"first"


def test_f12_a_checkpoint_store_that_cannot_be_opened_is_started_anew_and_the_log_is_untouched(home: Path) -> None:
    with EventLog.open(home) as log, Checkpoints.open(home) as store:
        log.append([(b"\x01",)])
        store.put("a", b"1")
    before = (home / "log" / "data.mdb").read_bytes()
    (home / "derived" / "data.mdb").write_bytes(b"not a database" * 1_000)

    with Checkpoints.open(home) as store:
        assert store.names() == []
        store.put("a", b"2")
    assert (home / "log" / "data.mdb").read_bytes() == before


def test_a_research_store_that_cannot_be_opened_is_an_error(home: Path) -> None:
    with Research.open(home) as research:
        research.put("a", b"1")
    (home / "research" / "data.mdb").write_bytes(b"not a database" * 1_000)

    with pytest.raises(LogCorrupt, match="research cannot be opened"):
        Research.open(home)
