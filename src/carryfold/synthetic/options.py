"""Options of a synthetic market."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from carryfold.synthetic.profile import NS_PER_DAY

VENUE: Final = "synthetic"
MAX_PAIRS: Final = 1_000
MAX_DAYS: Final = 36_525


class SyntheticOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a synthetic market. `unpriced`: number of pairs, from the last, without spot. `oddities`: whether bars
    have suspect prints and gaps. Raises ValueError for values out of range."""

    pairs: int = 8
    start: str = "2024-01-01"
    days: int = 180
    bar_minutes: int = 60
    quotes: bool = False
    predictions: bool = False
    unpriced: int = 0
    oddities: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= MAX_PAIRS or not 0 <= self.unpriced <= self.pairs:
            raise ValueError(f"pairs must be 1 to {MAX_PAIRS}, and unpriced at most that many")
        if not 0 <= self.days <= MAX_DAYS:
            raise ValueError(f"days must be 0 to {MAX_DAYS}")
        if self.bar_minutes < 1 or 1_440 % self.bar_minutes:
            raise ValueError("bar_minutes must divide a day")
        if not 2000 <= datetime.fromisoformat(self.start).year < 2100:
            raise ValueError("start must be a day from 2000 to 2099")

    @property
    def start_ns(self) -> int:
        """Midnight of the first day, in UTC ns."""
        day = datetime.fromisoformat(self.start).replace(tzinfo=UTC)
        return int(day.timestamp()) // 86_400 * NS_PER_DAY
