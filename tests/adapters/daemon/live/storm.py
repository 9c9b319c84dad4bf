"""Random faults between the daemon and its venue, by seed: requests, answers, orders, messages."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any, Final

from carryfold.simexchange import SimExchange

__all__ = ["STORM", "disturb", "unleash"]

STORM: Final[tuple[tuple[str, dict[str, Any], float], ...]] = (
    ("drop_request", {"where": "order/create"}, 0.10),
    ("lose_response", {"where": "order/create"}, 0.10),
    ("timeout_before", {"where": "order/create", "seconds": 0.2}, 0.05),
    ("timeout_after", {"where": "order/create", "seconds": 0.2}, 0.05),
    ("slow", {"where": "order/create", "seconds": 0.2}, 0.10),
    ("create_timeout", {"where": "order/create"}, 0.10),
    ("error_after", {"where": "order/create"}, 0.05),
    ("corrupt", {"where": "order/create"}, 0.05),
    ("rate_limit", {"where": "order/create"}, 0.10),
    ("refuse", {"where": "order/create", "value": 110007}, 0.05),
    ("http_error", {"where": "order/create"}, 0.05),
    ("partial_fill", {"where": "order/create", "value": 0.5}, 0.20),
    ("partial_fill", {"where": "order/create", "value": 0.0}, 0.05),
    ("late_reject", {"where": "order/create"}, 0.05),
    ("http_error", {"where": "order/realtime"}, 0.10),
    ("stale", {"where": "order/realtime"}, 0.05),
    ("http_error", {"where": "execution/list"}, 0.05),
    ("stale", {"where": "position/list"}, 0.05),
    ("drop", {"where": "execution"}, 0.10),
    ("drop", {"where": "order"}, 0.10),
    ("duplicate", {"where": "execution"}, 0.20),
    ("duplicate", {"where": "order", "value": 3}, 0.20),
    ("reorder", {"where": "execution"}, 0.10),
    ("reorder", {"where": "order"}, 0.10),
    ("late", {"where": "execution", "seconds": 20}, 0.10),
    ("late", {"where": "order", "seconds": 20}, 0.10),
    ("disconnect", {"where": "order"}, 0.02),
    ("corrupt_push", {"where": "execution"}, 0.02),
    ("disconnect", {"where": "tickers.*"}, 0.002),
)
"""(fault, where it applies, its probability each time at full strength)."""


def unleash(venue: SimExchange, seed: int, force: float = 1.0) -> list[str]:
    """Replace the active faults by a random choice; returns their names."""
    rng = Random(seed)
    venue.faults.clear()
    chosen = [one for one in STORM if rng.random() < 0.6]
    for name, details, probability in chosen:
        venue.faults.inject(name, **details, probability=probability * force)
    return [name for name, _, _ in chosen]


def disturb(venue: SimExchange, rng: Random) -> str:
    """Change the account at random, or not; returns what was done."""
    held = [position.pair for position in venue.exchange.account.held]
    what = rng.choice(("nothing", "nothing", "adl", "hand", "break"))
    if what == "break":
        venue.disconnect()
    elif held and what == "adl":
        venue.adl(rng.choice(held).symbol, Decimal(str(rng.choice((0.3, 1.0)))))
    elif held and what == "hand":
        one = rng.choice(held)
        venue.external_trade(one.symbol, -venue.exchange.account.positions[one.symbol].size)
    return what
