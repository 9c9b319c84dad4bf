"""The value of open legs at the last prices of a UTC day."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from carryfold.domain.execution.holdings import PairHolding
from carryfold.domain.instruments import Instrument, Leg, Pair
from carryfold.domain.rows import E8
from carryfold.projections.day_prices import DayPrices

__all__ = ["MarketValues"]

_LEGS: Final[tuple[Leg, Leg]] = ("long", "short")


class MarketValues:
    """Values legs at the last price of their instrument, per coin. A leg without a price, and both legs of a pair whose
    spot leg is only assumed, are worth their cost."""

    def __init__(self, prices: DayPrices, multipliers: Mapping[Instrument, float]) -> None:
        self._prices = prices
        self._multipliers = multipliers

    def price(self, pair: Pair, leg: Leg, day: int) -> float | None:
        """The price of a coin at the end of a day, None: there is none."""
        if pair.long.is_assumed:
            return None
        instrument = pair.leg(leg)
        price = self._prices.at(instrument, day)
        return None if price is None else price / self._multipliers.get(instrument, 1.0)

    def value(self, pair: Pair, leg: Leg, holding: PairHolding, day: int) -> Decimal:
        """The units of a leg in quote, to 1e-8 as the fold rounds."""
        price, held = self.price(pair, leg, day), holding.leg(leg)
        if price is None:
            return held.cost
        return Decimal(round(held.units * float(holding.unit) * price * E8)).scaleb(-8)

    def unrealised(self, pair: Pair, holding: PairHolding, day: int) -> tuple[Decimal, Decimal]:
        """The P&L of the open long and short leg."""
        long, short = (self.value(pair, leg, holding, day) for leg in _LEGS)
        return long - holding.long.cost, holding.short.cost - short

    def has_prices(self, pair: Pair, holding: PairHolding, day: int) -> bool:
        """True if every leg that is held has a price."""
        return all(self.price(pair, leg, day) is not None for leg in _LEGS if holding.leg(leg).units)
