"""Data quality of each pair under a cursor: what is missing, late, suspect, contradicted or was refused.

Gaps, late and suspect rows follow from the tape by the rules of quality_rules.py, in the order in which a fold takes
the rows, so they are what a fold counts. Contradictions (another source gave another value for an observation that
the log has: FundingRevised, ObservationCorrected) and refused input (DataRejected) are facts of the log. An
observation that comes again with the same content leaves no trace in a log, so duplicates can only be counted where
they are dropped: in the report of the import or backfill that brought them.
"""

from collections import Counter
from typing import Final

import msgspec

from carryfold.domain.events import DataRejected, FundingRevised, ObservationCorrected
from carryfold.projections.cursor import MAX, NOW, Cursor
from carryfold.projections.facts import Fact, admitted, decode_facts, encode_facts, keep
from carryfold.projections.quality_scan import Gap, IntervalChange, PairScan, scan_pairs
from carryfold.projections.runner import Projection, Projections, Stamp
from carryfold.projections.tape import PairName, Tape

__all__ = ["QUALITY", "DataQuality", "Gap", "IntervalChange", "PairQuality", "RejectedSource", "data_quality"]

_SHARD_BITS: Final = 16  # a shard of findings covers this many bits of seqs, so it cannot grow for ever


class PairQuality(msgspec.Struct, frozen=True):
    """One pair. `one_legged` price rows lack the spot or the perpetual's price; `late` rows by group; `missing_*`
    estimate how much the gaps leave out; `gaps` and `interval_changes` list the first of them; `corrected` counts by
    kind of event."""

    venue: str
    symbol: str
    listing: int
    settlements: int
    settlement_gaps: int
    missing_settlements: int
    price_rows: int
    bar_gaps: int
    missing_bar_minutes: int
    one_legged: int
    suspect: int
    late: dict[str, int]
    revised: int
    corrected: dict[str, int]
    gaps: list[Gap]
    interval_changes: list[IntervalChange]


class RejectedSource(msgspec.Struct, frozen=True):
    """Input that was refused from one source: how many rows, and for which reasons how many."""

    source: str
    rows: int
    reasons: dict[str, int]


class DataQuality(msgspec.Struct, frozen=True):
    """All pairs with any rows or findings, and what was refused. The totals are over the pairs."""

    suspect: int
    late: int
    settlement_gaps: int
    pairs: list[PairQuality]
    rejected: list[RejectedSource]


def _shard(stamp: Stamp, _: object) -> str:
    return f"{stamp.seq >> _SHARD_BITS:012d}"


QUALITY: Final[Projection[list[Fact]]] = Projection(
    "quality", 1, (FundingRevised, ObservationCorrected, DataRejected), _shard, list, keep, encode_facts, decode_facts
)
"""Contradictions and refusals as they came, in shards of 65,536 seqs."""


def data_quality(
    projections: Projections, tape: Tape, cursor: Cursor = NOW, *, since: int = 0, until: int = MAX
) -> DataQuality:
    """The quality of what became known in since <= known_at < until (ns). Earlier rows are looked at as well, since the
    rules need what came before, but not counted. Reads the tape once."""
    view = projections.view(QUALITY)
    facts = [
        fact
        for state in view.shards.values()
        for fact in admitted(state, cursor, view.position)
        if since <= fact.known_at < until
    ]
    revised, corrected = _contradicted(facts)
    scans = scan_pairs(tape, cursor, since, until)
    names = sorted(scans.keys() | revised.keys() | corrected.keys())
    pairs = [
        _pair_quality(name, scans.get(name, PairScan()), revised[name], corrected.get(name, Counter()))
        for name in names
    ]
    return DataQuality(
        suspect=sum(pair.suspect for pair in pairs),
        late=sum(sum(pair.late.values()) for pair in pairs),
        settlement_gaps=sum(pair.settlement_gaps for pair in pairs),
        pairs=pairs,
        rejected=_rejected(facts),
    )


def _contradicted(facts: list[Fact]) -> tuple[Counter[PairName], dict[PairName, Counter[str]]]:
    """How many settlements were revised, and how many observations corrected by kind, for each pair."""
    revised: Counter[PairName] = Counter()
    corrected: dict[PairName, Counter[str]] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, FundingRevised) and event.rate != event.replaces:
            revised[PairName(event.venue, event.symbol, event.listing)] += 1
        elif isinstance(event, ObservationCorrected):
            pair = PairName(event.venue, event.symbol, event.listing)
            corrected.setdefault(pair, Counter())[event.kind] += 1
    return revised, corrected


def _rejected(facts: list[Fact]) -> list[RejectedSource]:
    reasons: dict[str, Counter[str]] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, DataRejected):
            reasons.setdefault(event.source, Counter())[event.reason] += event.count
    return [
        RejectedSource(source, found.total(), dict(sorted(found.items()))) for source, found in sorted(reasons.items())
    ]


def _pair_quality(pair: PairName, scan: PairScan, revised: int, corrected: Counter[str]) -> PairQuality:
    return PairQuality(
        *pair,
        settlements=scan.settlements,
        settlement_gaps=scan.settlement_gaps,
        missing_settlements=scan.missing_settlements,
        price_rows=scan.price_rows,
        bar_gaps=scan.bar_gaps,
        missing_bar_minutes=scan.missing_bar_minutes,
        one_legged=scan.one_legged,
        suspect=scan.suspect,
        late=dict(scan.late),
        revised=revised,
        corrected=dict(sorted(corrected.items())),
        gaps=scan.gaps,
        interval_changes=scan.interval_changes,
    )
