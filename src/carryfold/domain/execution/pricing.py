"""An order with its price, or why there is none."""

from decimal import Decimal

import msgspec

from carryfold.domain.execution.ledger import Ledger
from carryfold.domain.execution.limits import ExecutionLimits, nanoseconds
from carryfold.domain.execution.plans import OrderWanted, Purpose
from carryfold.domain.execution.quotes import Quotes, limit_price, touch
from carryfold.domain.execution.reports import Side
from carryfold.domain.instruments import Leg

__all__ = ["NoQuote", "TooSmall", "View", "order_at"]


class View(msgspec.Struct, frozen=True):
    """What a plan sees of the world: quotes, the time (ns, the log's clock), and whether anything may be opened."""

    quotes: Quotes
    now: int
    may_open: bool = True

    def fresh(self, limits: ExecutionLimits, leg: Leg) -> bool:
        """True if the leg's quote is new enough to open on."""
        return self.quotes.fresh(leg, self.now, nanoseconds(limits.quote_max_age_s))


class TooSmall(msgspec.Struct, frozen=True):
    """The book does not take so little, or takes nothing any more."""


class NoQuote(msgspec.Struct, frozen=True):
    """There is nothing to price the order at."""


def order_at(
    ledger: Ledger, view: View, leg: Leg, side: Side, coins: Decimal, purpose: Purpose
) -> OrderWanted | TooSmall | NoQuote:
    """The order with its price: at most the cap beyond the touch, the wide cap where the leg has to be had or its quote
    is old. An order that only reduces a perpetual says so."""
    limits, rules = ledger.spec.limits, ledger.spec.pair.rules(leg)
    quote = view.quotes.reference(leg)
    if quote is None:
        return NoQuote()
    wide = purpose == "unwind" or not view.fresh(limits, leg)
    price = limit_price(rules, quote, side, limits.wide_cap_bp if wide else limits.slippage_cap_bp)
    held = ledger.position(leg)
    reduces = not ledger.spec.pair.is_spot(leg) and (held < 0 if side == "buy" else held > 0)
    qty = min(coins, rules.floor(rules.qty_max))
    if rules.takes(qty, min(price, touch(quote, side)), reduces=reduces):
        return OrderWanted(leg, side, qty, price, reduces, purpose)
    return TooSmall()
