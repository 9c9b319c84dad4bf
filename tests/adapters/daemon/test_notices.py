"""Log lines of the daemon: JSON in a file or pipe, text on a terminal."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logger() -> Iterator[None]:
    """Leave the logger as it was."""
    logger = logging.getLogger("carryfold.daemon")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers, logger.level = handlers, level


def written(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, verbose: bool = False) -> list[str]:
    monkeypatch.setattr(sys, "stderr", stream)
    Notices.to_stderr(verbose=verbose)
    notices = Notices(Metrics())
    notices.info("process ended", pair="BTCUSDT", fees=Decimal("0.1"), runs=[1])
    notices.debug("a detail")
    notices.alert("feed", "the stream %s of {this} is down", pair="BTCUSDT")
    return stream.getvalue().splitlines()


def test_a_line_is_one_json_object_with_time_level_and_text_first(monkeypatch: pytest.MonkeyPatch) -> None:
    said, alert = (json.loads(line) for line in written(monkeypatch, io.StringIO()))

    assert [*said] == ["at", "level", "event", "pair", "fees", "runs"]
    assert said["at"].endswith("Z")
    assert (said["level"], said["event"], said["fees"], said["runs"]) == ("info", "process ended", "0.1", [1])
    assert (alert["level"], alert["event"]) == ("warning", "the stream %s of {this} is down")
    assert (alert["code"], alert["pair"]) == ("feed", "BTCUSDT")


def test_details_are_written_when_more_lines_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(written(monkeypatch, io.StringIO(), verbose=True)) == 3


def test_a_terminal_gets_text_instead_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    said, alert = written(monkeypatch, Terminal())

    assert "process ended" in said
    assert "BTCUSDT" in said
    assert "{" not in said
    assert "is down" in alert
