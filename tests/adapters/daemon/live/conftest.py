"""The key of the simulated exchange, in the environment of a live daemon."""

import io
import logging
from collections.abc import Iterator

import pytest

from carryfold.adapters.bybit.endpoint import KEY_VARIABLE, SECRET_VARIABLE
from carryfold.adapters.daemon.notices import Notices
from tests.adapters.daemon.live.session import KEY, SECRET


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    # The venue's clock runs ten times as fast as ours, and so may requests.
    monkeypatch.setattr("carryfold.adapters.bybit.client.PRIVATE_RATE_LIMIT_MS", 2)


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """The daemon's log lines."""
    logger = logging.getLogger("carryfold.daemon")
    before = logger.handlers, logger.propagate, logger.level
    said = io.StringIO()
    Notices.to_stderr(verbose=True)
    handler = logging.StreamHandler(said)
    handler.setFormatter(logger.handlers[0].formatter)
    logger.handlers = [handler]
    yield said
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])
