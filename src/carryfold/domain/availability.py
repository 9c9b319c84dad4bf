"""When history could have been known: one rule per log, written by the first import or backfill and kept for ever.

A bar is known `bar_delay_s` after its close, a settlement `settlement_delay_s` after its time. Under two rules the
order of events would depend on which import came first, so an import with other delays than the log's is refused.
"""

from typing import Final, Protocol

import msgspec

__all__ = [
    "META_NAME", "Availability", "AvailabilityRefused", "LogSettings", "agree_on_availability", "check_availability",
    "stored_availability",
]  # fmt: skip

META_NAME: Final = "availability"
MAX_DELAY_S: Final = 86_400.0


class AvailabilityRefused(Exception):
    """The delays are impossible, or not those of the log. The text is one line that says what to do."""


class LogSettings(Protocol):
    """The part of a log that keeps settings beside the events."""

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


def stored_availability(log: LogSettings) -> Availability | None:
    """The rule of a log; None before its first import."""
    stored = log.get_meta(META_NAME)
    return None if stored is None else msgspec.json.decode(stored, type=Availability)


def check_availability(log: LogSettings, wanted: Availability) -> None:
    """Raise AvailabilityRefused unless `wanted` is possible and is the rule of `log`, if it has one."""
    for name, delay in (("bar", wanted.bar_delay_s), ("settlement", wanted.settlement_delay_s)):
        if not 0.0 <= delay <= MAX_DELAY_S:
            raise AvailabilityRefused(f"the {name} delay of {delay} s is outside 0 to {MAX_DELAY_S:.0f} s")
    kept = stored_availability(log)
    if kept is not None and kept != wanted:
        raise AvailabilityRefused(
            f"this log was begun with a bar delay of {kept.bar_delay_s:g} s and a settlement delay of"
            f" {kept.settlement_delay_s:g} s, not {wanted.bar_delay_s:g} s and {wanted.settlement_delay_s:g} s:"
            " use the same delays, or another home"
        )


def agree_on_availability(log: LogSettings, wanted: Availability) -> None:
    """Check `wanted` as `check_availability` does, and make it the rule of a log that has none yet."""
    check_availability(log, wanted)
    if log.get_meta(META_NAME) is None:
        log.set_meta(META_NAME, msgspec.json.encode(wanted))
