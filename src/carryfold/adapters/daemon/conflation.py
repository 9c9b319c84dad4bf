"""The recording policy: of a flood of quotes and estimates, what goes into the log, and when.

Of each instrument the latest quote is kept and recorded each `quote_s` (each `hot_s` where its pair is held or
ordered), the latest estimate each `estimate_s`, and the last estimate before a settlement in any case: its mark prices
the settlement. Everything else is recorded with the next commit. A quote takes along the latest of the instruments that
it forms pairs with: a pair is seen where both legs have prices of about the same time, and one commit is one instant.
Instruments have their turns one after the other and keep them, so that hundreds of pairs do not make one commit of
hundreds of quotes every `quote_s` and nothing in between. Memory is bounded by the number of instruments; what is left
out is older than what is recorded instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from carryfold.domain.events import Event, FundingPredicted, Quoted
from carryfold.domain.instruments import Instrument, Pair

__all__ = ["Conflator", "RecordingPolicy"]

COMMITS_A_SECOND_MAX: Final = 100
PASSING_MAX: Final = 65_536
"""Events waiting for the next commit beyond which the stream has to wait."""

IN_STEP_NS: Final = 1_000_000_000
"""An instrument whose turn comes later than it should by less than this keeps its step."""

GOLDEN: Final = 0.618033988749895
"""Multiples of it, without their whole part, are spread evenly however many there are."""


class RecordingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is recorded. Seconds are those of the daemon's clock; `commits_a_second` bounds market commits."""

    quote_s: float = 10.0
    hot_s: float = 1.0
    estimate_s: float = 60.0
    commits_a_second: float = 4.0

    def __post_init__(self) -> None:
        """Raises ValueError for what nobody could keep."""
        if min(self.quote_s, self.hot_s, self.estimate_s) < 0:
            raise ValueError("seconds must not be negative")
        if not 0.1 <= self.commits_a_second <= COMMITS_A_SECOND_MAX:
            raise ValueError(f"commits_a_second must be from 0.1 to {COMMITS_A_SECOND_MAX}")


class _Latest:
    """The latest observation of one kind of one instrument, and when one last had its turn. `place`: the instrument's
    own place in the period, as a fraction of it; `is_seen_together`: the last quote that was recorded had one of the
    other leg beside it."""

    __slots__ = ("event", "is_seen_together", "place", "recorded_at")

    def __init__(self, number: int) -> None:
        self.place = number * GOLDEN % 1.0
        self.event: Quoted | FundingPredicted | None = None
        self.recorded_at = 0
        self.is_seen_together = False


class Conflator:
    """`offer` what comes, `take` what is due. `follow` says which instruments form pairs."""

    def __init__(self, policy: RecordingPolicy) -> None:
        self._policy = policy
        self._quotes: dict[Instrument, _Latest] = {}
        self._estimates: dict[Instrument, _Latest] = {}
        self._other_legs: dict[Instrument, tuple[Instrument, ...]] = {}
        self._passing: list[Event] = []
        self.left_out = 0

    def follow(self, pairs: Iterable[Pair]) -> None:
        """The pairs whose legs are recorded together."""
        for pair in pairs:
            for leg, other in ((pair.long, pair.short), (pair.short, pair.long)):
                known = self._other_legs.get(leg, ())
                self._other_legs[leg] = known if other in known else (*known, other)

    def offer(self, event: Event) -> None:
        """Take in one event of the stream."""
        if isinstance(event, Quoted):
            self._keep(self._quotes, event)
        elif isinstance(event, FundingPredicted):
            latest = self._estimates.get(event.instrument)
            waiting = None if latest is None else latest.event
            if latest is not None and isinstance(waiting, FundingPredicted) and waiting.next_at != event.next_at:
                self._passing.append(waiting)  # settled in between: the last mark before it must stay
                latest.event = None
            self._keep(self._estimates, event)
        else:
            self._passing.append(event)

    @property
    def is_full(self) -> bool:
        """True if the stream has to wait for a commit."""
        return len(self._passing) >= PASSING_MAX

    def take(self, now: int, hot: Collection[Instrument]) -> list[Event]:
        """What is to be recorded at `now` (ns); instruments in `hot` are legs of pairs that are held or ordered."""
        due, self._passing = self._passing, []
        policy = self._policy
        for name, latest in self._quotes.items():
            period = policy.hot_s if name in hot else policy.quote_s
            others = self._waiting_beside(name)
            first = bool(others) and not latest.is_seen_together
            if self._release(due, latest, now, min(policy.hot_s, period) if first else period, period):
                latest.is_seen_together = bool(others)
                for other in others:
                    self._release_beside(due, other, latest)
        for latest in self._estimates.values():
            self._release(due, latest, now, policy.estimate_s, policy.estimate_s)
        return due

    def _waiting_beside(self, name: Instrument) -> list[_Latest]:
        """The instruments that form pairs with this one and have a quote that is not recorded yet."""
        others = (self._quotes.get(other) for other in self._other_legs.get(name, ()))
        return [other for other in others if other is not None and other.event is not None]

    def _keep(self, kept: dict[Instrument, _Latest], event: Quoted | FundingPredicted) -> None:
        latest = kept.get(event.instrument)
        if latest is None:
            latest = kept[event.instrument] = _Latest(len(kept))
        waiting = latest.event
        self.left_out += waiting is not None
        if waiting is None or event.event_at >= waiting.event_at:
            latest.event = event

    def _release(self, due: list[Event], latest: _Latest, now: int, wait_s: float, period_s: float) -> bool:
        """Record it if `wait_s` has passed since the last; the next has to wait for its place in the next period."""
        late = now - latest.recorded_at - round(wait_s * 1e9)
        if latest.event is None or late < 0:
            return False
        due.append(latest.event)
        latest.event = None
        in_step = late < IN_STEP_NS and wait_s == period_s
        latest.recorded_at = now - (late if in_step else round(latest.place * period_s * 1e9))
        return True

    def _release_beside(self, due: list[Event], other: _Latest, latest: _Latest) -> None:
        """Record the other leg's quote too; from now on both have their turns at the same time."""
        assert other.event is not None, "it is waiting"
        due.append(other.event)
        other.event, other.recorded_at, other.is_seen_together = None, latest.recorded_at, True
