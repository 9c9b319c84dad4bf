"""The state of the market streams and of the clock, as the log has it."""

import msgspec

from carryfold.domain.events import ClockStepped, FeedConnected, FeedLost
from carryfold.projections.cursor import SECOND_NS, format_optional_time
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_facts import feed_facts

__all__ = ["FeedHealth", "Feeds", "feeds"]


class FeedHealth(msgspec.Struct):
    """One market stream: `up` or not by its latest event, `since` when (RFC 3339). `down_s` sums the seconds from each
    loss to the next connection, without a loss that still lasts."""

    feed: str
    up: bool
    since: str | None
    connections: int
    losses: int
    down_s: float
    last_lost_at: str | None
    last_loss_reason: str


class Feeds(Answer, frozen=True, kw_only=True):
    """Every stream by name. `clock_step_s` is the latest recorded step of the wall clock, 0 if the clocks agree;
    `clock_steps` counts the steps."""

    feeds: list[FeedHealth]
    clock_step_s: float
    clock_steps: int


def feeds(sources: Sources) -> Feeds:
    """The health of every stream under the cursor."""
    found: dict[str, FeedHealth] = {}
    lost_at: dict[str, int] = {}
    step_ns = steps = 0
    for fact in feed_facts(sources.projections, sources.cursor):
        event = fact.event
        if isinstance(event, ClockStepped):
            step_ns = event.step_ns
            steps += step_ns != 0
        elif isinstance(event, FeedConnected):
            one = found.setdefault(event.feed, FeedHealth(event.feed, False, None, 0, 0, 0.0, None, ""))
            one.connections += 1
            one.down_s += (event.event_at - lost_at.pop(event.feed, event.event_at)) / SECOND_NS
            if not one.up:
                one.up, one.since = True, format_optional_time(event.event_at)
        elif isinstance(event, FeedLost):
            one = found.setdefault(event.feed, FeedHealth(event.feed, True, None, 0, 0, 0.0, None, ""))
            one.losses += 1
            lost_at.setdefault(event.feed, event.event_at)
            one.last_lost_at, one.last_loss_reason = format_optional_time(event.event_at), event.reason
            if one.up:
                one.up, one.since = False, one.last_lost_at
    return Feeds(
        feeds=[found[name] for name in sorted(found)],
        clock_step_s=step_ns / SECOND_NS,
        clock_steps=steps,
        **bounds(sources.cursor),
    )
