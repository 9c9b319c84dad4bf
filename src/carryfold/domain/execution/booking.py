"""What a fill is in our books: units net of coins that the venue kept, and money that adds up to the cash that moved.

A purchase of `qty` coins for `value` with a fee of c coins gives `qty - c` coins. It is booked as these units at
`value` less the fee's worth, and the fee at its worth, so that fees are fees in the attribution and the sum of both is
the venue's own value to the last 1e-8. A fill too small for a whole unit moves its cash as a fee; the coins are carried
to the next fill. A fee in a third coin is noted and valued at 0.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

from carryfold.domain.events import OrderFilled
from carryfold.domain.execution.pair import TradedPair
from carryfold.domain.execution.reports import FillReport
from carryfold.domain.instruments import Leg

__all__ = ["Booking", "book_fill", "filled_event"]

_E8: Final = Decimal("0.00000001")


class Booking(NamedTuple):
    """A fill as it is booked: `coins` and `units` bought > 0, `value` of the units and `fee` in quote. `foreign_fee`:
    the fee was taken in a coin that is neither the pair's nor its quote, and is booked as 0."""

    coins: Decimal
    units: int
    value: Decimal
    fee: Decimal
    foreign_fee: bool


def book_fill(pair: TradedPair, leg: Leg, fill: FillReport, coins_before: Decimal, units_before: int) -> Booking:
    """Book `fill` on a leg that holds `coins_before` (short < 0) and is booked as `units_before`. Units are counted on
    the running total of coins, so that no fraction of a unit is ever lost or booked twice."""
    coins = fill.qty if fill.side == "buy" else -fill.qty
    value, fee, foreign = fill.value, fill.fee, False
    if fill.fee and pair.is_spot(leg) and fill.fee_coin == pair.coin:
        coins -= fill.fee
        worth = (fill.value * fill.fee / fill.qty).quantize(_E8, ROUND_HALF_EVEN)
        # Bought: value + fee is the cash that was paid. Sold with a fee in coins, more coins left for the same cash.
        value, fee = (value - worth if fill.side == "buy" else value + worth), worth
    elif fill.fee and fill.fee_coin not in ("", pair.quote_coin):
        fee, foreign = Decimal(0), True
    units = pair.units(coins_before + coins) - units_before
    if units == 0 or (units > 0) != (coins > 0):
        units = 0
        fee, value = (fee + value if fill.side == "buy" else fee - value), Decimal(0)
    return Booking(coins, units, value, fee, foreign)


def filled_event(
    run: int, pair: TradedPair, leg: Leg, fill: FillReport, booking: Booking, caused_by: int = 0
) -> OrderFilled:
    """The event that says so. `caused_by`: the seq of the order's intent."""
    return OrderFilled(
        run,
        fill.event_at,
        pair.pair,
        leg,
        client_id=fill.client_id,
        fill_id=fill.fill_id,
        units=booking.units,
        value=booking.value,
        fee=booking.fee,
        fee_coin=fill.fee_coin,
        qty=fill.qty if fill.side == "buy" else -fill.qty,
        fee_qty=fill.fee,
        caused_by=caused_by,
    )
