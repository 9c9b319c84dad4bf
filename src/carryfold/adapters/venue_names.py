"""The names of the venues, apart from the registry so that the command line can offer them without loading one."""

from typing import Final

__all__ = ["DEFAULT_VENUE", "VENUE_NAMES"]

DEFAULT_VENUE: Final = "bybit"
VENUE_NAMES: Final = ("bybit",)
