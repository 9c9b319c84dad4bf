"""Faults in the data of the log."""

from collections.abc import Collection

from carryfold.projections.cursor import MAX
from carryfold.projections.quality import InstrumentQuality, PairQuality, RejectedSource, data_quality
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.sources import Sources

__all__ = ["Quality", "quality"]


class Quality(Answer, frozen=True, kw_only=True):
    """Findings by instrument and by carry pair, and input that was refused."""

    instruments: list[InstrumentQuality]
    pairs: list[PairQuality]
    rejected: list[RejectedSource]


def quality(
    sources: Sources,
    *,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Quality:
    """Gaps, late and suspect rows, contradictions and refusals of what became known in since <= known_at < until (ns).
    A pair that is named brings its legs. Reads the tape once."""
    wanted = Names(sources, names, venue)
    report = data_quality(sources.projections, sources.tape, sources.cursor, since=since, until=until)
    pairs = [one for one in report.pairs if wanted.match_pair(one.legs, one.pair)]
    legs = {leg for one in pairs for leg in one.legs}
    found = [one for one in report.instruments if one.instrument in legs or wanted.match(one.instrument)]
    wanted.require(found)
    return Quality(instruments=found, pairs=pairs, rejected=report.rejected, **bounds(sources.cursor))
