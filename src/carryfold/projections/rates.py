"""Settled funding rates of each perpetual under a cursor: the series and its statistics.

A settlement counts with the rate that came first, as in the fold. A later rate of another source is a revision beside
it, unless it only gives the interval. Intervals that no source gave are inferred by the rule of the fold, in the order
in which the rates became known.
"""

import math
from collections import Counter
from functools import lru_cache
from itertools import compress
from struct import Struct
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.events import FundingRevised, FundingSettled
from carryfold.domain.instruments import Instrument, nominal_settlement
from carryfold.projections.cursor import DAY_NS, MAX, NOW, Cursor, format_time
from carryfold.projections.facts import instrument_of_shard, instrument_shard
from carryfold.projections.quality_rules import SettlementFinding, SettlementRule
from carryfold.projections.runner import Projection, Projections, Stamp

__all__ = [
    "RATES", "IntervalSeen", "RatePoint", "RateRevision", "RateSeries", "RateStatistics", "rate_series",
    "rate_statistics",
]  # fmt: skip

BASE_RATE: Final = 0.0001
"""The rate that venues settle when their interest component alone decides."""

_SHARD_NS: Final = 366 * DAY_NS  # so that a new rate rewrites about a year of its perpetual
_FACT: Final = np.dtype(
    [
        ("event_at", "i8"),
        ("known_at", "i8"),
        ("seq", "i8"),
        ("rate", "f8"),
        ("interval_hours", "f8"),
        ("replaces", "f8"),  # of a revision
        ("is_revision", "i8"),
    ]
)
_PACK: Final = Struct("=qqqdddq")
assert _PACK.size == _FACT.itemsize

_Facts = npt.NDArray[np.void]  # of dtype _FACT


class RatePoint(msgspec.Struct, frozen=True):
    """One settlement. Times are RFC 3339. `interval_hours` is null while unknown, and `inferred` if no source gave it.
    A `late` settlement became known after a later one of the perpetual, and takes no part in signals."""

    settled_at: str
    known_from: str
    rate: float
    interval_hours: float | None
    inferred: bool
    late: bool
    seq: int


class RateRevision(msgspec.Struct, frozen=True):
    """Another rate for a settlement, from another source."""

    settled_at: str
    known_from: str
    rate: float
    replaces: float
    seq: int


class RateSeries(msgspec.Struct, frozen=True):
    """Settlements of a perpetual by time of settlement, and revisions in the order of the log."""

    venue: str
    symbol: str
    listing: int
    points: list[RatePoint]
    revisions: list[RateRevision]

    @property
    def instrument(self) -> Instrument:
        """The perpetual."""
        return Instrument(self.venue, self.symbol, "perp", self.listing)


class IntervalSeen(msgspec.Struct, frozen=True):
    """The number of settlements with this interval in force; null: unknown, or the settlement was late."""

    hours: float | None
    count: int


class RateStatistics(msgspec.Struct, frozen=True):
    """Statistics of the settlements of a perpetual. `share_base` is the fraction settled at exactly 0.0001, `gaps` the
    number of places where settlements are missing, `missing` an estimate of how many are."""

    venue: str
    symbol: str
    listing: int
    count: int
    sum: float
    mean: float
    minimum: float
    maximum: float
    share_base: float
    share_positive: float
    first_settled_at: str
    last_settled_at: str
    intervals: list[IntervalSeen]
    late: int
    gaps: int
    missing: int
    revisions: int

    @property
    def instrument(self) -> Instrument:
        """The perpetual."""
        return Instrument(self.venue, self.symbol, "perp", self.listing)


def _shard(_: Stamp, event: FundingSettled | FundingRevised) -> str:
    return _shard_name(event.venue, event.symbol, event.listing, nominal_settlement(event.event_at) // _SHARD_NS)


@lru_cache(maxsize=4096)
def _shard_name(venue: str, symbol: str, listing: int, year: int) -> str:
    return instrument_shard(Instrument(venue, symbol, "perp", listing), f"{year:03d}")


def _apply(state: bytearray, stamp: Stamp, event: FundingSettled | FundingRevised) -> None:
    revision = isinstance(event, FundingRevised)
    replaces = event.replaces if isinstance(event, FundingRevised) else 0.0
    settled_at = nominal_settlement(event.event_at)  # release 0.1.0 recorded the venue's stamp
    state += _PACK.pack(settled_at, stamp.known_at, stamp.seq, event.rate, event.interval_hours, replaces, revision)


RATES: Final[Projection[bytearray]] = Projection(
    "rates", 2, (FundingSettled, FundingRevised), _shard, bytearray, _apply, bytes, bytearray
)
"""Every settlement and revision as packed rows, in shards of one perpetual and year."""


def rate_series(
    projections: Projections, name: Instrument, cursor: Cursor = NOW, *, since: int = 0, until: int = MAX
) -> RateSeries:
    """The series of a perpetual under a cursor, of settlements with since <= event_at < until (ns)."""
    settled, revised = _split(_facts(projections, cursor, name))
    points = [
        _point(row, finding)
        for row, finding in zip(settled.tolist(), _findings(settled), strict=True)
        if since <= row[0] < until
    ]
    revisions = [
        RateRevision(format_time(event_at), format_time(known_at), rate, replaces, seq)
        for event_at, known_at, seq, rate, _, replaces, _ in revised.tolist()
        if since <= event_at < until
    ]
    return RateSeries(
        name.venue, name.symbol, name.listing, sorted(points, key=lambda point: point.settled_at), revisions
    )


def rate_statistics(
    projections: Projections,
    cursor: Cursor = NOW,
    *,
    name: Instrument | None = None,
    since: int = 0,
    until: int = MAX,
) -> list[RateStatistics]:
    """Statistics of one perpetual or of all, by venue, symbol and listing, of settlements with
    since <= event_at < until (ns). One without such settlements is left out."""
    names = [name] if name is not None else sorted({instrument_of_shard(shard) for shard in projections.names(RATES)})
    found = (_statistics(one, _facts(projections, cursor, one), since, until) for one in names)
    return [statistics for statistics in found if statistics is not None]


def _statistics(name: Instrument, facts: _Facts, since: int, until: int) -> RateStatistics | None:
    settled, revised = _split(facts)
    inside = (settled["event_at"] >= since) & (settled["event_at"] < until)
    chosen = settled.compress(inside)
    if not len(chosen):
        return None
    findings = list(compress(_findings(settled), inside.tolist()))
    rates = chosen["rate"]
    total = math.fsum(rates.tolist())
    hours = Counter(finding.hours or None for finding in findings)
    count = len(chosen)
    return RateStatistics(
        name.venue,
        name.symbol,
        name.listing,
        count=count,
        sum=total,
        mean=total / count,
        minimum=float(rates.min()),
        maximum=float(rates.max()),
        share_base=int((rates == BASE_RATE).sum()) / count,
        share_positive=int((rates > 0).sum()) / count,
        first_settled_at=format_time(int(chosen["event_at"].min())),
        last_settled_at=format_time(int(chosen["event_at"].max())),
        intervals=[IntervalSeen(h, hours[h]) for h in sorted(hours, key=lambda h: h or 0.0)],
        late=sum(finding.late for finding in findings),
        gaps=sum(finding.gap for finding in findings),
        missing=sum(finding.missing for finding in findings),
        revisions=int(((revised["event_at"] >= since) & (revised["event_at"] < until)).sum()),
    )


def _facts(projections: Projections, cursor: Cursor, name: Instrument) -> _Facts:
    """The facts of a perpetual under a cursor, in the order of the fold."""
    view = projections.view(RATES, instrument_shard(name))
    facts = np.concatenate([np.empty(0, _FACT), *(np.frombuffer(state, _FACT) for state in view.shards.values())])
    upto_seq = min(cursor.upto_seq, view.position)
    return _as_folded(facts.compress((facts["known_at"] <= cursor.as_of) & (facts["seq"] <= upto_seq)))


def _as_folded(facts: _Facts) -> _Facts:
    """By known_at; within an instant by content as the fold has it, never by seq."""
    return facts.take(np.lexsort([facts["interval_hours"], -facts["rate"], facts["event_at"], facts["known_at"]]))


def _split(facts: _Facts) -> tuple[_Facts, _Facts]:
    """(settlements, with intervals that other sources gave; revisions of rates)"""
    revision = facts["is_revision"] != 0
    settled, revised = facts.compress(~revision), facts.compress(revision)
    same = revised["rate"] == revised["replaces"]
    names = ["known_at", "event_at", "rate"]
    given = {tuple(key): hours for *key, hours in revised.compress(same)[[*names, "interval_hours"]].tolist()}
    if given:
        for place in np.flatnonzero(settled["interval_hours"] == 0.0).tolist():
            settled["interval_hours"][place] = given.get(settled[names][place].item(), 0.0)
    return settled, revised.compress(~same)


def _findings(settled: _Facts) -> list[SettlementFinding]:
    rule = SettlementRule()
    return list(map(rule.judge, settled["event_at"].tolist(), settled["interval_hours"].tolist()))


def _point(row: tuple[int, int, int, float, float, float, int], finding: SettlementFinding) -> RatePoint:
    event_at, known_at, seq, rate, given, _, _ = row
    return RatePoint(
        format_time(event_at),
        format_time(known_at),
        rate,
        finding.hours or None,
        inferred=bool(finding.hours and not given),
        late=finding.late,
        seq=seq,
    )
