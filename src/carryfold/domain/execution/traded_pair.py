"""A pair with the trading rules of its legs, and its holding counted in units of coins."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from carryfold.domain.instruments import LOT_UNITS, Leg, Pair

__all__ = ["LegRules", "TradedPair", "decimal_of", "other_leg"]


def decimal_of(value: float) -> Decimal:
    """The shortest decimal that reads back as this float."""
    return Decimal(repr(float(value)))


def other_leg(leg: Leg) -> Leg:
    """The leg that hedges this one."""
    return "short" if leg == "long" else "long"


class LegRules(msgspec.Struct, frozen=True):
    """The trading rules of one leg: quantities in base coins, `notional_min` in quote. `band`: how far from the market
    a limit price may be, as a fraction; 0: not known. `trading` False: the market is closed."""

    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    notional_min: Decimal
    tick: Decimal
    band: Decimal = Decimal(0)
    trading: bool = True

    def floor(self, qty: Decimal) -> Decimal:
        """The largest tradable step not above `qty`, and not above `qty_max`."""
        steps = (qty / self.qty_step).to_integral_value(ROUND_FLOOR)
        return min(steps * self.qty_step, self.qty_max)

    def ceil(self, qty: Decimal) -> Decimal:
        """The smallest tradable step not below `qty`, but not above `qty_max`."""
        steps = (qty / self.qty_step).to_integral_value(ROUND_CEILING)
        return min(steps * self.qty_step, self.qty_max)

    def takes(self, qty: Decimal, price: Decimal, *, reduces: bool = False) -> bool:
        """True if the venue accepts an order of `qty` at `price`. The least notional does not apply to an order that
        `reduces` a perpetual."""
        enough = qty > 0 and qty >= self.qty_min and (reduces or qty * price >= self.notional_min)
        return enough and self.trading


class TradedPair(msgspec.Struct, frozen=True):
    """Two legs with their rules. `name`: the pair's label in its run; `coin`: its base coin; `unit`: base coins in a
    unit of the holding; `lot_units`: units in a lot, the step that both legs trade (a product of twos and fives, so
    that a unit is an exact decimal). `long_fee`: the fraction of a purchase on the long leg that the venue keeps in
    coins (0 on every perpetual, and where the fee is taken in quote)."""

    pair: Pair
    name: str
    coin: str
    unit: Decimal
    lot_units: int
    long: LegRules
    short: LegRules
    long_fee: Decimal = Decimal(0)
    quote_coin: str = "USDT"

    @classmethod
    def of(
        cls,
        pair: Pair,
        name: str,
        coin: str,
        lot: Decimal,
        long: LegRules,
        short: LegRules,
        *,
        long_fee: Decimal = Decimal(0),
        quote_coin: str = "USDT",
        unit: Decimal | None = None,
    ) -> "TradedPair":
        """The pair with a lot of `lot` coins. `unit`: that of a holding which was opened under another lot; None: of
        this lot. Raises ValueError if the lot is not a whole number of units."""
        size = lot / LOT_UNITS if unit is None else unit
        count = int(lot / size)
        if count < 1 or size * count != lot:
            raise ValueError(f"{name}: a lot of {lot} is not a whole number of units of {size}")
        return cls(pair, name, coin, size, count, long, short, long_fee, quote_coin)

    def rules(self, leg: Leg) -> LegRules:
        """The trading rules of a leg."""
        return self.long if leg == "long" else self.short

    def is_spot(self, leg: Leg) -> bool:
        """True for a leg of coins in a wallet, False for a position in a perpetual."""
        return self.pair.leg(leg).kind == "spot"

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
        """How much of the long leg to buy so that `net` coins are left after the fee, rounded up to a tradable step."""
        return self.long.ceil(net / (1 - self.long_fee))
