"""What a run holds: the one fold of its trading events to units, coins, cost and money, by pair and leg.

Both legs count positive on their own side: a long leg what was bought, a short leg what was sold. A leg that went
through zero to the other side is negative, and so is its cost. Money is exact to 1e-8 of the quote:

    cash paid on a long leg = change of cost - realised; cash received on a short leg = change of cost + realised

Only the run's own events count, each fill once, in the order of the log. A difference that no record explains
(ReconciliationCorrected) moves units at their average cost: coins of a spot leg that appear or vanish without cash are
a gain or a loss of that cost, units of a perpetual realise nothing. The fold of the strategy values what appears at the
market. Simulated bookings count like fills; a run has either these or real ones.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FillSimulated,
    FundingCorrected,
    FundingPaid,
    HoldingAdopted,
    OrderFilled,
    ReconciliationCorrected,
)
from carryfold.domain.instruments import LOT_UNITS, Leg, Pair

__all__ = ["Holdings", "LegHolding", "PairHolding", "coins_filled"]

_E8: Final = Decimal("0.00000001")
_LOT_DIGITS: Final = 6
"""Significant digits of a lot that is inferred from a fill; the rounding of a fill to units is far behind them."""

_INFERRED: Final = 0
_ADOPTED: Final = 1
_GIVEN: Final = 2
_LEGS: Final[tuple[Leg, Leg]] = ("long", "short")


class LegHolding(msgspec.Struct):
    """One leg: `units` of the holding; `coins`, which may be a fraction of a unit more, and are exact where the unit is
    given; `cost`, for which the units were bought or sold, at average cost. Since the run began, in quote: `realised`
    P&L, `fees` paid, `funding` received."""

    units: int = 0
    coins: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)

    def move(self, units: int, value: Decimal) -> Decimal:
        """`units` come in (> 0) for `value`, or go out for it. Gives the part of `value` that did not become cost or
        come out of it: > 0, more was received than the units that left had cost."""
        signed = value if units > 0 else -value
        change = self._change_of_cost(units, signed)
        self.units += units
        self.cost += change
        return change - signed

    def move_at_cost(self, units: int) -> None:
        """`units` come in or go out at the average cost of those that are held."""
        value = self.cost * abs(units) / abs(self.units) if self.units else Decimal(0)
        self.cost += self._change_of_cost(units, value if units > 0 else -value)
        self.units += units

    def _change_of_cost(self, units: int, signed: Decimal) -> Decimal:
        """All of the value where units add to what is held; a proportional share of the cost where they take from it.
        What goes beyond zero has the cost of its own part of the value."""
        if not units:
            return Decimal(0)
        if not self.units or (self.units > 0) == (units > 0):
            return signed.quantize(_E8, ROUND_HALF_EVEN)
        if abs(units) < abs(self.units):
            return -(self.cost * abs(units) / abs(self.units)).quantize(_E8, ROUND_HALF_EVEN)
        beyond = (signed * (abs(units) - abs(self.units)) / abs(units)).quantize(_E8, ROUND_HALF_EVEN)
        return beyond - self.cost


class PairHolding(msgspec.Struct):
    """Both legs of one pair. `unit`: base coins in a unit, 0 while it is not known; `coin`: the base coin, empty if
    it is not known. `cash_corrected`: cash that a reconciliation added without a record, in quote."""

    long: LegHolding = msgspec.field(default_factory=LegHolding)
    short: LegHolding = msgspec.field(default_factory=LegHolding)
    unit: Decimal = Decimal(0)
    coin: str = ""
    cash_corrected: Decimal = Decimal(0)
    unit_source: tuple[int, bool, int] = (_INFERRED, False, 0)
    """How reliable `unit` is: inferred, adopted or given; whether from a perpetual; how many units the fill had."""

    @classmethod
    def of(cls, unit: Decimal, coin: str = "", long_units: int = 0, short_units: int = 0) -> "PairHolding":
        """A holding that begins with so many units of `unit` coins, which it keeps counting in."""
        long, short = (LegHolding(units, units * unit) for units in (long_units, short_units))
        return cls(long, short, unit, coin, unit_source=(_GIVEN, True, 0))

    def leg(self, leg: Leg) -> LegHolding:
        """One of the legs."""
        return self.long if leg == "long" else self.short

    @property
    def is_flat(self) -> bool:
        """True if no leg holds a unit."""
        return self.long.units == 0 and self.short.units == 0

    def fill(self, event: OrderFilled) -> None:
        """An execution of the venue. What it realised is cash received beyond the cost."""
        if self.is_flat and self.unit_source[0] != _GIVEN:
            self.unit, self.unit_source = Decimal(0), (_INFERRED, False, 0)
        self._infer_unit(event)
        sign = 1 if event.leg == "long" else -1
        leg = self.leg(event.leg)
        leg.coins += sign * coins_filled(event, self.unit, self.coin)
        leg.realised += sign * leg.move(sign * event.units, event.value)
        leg.fees += event.fee

    def adopt(self, event: HoldingAdopted) -> None:
        """A leg taken over from an earlier run, at its cost there."""
        if self.unit_source[0] != _GIVEN:
            self.unit, self.unit_source = Decimal(repr(event.unit)), (_ADOPTED, True, 0)
        leg = self.leg(event.leg)
        leg.coins += event.units * self.unit
        leg.units += event.units
        leg.cost += event.value

    def correct(self, event: ReconciliationCorrected) -> None:
        """A difference to the venue that no record explains."""
        for leg, units in ((self.long, event.long_units), (self.short, event.short_units)):
            cost = leg.cost
            leg.coins += units * self.unit
            leg.move_at_cost(units)
            if leg is self.long and event.pair is not None and event.pair.is_carry:
                leg.realised += leg.cost - cost
        self.cash_corrected += event.cash

    def simulate(self, event: FillSimulated) -> None:
        """A booking of the simulated venue: an entry opens both legs, funding is money alone, everything else closes
        the legs that it names."""
        figures = event.values
        legs: tuple[Leg, ...] = (figures["leg"],) if figures.get("leg") else _LEGS
        if event.action == "funding":
            self.leg(legs[0]).funding += _money(figures["amount"])
            return
        self.unit = Decimal(repr(float(figures["unit"])))
        for name in legs:
            leg = self.leg(name)
            leg.fees += _money(figures[f"{name}_fee"])
            leg.realised += _money(figures[f"{name}_pnl"])
            leg.units, leg.cost = 0, Decimal(0)
            if event.action == "enter":
                leg.units, leg.cost = int(figures["units"]), _money(figures[f"{name}_value"])
            leg.coins = leg.units * self.unit

    def _infer_unit(self, event: OrderFilled) -> None:
        """Infer the unit from the largest fill, and rather from one of a perpetual than of coins, where the fee may be
        taken in the coin."""
        source = _INFERRED, event.instrument.kind == "perp", abs(event.units)
        coins = abs(coins_filled(event, Decimal(0), self.coin))
        if source > self.unit_source and event.units and coins:
            lot = Decimal(f"{coins / abs(event.units) * LOT_UNITS:.{_LOT_DIGITS}g}")
            self.unit, self.unit_source = lot / LOT_UNITS, source


class Holdings(msgspec.Struct):
    """Everything that a run holds. `pairs` keeps pairs that are flat again, for their money. `borrowed`: interest
    charged, by venue as its event names it; `cash_corrected`: cash of the account alone that a reconciliation added
    without a record."""

    run: int
    pairs: dict[Pair, PairHolding] = msgspec.field(default_factory=dict)
    fill_ids: set[str] = msgspec.field(default_factory=set)
    borrowed: dict[str, Decimal] = msgspec.field(default_factory=dict)
    cash_corrected: Decimal = Decimal(0)

    def of(self, pair: Pair) -> PairHolding:
        """The holding of a pair; an empty one where the run never had any."""
        return self.pairs.get(pair) or PairHolding()

    def held(self) -> dict[Pair, PairHolding]:
        """The pairs that have a unit on either leg."""
        return {pair: holding for pair, holding in self.pairs.items() if not holding.is_flat}

    def apply(self, event: Event) -> bool:
        """Take the next event of the log; False for one that changes nothing: another run's, a fill that is counted
        already, or one that moves neither units nor money."""
        if getattr(event, "run", None) != self.run:
            return False
        if isinstance(event, OrderFilled):
            if event.fill_id in self.fill_ids:
                return False
            self.fill_ids.add(event.fill_id)
            self._at(event.pair).fill(event)
        elif isinstance(event, HoldingAdopted):
            self._at(event.pair).adopt(event)
        elif isinstance(event, ReconciliationCorrected):
            if event.pair is None:
                self.cash_corrected += event.cash
            else:
                self._at(event.pair).correct(event)
        elif isinstance(event, FundingPaid | FundingCorrected):
            self._at(event.pair).leg(event.leg).funding += event.amount
        elif isinstance(event, BorrowCharged):
            self.borrowed[event.venue] = self.borrowed.get(event.venue, Decimal(0)) + event.amount
        elif isinstance(event, FillSimulated):
            self._at(event.pair).simulate(event)
        else:
            return False
        return True

    def _at(self, pair: Pair) -> PairHolding:
        return self.pairs.setdefault(pair, PairHolding())


def coins_filled(fill: OrderFilled, unit: Decimal, coin: str = "") -> Decimal:
    """Base coins that a fill brought (bought > 0), less a fee that the venue took in `coin` itself; where the base coin
    is not known, in a coin that the symbol begins with. A fill without a quantity: its units of `unit` coins."""
    if not fill.qty:
        return fill.units * unit
    instrument = fill.instrument
    if instrument.kind != "spot" or not fill.fee_coin:
        return fill.qty
    is_base = fill.fee_coin == coin if coin else instrument.symbol.startswith(fill.fee_coin)
    return fill.qty - fill.fee_qty if is_base else fill.qty


def _money(e8: int) -> Decimal:
    return Decimal(int(e8)).scaleb(-8)
