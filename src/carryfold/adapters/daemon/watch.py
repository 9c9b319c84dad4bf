"""Watches the daemon's clock, events dated in the future, the disk, and the figures of its runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.checks import clock_offset
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.venues import Market, VenueError
from carryfold.domain.events import ClockStepped, DataRejected, Event, Halted
from carryfold.eventlog import EventLog
from carryfold.eventlog.clock import MAX_STEP_NS

__all__ = ["ClockWatch", "DiskWatch", "FutureGuard", "Monitor"]

CLOCK_COMPARED_EVERY_S: Final = 600.0
WATCH_EVERY_S: Final = 1.0

FUTURE_NS: Final = 1_000_000_000
REPORT_EVERY_NS: Final = 60_000_000_000
_EVERY_RUN: Final = 0
_MB: Final = 1 << 20
_HOUR_NS: Final = 3_600_000_000_000


class ClockWatch:
    """Compares the wall clock with the monotonic clock, and both with the venue's. The beginning and the end of a step
    are recorded, and no entries are made in between.

    A wall clock that is ahead is adopted at once. One that is behind is waited for. The daemon's clock runs at half
    speed meanwhile if it is the one that is wrong: when a step is undone that it had adopted, or when it is ahead of
    the venue."""

    def __init__(self, clock: DaemonClock, notices: Notices) -> None:
        self._clock = clock
        self._notices = notices
        self._is_off = False
        self._followed = 0
        self._venue_off = 0

    def set_venue_offset(self, off_ns: int) -> None:
        """Our clock minus the venue's, in ns; 0: they agree."""
        self._venue_off = off_ns

    def check(self) -> list[Event]:
        """Events to record; mostly none."""
        step = self._clock.step()
        off = step or self._venue_off
        events: list[Event] = []
        if off and not self._is_off:
            self._is_off = True
            text = f"has stepped by {step / 1e9:.3f} s" if step else f"is {off / 1e9:.3f} s from the venue's"
            self._notices.alert("clock", f"the clock {text}: no entries until it agrees")
            events.append(ClockStepped(self._clock.now(), off))
        elif self._is_off and not off:
            self._is_off = False
            self._notices.info("clock agrees")
            events.append(ClockStepped(self._clock.now(), 0))
        if step > 0:
            self._clock.log_clock.re_anchor()
            self._followed = step
        elif step < 0 and (-step <= self._followed + MAX_STEP_NS or self._venue_off > 0):
            self._clock.log_clock.slow_down()
        return events


class FutureGuard:
    """Keeps events out of the log that are dated after their commit, because a clock is wrong and the fold must not see
    the future. They are counted and reported once a minute."""

    def __init__(self, clock: DaemonClock, notices: Notices) -> None:
        self._clock = clock
        self._notices = notices
        self._count = 0
        self._ahead = 0
        self._reported_at = 0

    def filter(self, events: Sequence[Event]) -> list[Event]:
        """The events without those of the future, and at times a DataRejected that counts these."""
        now = self._clock.now()
        good = [event for event in events if event.event_at <= now + FUTURE_NS]
        if len(good) < len(events):
            self._count += len(events) - len(good)
            self._ahead = max(self._ahead, *(event.event_at - now for event in events))
        if self._count and now - self._reported_at >= REPORT_EVERY_NS:
            reason = f"dated up to {self._ahead / 1e9:.1f} s after their commit"
            self._notices.alert("clock", f"{self._count} events are {reason}: check the clock of this machine")
            good.append(DataRejected(now, "market stream", 0, reason, self._count))
            self._count, self._ahead, self._reported_at = 0, 0, now
        return good


class DiskWatch:
    """Watches the free space on the log's disk. Too little halts every run, once; a person resumes."""

    def __init__(self, home: Path, low_mb: int, clock: DaemonClock, notices: Notices) -> None:
        self._home = home
        self._low_mb = low_mb
        self._clock = clock
        self._notices = notices
        self._is_low = False

    def free_mb(self) -> int:
        """Free space on the log's disk, in MB."""
        disk = os.statvfs(self._home)
        return disk.f_bavail * disk.f_frsize // _MB

    def check(self) -> list[Event]:
        """Events to record; mostly none."""
        free = self.free_mb()
        if free >= self._low_mb:
            self._is_low = False
            return []
        if self._is_low:
            return []
        self._is_low = True
        text = f"{free} MB are free on the disk of {self._home}, less than {self._low_mb}: no entries until resumed"
        self._notices.alert("disk", text)
        return [Halted(_EVERY_RUN, self._clock.now(), "disk nearly full")]


class Monitor:
    """Runs the watches, and updates the metrics of the runs."""

    def __init__(self, home: Path, low_disk_mb: int, clock: DaemonClock, metrics: Metrics, notices: Notices) -> None:
        self._clock = clock
        self._clock_watch = ClockWatch(clock, notices)
        self._disk_watch = DiskWatch(home, low_disk_mb, clock, notices)
        self._metrics = metrics
        self._notices = notices

    async def watch(self, log: EventLog, engine: Engine, runs: Sequence[Run]) -> None:
        """Check clock, disk and runs every second, for ever. Raises LogError."""
        checked_at = self._clock.now()
        while True:
            events = [*self._clock_watch.check(), *self._disk_watch.check()]
            if events:
                await engine.record(events)
            for run in runs:
                status = run.status()
                self._metrics.book(run.label, status.equity, status.held, halted=not status.may_enter)
            if self._clock.now() - checked_at >= _HOUR_NS:
                checked_at = self._clock.now()
                log.reader_check()
            await self._clock.sleep(WATCH_EVERY_S)

    async def compare_clocks(self, market: Market) -> None:
        """Compare our clock with the venue's now and then, for ever: wall clock and monotonic clock of one machine may
        agree and both be wrong."""
        while True:
            await self._clock.sleep(CLOCK_COMPARED_EVERY_S)
            try:
                self._clock_watch.set_venue_offset(await clock_offset(market, self._clock))
            except VenueError as error:
                self._notices.info("clocks not compared", reason=str(error))
