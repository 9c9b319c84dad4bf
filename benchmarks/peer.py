"""A peer in a Python of its own: started once, told over its pipes what to run, so that its runs and ours alternate."""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Peer", "PeerFailed", "add_peer_option"]


class PeerFailed(Exception):
    """The peer cannot be measured; the text says why in one line."""


class Peer:
    """`script` under the Python `python`, on the file `market`. It answers each workload it is told with a line of
    JSON, and begins with one that has its `version`. Raises PeerFailed when it cannot start or dies, however it
    dies."""

    def __init__(self, python: str, script: str, market: Path) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        command = [python, str(Path(__file__).with_name(script)), str(market)]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True)
        except OSError as error:
            raise PeerFailed(f"{python} cannot be started: {error.strerror}") from None
        self.version = str(self.answer()["version"])

    def ask(self, workload: str) -> None:
        """Tell it to run `workload` once."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(workload + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(self._last_words()) from None

    def answer(self) -> dict[str, Any]:
        """Wait for what came of it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            raise PeerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, workload: str) -> dict[str, Any]:
        """Both."""
        self.ask(workload)
        return self.answer()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _last_words(self) -> str:
        self._process.communicate()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"exit code {self._process.returncode}: {lines[-1] if lines else 'no message'}"


def add_peer_option(parser: argparse.ArgumentParser, package: str) -> None:
    """`--peer-python`, by default what CARRYFOLD_PEER_PYTHON names."""
    named = os.environ.get("CARRYFOLD_PEER_PYTHON")
    parser.add_argument("--peer-python", default=named, help=f"a Python that has {package} (benchmarks/README.md)")
