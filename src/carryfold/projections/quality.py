"""Data quality under a cursor: missing, late, suspect, contradicted and refused data, by instrument and by carry pair
of one venue.

Gaps, late and suspect rows follow from the tape by the rules of quality_rules.py in the order of a fold, so they are
those that a fold counts. Contradictions (FundingRevised, ObservationCorrected: another source gave another value for an
observation of the log) and refused input (DataRejected) are facts of the log. Duplicates leave no trace in a log: the
report of the import or backfill that dropped them counts them.
"""

from collections import Counter
from typing import Final

import msgspec

from carryfold.domain.events import DataRejected, FundingRevised, ObservationCorrected
from carryfold.domain.instruments import Instrument, InstrumentKind, Pair, labels
from carryfold.projections.cursor import MAX, NOW, Cursor
from carryfold.projections.facts import Fact, admitted, decode_facts, encode_facts, keep
from carryfold.projections.quality_pairs import PairScan
from carryfold.projections.quality_scan import CloseSettlements, Gap, InstrumentScan, IntervalChange, scan_tape
from carryfold.projections.runner import Projection, Projections, Stamp
from carryfold.projections.tape import Tape

__all__ = [
    "QUALITY", "CloseSettlements", "DataQuality", "Gap", "InstrumentQuality", "IntervalChange", "PairQuality",
    "RejectedSource", "data_quality",
]  # fmt: skip

_SHARD_BITS: Final = 16  # a shard of findings covers this many bits of seqs, so it cannot grow for ever


class InstrumentQuality(msgspec.Struct, frozen=True):
    """Findings about one instrument. `late` counts rows by group; `missing_*` estimate what the gaps leave out;
    `close_settlements` are closer to the one before than the shortest interval; `without_mark` counts bars of a
    perpetual; `gaps`, `close_together` and `interval_changes` list the first ones; `corrected` counts by kind of
    event."""

    venue: str
    symbol: str
    kind: InstrumentKind
    listing: int
    settlements: int
    settlement_gaps: int
    missing_settlements: int
    close_settlements: int
    price_rows: int
    bar_gaps: int
    missing_bar_minutes: int
    without_mark: int
    late: dict[str, int]
    revised: int
    corrected: dict[str, int]
    gaps: list[Gap]
    close_together: list[CloseSettlements]
    interval_changes: list[IntervalChange]

    @property
    def instrument(self) -> Instrument:
        """The instrument."""
        return Instrument(self.venue, self.symbol, self.kind, self.listing)


class PairQuality(msgspec.Struct, frozen=True):
    """Findings about one carry pair of one venue. `rows` have prices of both legs, near in time; a fold never trades on
    the `suspect` ones. `without_spot` counts bars of the perpetual at whose close the spot market has none, and
    `without_perp` the reverse, from the perpetual's first bar to its last."""

    pair: str
    venue: str
    symbol: str
    listing: int
    spot_symbol: str
    spot_listing: int
    rows: int
    suspect: int
    without_spot: int
    without_perp: int

    @property
    def legs(self) -> Pair:
        """The pair."""
        spot = Instrument(self.venue, self.spot_symbol, "spot", self.spot_listing)
        return Pair(spot, Instrument(self.venue, self.symbol, "perp", self.listing))


class RejectedSource(msgspec.Struct, frozen=True):
    """Refused input of one source: the number of rows, and their number by reason."""

    source: str
    rows: int
    reasons: dict[str, int]


class DataQuality(msgspec.Struct, frozen=True):
    """All instruments with rows or findings, the carry pairs of one venue, refused input, and the totals."""

    suspect: int
    late: int
    settlement_gaps: int
    close_settlements: int
    instruments: list[InstrumentQuality]
    pairs: list[PairQuality]
    rejected: list[RejectedSource]


def _shard(stamp: Stamp, _: object) -> str:
    return f"{stamp.seq >> _SHARD_BITS:012d}"


QUALITY: Final[Projection[list[Fact]]] = Projection(
    "quality", 2, (FundingRevised, ObservationCorrected, DataRejected), _shard, list, keep, encode_facts, decode_facts
)
"""Contradictions and refusals in the order of the log, in shards of 65,536 seqs."""


def data_quality(
    projections: Projections, tape: Tape, cursor: Cursor = NOW, *, since: int = 0, until: int = MAX
) -> DataQuality:
    """The quality of what became known in since <= known_at < until (ns). Earlier rows are read, because the rules need
    them, and not counted. Reads the tape once."""
    view = projections.view(QUALITY)
    facts = [
        fact
        for state in view.shards.values()
        for fact in admitted(state, cursor, view.position)
        if since <= fact.known_at < until
    ]
    revised, corrected = _contradicted(facts)
    scans = scan_tape(tape, cursor, since, until)
    names = sorted(scans.instruments.keys() | revised.keys() | corrected.keys())
    instruments = [
        _instrument(name, scans.instruments.get(name, InstrumentScan()), revised[name], corrected.get(name, Counter()))
        for name in names
    ]
    pairs = _pairs(scans.pairs, several_venues=len({name.venue for name in names}) > 1)
    return DataQuality(
        suspect=sum(pair.suspect for pair in pairs),
        late=sum(sum(one.late.values()) for one in instruments),
        settlement_gaps=sum(one.settlement_gaps for one in instruments),
        close_settlements=sum(one.close_settlements for one in instruments),
        instruments=instruments,
        pairs=pairs,
        rejected=_rejected(facts),
    )


def _contradicted(facts: list[Fact]) -> tuple[Counter[Instrument], dict[Instrument, Counter[str]]]:
    """(revised settlements, corrected observations by kind) of each instrument."""
    revised: Counter[Instrument] = Counter()
    corrected: dict[Instrument, Counter[str]] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, FundingRevised) and event.rate != event.replaces:
            revised[event.instrument] += 1
        elif isinstance(event, ObservationCorrected):
            corrected.setdefault(event.instrument, Counter())[event.observation] += 1
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


def _instrument(name: Instrument, scan: InstrumentScan, revised: int, corrected: Counter[str]) -> InstrumentQuality:
    close, together = scan.close_settlements()
    return InstrumentQuality(
        *name,
        settlements=scan.settlements,
        settlement_gaps=scan.settlement_gaps,
        missing_settlements=scan.missing_settlements,
        close_settlements=close,
        price_rows=scan.price_rows,
        bar_gaps=scan.bar_gaps,
        missing_bar_minutes=scan.missing_bar_minutes,
        without_mark=scan.without_mark if name.kind == "perp" else 0,
        late=dict(scan.late),
        revised=revised,
        corrected=dict(sorted(corrected.items())),
        gaps=scan.gaps,
        close_together=together,
        interval_changes=scan.interval_changes,
    )


def _pairs(scans: dict[Pair, PairScan], *, several_venues: bool) -> list[PairQuality]:
    names = labels(scans, several_venues=several_venues)
    return [
        PairQuality(
            names[pair],
            pair.short.venue,
            pair.short.symbol,
            pair.short.listing,
            pair.long.symbol,
            pair.long.listing,
            rows=scan.rows,
            suspect=scan.suspect,
            without_spot=scan.without_long,
            without_perp=scan.without_short,
        )
        for pair, scan in scans.items()
    ]
