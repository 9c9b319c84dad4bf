"""The exchange and the daemon as processes of their own, to kill, suspend and stop them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from carryfold.eventlog import LogReader, NoLog
from tests.adapters.daemon.world import START
from tests.adapters.shell import CARRYFOLD, environment

WITHIN_S = 180.0


class Process:
    """A command whose JSON lines are read as it writes them."""

    def __init__(self, *arguments: str, lines_on: str, **changes: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.texts: list[str] = []
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        if lines_on == "stdout":
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._child = subprocess.Popen([str(CARRYFOLD), *arguments], text=True, env=environment(**changes), **pipes)
        self._came: queue.Queue[None] = queue.Queue()
        stream = self._child.stdout if lines_on == "stdout" else self._child.stderr
        assert stream is not None
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.pid

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        os.kill(self.pid, number)

    def freeze(self) -> None:
        """Stop it where it is. Whoever is in a system call, such as a flush, ends that first."""
        self.send(signal.SIGSTOP)
        end = time.monotonic() + WITHIN_S
        while any(text.rpartition(")")[2].split()[0] != "T" for text in self._stats()):
            assert time.monotonic() < end, "it does not stop"
            time.sleep(0.01)

    def _stats(self) -> list[str]:
        return [file.read_text() for file in Path(f"/proc/{self.pid}/task").glob("*/stat")]

    def wait(self) -> int:
        """Its exit code, once it has ended and everything it said was read."""
        code = self._child.wait(WITHIN_S)
        self._thread.join(WITHIN_S)
        return code

    def line(self, **fields: Any) -> dict[str, Any]:
        """The first line with these fields, waited for. Raises AssertionError if the process ends before."""
        end = time.monotonic() + WITHIN_S
        while True:
            found = [line for line in self.lines if fields.items() <= line.items()]
            if found:
                return found[0]
            assert self._child.poll() is None or self._thread.is_alive(), f"it ended: {self.texts}"
            assert time.monotonic() < end, f"no line with {fields}: {self.texts}"
            try:
                self._came.get(timeout=0.2)
            except queue.Empty:
                continue

    def end(self) -> None:
        """Whatever it does, it is gone afterwards."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
            self._child.kill()
        self.wait()
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str]) -> None:
        for text in stream:
            self.texts.append(text.rstrip())
            if text.startswith("{"):
                self.lines.append(json.loads(text))
            self._came.put(None)


@contextmanager
def exchange_process(speed: float, *arguments: str) -> Iterator[str]:
    """The address of a simulated exchange."""
    process = Process(
        "simexchange", "--speed", str(speed), "--start", START, "--history-days", "40", *arguments, lines_on="stdout"
    )
    try:
        yield str(process.line(seed=7)["rest"])
    finally:
        process.end()


@contextmanager
def daemon_process(
    home: Path, endpoint: str, speed: float, *arguments: str, mode: str = "paper", **changes: str
) -> Iterator[Process]:
    """A started daemon. `changes`: of its environment."""
    process = Process(
        "--home", str(home), "run", "--mode", mode, "--endpoint", endpoint, "--speed", str(speed), *arguments,
        lines_on="stderr", **changes,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.end()


def write_config(home: Path, text: str = "") -> None:
    """A home whose configuration ignores a full disk."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "carryfold.toml").write_text(f"[daemon]\nlow_disk_mb = 0\n{text}")


def wait_for_seq(home: Path, seq: int) -> int:
    """Wait until the log has so many events; gives their number."""
    end = time.monotonic() + WITHIN_S
    while (last := last_seq(home)) < seq:
        assert time.monotonic() < end, f"the log stays at seq {last}"
        time.sleep(0.002)
    return last


def last_seq(home: Path) -> int:
    """The number of events in the log; 0 if there is no log yet."""
    try:
        with LogReader.open(home) as reader:
            return reader.last.seq
    except NoLog:
        return 0
