"""What the daemon watches besides the market: its clock, its disk, and that time passes when nothing else happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import ClockStepped, Event, Halted

__all__ = ["ClockWatch", "DiskWatch"]

_EVERY_RUN: Final = 0
_MB: Final = 1 << 20


class ClockWatch:
    """Wall clock against monotonic clock. A step is recorded, and the end of it; entries wait in between. A clock that
    is ahead is adopted at once, one that is behind is waited for."""

    def __init__(self, pace: Pace, notices: Notices) -> None:
        self._pace = pace
        self._notices = notices
        self._is_off = False

    def look(self) -> list[Event]:
        """Events to record, mostly none."""
        step = self._pace.step()
        if step and not self._is_off:
            self._is_off = True
            self._notices.alert("clock", f"the clock has stepped by {step / 1e9:.3f} s: no entries until it agrees")
            return [ClockStepped(self._pace.now(), step)]
        if step > 0:
            self._pace.clock.re_anchor()
        if self._is_off and self._pace.step() == 0:
            self._is_off = False
            return [ClockStepped(self._pace.now(), 0)]
        return []


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
