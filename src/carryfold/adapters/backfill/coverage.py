"""Which spans of a pair's history have been asked for, kept in the log beside the events they brought.

A span is stored only after its rows are in the log, so that after any crash a span that counts as asked for is there;
what was appended without its span is asked for again and dropped as a duplicate. Finished spans are merged, and so the
record of a backfill that was interrupted equals that of one that was not.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

__all__ = ["Coverage", "Settings", "Span", "merged", "missing"]

Span = tuple[int, int]
"""since_ms <= time < until_ms."""

_PREFIX: Final = "backfill"


class Settings(Protocol):
    """The part of a log that keeps settings."""

    def get_meta(self, name: str) -> bytes | None:
        """One setting, or None."""

    def set_meta(self, name: str, value: bytes) -> None:
        """Store or replace one setting."""


class Asked(msgspec.Struct):
    """One kind of history of one pair: what was asked for, how many rows came, and the venue's words if it refused."""

    spans: list[Span] = []
    rows: int = 0
    refused: str = ""


class Coverage:
    """The record of one pair (venue, symbol, listing)."""

    def __init__(self, log: Settings, venue: str, symbol: str, listing: int) -> None:
        self._log = log
        self._name = f"{_PREFIX}:{venue}:{symbol}:{listing}"
        stored = log.get_meta(self._name)
        self._kinds = {} if stored is None else msgspec.json.decode(stored, type=dict[str, Asked])

    def missing(self, kind: str, span: Span) -> list[Span]:
        """What of a span has not been asked for, newest first."""
        return missing(self.of(kind).spans, span)

    def of(self, kind: str) -> Asked:
        """What is known of one kind."""
        return self._kinds.get(kind, Asked())

    def add(self, kind: str, span: Span, rows: int) -> None:
        """A span is in the log, with this many rows."""
        asked = self._kinds.setdefault(kind, Asked())
        asked.spans = merged([*asked.spans, span])
        asked.rows += rows
        asked.refused = ""
        self._store()

    def refuse(self, kind: str, reason: str) -> None:
        """The venue does not tell. It will be asked again the next time."""
        self._kinds.setdefault(kind, Asked()).refused = reason
        self._store()

    def refusals(self) -> list[str]:
        """What the venue did not tell, and in which words."""
        return [f"{kind}: {asked.refused}" for kind, asked in sorted(self._kinds.items()) if asked.refused]

    def _store(self) -> None:
        ordered = {kind: self._kinds[kind] for kind in sorted(self._kinds)}
        self._log.set_meta(self._name, msgspec.json.encode(ordered))


def merged(spans: list[Span]) -> list[Span]:
    """The same times in as few spans as possible, oldest first."""
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
