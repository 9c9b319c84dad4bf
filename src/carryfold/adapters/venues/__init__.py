"""Venues: the ports that an exchange implements, the facts that differ between exchanges, and the registry of them."""

from carryfold.adapters.venues.credentials import Credentials, Secret
from carryfold.adapters.venues.facts import VenueFacts
from carryfold.adapters.venues.history import Candle, History, NotServed, Page, PriceKind, Settlement
from carryfold.adapters.venues.ports import (
    FeeRates,
    KeyPermissions,
    LegRules,
    Market,
    PairSpec,
    Trading,
    VenueError,
)
from carryfold.adapters.venues.registry import DEFAULT_VENUE, VENUE_NAMES, Venue, venue_named

__all__ = [
    "DEFAULT_VENUE",
    "VENUE_NAMES",
    "Candle",
    "Credentials",
    "FeeRates",
    "History",
    "KeyPermissions",
    "LegRules",
    "Market",
    "NotServed",
    "Page",
    "PairSpec",
    "PriceKind",
    "Secret",
    "Settlement",
    "Trading",
    "Venue",
    "VenueError",
    "VenueFacts",
    "venue_named",
]
