"""A daemon that only records."""

import asyncio
import urllib.request
from pathlib import Path

from carryfold.domain.events import BarClosed, FeedConnected, FundingPredicted, FundingSettled, InstrumentListed, Quoted
from carryfold.eventlog import verify
from carryfold.projections.runs import list_runs
from tests.adapters.daemon.world import daemon, events_of, exchange, kinds_of, logged, read, run, settings_for, until


def test_observing_records_the_market_and_begins_no_run(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(speed=600.0) as venue:
            choice = settings_for(venue, (), mode="observe", pairs="BTCUSDT,SYN07USDT", metrics_port=0)
            async with daemon(tmp_path, choice):
                await logged(tmp_path, BarClosed)
            first = len(events_of(tmp_path, FundingSettled))
            async with daemon(tmp_path, choice):
                await logged(tmp_path, Quoted, lambda event: event.kind == "spot", 5)
            assert len(events_of(tmp_path, FundingSettled)) <= first + 4, "what the log has is not recorded again"

    run(work())
    with read(tmp_path) as (reader, tape):
        assert list_runs(reader) == []
        assert {one.instrument.symbol for one in tape.instruments} == {"BTCUSDT", "SYN07USDT"}
    assert {InstrumentListed, FeedConnected, FundingPredicted, FundingSettled} <= {
        type(e) for _, _, e in events_of(tmp_path)
    }
    assert not {"RunStarted", "RunArmed", "RunStopped", "EntryDecided"} & {*kinds_of(tmp_path)}
    assert verify(tmp_path).ok


def test_a_log_that_was_observed_is_what_a_later_paper_run_warms_up_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(speed=300.0) as venue:
            async with daemon(tmp_path, settings_for(venue, (), mode="observe")):
                await logged(tmp_path, Quoted, lambda event: event.kind == "spot", 10)
            async with daemon(tmp_path, settings_for(venue)) as served:
                state = served.runs[0].state
                assert int(state.market["settled_at"].max()) > 0
                assert int(state.view["view_at"].max()) > 0

    run(work())


def test_metrics_tell_the_equity_of_each_run_and_what_the_daemon_did(tmp_path: Path) -> None:
    from tests.adapters.daemon.test_cli_run import free_port

    port = free_port()

    def scrape() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    async def work() -> tuple[str, float, float]:
        async with exchange(speed=300.0) as venue:
            choice = settings_for(venue, metrics_port=port)
            async with daemon(tmp_path, choice) as served:
                held = served.runs[0].state.book["held"]
                await until(lambda: bool(held[0] > 0))
                await until(lambda: bool(served.runs[0].state.book["fees"][0]))
                fees = -float(served.runs[0].state.book["fees"][0]) / 1e8
                text = ""
                while f'carryfold_pairs_held{{run="{served.runs[0].label}"}} 0' in text or "equity{" not in text:
                    text = await asyncio.to_thread(scrape)
                    await asyncio.sleep(0.01)
                return text, served.runs[0].status().equity, fees

    text, equity, fees = run(work())
    (line,) = [line for line in text.splitlines() if line.startswith("carryfold_equity{")]
    assert fees < 0
    assert 9_000 < float(line.split()[-1]) < 10_000, "fees and spreads are gone; it is not the capital"
    assert abs(float(line.split()[-1]) - equity) < 50
    for name in ("events_total", "commits_total", "decisions_total", "commit_to_decision_seconds_count", "feed_up"):
        assert f"carryfold_{name}" in text
