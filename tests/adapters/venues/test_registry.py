"""The registry of venues, and that the rules assumed elsewhere are those of every venue in it."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import carryfold
from carryfold.adapters.venue_names import DEFAULT_VENUE, VENUE_NAMES
from carryfold.adapters.venues import Credentials, VenueError, venue_named
from carryfold.domain.execution.limits import ExecutionLimits
from carryfold.domain.fold.codes import SECOND
from carryfold.domain.fold.money import EDGE
from carryfold.domain.fold.rates import PREDICTION_QUIET
from tests.adapters.bybit.venue import run

SOURCE = Path(carryfold.__file__).parent


@pytest.mark.parametrize("name", VENUE_NAMES)
def test_a_venue_makes_its_ports_without_a_network(name: str) -> None:
    async def work() -> None:
        venue = venue_named(name)
        market = venue.market("http://127.0.0.1:1")
        trading = venue.trading("http://127.0.0.1:1", Credentials("k", "s"))

        assert venue.name == name
        assert market.is_loopback
        assert not venue_named(name).market(venue.endpoints[0]).is_loopback
        await asyncio.gather(market.close(), trading.close())

    run(work())


def test_a_venue_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(VenueError, match=r"there is no venue 'nowhere': known is bybit"):
        venue_named("nowhere")


@pytest.mark.parametrize("name", VENUE_NAMES)
def test_keys_come_from_the_environment_variables_of_the_venue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    venue = venue_named(name)
    for variable in venue.key_variables:
        monkeypatch.delenv(variable, raising=False)
    assert venue.read_credentials(None) is None

    for variable, value in zip(venue.key_variables, ("the-key", "the-secret"), strict=True):
        monkeypatch.setenv(variable, value)
    found = venue.read_credentials(None)

    assert found is not None
    assert (found.key.reveal(), found.secret.reveal()) == ("the-key", "the-secret")


@pytest.mark.parametrize("name", VENUE_NAMES)
def test_the_constants_of_the_fold_and_of_execution_hold_for_every_venue(name: str) -> None:
    """They are compiled in, or settings: a venue with stricter rules must not enter the registry unnoticed."""
    facts = venue_named(name).facts

    assert facts.settlement_edge_s * SECOND <= EDGE
    assert facts.quiet_s * SECOND <= PREDICTION_QUIET
    assert facts.receive_window_s < ExecutionLimits().absent_grace_s
    assert facts.settlement_jitter_s <= 300, "nominal_settlement allows five minutes"
    assert (facts.funding_price, facts.account) == ("mark", "unified")


def test_no_venue_is_loaded_before_it_is_used() -> None:
    """The command line names venues without paying for their adapters."""
    code = (
        "import sys, carryfold.adapters.venues, carryfold.adapters.cli.app, carryfold.adapters.importing;"
        "sys.exit(any(name in sys.modules for name in ('carryfold.adapters.bybit.venue', 'ccxt')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_registry_imports_a_venues_adapter() -> None:
    """Formats of files are no adapters: the importer may read what a venue's answers look like."""
    formats = {"carryfold.adapters.bybit.fields", "carryfold.adapters.bybit.instruments_info"}
    allowed = {"adapters/bybit", "adapters/venues/registry.py"}
    found = []
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        if any(place.startswith(one) for one in allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                f"carryfold.adapters.{DEFAULT_VENUE}"
            ):
                found += [(place, node.module)] if node.module not in formats else []

    assert found == []
