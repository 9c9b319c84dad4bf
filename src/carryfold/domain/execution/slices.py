"""The next piece of the thin leg: small enough for the risk limit, large enough for both books."""

from decimal import Decimal
from typing import Final, NamedTuple

from carryfold.domain.execution.ledger import Ledger
from carryfold.domain.execution.limits import SLICES_MAX
from carryfold.domain.execution.pair import LegRules, decimal_of
from carryfold.domain.execution.quotes import Quotes, touch
from carryfold.domain.execution.reports import Leg, Side

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
        if leg == "spot":
            return Slice("spot", "buy", pair.gross(pair.coins(units)))
        return Slice("perp", "sell", pair.perp.floor(pair.coins(pair.whole_lots(units))))
    return _closing(ledger, price)


def _closing(ledger: Ledger, price: Decimal) -> Slice | None:
    """A piece of what is held; coins too few to be sold are left, and then the short is closed first."""
    pair, leg = ledger.spec.pair, ledger.spec.thin
    whole = max(ledger.spec.spot_units, ledger.spec.perp_units)
    units = _piece(ledger, price, whole, whole - ledger.held(leg))
    if leg == "spot":
        left = ledger.held("spot") - units
        coins = pair.spot.floor(ledger.spot_coins if left < pair.lot_units else pair.coins(units))
        if pair.spot.takes(coins, price / _SPARE):
            return Slice("spot", "sell", coins)
        units = ledger.held("perp")
    if units <= 0:
        return None
    return Slice("perp", "buy", pair.perp.floor(pair.coins(units)))


def _piece(ledger: Ledger, price: Decimal, target: int, done: int) -> int:
    """Units of the next slice on the way to `target`. What would be left over must be tradable on its own."""
    spec = ledger.spec
    pair = spec.pair
    lot = pair.coins(pair.lot_units)
    remaining = target - done
    by_risk = int(decimal_of(spec.limits.max_unhedged_notional) / (price * lot))
    by_count = -(-target // (pair.lot_units * SLICES_MAX))
    least = max(_least_lots(pair.spot, lot, price), _least_lots(pair.perp, lot, price))
    lots = max(by_risk, by_count, least, 1)
    units = lots * pair.lot_units
    if remaining - units < least * pair.lot_units:
        return remaining
    return units


def _least_lots(rules: LegRules, lot: Decimal, price: Decimal) -> int:
    """Lots that the book takes."""
    by_notional = rules.notional_min * _SPARE / (price * lot)
    return int(max(by_notional, rules.qty_min / lot)) + 1
