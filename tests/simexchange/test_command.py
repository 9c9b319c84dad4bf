"""`carryfold simexchange` as a process."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.cli import main
from tests.adapters.shell import CARRYFOLD, environment

SMALL = ("--pairs", "2", "--history-days", "3")


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server process and the line it printed."""
    command = [str(CARRYFOLD), "simexchange", *SMALL, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as server:
        assert server.stdout is not None
        try:
            assert select.select([server.stdout], [], [], 60.0)[0], "the server printed no line"
            yield server, json.loads(server.stdout.readline())
        finally:
            server.kill()


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_addresses_serves_and_ends_on_a_signal(number: signal.Signals) -> None:
    with started("--seed", "3", "--start", "2026-01-01", "--speed", "10") as (server, ready):
        assert {"rest", "ws_public_linear", "ws_public_spot", "ws_private", "api_key", "api_secret"} <= set(ready)
        assert (ready["seed"], ready["start"], ready["speed"]) == (3, "2026-01-01T00:00:00Z", 10.0)
        assert ready["rest"].startswith("http://127.0.0.1:")
        answer = fetched(ready["rest"] + "/v5/market/tickers?category=linear")
        assert {row["symbol"] for row in answer["result"]["list"]} == {"BTCUSDT", "ETHUSDT"}
        assert answer["time"] >= 1_767_225_600_000
        os.kill(server.pid, number)
        out, err = server.communicate(timeout=60)
        assert (server.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("faults.toml", '[[fault]]\nname = "http_error"\nwhere = "market/time"\nvalue = 502\n'),
        ("faults.json", '[{"name": "http_error", "where": "market/time", "value": 502}]'),
    ],
)
def test_faults_come_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with started("--faults", str(tmp_path / name)) as (_, ready):
        with pytest.raises(urllib.error.HTTPError, match="502"):
            fetched(ready["rest"] + "/v5/market/time")
        assert fetched(ready["rest"] + "/v5/market/time")["retCode"] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[fault]]\nname = 'gremlins'\n", "unknown fault 'gremlins'"),
        ("x = [", "cannot be read"),
        ("x = 1", "no list"),
    ],
)
def test_an_invalid_fault_file_gives_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    (tmp_path / "faults.toml").write_text(text)
    code = main(["simexchange", *SMALL, "--faults", str(tmp_path / "faults.toml")])
    out, err = capsys.readouterr()

    assert (code, out) == (2, "") and expected in err and len(err.splitlines()) == 1


def test_a_taken_port_and_a_missing_home_give_one_line_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, expected in ((["--port", port], "in use"), (["--replay", str(tmp_path / "nothing")], "nothing")):
            code = main(["simexchange", *SMALL, *arguments])
            out, err = capsys.readouterr()
            assert (code, out) == (1, "") and expected in err and len(err.splitlines()) == 1
