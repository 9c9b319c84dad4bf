"""The daemon from start to stop.

Order of a start: the venue's clock and ours, the lock, the venue's listings into the log, the runs, their folds, the
settlements that were missed, (live: the account reconciled,) and only then armed. One asyncio loop does everything but
the flush of the log, which has a thread of its own. Every queue is bounded: what cannot be taken in makes the stream
wait, and a quote that waits is replaced by the next.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from carryfold.adapters.backfill import choose_pairs, listing_changes, record_listings
from carryfold.adapters.bybit import BybitMarket, BybitTrading, Credentials, load_credentials, parse_endpoint
from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.daemon.commands import Commands
from carryfold.adapters.daemon.conflation import Conflator
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteBoard
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.settings import DaemonSettings
from carryfold.adapters.daemon.settlements import SettlementDesk
from carryfold.adapters.daemon.start import begin_runs, pairs_listed, warm_up
from carryfold.adapters.daemon.watch import ClockWatch, DiskWatch
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.events import (
    ClockTicked,
    DataRejected,
    Event,
    FeedConnected,
    FeedLost,
    FundingPredicted,
    Quoted,
    RunArmed,
    RunStopped,
)
from carryfold.eventlog import EventLog, GroupCommitter, LogReader
from carryfold.projections.tape import Tape
from carryfold.projections.tape_rows import RowBuilder

__all__ = ["Daemon", "run_daemon"]

CLOCK_LIMIT_S: Final = 1.0
"""How far our clock may be from the venue's: a signed request from further ahead is refused."""

FUTURE_NS: Final = 1_000_000_000
REGISTRY_EVERY_S: Final = 7 * 86_400.0
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
        self.board = QuoteBoard(pace)
        self.home = home
        self.settings = settings
        self.market = market
        self.pace = pace
        self.metrics = Metrics()
        self.notices = Notices(self.metrics)
        self.conflator = Conflator(settings.policy)
        self.stopping = asyncio.Event()
        self.runs: list[Run] = []
        self.pairs: list[PairSpec] = []
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
            log = resources.enter_context(
                EventLog.open(self.home, clock=self.pace.clock, command_handler=commands.handle)
            )
            if self.settings.metrics_port:
                self.metrics.serve(self.settings.metrics_port)
            await self._list_pairs(log)
            reader = resources.enter_context(LogReader.open(self.home))
            infos = begin_runs(log, reader, self.settings.mode, self.settings.sets, pairs_listed(self.pairs))
            tape = await asyncio.to_thread(Tape.open, self.home, reader)
            committer = resources.enter_context(GroupCommitter(log))
            builder = RowBuilder(tape.pairs, tape.runs)
            self._engine = Engine(log, committer, reader, builder, self.metrics)
            self.runs = await warm_up(infos, tape, reader, self._engine)
            self._engine.runs = self.runs
            commands.attach(asyncio.get_running_loop(), self._engine, self.pace)
            desk = self._settlement_desk()
            await desk.fill_gaps()
            if self.trading is not None:
                self.broker = await self._open_broker(self.trading, reader)
            await self._work(log, desk)
            await self._say_goodbye()

    async def _open_broker(self, trading: BybitTrading, reader: LogReader) -> Broker:
        """The live run's dealings: checked, restored, reconciled."""
        (run,) = self.runs
        trading.add_pairs(self.pairs)
        fees = {spec.listed.symbol: (await trading.fees(spec)).spot_taker for spec in self.pairs}
        account = Account(run.info, trading, self.pairs, fees, self.pace)
        limits = self.settings.limits
        broker = Broker(run, account, self.engine, self.pace, self.metrics, self.notices, limits, self.board)
        self.engine.decided = broker.decided
        await broker.begin(reader)
        return broker

    async def _list_pairs(self, log: EventLog) -> None:
        """Choose pairs and record what the venue says of them."""
        listed = await self.market.pairs()
        wants_turnover = self.settings.pairs.startswith("top:")
        turnover = await self.market.turnover() if wants_turnover else {}
        chosen = choose_pairs(self.settings.pairs, listed, turnover, self.market.why_not)
        alive = [spec for spec in chosen if spec.status == "Trading"]
        if not alive:
            raise VenueError(f"none of the pairs '{self.settings.pairs}' is trading now")
        now = min(await self.market.server_time(), self.pace.now())
        self.pairs = await asyncio.to_thread(lambda: record_listings(log, alive, now).pairs)

    def _settlement_desk(self) -> SettlementDesk:
        settled: dict[str, int] = {}
        for run in self.runs[:1]:
            for i in run.ids:
                settled[run.names[i].symbol] = max(int(run.state.view[i]["settled_at"]), 0)
        return SettlementDesk(self.market.history, self.pairs, settled, self.pace, self.engine.record, self.notices)

    async def _work(self, log: EventLog, desk: SettlementDesk) -> None:
        """Everything that goes on at the same time, until it is time to stop."""
        if self.broker is None:
            await self.engine.note([RunArmed(run.info.run, self.pace.now()) for run in self.runs])
        self.notices.say(
            "armed",
            mode=self.settings.mode,
            runs=[run.info.run for run in self.runs],
            pairs=len(self.pairs),
            seq=log.last.seq,
        )
        jobs = [
            self._listen(desk), self._record(), self._watch(log), desk.run(), self._list_weekly(),
            *([] if self.broker is None else [self.broker.listen(), self.broker.keep_reconciled()]),
        ]  # fmt: skip
        tasks = [asyncio.ensure_future(job) for job in jobs]
        stop = asyncio.ensure_future(self._until_stopped())
        try:
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

    async def _listen(self, desk: SettlementDesk) -> None:
        """The market's stream into the conflator."""
        async for event in self.market.stream(self.pairs):
            self.metrics.observed()
            if isinstance(event, Quoted):
                self.board.see(event)
            elif isinstance(event, FundingPredicted):
                desk.see(event)
            elif isinstance(event, FeedConnected | FeedLost):
                self._tell_feed(event)
            self.conflator.offer(event)
            while self.conflator.is_full:
                await asyncio.sleep(GIVE_WAY_S)
        raise VenueError("the market's stream has ended")

    def _tell_feed(self, event: FeedConnected | FeedLost) -> None:
        up = isinstance(event, FeedConnected)
        self.metrics.feed(event.feed, up=up)
        if isinstance(event, FeedLost):
            self.notices.alert("feed", f"the stream {event.feed} is down: {event.reason}")
        else:
            self.notices.say("feed connected", feed=event.feed)

    async def _record(self) -> None:
        """What is due into the log, a bounded number of times a second; a tick where nothing else says that time
        passes."""
        while True:
            await self.pace.sleep(1.0 / self.settings.policy.commits_a_second)
            hot = set().union(*(run.busy_symbols() for run in self.runs)) if self.runs else set()
            now = self.pace.now()
            events = self._not_of_the_future(self.conflator.take(now, hot), now)
            if not events and now - self._recorded_at >= self._quiet_ns():
                events = [ClockTicked(now)]
            if events:
                await self.engine.record(events)
                self._recorded_at = now

    def _quiet_ns(self) -> int:
        """After how long a silence a tick is due."""
        if any(run.is_waiting() for run in self.runs):
            return _NS
        return min((run.info.parameters.cadence_s for run in self.runs), default=60) * _NS

    def _not_of_the_future(self, events: Sequence[Event], now: int) -> list[Event]:
        """Without those dated after their commit: a clock is wrong, and the fold must not see tomorrow."""
        good = [event for event in events if event.event_at <= now + FUTURE_NS]
        bad = len(events) - len(good)
        if bad:
            ahead = max(event.event_at for event in events) - now
            good.append(DataRejected(now, "market stream", 0, f"dated {ahead / 1e9:.1f} s after its commit", bad))
            self.notices.alert("clock", f"{bad} events are dated {ahead / 1e9:.1f} s in the future: check the clock")
        return good

    async def _watch(self, log: EventLog) -> None:
        clock = ClockWatch(self.pace, self.notices)
        disk = DiskWatch(self.home, self.settings.low_disk_mb, self.pace, self.notices)
        hour = self.pace.now()
        while True:
            events = [*clock.look(), *disk.look()]
            if events:
                await self.engine.record(events)
            for run in self.runs:
                book = run.state.book[0]
                equity = int(run.state.book["capital"][0]) / 1e8
                self.metrics.book(run.label, equity, int(book["held"]), halted=bool(book["halted"]))
            if self.pace.now() - hour >= 3600 * _NS:
                hour = self.pace.now()
                log.reader_check()
            await self.pace.sleep(WATCH_EVERY_S)

    async def _list_weekly(self) -> None:
        """What the venue lists, once a week; announced delistings reach the folds as what they are."""
        symbols = {spec.listed.symbol for spec in self.pairs}
        while True:
            await self.pace.sleep(REGISTRY_EVERY_S)
            try:
                specs = [spec for spec in await self.market.pairs() if spec.listed.symbol in symbols]
                now = min(await self.market.server_time(), self.pace.now())
            except VenueError as error:
                self.notices.say("listings not told", reason=str(error))
                continue
            _, events = await asyncio.to_thread(listing_changes, self.home, specs, now)
            if events:
                await self.engine.record(events)

    async def _say_goodbye(self) -> None:
        """The last event of each run is its end, with the state that a replay has to come to."""
        now = self.pace.now()
        await self.engine.note([RunStopped(run.info.run, now, "stopped", run.state.hash()) for run in self.runs])
        self.notices.say("stopped", runs=[run.info.run for run in self.runs])


async def run_daemon(
    home: Path, settings: DaemonSettings, *, signals: bool = True, started: Callable[[Daemon], None] | None = None
) -> None:
    """Run until SIGTERM or SIGINT (or `stop_after_s`). `started` is called with the Daemon before it serves. Raises
    VenueError, LogError, OSError or RunError."""
    endpoint = parse_endpoint(settings.endpoint)
    async with AsyncExitStack() as resources:
        market = BybitMarket(endpoint)
        resources.push_async_callback(market.close)
        pace = await _pace(market, settings)
        trading = None
        if settings.mode == "live":
            trading = BybitTrading(endpoint, _credentials(settings), ())
            resources.push_async_callback(trading.close)
            await _check_key(trading)
        daemon = Daemon(home, settings, market, pace, trading)
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.stopping.set)
        if started is not None:
            started(daemon)
        await daemon.serve()


def _credentials(settings: DaemonSettings) -> Credentials:
    """Raises VenueError where there is no key."""
    found = load_credentials(None if settings.key_file is None else Path(settings.key_file))
    if found is None:
        raise VenueError("live trading needs an API key: see docs/live.md for where it is read from")
    return found


async def _check_key(trading: BybitTrading) -> None:
    """Raises VenueError for a key that cannot trade, or could do more than it should."""
    rights = await trading.permissions()
    if rights.withdraw:
        raise VenueError("this API key may withdraw: make one that can only trade, and delete this one")
    if rights.read_only or not rights.trade:
        raise VenueError("this API key may not trade: give it the rights for spot and contract orders")


async def _pace(market: BybitMarket, settings: DaemonSettings) -> Pace:
    """Our clock, if it agrees with the venue's. Raises VenueError."""
    if settings.speed is not None:
        if not market.endpoint.is_loopback:
            raise VenueError("--speed is for an exchange in a box on this machine, not for a real venue")
        return Pace.of_venue(await market.server_time(), settings.speed)
    pace = Pace.of_this_machine()
    asked = pace.now()
    venue = await market.server_time()
    answered = pace.now()
    # The venue read its clock somewhere between question and answer.
    ahead = max(asked - venue, venue - answered, 0) / 1e9
    if ahead > CLOCK_LIMIT_S:
        word = "ahead of" if asked > venue else "behind"
        raise VenueError(f"this machine's clock is {ahead:.1f} s {word} bybit's: set it right (NTP) and start again")
    return pace
