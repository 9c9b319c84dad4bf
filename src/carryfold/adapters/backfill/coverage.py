"""Which spans of a pair's history have been fetched, kept in the log beside the events they brought.

A span is stored only after its rows are in the log. After a crash, a span that counts as fetched is therefore there,
and rows that were appended without their span are fetched again and dropped as duplicates. Finished spans are merged,
so an interrupted backfill leaves the same record as an uninterrupted one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from carryfold.domain.availability import LogSettings
from carryfold.domain.instruments import Instrument

__all__ = ["Coverage", "Span", "merged", "missing"]

Span = tuple[int, int]
"""since_ms <= time < until_ms."""

_PREFIX: Final = "backfill"


class KindCoverage(msgspec.Struct):
    """One kind of history of one pair: the spans that were fetched, how many rows came, and the venue's words if it
    refused."""

    spans: list[Span] = []
    rows: int = 0
    refused: str = ""


class Coverage:
    """The record of one pair, under its perpetual."""

    def __init__(self, log: LogSettings, perp: Instrument) -> None:
        self._log = log
        self._name = f"{_PREFIX}:{perp.venue}:{perp.symbol}:{perp.listing}"
        stored = log.get_meta(self._name)
        self._kinds = {} if stored is None else msgspec.json.decode(stored, type=dict[str, KindCoverage])

    def missing(self, kind: str, span: Span) -> list[Span]:
        """The parts of a span that have not been fetched, newest first."""
        return missing(self.of(kind).spans, span)

    def of(self, kind: str) -> KindCoverage:
        """The record of one kind."""
        return self._kinds.get(kind, KindCoverage())

    def add(self, kind: str, span: Span, rows: int) -> None:
        """Note that a span is in the log, with this many rows."""
        one = self._kinds.setdefault(kind, KindCoverage())
        one.spans = merged([*one.spans, span])
        one.rows += rows
        one.refused = ""
        self._store()

    def refuse(self, kind: str, reason: str) -> None:
        """Note that the venue refused. The next backfill asks again."""
        self._kinds.setdefault(kind, KindCoverage()).refused = reason
        self._store()

    def refusals(self) -> list[str]:
        """The kinds that the venue refused, each with the venue's words."""
        return [f"{kind}: {one.refused}" for kind, one in sorted(self._kinds.items()) if one.refused]

    def _store(self) -> None:
        ordered = {kind: self._kinds[kind] for kind in sorted(self._kinds)}
        self._log.set_meta(self._name, msgspec.json.encode(ordered))


def merged(spans: list[Span]) -> list[Span]:
    """The same times in the fewest spans, oldest first."""
    found: list[Span] = []
    for since, until in sorted(span for span in spans if span[0] < span[1]):
        if found and since <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], until)
        else:
            found.append((since, until))
    return found


def missing(spans: list[Span], wanted: Span) -> list[Span]:
    """The parts of `wanted` that no span covers, newest first."""
    since, until = wanted
    found: list[Span] = []
    for start, end in merged(spans):
        if start > since:
            found.append((since, min(start, until)))
        since = max(since, end)
    found.append((since, until))
    return [span for span in reversed(found) if span[0] < span[1]]
