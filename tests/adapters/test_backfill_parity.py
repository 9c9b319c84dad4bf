"""The same answers of the venue make the same events, whether they come by backfill or from files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carryfold.adapters.backfill import BackfillRequest
from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.importing import import_paths
from carryfold.domain.codec import encode
from carryfold.domain.events import BarClosed, FundingSettled
from carryfold.eventlog import EventLog
from tests.adapters.bybit.venue import DAY_MS, HOUR_MS, NOW_MS, events_of, exchange, no_pause, run
from tests.adapters.test_backfill import ENDLESS, Cut, Fragile, contents, fill, settings

HOUR = NOW_MS // HOUR_MS * HOUR_MS
SINCE = HOUR - 10 * DAY_MS
THOUSAND, ITS_SPOT = "1000SYN04USDT", "SYN04USDT"
OBSERVED = (FundingSettled, BarClosed)


async def download(rest: str, folder: Path) -> list[Path]:
    """What a person would fetch by hand: responses as the API returns them, one file each."""
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("funding", "public_get_v5_market_funding_history", {"symbol": THOUSAND, "limit": 200}),
        ("linear", "public_get_v5_market_kline", {"symbol": THOUSAND}),
        ("mark", "public_get_v5_market_mark_price_kline", {"symbol": THOUSAND}),
        ("spot", "public_get_v5_market_kline", {"symbol": ITS_SPOT}),
    ]
    client = RestClient(Endpoint.at(rest), rate_limit_ms=1, sleep=no_pause)
    files = []
    try:
        for name, method, params in wanted:
            window = {"startTime": SINCE, "endTime": HOUR} if name == "funding" else {
                "interval": "60", "limit": 1_000, "start": SINCE, "end": HOUR - 1
            }  # fmt: skip
            category = {"category": "spot" if name == "spot" else "linear"}
            response = await client.send(method, params | window | category)
            files.append(folder / f"{name}.json")
            files[-1].write_bytes(msgspec.json.encode(response))
    finally:
        await client.close()
    return files


def observed(home: Path) -> set[tuple[int, bytes]]:
    return {(known_at, encode(event)) for known_at, event in events_of(home) if isinstance(event, OBSERVED)}


def test_a_backfill_and_an_import_of_the_same_answers_hold_the_same_observations(tmp_path: Path) -> None:
    async def work() -> list[Path]:
        async with exchange(pairs=5, history_days=30) as (venue, market):
            await fill(tmp_path / "filled", market, [THOUSAND], BackfillRequest(SINCE, ENDLESS, 60))
            return await download(venue.endpoints.rest, tmp_path)

    files = run(work())
    with EventLog.open(tmp_path / "imported") as log:
        import_paths(log, files)
    with EventLog.open(tmp_path / "filled") as log:
        again = import_paths(log, files)

    assert observed(tmp_path / "filled") == observed(tmp_path / "imported")
    assert len(observed(tmp_path / "filled")) > 2 * 240
    assert (again.conflicts, again.rejected) == (0, 0)
    assert sum(file.appended for file in again.files) == 0, "an import on top adds no observation"


@pytest.mark.soak
def test_a_backfill_interrupted_in_twenty_ways_ends_the_same(tmp_path: Path) -> None:
    rng = random.Random(99)
    symbols, request = ["SYN02USDT", "SYN03USDT", "BTCUSDT"], BackfillRequest(NOW_MS - 60 * DAY_MS, ENDLESS, 60, 60)
    schedule = {"SYN02USDT": ((370, 1), (390, 8)), "SYN03USDT": ((395, 2),)}

    async def work() -> None:
        async with exchange(pairs=4, schedule=schedule) as (_, market):
            whole = Fragile(market.history)
            await fill(tmp_path / "whole", market, symbols, request, whole)
            for part in range(20):
                home = tmp_path / f"cut{part}"
                for _ in range(rng.randint(1, 6)):
                    try:
                        await fill(home, market, symbols, request, Fragile(market.history, rng.randint(1, whole.pages)))
                    except Cut:
                        continue
                await fill(home, market, symbols, request)
                assert contents(home) == contents(tmp_path / "whole")
                assert settings(home) == settings(tmp_path / "whole")

    run(work(), 900)
