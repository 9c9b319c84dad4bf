"""F10 and the command socket: one owner, and how others talk to it."""

from __future__ import annotations

import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.eventlog.conftest import Spawn

from carryfold.eventlog import (
    CommandRefused,
    CommandUnanswered,
    EventLog,
    LogReader,
    NoOwner,
    OwnerLock,
    OwnerLocked,
    owner_pid,
    send_command,
)


def test_f10_a_second_owner_is_refused_with_the_pid_of_the_first(home: Path, spawn: Spawn) -> None:
    first = spawn("own.py", home)
    assert first.stdin is not None
    assert first.stdout is not None
    assert first.stdout.readline() == "owner\n"

    second = spawn("own.py", home)
    assert second.stdout is not None
    line = second.stdout.read()
    assert second.wait() == 1
    assert line.startswith("refused: ")
    assert f"process {first.pid}" in line
    assert line.count("\n") == 1
    with pytest.raises(OwnerLocked) as caught:
        EventLog.open(home)
    assert caught.value.pid == first.pid == owner_pid(home)

    first.stdin.write("append 3\n")
    first.stdin.flush()
    assert first.stdout.readline() == "3\n"


def test_a_killed_owner_leaves_no_lock(home: Path, spawn: Spawn) -> None:
    first = spawn("own.py", home)
    assert first.stdout is not None
    assert first.stdout.readline() == "owner\n"
    first.kill()
    first.wait()

    assert owner_pid(home) is None
    with pytest.raises(NoOwner):
        send_command(home, "halt")
    with EventLog.open(home, command_handler=lambda command, args: 5):
        assert send_command(home, "halt") == 5


def test_asking_for_the_owner_refuses_no_owner_however_often_it_is_asked(home: Path) -> None:
    home.mkdir()
    stop, asked = threading.Event(), threading.Semaphore(0)

    def ask() -> None:
        while not stop.is_set():
            assert owner_pid(home) in (None, os.getpid())
            asked.release()

    with ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        try:
            for _ in range(2_000):
                with OwnerLock(home):
                    assert owner_pid(home) == os.getpid()
                asked.acquire()  # the askers run between two owners
        finally:
            stop.set()
    assert [asker.result() for asker in askers] == [None, None]


def test_asking_for_the_owner_writes_nothing_and_needs_no_right_to_write(home: Path) -> None:
    home.mkdir()
    assert owner_pid(home) is None
    assert list(home.iterdir()) == []

    with OwnerLock(home):
        (home / "owner.lock").chmod(0o400)
        assert owner_pid(home) == os.getpid()
    assert owner_pid(home) is None


def test_a_second_owner_in_the_same_process_is_refused(home: Path) -> None:
    with EventLog.open(home), pytest.raises(OwnerLocked):
        EventLog.open(home)
    EventLog.open(home).close()


def test_commands_reach_the_owner_while_it_runs_and_come_back_with_their_seq(home: Path, spawn: Spawn) -> None:
    owner = spawn("own.py", home)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "owner\n"

    assert send_command(home, "halt", {"why": "operator"}) == 1
    assert send_command(home, "resume") == 2
    with pytest.raises(CommandRefused, match=r"^not today$"):
        send_command(home, "refuse")
    with LogReader.open(home) as reader:
        assert reader.last.seq == 2
    assert stat.S_IMODE((home / "owner.sock").stat().st_mode) == 0o600


def test_without_an_owner_a_command_says_so(home: Path) -> None:
    with pytest.raises(NoOwner):
        send_command(home, "halt")
    EventLog.open(home).close()
    with pytest.raises(NoOwner, match="no process owns the log"):
        send_command(home, "halt")


def test_a_handler_that_fails_answers_and_goes_on(home: Path) -> None:
    def obey(command: str, args: object) -> int:
        return 1 // len(command.removeprefix("bad"))

    with EventLog.open(home, command_handler=obey):
        with pytest.raises(CommandRefused, match="ZeroDivisionError"):
            send_command(home, "bad")
        assert send_command(home, "x") == 1


@pytest.mark.parametrize("request_bytes", [b"halt\n", b"[1]\n", b'{"command": 1}\n', b"x" * 100_000, b"\n", b""])
def test_a_request_that_is_no_command_is_answered_or_dropped_and_the_owner_goes_on(
    home: Path, request_bytes: bytes
) -> None:
    with EventLog.open(home, command_handler=lambda command, args: 5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(home / "owner.sock"))
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            assert b'"ok":false' in connection.recv(4_096)
        assert send_command(home, "halt") == 5


def test_an_owner_that_does_not_answer_leaves_the_outcome_open(home: Path) -> None:
    home.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(home / "owner.sock"))
        deaf.listen()
        with pytest.raises(CommandUnanswered):
            send_command(home, "halt", timeout=0.05)


def test_a_home_with_a_very_long_path_works(tmp_path: Path, spawn: Spawn) -> None:
    home = tmp_path / ("a" * 100) / ("b" * 100)
    owner = spawn("own.py", home)
    assert owner.stdin is not None
    assert owner.stdout is not None
    assert owner.stdout.readline() == "owner\n"
    assert send_command(home, "halt") == 1

    child = spawn("tail.py", home, 0)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2)] == ["tailing\n", "1\n"]
    owner.stdin.write("append 2\n")
    owner.stdin.flush()
    assert child.stdout.readline() == "3\n"
