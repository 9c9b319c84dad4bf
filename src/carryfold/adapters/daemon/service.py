"""The daemon from start to stop.

A start compares the clocks, takes the lock of the home, records the venue's listings, opens the runs and folds the log
for each, fetches missed settlements, reconciles the account (live), and only then arms. One asyncio loop does
everything except commits: the log's writer thread writes, folds and flushes them. Every queue is bounded: a full one
makes the stream wait, and a waiting quote is replaced by the next.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.daemon.checks import check_key, check_log, check_time, clock_for, read_credentials
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.commands import Commands
from carryfold.adapters.daemon.earlier_holdings import earlier_run, refuse_unknown_positions
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.listings import ListingWatch
from carryfold.adapters.daemon.market_recorder import MarketRecorder
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.settings import DaemonSettings
from carryfold.adapters.daemon.settlements import SettlementCollector
from carryfold.adapters.daemon.snapshotter import Snapshotter, restore_projections
from carryfold.adapters.daemon.start import follow_pairs, is_trading, open_runs, resumable_runs
from carryfold.adapters.daemon.tasks import in_thread, unless_stopped
from carryfold.adapters.daemon.watch import Monitor
from carryfold.adapters.marketdata.listings import record_listings
from carryfold.adapters.marketdata.pair_choice import needs_turnover
from carryfold.adapters.venues import DEFAULT_VENUE, Market, PairSpec, Trading, VenueError, venue_named
from carryfold.domain.events import (
    Event,
    InstrumentDelisted,
    RunArmed,
    RunStopped,
)
from carryfold.domain.row_builder import RowBuilder
from carryfold.eventlog import AppendResult, EventLog, GroupCommitter, LogReader
from carryfold.projections.last_settlements import last_settlements
from carryfold.projections.runs import RunInfo, list_runs

__all__ = ["Daemon", "run_daemon"]


class Daemon:
    """A daemon; `serve` runs it until `stopping` is set."""

    def __init__(
        self, home: Path, settings: DaemonSettings, market: Market, clock: DaemonClock, trading: Trading | None
    ) -> None:
        """Use `run_daemon`. `trading`: the account, in live mode only."""
        self.trading = trading
        self.broker: Broker | None = None
        self.quotes = QuoteCache(clock)
        self.home = home
        self.settings = settings
        self.market = market
        self.clock = clock
        self.metrics = Metrics()
        self.notices = Notices(self.metrics)
        self.recorder = MarketRecorder(market, settings.policy, clock, self.metrics, self.notices, self.quotes)
        self.monitor = Monitor(home, settings.low_disk_mb, clock, self.metrics, self.notices)
        self.stopping = asyncio.Event()
        self.armed = asyncio.Event()
        self.runs: list[Run] = []
        self.pairs: list[PairSpec] = []
        self._not_trading: list[PairSpec] = []
        self._closing: list[PairSpec] = []
        """Pairs that no longer trade as pairs and still have a leg on."""
        self._engine: Engine | None = None
        self._snapshotter: Snapshotter | None = None

    @property
    def engine(self) -> Engine:
        """The only way into the log."""
        assert self._engine is not None, "opened by `serve`"
        return self._engine

    async def serve(self) -> None:
        """Start, work until `stopping` is set, and stop in order. Raises VenueError, LogError, OSError or RunError with
        one line for the user."""
        commands = Commands(self.notices)
        async with AsyncExitStack() as resources:
            resources.push_async_callback(self.notices.close)
            log = resources.enter_context(
                EventLog.open(self.home, clock=self.clock.log_clock, command_handler=commands.handle)
            )
            resources.callback(commands.detach)
            check_time(log, self.clock)
            if self.settings.mode == "live":
                await in_thread(lambda: check_log(self.home))
            if self.settings.metrics_port:
                resources.enter_context(self.metrics.serving(self.settings.metrics_port))
            reader = resources.enter_context(LogReader.open(self.home))
            jobs = await unless_stopped(self._begin(resources, log, reader, commands), self.stopping)
            if jobs is not None:
                await self._work(jobs)
            elif self.broker is not None:
                await self.broker.stop()
            commands.detach()
            if self._engine is not None:
                await self._end_runs()
            if self._snapshotter is not None:
                await self._snapshotter.save()

    async def _begin(
        self, resources: AsyncExitStack, log: EventLog, reader: LogReader, commands: Commands
    ) -> list[Coroutine[Any, Any, None]]:
        """Everything before arming. Gives the jobs that run from then on."""
        await in_thread(lambda: restore_projections(reader))
        known = await in_thread(lambda: list_runs(reader))
        chosen = await self._list_pairs(log, reader, known)
        started = open_runs(log, reader, known, self.settings.mode, self.settings.sets, chosen, self.notices)
        committer = resources.enter_context(GroupCommitter(log))
        tape = started.tape
        builder = RowBuilder(tape.instruments, tape.pairs, tape.runs)
        engine = Engine(log, committer, reader, builder, self.metrics)
        if started.missing:
            await engine.append(started.missing)
        for run in started.runs:
            run.read_from(builder.pairs)
        engine.runs = self.runs = started.runs
        self._engine = engine
        self._snapshotter = Snapshotter(self.home, reader, engine, self.notices, verifies=self.trading is not None)
        commands.attach(asyncio.get_running_loop(), engine, self.clock)
        settled = await in_thread(lambda: last_settlements(reader))
        settling = [spec for spec in (*self.pairs, *self._not_trading) if spec.status == "Trading"]
        settlements = SettlementCollector(
            self.market.history, settling, settled, self.clock, engine.record, self.notices
        )
        await settlements.fill_gaps()
        if self.trading is not None:
            await self._open_broker(self.trading, reader)
        listings = ListingWatch(
            self.market, self.home, settling, self.clock, self._listed(settlements), self._relisted, self.notices
        )
        if self.broker is not None:
            self.broker.on_rejection = listings.order_rejected
        jobs = [
            self.recorder.listen([*self.pairs, *self._closing], [settlements.observe, listings.observe]),
            self.recorder.record(engine, self.runs),
            self.monitor.watch(log, engine, self.runs),
            settlements.run(),
            listings.run(),
            self._snapshotter.run(),
        ]
        if self.clock.is_real:
            jobs.append(self.monitor.compare_clocks(self.market))
        if self.broker is not None:
            jobs += [*(listener.listen() for listener in self.broker.listeners), self.broker.work()]
        return jobs

    async def _open_broker(self, trading: Trading, reader: LogReader) -> None:
        """Recover the live run's account and processes from the log. They act once the streams are up, so that what was
        interrupted is hedged at fresh prices. Pairs that have closed are included, because a leg may still be on."""
        (run,) = self.runs
        ended = [spec for spec in self._not_trading if spec.pair in run.info.pairs]
        pairs = [*ended, *self.pairs]
        trading.add_pairs(pairs)
        fees = {spec.pair: (await trading.fees(spec)).long_taker for spec in self.pairs}
        limits = self.settings.limits
        account = Account(run.info, {DEFAULT_VENUE: trading}, pairs, fees, self.clock, self.quotes, limits)
        broker = Broker(run, account, self.engine, self.clock, self.metrics, self.notices, limits, self.quotes)
        self.broker = broker  # it has to be stopped even if the rest of this fails
        self.engine.decided = broker.decided
        broker.load(reader)
        held = {books.pair.pair for books in account.books.pairs.values() if books.long_units or books.short_units}
        self._closing = [spec for spec in ended if spec.pair in held]
        self.recorder.follow(self._closing)
        if broker.is_new:
            perps = {pair.pair.short[:2] for pair in account.pairs.values()}
            refuse_unknown_positions(DEFAULT_VENUE, await trading.positions(), perps)

    async def _list_pairs(self, log: EventLog, reader: LogReader, known: Sequence[RunInfo]) -> list[PairSpec]:
        """Choose the pairs and record their listings. Closed pairs of earlier runs are included. Raises VenueError if
        no pair trades and no earlier live run holds anything."""
        settings = self.settings
        runs = resumable_runs(known, settings.mode, settings.sets)
        before = await in_thread(lambda: earlier_run(reader, known)) if settings.mode == "live" else None
        held = [] if before is None else [pair.short for pair in before.pairs]
        self.market.retain([pair.short for info in runs for pair in info.pairs] + held)
        listed = await self.market.pairs()
        turnover = await self.market.turnover(listed) if needs_turnover(settings.pairs) else {}
        why_not, symbols = self.market.exclusion_reason, [perp.symbol for perp in held]
        chosen = follow_pairs(settings.pairs, listed, turnover, why_not, runs, symbols)
        now = min(await self.market.server_time(), self.clock.now())
        numbered = await in_thread(lambda: record_listings(log, chosen, now).pairs)
        self.pairs = [spec for spec in numbered if is_trading(spec)]
        if not self.pairs and not held:
            raise VenueError(f"none of the pairs '{settings.pairs}' is trading now")
        self._not_trading = [spec for spec in numbered if not is_trading(spec)]
        self.market.retain(spec.perp.instrument for spec in self.pairs)
        self.recorder.follow(self.pairs)
        return numbered

    def _listed(
        self, settlements: SettlementCollector
    ) -> Callable[[Sequence[Event]], Coroutine[Any, Any, AppendResult]]:
        """A recorder of listing events, which also ends the settlements of a perpetual that has closed."""

        async def record(events: Sequence[Event]) -> AppendResult:
            for event in events:
                if isinstance(event, InstrumentDelisted):
                    settlements.forget(event.instrument)
            return await self.engine.record(events)

        return record

    def _relisted(self, pairs: Sequence[PairSpec]) -> None:
        if self.broker is not None:
            self.broker.account.relist(pairs)

    async def _work(self, jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run all jobs at the same time until the daemon is stopped or a job fails."""
        tasks = [asyncio.ensure_future(job) for job in jobs]
        stop = asyncio.ensure_future(self._until_stopped())
        try:
            await self._arm()
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
                raise AssertionError("a job of the daemon ended by itself")
        finally:
            if self.broker is not None:
                await self.broker.stop()
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)

    async def _arm(self) -> None:
        """From here on decisions take effect. A live run is armed later, by its broker, once log and venue agree."""
        if self.broker is None and self.runs:
            await self.engine.append([RunArmed(run.info.run, self.clock.now()) for run in self.runs])
        numbers = [run.info.run for run in self.runs]
        word = "armed" if self.broker is None else "started"
        seq = self.engine.last_seq
        self.notices.info(word, mode=self.settings.mode, runs=numbers, pairs=len(self.pairs), seq=seq)
        self.armed.set()

    async def _until_stopped(self) -> None:
        limit = self.settings.stop_after_s
        if limit is None:
            await self.stopping.wait()
            return
        end = asyncio.ensure_future(self.clock.sleep(limit))
        stop = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait([end, stop], return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        stop.cancel()

    async def _end_runs(self) -> None:
        """Record the end of each run with the hash of its state, which a replay has to reproduce."""
        if self.runs:
            await self.engine.end(self._ends)
        self.notices.info("stopped", runs=[run.info.run for run in self.runs])

    def _ends(self) -> list[Event]:
        """Called after the last commit is folded, so that its decisions come before the end."""
        now = self.clock.now()
        return [RunStopped(run.info.run, now, "stopped", run.state.hash()) for run in self.runs]


async def run_daemon(
    home: Path,
    settings: DaemonSettings,
    *,
    signals: bool = True,
    started: Callable[[Daemon], None] | None = None,
    clock: DaemonClock | None = None,
) -> None:
    """Run until SIGTERM or SIGINT (or `stop_after_s`). `started` is called with the Daemon before it serves; `clock`
    replaces the clock without comparing it with the venue's. Raises VenueError, LogError, OSError or RunError."""
    venue = venue_named(DEFAULT_VENUE)
    async with AsyncExitStack() as resources:
        market = venue.market(settings.endpoint)
        resources.push_async_callback(market.close)
        clock = clock or await clock_for(market, settings.speed)
        trading = None
        if settings.mode == "live":
            trading = venue.trading(settings.endpoint, read_credentials(venue, settings.key_file))
            resources.push_async_callback(trading.close)
            await check_key(trading)
        daemon = Daemon(home, settings, market, clock, trading)
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.stopping.set)
        if started is not None:
            started(daemon)
        await daemon.serve()
