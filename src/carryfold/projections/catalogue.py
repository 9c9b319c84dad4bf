"""Every projection of a home, in the order in which they are listed, and those that a start of the daemon reads."""

from typing import Any, Final

from carryfold.projections.last_settlements import LAST_SETTLEMENTS
from carryfold.projections.quality import QUALITY
from carryfold.projections.rates import RATES
from carryfold.projections.registry import REGISTRY
from carryfold.projections.run_facts import FEEDS, RUN_PROJECTIONS
from carryfold.projections.runner import Projection

__all__ = ["ALL_PROJECTIONS", "START_PROJECTIONS"]

ALL_PROJECTIONS: Final[tuple[Projection[Any], ...]] = (
    REGISTRY, RATES, LAST_SETTLEMENTS, QUALITY, *RUN_PROJECTIONS, FEEDS,
)  # fmt: skip

START_PROJECTIONS: Final[tuple[Projection[Any], ...]] = (REGISTRY, LAST_SETTLEMENTS, *RUN_PROJECTIONS)
"""The daemon keeps these up to date, so that its next start need not read the log for them."""
