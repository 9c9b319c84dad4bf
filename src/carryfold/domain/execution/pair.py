"""A pair as its orders need it: what each leg's book takes, and coins counted in units of the holding."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from carryfold.domain.events import PairListed
from carryfold.domain.execution.reports import Leg

__all__ = ["LegRules", "TradedPair", "decimal_of"]


def decimal_of(value: float) -> Decimal:
    """The decimal a float was written as: its shortest representation."""
    return Decimal(repr(float(value)))


class LegRules(msgspec.Struct, frozen=True):
    """What one leg's order book takes, in base coins and quote. `band`: how far from the market a limit price may be,
    as a fraction; 0: not told."""

    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    notional_min: Decimal
    tick: Decimal
    band: Decimal = Decimal(0)

    def floor(self, qty: Decimal) -> Decimal:
        """The largest tradable step not above `qty`, and not above `qty_max`."""
        steps = (qty / self.qty_step).to_integral_value(ROUND_FLOOR)
        return min(steps * self.qty_step, self.qty_max)

    def ceil(self, qty: Decimal) -> Decimal:
        """The smallest tradable step not below `qty`, but not above `qty_max`."""
        steps = (qty / self.qty_step).to_integral_value(ROUND_CEILING)
        return min(steps * self.qty_step, self.qty_max)

    def takes(self, qty: Decimal, price: Decimal) -> bool:
        """True if the book takes an order of `qty` at `price`."""
        return qty > 0 and qty >= self.qty_min and qty * price >= self.notional_min


class TradedPair(msgspec.Struct, frozen=True):
    """A pair with its rules. `unit`: base coins a unit of the holding; `lot_units`: units in the step that both legs
    trade (a product of twos and fives, so that a unit is an exact decimal); `spot_fee`: the fraction of a purchase that
    the venue keeps in coins (0: its fee is taken elsewhere)."""

    venue: str
    symbol: str
    listing: int
    spot_coin: str
    unit: Decimal
    lot_units: int
    spot: LegRules
    perp: LegRules
    spot_fee: Decimal = Decimal(0)
    quote_coin: str = "USDT"

    @classmethod
    def of(
        cls,
        listed: PairListed,
        spot_coin: str,
        spot: LegRules,
        perp: LegRules,
        *,
        spot_fee: Decimal = Decimal(0),
        quote_coin: str = "USDT",
        unit: Decimal | None = None,
    ) -> "TradedPair":
        """The pair as it is listed. `unit`: of a holding that was opened under another lot. Raises ValueError where the
        lot is not a whole number of units, or a unit is no exact decimal."""
        lot = decimal_of(listed.lot)
        size = lot / listed.lot_units if unit is None else unit
        count = int(lot / size)
        if count < 1 or size * count != lot:
            raise ValueError(f"{listed.symbol}: a lot of {lot} is not a whole number of units of {size}")
        return cls(
            listed.venue, listed.symbol, listed.listing, spot_coin, size, count, spot, perp, spot_fee, quote_coin
        )

    def rules(self, leg: Leg) -> LegRules:
        """What the leg's book takes."""
        return self.spot if leg == "spot" else self.perp

    def coins(self, units: int) -> Decimal:
        """Base coins of `units`."""
        return units * self.unit

    def units(self, coins: Decimal) -> int:
        """Whole units in `coins`, rounded down."""
        return int((coins / self.unit).to_integral_value(ROUND_FLOOR))

    def whole_lots(self, units: int) -> int:
        """`units` rounded down to whole lots, in units."""
        return units // self.lot_units * self.lot_units

    def gross(self, net: Decimal) -> Decimal:
        """What has to be bought so that `net` coins are left after the fee, as a tradable step."""
        return self.spot.ceil(net / (1 - self.spot_fee))
