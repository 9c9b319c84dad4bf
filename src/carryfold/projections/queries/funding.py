"""Funding rates: statistics of what was settled, every settlement, and how good the predictions were."""

from collections.abc import Collection, Sequence

from carryfold.projections.cursor import MAX
from carryfold.projections.prediction_errors import LEADS_S, PredictionErrors, prediction_errors
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.sources import Sources
from carryfold.projections.rates import RateSeries, RateStatistics, rate_series, rate_statistics

__all__ = ["Predictions", "Rates", "Settlements", "predictions", "rates", "settlements"]


class Rates(Answer, frozen=True, kw_only=True):
    """Statistics of each perpetual that has settlements in the span."""

    instruments: list[RateStatistics]


class Settlements(Answer, frozen=True, kw_only=True):
    """The settlements and revisions of each such perpetual."""

    instruments: list[RateSeries]


class Predictions(Answer, frozen=True, kw_only=True):
    """The errors of each perpetual whose settlements were predicted."""

    instruments: list[PredictionErrors]


def rates(
    sources: Sources,
    *,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Rates:
    """Statistics of the settlements with since <= settled_at < until (ns)."""
    found = _statistics(sources, Names(sources, names, venue), since, until)
    return Rates(instruments=found, **bounds(sources.cursor))


def settlements(
    sources: Sources,
    *,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Settlements:
    """Every settlement with since <= settled_at < until (ns)."""
    chosen = _statistics(sources, Names(sources, names, venue), since, until)
    found = [
        rate_series(sources.projections, one.instrument, sources.cursor, since=since, until=until) for one in chosen
    ]
    return Settlements(instruments=found, **bounds(sources.cursor))


def predictions(
    sources: Sources,
    *,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
    leads_s: Sequence[int] = LEADS_S,
) -> Predictions:
    """Errors of predictions some seconds before settlements with since <= settled_at < until (ns). Reads the tape
    once."""
    wanted = Names(sources, names, venue)
    every = prediction_errors(sources.tape, sources.cursor, since=since, until=until, leads_s=leads_s)
    found = [one for one in every if wanted.match(one.instrument)]
    wanted.require(found)
    return Predictions(instruments=found, **bounds(sources.cursor))


def _statistics(sources: Sources, wanted: Names, since: int, until: int) -> list[RateStatistics]:
    every = rate_statistics(sources.projections, sources.cursor, since=since, until=until)
    found = [one for one in every if wanted.match(one.instrument)]
    wanted.require(found)
    return found
