"""When imported history could have been known: one rule per log, written by the first import and kept for ever.

A bar is known `bar_delay_s` after its close, a settlement `settlement_delay_s` after its time. Two rules in one log
would make the order of events depend on which import came first, so a second import with other delays is refused.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from carryfold.adapters.importing.report import ImportRefused

META_NAME: Final = "availability"
MAX_DELAY_S: Final = 86_400.0


class Settings(Protocol):
    """The part of a log that keeps settings."""

    def get_meta(self, name: str) -> bytes | None:
        """One setting, or None."""

    def set_meta(self, name: str, value: bytes) -> None:
        """Store or replace one setting."""


class Availability(msgspec.Struct, frozen=True):
    """The delays of one log, in seconds."""

    bar_delay_s: float = 1.0
    settlement_delay_s: float = 60.0

    @property
    def bar_delay_ns(self) -> int:
        """Nanoseconds from a bar's close until it is known."""
        return round(self.bar_delay_s * 1e9)

    @property
    def settlement_delay_ns(self) -> int:
        """Nanoseconds from a settlement until its rate is known."""
        return round(self.settlement_delay_s * 1e9)


def check_availability(log: Settings, wanted: Availability) -> None:
    """Raise ImportRefused unless `wanted` is sane and is the rule of `log`, if it has one."""
    for name, delay in (("bar", wanted.bar_delay_s), ("settlement", wanted.settlement_delay_s)):
        if not 0.0 <= delay <= MAX_DELAY_S:
            raise ImportRefused(f"the {name} delay of {delay} s is outside 0 to {MAX_DELAY_S:.0f} s")
    stored = log.get_meta(META_NAME)
    if stored is None:
        return
    kept = msgspec.json.decode(stored, type=Availability)
    if kept != wanted:
        raise ImportRefused(
            f"this log was begun with a bar delay of {kept.bar_delay_s:g} s and a settlement delay of"
            f" {kept.settlement_delay_s:g} s, not {wanted.bar_delay_s:g} s and {wanted.settlement_delay_s:g} s:"
            " use the same delays, or another home"
        )


def agree_on_availability(log: Settings, wanted: Availability) -> None:
    """Check `wanted` as `check_availability` does, and make it the rule of a log that has none yet."""
    check_availability(log, wanted)
    if log.get_meta(META_NAME) is None:
        log.set_meta(META_NAME, msgspec.json.encode(wanted))
