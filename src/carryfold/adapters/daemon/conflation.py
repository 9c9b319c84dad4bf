"""The recording policy: of a flood of quotes and estimates, what goes into the log, and when.

Of each pair the latest quote is kept and recorded each `quote_s` (each `hot_s` for pairs that are held or ordered, and
for the first one with both legs after one without), the latest estimate each `estimate_s`, and the last estimate before
a settlement in any case: its mark prices the settlement. Everything else is recorded with the next commit. Pairs have
their turns one after the other and keep them, so that hundreds of pairs do not make one commit of hundreds of quotes
every `quote_s` and nothing in between. Memory is bounded by the number of pairs; what is left out is older than what is
recorded instead.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from carryfold.domain.events import Event, FundingPredicted, Quoted

__all__ = ["Conflator", "RecordingPolicy"]

COMMITS_A_SECOND_MAX: Final = 100
PASSING_MAX = 65_536
"""Events waiting for the next commit beyond which the stream has to wait."""


IN_STEP_NS: Final = 1_000_000_000
"""A pair whose turn comes later than it should by less than this keeps its step."""

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
    """The latest observation of one kind of one pair, and when one last had its turn. `place`: the pair's own place in
    the period, as a fraction of it."""

    __slots__ = ("event", "has_both_legs", "place", "recorded_at")

    def __init__(self, number: int) -> None:
        self.place = number * GOLDEN % 1.0
        self.event: Quoted | FundingPredicted | None = None
        self.recorded_at = 0
        self.has_both_legs = False


class Conflator:
    """`offer` what comes, `take` what is due. Pairs go by their symbol."""

    def __init__(self, policy: RecordingPolicy) -> None:
        self._policy = policy
        self._quotes: dict[str, _Latest] = {}
        self._estimates: dict[str, _Latest] = {}
        self._passing: list[Event] = []
        self.left_out = 0

    def offer(self, event: Event) -> None:
        """Take in one event of the stream."""
        if isinstance(event, Quoted):
            self._keep(self._quotes, event)
        elif isinstance(event, FundingPredicted):
            latest = self._estimates.get(event.symbol)
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

    def take(self, now: int, hot: Collection[str]) -> list[Event]:
        """What is to be recorded at `now` (ns); symbols in `hot` are held or ordered."""
        due, self._passing = self._passing, []
        policy = self._policy
        for symbol, latest in self._quotes.items():
            both = has_both_legs(latest.event)
            period = policy.hot_s if symbol in hot else policy.quote_s
            wait = min(policy.hot_s, period) if both and not latest.has_both_legs else period
            if self._release(due, latest, now, wait, period):
                latest.has_both_legs = both
        for latest in self._estimates.values():
            self._release(due, latest, now, policy.estimate_s, policy.estimate_s)
        return due

    def _keep(self, kept: dict[str, _Latest], event: Quoted | FundingPredicted) -> None:
        latest = kept.get(event.symbol)
        if latest is None:
            latest = kept[event.symbol] = _Latest(len(kept))
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


def has_both_legs(event: Event | None) -> bool:
    """True for a quote that says something about a position."""
    return isinstance(event, Quoted) and bool(event.spot_bid and event.spot_ask and event.perp_bid and event.perp_ask)
