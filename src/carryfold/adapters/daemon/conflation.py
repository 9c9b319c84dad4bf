"""Conflation: which events of the streams are recorded, and when.

Of each instrument the latest quote is recorded every `quote_s` (every `hot_s` if its pair is held or ordered) and the
latest prediction every `estimate_s`. The last prediction before a settlement is always recorded, because its mark
prices the settlement. All other events are recorded with the next commit.

A quote is recorded together with the latest quote of the other leg: a pair is seen where both legs have prices of about
the same time, and one commit is one instant. Each instrument has its own phase in the period, so that hundreds of pairs
are spread over many commits. Memory is bounded by the number of instruments: a newer event replaces the waiting one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from carryfold.domain.events import Event, FundingPredicted, Quoted
from carryfold.domain.instruments import Instrument, Pair

__all__ = ["Conflator", "RecordingPolicy"]

COMMITS_A_SECOND_MAX: Final = 100
WAITING_MAX: Final = 65_536
"""The stream has to wait while more events than this wait for the next commit."""

KEEP_PHASE_NS: Final = 1_000_000_000
"""An instrument that is recorded late by less than this keeps its phase."""

GOLDEN: Final = 0.618033988749895
"""The fractional parts of its multiples are spread evenly, however many there are."""


class RecordingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is recorded. Seconds are of the daemon's clock; `commits_a_second` bounds the commits of market data."""

    quote_s: float = 10.0
    hot_s: float = 1.0
    estimate_s: float = 60.0
    commits_a_second: float = 4.0

    def __post_init__(self) -> None:
        """Raises ValueError for a value out of range."""
        if min(self.quote_s, self.hot_s, self.estimate_s) < 0:
            raise ValueError("seconds must not be negative")
        if not 0.1 <= self.commits_a_second <= COMMITS_A_SECOND_MAX:
            raise ValueError(f"commits_a_second must be from 0.1 to {COMMITS_A_SECOND_MAX}")


class _Latest:
    """The latest event of one kind of one instrument, and when one was last recorded. `phase`: the instrument's own
    place in the period, as a fraction of it; `was_paired`: its last quote was recorded together with the other
    leg's."""

    __slots__ = ("event", "phase", "recorded_at", "was_paired")

    def __init__(self, number: int) -> None:
        self.phase = number * GOLDEN % 1.0
        self.event: Quoted | FundingPredicted | None = None
        self.recorded_at = 0
        self.was_paired = False


class Conflator:
    """`follow` pairs, `offer` every event of the streams, and `take` what is due. `replaced` counts the events that a
    newer one replaced."""

    def __init__(self, policy: RecordingPolicy) -> None:
        self._policy = policy
        self._quotes: dict[Instrument, _Latest] = {}
        self._estimates: dict[Instrument, _Latest] = {}
        self._other_legs: dict[Instrument, tuple[Instrument, ...]] = {}
        self._waiting: list[Event] = []
        self.replaced = 0

    def follow(self, pairs: Iterable[Pair]) -> None:
        """Record the legs of these pairs together."""
        for pair in pairs:
            for leg, other in ((pair.long, pair.short), (pair.short, pair.long)):
                known = self._other_legs.get(leg, ())
                self._other_legs[leg] = known if other in known else (*known, other)

    def offer(self, event: Event) -> None:
        """Take in one event of a stream."""
        if isinstance(event, Quoted):
            self._keep(self._quotes, event)
        elif isinstance(event, FundingPredicted):
            latest = self._estimates.get(event.instrument)
            waiting = None if latest is None else latest.event
            if latest is not None and isinstance(waiting, FundingPredicted) and waiting.next_at != event.next_at:
                # A settlement lies between the two, and the last mark before it must be recorded.
                self._waiting.append(waiting)
                latest.event = None
            self._keep(self._estimates, event)
        else:
            self._waiting.append(event)

    @property
    def is_full(self) -> bool:
        """True while the stream has to wait for a commit."""
        return len(self._waiting) >= WAITING_MAX

    def take(self, now: int, hot: Collection[Instrument]) -> list[Event]:
        """The events to record at `now` (ns). `hot`: the legs of pairs that are held or ordered."""
        due, self._waiting = self._waiting, []
        policy = self._policy
        for name, latest in self._quotes.items():
            period = policy.hot_s if name in hot else policy.quote_s
            others = self._waiting_beside(name)
            first = bool(others) and not latest.was_paired
            if self._release(due, latest, now, min(policy.hot_s, period) if first else period, period):
                latest.was_paired = bool(others)
                for other in others:
                    self._release_beside(due, other, latest)
        for latest in self._estimates.values():
            self._release(due, latest, now, policy.estimate_s, policy.estimate_s)
        return due

    def _waiting_beside(self, name: Instrument) -> list[_Latest]:
        """The other legs of this instrument's pairs that have a quote which is not recorded yet."""
        others = (self._quotes.get(other) for other in self._other_legs.get(name, ()))
        return [other for other in others if other is not None and other.event is not None]

    def _keep(self, kept: dict[Instrument, _Latest], event: Quoted | FundingPredicted) -> None:
        latest = kept.get(event.instrument)
        if latest is None:
            latest = kept[event.instrument] = _Latest(len(kept))
        waiting = latest.event
        self.replaced += waiting is not None
        if waiting is None or event.event_at >= waiting.event_at:
            latest.event = event

    def _release(self, due: list[Event], latest: _Latest, now: int, wait_s: float, period_s: float) -> bool:
        """Record it if `wait_s` has passed since the last. The next one is due at its phase of the next period."""
        late = now - latest.recorded_at - round(wait_s * 1e9)
        if latest.event is None or late < 0:
            return False
        due.append(latest.event)
        latest.event = None
        keeps_phase = late < KEEP_PHASE_NS and wait_s == period_s
        latest.recorded_at = now - (late if keeps_phase else round(latest.phase * period_s * 1e9))
        return True

    def _release_beside(self, due: list[Event], other: _Latest, latest: _Latest) -> None:
        """Record the other leg's quote too; from now on both have the same phase."""
        assert other.event is not None, "it is waiting"
        due.append(other.event)
        other.event, other.recorded_at, other.was_paired = None, latest.recorded_at, True
