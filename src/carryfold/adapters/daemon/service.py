"""The daemon from start to stop.

Order of a start: the venue's clock and ours, the lock, the venue's listings into the log, the runs, their folds, the
settlements that were missed, (live: the account reconciled,) and only then armed. One asyncio loop does everything but
commits, which the log's writer, a thread of its own, writes, folds and flushes. Every queue is bounded: what cannot be
taken in makes the stream wait, and a quote that waits is replaced by the next.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from carryfold.adapters.backfill import record_listings
from carryfold.adapters.bybit import BybitMarket, BybitTrading, parse_endpoint
from carryfold.adapters.bybit.instruments import VENUE
from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.daemon.checks import check_key, check_log, check_time, clock_offset, pace_of, read_credentials
from carryfold.adapters.daemon.commands import Commands
from carryfold.adapters.daemon.conflation import Conflator
from carryfold.adapters.daemon.earlier_holdings import earlier_run, refuse_strangers
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.listings import ListingWatch
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.settings import DaemonSettings
from carryfold.adapters.daemon.settlements import SettlementCollector
from carryfold.adapters.daemon.start import (
    candidates,
    follow_pairs,
    is_trading,
    last_settled,
    open_runs,
)
from carryfold.adapters.daemon.threads import in_thread
from carryfold.adapters.daemon.watch import ClockWatch, DiskWatch, FutureGuard
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.events import (
    ClockTicked,
    Event,
    FeedConnected,
    FeedLost,
    FundingPredicted,
    InstrumentDelisted,
    Quoted,
    RunArmed,
    RunStopped,
)
from carryfold.eventlog import AppendResult, EventLog, GroupCommitter, LogReader
from carryfold.projections.runs import RunInfo, list_runs
from carryfold.projections.tape_rows import RowBuilder

__all__ = ["Daemon", "run_daemon"]

CLOCK_COMPARED_EVERY_S: Final = 600.0
WATCH_EVERY_S: Final = 1.0
GIVE_WAY_S: Final = 0.01
_NS: Final = 1_000_000_000


class Daemon:
    """A started daemon; `serve` it until it is told to stop."""

    def __init__(
        self, home: Path, settings: DaemonSettings, market: BybitMarket, pace: Pace, trading: BybitTrading | None
    ) -> None:
        """Use `run_daemon`. `trading` is there in live mode alone."""
        self.trading = trading
        self.broker: Broker | None = None
        self.quotes = QuoteCache(pace)
        self.home = home
        self.settings = settings
        self.market = market
        self.pace = pace
        self.metrics = Metrics()
        self.notices = Notices(self.metrics)
        self.conflator = Conflator(settings.policy)
        self.clock = ClockWatch(pace, self.notices)
        self.stopping = asyncio.Event()
        self.armed = asyncio.Event()
        self.runs: list[Run] = []
        self.pairs: list[PairSpec] = []
        self._not_trading: list[PairSpec] = []
        self._leaving: list[PairSpec] = []
        self._engine: Engine | None = None
        self._recorded_at = 0

    @property
    def engine(self) -> Engine:
        """The way into the log."""
        assert self._engine is not None, "opened by `serve`"
        return self._engine

    async def serve(self) -> None:
        """Start, work until `stopping` is set, stop in order. Raises VenueError, LogError, OSError or RunError with one
        clear line."""
        commands = Commands(self.notices)
        async with AsyncExitStack() as resources:
            resources.push_async_callback(self.notices.close)
            log = resources.enter_context(
                EventLog.open(self.home, clock=self.pace.clock, command_handler=commands.handle)
            )
            resources.callback(commands.detach)
            check_time(log, self.pace)
            if self.settings.mode == "live":
                await in_thread(lambda: check_log(self.home))
            if self.settings.metrics_port:
                resources.enter_context(self.metrics.serving(self.settings.metrics_port))
            reader = resources.enter_context(LogReader.open(self.home))
            jobs = await self._unless_stopped(self._begin(resources, log, reader, commands))
            if jobs is not None:
                await self._work(jobs)
            elif self.broker is not None:
                await self.broker.stop()
            commands.detach()
            if self._engine is not None:
                await self._end_runs()

    async def _begin(
        self, resources: AsyncExitStack, log: EventLog, reader: LogReader, commands: Commands
    ) -> list[Coroutine[Any, Any, None]]:
        """Everything before arming; what there is to do from then on."""
        known = await in_thread(lambda: list_runs(reader))
        chosen = await self._list_pairs(log, reader, known)
        started = open_runs(log, reader, known, self.settings.mode, self.settings.sets, chosen, self.notices)
        committer = resources.enter_context(GroupCommitter(log))
        tape = started.tape
        builder = RowBuilder(tape.instruments, tape.pairs, tape.runs)
        engine = Engine(log, committer, reader, builder, self.metrics)
        if started.missing:
            await engine.note(started.missing)
        for run in started.runs:
            run.read_from(builder.pairs)
        engine.runs = self.runs = started.runs
        self._engine = engine
        commands.attach(asyncio.get_running_loop(), engine, self.pace)
        settled = last_settled(started.tape)
        settling = [spec for spec in (*self.pairs, *self._not_trading) if spec.status == "Trading"]
        settlements = SettlementCollector(
            self.market.history, settling, settled, self.pace, engine.record, self.notices
        )
        await settlements.fill_gaps()
        if self.trading is not None:
            await self._open_broker(self.trading, reader)
        listings = ListingWatch(
            self.market, self.home, settling, self.pace, self._listed(settlements), self._relisted, self.notices
        )
        if self.broker is not None:
            self.broker.rejected = listings.refused
        jobs = [
            self._listen(settlements, listings),
            self._record(),
            self._watch(log),
            settlements.run(),
            listings.run(),
        ]
        if self.pace.is_real:
            jobs.append(self._compare_clocks())
        if self.broker is not None:
            jobs += [*(listener.listen() for listener in self.broker.listeners), self.broker.work()]
        return jobs

    async def _unless_stopped(
        self, begin: Coroutine[Any, Any, list[Coroutine[Any, Any, None]]]
    ) -> list[Coroutine[Any, Any, None]] | None:
        """What `begin` comes to; None if the daemon is told to stop before that."""
        beginning = asyncio.ensure_future(begin)
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait([beginning, stop], return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                return beginning.result()
            return None
        finally:
            for task in (beginning, stop):
                task.cancel()
            await asyncio.gather(beginning, stop, return_exceptions=True)

    async def _open_broker(self, trading: BybitTrading, reader: LogReader) -> None:
        """The live run's dealings, checked and restored. It reconciles once the streams are up: what was interrupted is
        hedged at fresh prices. A pair that has closed may still have a leg on."""
        (run,) = self.runs
        ended = [spec for spec in self._not_trading if spec.pair in run.info.pairs]
        pairs = [*ended, *self.pairs]
        trading.add_pairs(pairs)
        fees = {spec.pair: (await trading.fees(spec)).long_taker for spec in self.pairs}
        account = Account(run.info, {VENUE: trading}, pairs, fees, self.pace, self.quotes)
        limits = self.settings.limits
        broker = Broker(run, account, self.engine, self.pace, self.metrics, self.notices, limits, self.quotes)
        self.broker = broker  # it has to be stopped even if it does not get far
        self.engine.decided = broker.decided
        broker.load(reader)
        on = {books.pair.pair for books in account.books.pairs.values() if books.long_units or books.short_units}
        self._leaving = [spec for spec in ended if spec.pair in on]
        self._follow(self._leaving)
        if broker.is_new:
            perps = {pair.pair.short[:2] for pair in account.pairs.values()}
            refuse_strangers(VENUE, await trading.positions(), perps)

    async def _list_pairs(self, log: EventLog, reader: LogReader, known: Sequence[RunInfo]) -> list[PairSpec]:
        """Choose pairs and record what the venue says of them; those that have closed are part of the choice. One of
        them must trade, or a live run still have something on."""
        settings = self.settings
        runs = candidates(known, settings.mode, settings.sets)
        before = await in_thread(lambda: earlier_run(reader, known)) if settings.mode == "live" else None
        held = [] if before is None else [pair.short.symbol for pair in before.pairs]
        self.market.kept |= {pair.short.symbol for info in runs for pair in info.pairs} | {*held}
        listed = await self.market.pairs()
        turnover = await self.market.turnover() if settings.pairs.startswith("top:") else {}
        chosen = follow_pairs(settings.pairs, listed, turnover, self.market.why_not, runs, held)
        now = min(await self.market.server_time(), self.pace.now())
        numbered = await in_thread(lambda: record_listings(log, chosen, now).pairs)
        self.pairs = [spec for spec in numbered if is_trading(spec)]
        if not self.pairs and not held:
            raise VenueError(f"none of the pairs '{settings.pairs}' is trading now")
        self._not_trading = [spec for spec in numbered if not is_trading(spec)]
        self.market.kept |= {spec.symbol for spec in self.pairs}
        self._follow(self.pairs)
        return numbered

    def _follow(self, specs: Sequence[PairSpec]) -> None:
        """Quotes of these pairs are recorded leg beside leg, and priced by the coin."""
        self.conflator.follow(spec.pair for spec in specs)
        self.quotes.follow(listed for spec in specs for listed in (spec.spot, spec.perp))

    def _listed(
        self, settlements: SettlementCollector
    ) -> Callable[[Sequence[Event]], Coroutine[Any, Any, AppendResult]]:
        """Record what a venue says of its listings; a perpetual that has closed settles no more."""

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
        """Everything that goes on at the same time, until it is time to stop."""
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
        """From here on decisions are acted on. A live run is only started: its broker arms it, once log and venue
        agree."""
        if self.broker is None and self.runs:
            await self.engine.note([RunArmed(run.info.run, self.pace.now()) for run in self.runs])
        numbers = [run.info.run for run in self.runs]
        word = "armed" if self.broker is None else "started"
        seq = self.engine.last_seq
        self.notices.say(word, mode=self.settings.mode, runs=numbers, pairs=len(self.pairs), seq=seq)
        self.armed.set()

    async def _until_stopped(self) -> None:
        limit = self.settings.stop_after_s
        if limit is None:
            await self.stopping.wait()
            return
        end = asyncio.ensure_future(self.pace.sleep(limit))
        stop = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait([end, stop], return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        stop.cancel()

    async def _listen(self, settlements: SettlementCollector, listings: ListingWatch) -> None:
        """The market's stream into the conflator."""
        async for event in self.market.stream([*self.pairs, *self._leaving]):
            self.metrics.observed()
            if isinstance(event, Quoted):
                self.quotes.see(event)
            elif isinstance(event, FundingPredicted):
                settlements.see(event)
                listings.see(event)
            elif isinstance(event, FeedConnected | FeedLost):
                self._feed_moved(event)
            self.conflator.offer(event)
            while self.conflator.is_full:
                await asyncio.sleep(GIVE_WAY_S)
        raise VenueError("the market's stream has ended")

    def _feed_moved(self, event: FeedConnected | FeedLost) -> None:
        up = isinstance(event, FeedConnected)
        self.metrics.feed(event.feed, up=up)
        if isinstance(event, FeedLost):
            self.notices.alert("feed", f"the stream {event.feed} is down: {event.reason}")
        else:
            self.notices.say("feed connected", feed=event.feed)

    async def _record(self) -> None:
        """What is due into the log, a bounded number of times a second; a tick where nothing else says that time
        passes."""
        guard = FutureGuard(self.pace, self.notices)
        while True:
            await self.pace.sleep(1.0 / self.settings.policy.commits_a_second)
            hot = set().union(*(run.busy_legs() for run in self.runs))
            now = self.pace.now()
            events = guard.pass_on(self.conflator.take(now, hot))
            if not events and now - self._recorded_at >= self._quiet_ns():
                events = [ClockTicked(now)]
            if events:
                await self.engine.record(events)
                self._recorded_at = now

    def _quiet_ns(self) -> int:
        """After how long a silence a tick is due."""
        if any(run.standing().is_waiting for run in self.runs):
            return _NS
        return min((run.info.parameters.cadence_s for run in self.runs), default=60) * _NS

    async def _watch(self, log: EventLog) -> None:
        disk = DiskWatch(self.home, self.settings.low_disk_mb, self.pace, self.notices)
        hour = self.pace.now()
        while True:
            events = [*self.clock.look(), *disk.look()]
            if events:
                await self.engine.record(events)
            for run in self.runs:
                stands = run.standing()
                self.metrics.book(run.label, stands.equity, stands.held, halted=not stands.may_enter)
            if self.pace.now() - hour >= 3600 * _NS:
                hour = self.pace.now()
                log.reader_check()
            await self.pace.sleep(WATCH_EVERY_S)

    async def _compare_clocks(self) -> None:
        """Ours with the venue's, now and then: two clocks of one machine may agree and both be wrong."""
        while True:
            await self.pace.sleep(CLOCK_COMPARED_EVERY_S)
            try:
                self.clock.compared(await clock_offset(self.market, self.pace))
            except VenueError as error:
                self.notices.say("clocks not compared", reason=str(error))

    async def _end_runs(self) -> None:
        """The last event of each run is its end, with the state that a replay has to come to."""
        if self.runs:
            await self.engine.end(self._ends)
        self.notices.say("stopped", runs=[run.info.run for run in self.runs])

    def _ends(self) -> list[Event]:
        """Asked for when the last commit is folded: what it decided came before the end."""
        now = self.pace.now()
        return [RunStopped(run.info.run, now, "stopped", run.state.hash()) for run in self.runs]


async def run_daemon(
    home: Path,
    settings: DaemonSettings,
    *,
    signals: bool = True,
    started: Callable[[Daemon], None] | None = None,
    pace: Pace | None = None,
) -> None:
    """Run until SIGTERM or SIGINT (or `stop_after_s`). `started` is called with the Daemon before it serves; `pace`
    replaces the clock, unasked. Raises VenueError, LogError, OSError or RunError."""
    endpoint = parse_endpoint(settings.endpoint)
    async with AsyncExitStack() as resources:
        market = BybitMarket(endpoint)
        resources.push_async_callback(market.close)
        pace = pace or await pace_of(market, settings.speed)
        trading = None
        if settings.mode == "live":
            trading = BybitTrading(endpoint, read_credentials(settings.key_file), ())
            resources.push_async_callback(trading.close)
            await check_key(trading)
        daemon = Daemon(home, settings, market, pace, trading)
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.stopping.set)
        if started is not None:
            started(daemon)
        await daemon.serve()
