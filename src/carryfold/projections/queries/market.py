"""The instruments of a log and the pairs that they form."""

from collections.abc import Collection

from carryfold.domain.instruments import Legs
from carryfold.projections.pairs import PairRecord, pair_records
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.sources import Sources
from carryfold.projections.registry import InstrumentRecord, registry

__all__ = ["Instruments", "Pairs", "instruments", "pairs"]


class Instruments(Answer, frozen=True, kw_only=True):
    """Instruments by venue, symbol, kind and listing."""

    instruments: list[InstrumentRecord]


class Pairs(Answer, frozen=True, kw_only=True):
    """Pairs in the order of ties."""

    pairs: list[PairRecord]


def instruments(sources: Sources, *, names: Collection[str] | None = None, venue: str | None = None) -> Instruments:
    """Every instrument of the log, with its listing and the span of its rows. Reads the tape once."""
    wanted = Names(sources, names, venue)
    records = registry(sources.projections, sources.cursor, tape=sources.tape)
    found = [one for one in records if wanted.match(one.instrument)]
    wanted.require(found)
    return Instruments(instruments=found, **bounds(sources.cursor))


def pairs(
    sources: Sources,
    *,
    names: Collection[str] | None = None,
    venue: str | None = None,
    legs: Legs = "carry",
    carry_across: bool = False,
) -> Pairs:
    """Every pair that the instruments of the log form. Reads the tape once."""
    records = registry(sources.projections, sources.cursor, tape=sources.tape)
    wanted = Names(sources, names, venue)
    every = pair_records(records, legs, carry_across=carry_across)
    found = [one for pair, one in every.items() if wanted.match_pair(pair, one.pair)]
    wanted.require(found)
    return Pairs(pairs=found, **bounds(sources.cursor))
