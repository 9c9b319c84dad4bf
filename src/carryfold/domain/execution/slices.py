"""The next piece of the thin leg: small enough for the risk limit, large enough for both books."""

from decimal import Decimal
from typing import Final, NamedTuple

from carryfold.domain.execution.ledger import Ledger
from carryfold.domain.execution.limits import SLICES_MAX
from carryfold.domain.execution.pair import LegRules, decimal_of
from carryfold.domain.execution.quotes import Quotes, touch
from carryfold.domain.execution.reports import Side
from carryfold.domain.instruments import Leg

__all__ = ["Slice", "next_slice"]


_SPARE: Final = Decimal("1.1")
"""Least notionals are taken a tenth larger, for a price that moves."""


class Slice(NamedTuple):
    """Coins of one leg to trade."""

    leg: Leg
    side: Side
    coins: Decimal


def next_slice(ledger: Ledger, quotes: Quotes) -> Slice | None:
    """What to open (entry) or close (exit) next on the thin leg; None: nothing is left, or it cannot be priced."""
    spec = ledger.spec
    pair, leg = spec.pair, spec.thin
    quote = quotes.of(leg)
    if quote is None:
        return None
    price = touch(quote, "buy")
    if spec.kind == "entry":
        units = _piece(ledger, price, spec.lots * pair.lot_units, ledger.held(leg))
        if units < pair.lot_units:
            return None
        if leg == "long":
            return Slice("long", "buy", pair.gross(pair.coins(units)))
        return Slice("short", "sell", pair.short.floor(pair.coins(pair.whole_lots(units))))
    return _closing(ledger, price)


def _closing(ledger: Ledger, price: Decimal) -> Slice | None:
    """A piece of what is held. Where the book takes nothing of the long leg, the short one is closed first."""
    pair, leg = ledger.spec.pair, ledger.spec.thin
    whole = max(ledger.spec.long_units, ledger.spec.short_units)
    units = _piece(ledger, price, whole, whole - ledger.held(leg))
    if leg == "long":
        left = ledger.held("long") - units
        coins = pair.long.floor(ledger.long_coins if left < pair.lot_units else pair.coins(units))
        if pair.long.takes(coins, price / _SPARE, reduces=not pair.is_spot("long")):
            return Slice("long", "sell", coins)
        units = ledger.held("short")
    if units <= 0:
        return None
    return Slice("short", "buy", pair.short.floor(pair.coins(units)))


def _piece(ledger: Ledger, price: Decimal, target: int, done: int) -> int:
    """Units of the next slice on the way to `target`. What would be left over must be tradable on its own."""
    spec = ledger.spec
    pair = spec.pair
    lot = pair.coins(pair.lot_units)
    remaining = target - done
    by_risk = int(decimal_of(spec.limits.max_unhedged_notional) / (price * lot))
    by_count = -(-target // (pair.lot_units * SLICES_MAX))
    least = max(_least_lots(pair.long, lot, price), _least_lots(pair.short, lot, price))
    lots = max(by_risk, by_count, least, 1)
    units = lots * pair.lot_units
    if remaining - units < least * pair.lot_units:
        return remaining
    return units


def _least_lots(rules: LegRules, lot: Decimal, price: Decimal) -> int:
    """Lots that the book takes."""
    by_notional = rules.notional_min * _SPARE / (price * lot)
    return int(max(by_notional, rules.qty_min / lot)) + 1
