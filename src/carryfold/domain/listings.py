"""Listings whose trading rules have not been observed.

An instrument's coins and multiplier never change, so its listing may say them from the launch on. Its trading rules
(lot, minimum, tick, interval, rate cap) do change, and a venue tells only those of today: they are known from the time
they were observed, as an InstrumentChanged. Until then the rules assumed here hold.
"""

from typing import Final

from carryfold.domain.events import InstrumentListed
from carryfold.domain.instruments import Instrument

__all__ = ["ASSUMED_LOT", "ASSUMED_MIN_NOTIONAL", "DELISTED", "assumed_listing", "without_rules"]

ASSUMED_LOT: Final = 1e-6
"""In units of the instrument: so small that rounding to lots changes nothing."""

ASSUMED_MIN_NOTIONAL: Final = 5.0
"""In quote."""

DELISTED: Final = "delisted by the venue"
"""The reason of an InstrumentDelisted that a venue's listings tell."""


def assumed_listing(
    name: Instrument, listed_at: int, base: str, quote: str, multiplier: float = 1.0
) -> InstrumentListed:
    """A listing at `listed_at` (UTC ns; 0: unknown) with assumed trading rules."""
    return InstrumentListed(*name, listed_at, base, quote, ASSUMED_LOT, ASSUMED_MIN_NOTIONAL, multiplier)


def without_rules(listed: InstrumentListed) -> InstrumentListed:
    """The same listing with assumed trading rules in place of observed ones."""
    return assumed_listing(listed.instrument, listed.event_at, listed.base, listed.quote, listed.multiplier)
