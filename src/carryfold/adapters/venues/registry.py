"""The venues that can be used, by name.

Together with names.py this is the only place that names a venue. Its module is imported when it is first used. To add a
venue, write a package with a `Venue` in its venue.py, and add one line here and one name there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from carryfold.adapters.venue_names import DEFAULT_VENUE, VENUE_NAMES
from carryfold.adapters.venues.credentials import Credentials
from carryfold.adapters.venues.errors import VenueError
from carryfold.adapters.venues.facts import VenueFacts
from carryfold.adapters.venues.ports import Market, Trading

__all__ = ["DEFAULT_VENUE", "VENUE_NAMES", "Venue", "venue_named"]


class OpenMarket(Protocol):
    """Makes the port to a venue's public data."""

    def __call__(self, endpoint: str, *, innovation: bool = False) -> Market:
        """`innovation`: also instruments that the venue marks as new and risky. Raises VenueError."""
        ...


class Venue(msgspec.Struct, frozen=True):
    """One venue. `endpoints` are the names of its servers; an address such as https://HOST is accepted in their place.

    `market` and `trading` make the ports to one endpoint; close what they return. `read_credentials` reads the API key
    from a file, or without one from the environment variables `key_variables`; None where there is no key.
    """

    name: str
    facts: VenueFacts
    endpoints: tuple[str, ...]
    key_variables: tuple[str, str]
    market: OpenMarket
    trading: Callable[[str, Credentials], Trading]
    read_credentials: Callable[[Path | None], Credentials | None]


def _bybit() -> Venue:
    from carryfold.adapters.bybit.venue import VENUE

    return VENUE


_VENUES: Final[dict[str, Callable[[], Venue]]] = {"bybit": _bybit}

assert tuple(_VENUES) == VENUE_NAMES, "every venue has a name"


def venue_named(name: str) -> Venue:
    """The venue of this name. Raises VenueError."""
    make = _VENUES.get(name)
    if make is None:
        raise VenueError(f"there is no venue '{name}': known is {', '.join(VENUE_NAMES)}")
    return make()
