"""Bybit as the registry of venues knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from carryfold.adapters.bybit.endpoint import ENDPOINTS, KEY_VARIABLES, parse_endpoint
from carryfold.adapters.bybit.facts import FACTS, VENUE_NAME
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.trading import BybitTrading
from carryfold.adapters.venues.credentials import Credentials, load_credentials
from carryfold.adapters.venues.registry import Venue

__all__ = ["VENUE"]


def _market(endpoint: str, *, innovation: bool = False) -> BybitMarket:
    return BybitMarket(parse_endpoint(endpoint), innovation=innovation)


def _trading(endpoint: str, credentials: Credentials) -> BybitTrading:
    return BybitTrading(parse_endpoint(endpoint), credentials, ())


def _credentials(file: Path | None) -> Credentials | None:
    return load_credentials(file, KEY_VARIABLES)


VENUE: Final = Venue(VENUE_NAME, FACTS, tuple(ENDPOINTS), KEY_VARIABLES, _market, _trading, _credentials)
