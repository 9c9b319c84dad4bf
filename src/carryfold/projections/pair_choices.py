"""How the pairs of a log were chosen, as backfills recorded it in the log's metadata.

A choice made after the fact is hindsight: pairs with the greatest turnover today, or pairs that a person names today,
are those that did well. A backtest over such a log cannot see this in the events, so reports ask here.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from carryfold.projections.cursor import format_time

__all__ = ["PairChoice", "pair_choices", "record_pair_choice"]

META_NAME: Final = "pair_choices"
ALL: Final = "all"
BY_TURNOVER: Final = "top:"


class ReadsSettings(Protocol):
    """The part of a log, or of a reader of it, that returns settings."""

    def get_meta(self, name: str) -> bytes | None:
        """One setting, or None."""


class KeepsSettings(ReadsSettings, Protocol):
    """The part of a log that keeps settings."""

    def set_meta(self, name: str, value: bytes) -> None:
        """Store or replace one setting."""


class PairChoice(msgspec.Struct, frozen=True):
    """One way in which backfills chose pairs of a venue: `choice` is `top:N`, `all` or symbols, as it was written.
    `first_at` and `last_at` (UTC ns) are the first and the latest time of that choice."""

    venue: str
    choice: str
    first_at: int
    last_at: int

    @property
    def is_hindsight(self) -> bool:
        """Some pairs were left out for a reason that was not known during the history."""
        return self.choice != ALL

    @property
    def description(self) -> str:
        """The choice as a phrase for reports: `pairs of bybit chosen by their turnover on 2026-05-01 (top:20)`."""
        first, last = (format_time(at)[:10] for at in (self.first_at, self.last_at))
        date = f"on {first}" if first == last else f"from {first} to {last}"
        if self.choice == ALL:
            return f"all pairs that {self.venue} listed {date}, closed ones included"
        how = "chosen by their turnover" if self.choice.startswith(BY_TURNOVER) else "named"
        return f"pairs of {self.venue} {how} {date} ({self.choice})"


def pair_choices(log: ReadsSettings) -> list[PairChoice]:
    """Every choice of pairs that backfills into this log made, oldest first; none for imported or generated history."""
    stored = log.get_meta(META_NAME)
    return [] if stored is None else msgspec.json.decode(stored, type=list[PairChoice])


def record_pair_choice(log: KeepsSettings, venue: str, choice: str, at: int) -> None:
    """Record that pairs of a venue were chosen at `at` (UTC ns). A choice that was made before gets a later time."""
    kept = pair_choices(log)
    same = next((one for one in kept if (one.venue, one.choice) == (venue, choice)), None)
    if same is None:
        kept.append(PairChoice(venue, choice, at, at))
    else:
        kept[kept.index(same)] = PairChoice(venue, choice, min(same.first_at, at), max(same.last_at, at))
    log.set_meta(META_NAME, msgspec.json.encode(kept))
