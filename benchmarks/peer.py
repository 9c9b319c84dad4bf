"""A peer under its own Python: started once and driven over its pipes, so that its runs and ours alternate."""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Peer", "PeerFailed", "add_peer_option"]


class PeerFailed(Exception):
    """The peer cannot be measured; the text is one line with the reason."""


class Peer:
    """`script` under the Python `python`, with the file `market`.

    It prints a line of JSON with its `version`, then one for each workload. Raises PeerFailed when it cannot start or
    dies.
    """

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
        """Start one run of `workload`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(workload + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(self._last_words()) from None

    def answer(self) -> dict[str, Any]:
        """Wait for the result of a run."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            raise PeerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, workload: str) -> dict[str, Any]:
        """Run `workload` once and return its result."""
        self.ask(workload)
        return self.answer()

    def close(self) -> None:
        """Close its input and wait until it ends."""
        self._process.communicate()

    def _last_words(self) -> str:
        self._process.communicate()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"exit code {self._process.returncode}: {lines[-1] if lines else 'no message'}"


def add_peer_option(parser: argparse.ArgumentParser, package: str) -> None:
    """Add `--peer-python`, by default the value of CARRYFOLD_PEER_PYTHON."""
    named = os.environ.get("CARRYFOLD_PEER_PYTHON")
    parser.add_argument("--peer-python", default=named, help=f"a Python that has {package} (benchmarks/README.md)")
