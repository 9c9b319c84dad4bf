"""What the daemon watches besides the market: its clock, what comes dated in the future, and its disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import ClockStepped, DataRejected, Event, Halted
from carryfold.eventlog.clock import MAX_STEP_NS

__all__ = ["ClockWatch", "DiskWatch", "FutureGuard"]

FUTURE_NS: Final = 1_000_000_000
TOLD_EVERY_NS: Final = 60_000_000_000
_EVERY_RUN: Final = 0
_MB: Final = 1 << 20


class ClockWatch:
    """Wall clock against monotonic clock, and both against the venue's. A step is recorded, and the end of it; entries
    wait in between. A wall clock that is ahead is adopted at once; one that is behind is waited for, at half speed
    where it is ours that is wrong: the last step that it followed is taken back, or it is ahead of the venue's."""

    def __init__(self, pace: Pace, notices: Notices) -> None:
        self._pace = pace
        self._notices = notices
        self._is_off = False
        self._followed = 0
        self._venue_off = 0

    def compared(self, off_ns: int) -> None:
        """How far our clock is from the venue's: positive, it is ahead; 0, they agree."""
        self._venue_off = off_ns

    def look(self) -> list[Event]:
        """Events to record, mostly none."""
        step = self._pace.step()
        off = step or self._venue_off
        events: list[Event] = []
        if off and not self._is_off:
            self._is_off = True
            text = f"has stepped by {step / 1e9:.3f} s" if step else f"is {off / 1e9:.3f} s from the venue's"
            self._notices.alert("clock", f"the clock {text}: no entries until it agrees")
            events.append(ClockStepped(self._pace.now(), off))
        elif self._is_off and not off:
            self._is_off = False
            self._notices.say("clock agrees")
            events.append(ClockStepped(self._pace.now(), 0))
        if step > 0:
            self._pace.clock.re_anchor()
            self._followed = step
        elif step < 0 and (-step <= self._followed + MAX_STEP_NS or self._venue_off > 0):
            self._pace.clock.slow_down()
        return events


class FutureGuard:
    """Keeps what is dated after its commit out of the log: a clock is wrong, and the fold must not see tomorrow. What
    was kept out is told once a minute."""

    def __init__(self, pace: Pace, notices: Notices) -> None:
        self._pace = pace
        self._notices = notices
        self._count = 0
        self._ahead = 0
        self._told_at = 0

    def pass_on(self, events: Sequence[Event]) -> list[Event]:
        """Without those of the future, and with a DataRejected now and then that counts them."""
        now = self._pace.now()
        good = [event for event in events if event.event_at <= now + FUTURE_NS]
        if len(good) < len(events):
            self._count += len(events) - len(good)
            self._ahead = max(self._ahead, *(event.event_at - now for event in events))
        if self._count and now - self._told_at >= TOLD_EVERY_NS:
            reason = f"dated up to {self._ahead / 1e9:.1f} s after their commit"
            self._notices.alert("clock", f"{self._count} events are {reason}: check the clock of this machine")
            good.append(DataRejected(now, "market stream", 0, reason, self._count))
            self._count, self._ahead, self._told_at = 0, 0, now
        return good


class DiskWatch:
    """Room for the log. Little of it halts every run, once; a person resumes."""

    def __init__(self, home: Path, low_mb: int, pace: Pace, notices: Notices) -> None:
        self._home = home
        self._low_mb = low_mb
        self._pace = pace
        self._notices = notices
        self._is_low = False

    def free_mb(self) -> int:
        """Room on the log's disk."""
        disk = os.statvfs(self._home)
        return disk.f_bavail * disk.f_frsize // _MB

    def look(self) -> list[Event]:
        """Events to record, mostly none."""
        free = self.free_mb()
        if free >= self._low_mb:
            self._is_low = False
            return []
        if self._is_low:
            return []
        self._is_low = True
        text = f"{free} MB are free on the disk of {self._home}, less than {self._low_mb}: no entries until resumed"
        self._notices.alert("disk", text)
        return [Halted(_EVERY_RUN, self._pace.now(), "disk nearly full")]
