"""Best bids and asks of the two legs, how old they are, and the limit price an order gets from them."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from carryfold.domain.execution.pair import LegRules, decimal_of, other_leg
from carryfold.domain.execution.reports import Side
from carryfold.domain.instruments import Leg

__all__ = ["LegQuote", "Quotes", "limit_price", "touch"]

_BAND_USED: Final = Decimal("0.9")


class LegQuote(msgspec.Struct, frozen=True):
    """Best bid and ask of one leg per base coin, known at `at` (UTC ns)."""

    bid: float
    ask: float
    at: int

    @property
    def usable(self) -> bool:
        """False for a side that is missing or a crossed book."""
        return 0.0 < self.bid <= self.ask


class Quotes(msgspec.Struct, frozen=True):
    """The last known quote of each leg; None: there never was one."""

    long: LegQuote | None = None
    short: LegQuote | None = None

    def of(self, leg: Leg) -> LegQuote | None:
        """The leg's last usable quote."""
        quote = self.long if leg == "long" else self.short
        return quote if quote is not None and quote.usable else None

    def fresh(self, leg: Leg, now: int, max_age_ns: int) -> bool:
        """True if the leg has a usable quote that is not older than `max_age_ns`."""
        quote = self.of(leg)
        return quote is not None and now - quote.at <= max_age_ns

    def reference(self, leg: Leg) -> LegQuote | None:
        """What to price a leg at where it must trade: its last quote, however old; failing that the other leg's, which
        is within the basis of it."""
        return self.of(leg) or self.of(other_leg(leg))


def touch(quote: LegQuote, side: Side) -> Decimal:
    """The price that an order of `side` meets."""
    return decimal_of(quote.ask if side == "buy" else quote.bid)


def limit_price(rules: LegRules, quote: LegQuote, side: Side, cap_bp: float) -> Decimal:
    """The worst price to accept: `cap_bp` beyond the touch, on a tick, never better than the touch itself. A venue
    refuses prices beyond its band, so that a wider cap would trade nothing at all; the band is measured from a price
    that is not quite ours."""
    price, cap = touch(quote, side), decimal_of(cap_bp) / 10_000
    if rules.band > 0:
        cap = min(cap, rules.band * _BAND_USED)
    if side == "buy":
        ticks = (price * (1 + cap) / rules.tick).to_integral_value(ROUND_FLOOR)
        least = (price / rules.tick).to_integral_value(ROUND_CEILING)
        return max(ticks, least) * rules.tick
    ticks = (price * (1 - cap) / rules.tick).to_integral_value(ROUND_CEILING)
    most = max((price / rules.tick).to_integral_value(ROUND_FLOOR), Decimal(1))
    return min(ticks, most) * rules.tick
