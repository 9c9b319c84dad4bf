"""A paper run with three parameter sets over several settlements, created once for all tests."""

import asyncio
from pathlib import Path

import pytest

from carryfold.adapters.backfill import BackfillRequest, run_backfill
from carryfold.adapters.bybit.endpoint import parse_endpoint
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.daemon.checks import clock_for
from carryfold.adapters.daemon.conflation import RecordingPolicy
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.service import Daemon
from carryfold.adapters.marketdata.pair_choice import choose_pairs
from carryfold.domain.codec import decode_batch
from carryfold.domain.events import FundingPredicted, FundingSettled
from carryfold.domain.instruments import Instrument
from carryfold.eventlog import EventLog, LogReader
from carryfold.simexchange import SimExchange
from tests.adapters.daemon.world import (
    DEADLINE_S,
    SECOND,
    copy_of,
    daemon,
    exchange,
    parameter_set,
    run,
    settings_for,
)  # fmt: skip
from tests.once import create_once

FREE = ("spot_taker_bp=0", "perp_taker_bp=0", "half_spread_bp=0", "slippage_bp=0", "min_age_d=0", "min_interval_h=0")
SETS = (
    parameter_set("predicted", "rate_source=predicted", "max_positions=7"),
    parameter_set("blend", "rate_source=blend", "max_positions=7"),
    parameter_set("composite", "strategy=composite", "conviction_enter=0", "liquidity_cap=0.0001", "book_cap=1e6",
                  "pair_cap=1e6", "corr_cap=1e6", "notional=2000", *FREE),
)  # fmt: skip


@pytest.fixture(scope="session")
def two_homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the home of a run that has ended, a copy into which history was backfilled after that). Nothing may write to
    either."""

    async def work(folder: Path) -> None:
        async with exchange(start="2025-06-02T06:54:00Z", speed=400.0, push_ms=20) as venue:
            choice = settings_for(venue, SETS, policy=RecordingPolicy(estimate_s=5.0))
            async with daemon(folder / "home", choice) as served:
                await enough(folder / "home", served)
            copy_of(folder / "home", folder)
            await backfill(folder / "copy", venue)

    folder = create_once(tmp_path_factory, "paper-run", lambda folder: run(work(folder)))
    return folder / "home", folder / "copy"


async def enough(home: Path, served: Daemon) -> None:
    """Wait until every run has traded and was paid, and held pairs had a rate of 0 shown after two settlements that are
    in the log."""
    shown: set[int] = set()
    settled: set[int] = set()
    after = 0
    with LogReader.open(home) as reader:
        async with asyncio.timeout(DEADLINE_S):
            while len(shown & settled) < 2 or not all(has_traded(run) for run in served.runs):
                for batch in reader.read(after):
                    after = batch.last_seq
                    events = [event for *_, event in decode_batch(batch.payload, batch.first_seq)]
                    zeros = [e for e in events if isinstance(e, FundingPredicted) and e.rate == 0.0]
                    settled |= {e.event_at // (3_600 * SECOND) for e in events if isinstance(e, FundingSettled)}
                    shown |= {e.event_at // (3_600 * SECOND) for e in zeros if held_by_all(served, e.instrument)}
                await asyncio.sleep(0.05)


def has_traded(run: Run) -> bool:
    """True if it has opened a few pairs and received funding."""
    return int(run.state.book["entries"][0]) >= 3 and int(run.state.book["payments"][0]) > 0


def held_by_all(served: Daemon, perp: Instrument) -> bool:
    """True if the two runs that use predictions hold the pair of a perpetual."""
    shorts = [pair.short for pair in served.runs[0].pairs]
    return all(run.state.pair[shorts.index(perp)]["held"] for run in served.runs[:2])


@pytest.fixture(scope="session")
def paper_home(two_homes: tuple[Path, Path]) -> Path:
    """The home of a run that has ended."""
    return two_homes[0]


async def backfill(home: Path, venue: SimExchange) -> None:
    """Three days of bars and estimates up to now, before and during the run."""
    market = BybitMarket(parse_endpoint(venue.endpoints.rest))
    try:
        clock = await clock_for(market, venue.clock.speed)
        with EventLog.open(home, clock=clock.log_clock) as log:
            now = await market.server_time()
            listed = await market.pairs()
            pairs = choose_pairs("top:7", listed, await market.turnover(listed))
            wanted = BackfillRequest((now - 3 * 86_400 * 10**9) // 10**6, now // 10**6, 60, 15)
            report = await run_backfill(log, market.history, FACTS, pairs, wanted, now)
            assert report.appended > 1_000
    finally:
        await market.close()
