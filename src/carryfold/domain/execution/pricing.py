"""Quotes of the two legs, limit prices, and the size of the next child order.

A child order of the thin leg is small enough for `max_unhedged_notional` and large enough for both venues to trade.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.domain.execution.actions import ProposedOrder, Purpose
from carryfold.domain.execution.limits import CHILD_ORDERS_MAX, ExecutionLimits, nanoseconds
from carryfold.domain.execution.process_state import ProcessState
from carryfold.domain.execution.reports import Side
from carryfold.domain.execution.traded_pair import LegRules, decimal_of, other_leg
from carryfold.domain.instruments import Leg

__all__ = [
    "ChildOrder", "LegQuote", "MarketView", "NoQuote", "Quotes", "TooSmall", "limit_price", "next_child_order",
    "priced_order", "touch",
]  # fmt: skip

_BAND_USED: Final = Decimal("0.9")
"""How much of a venue's price band is used. The venue measures it from a reference price that differs from ours."""

_PRICE_MARGIN: Final = Decimal("1.1")
"""Least notionals are taken a tenth larger, because the price moves before the order arrives."""


class LegQuote(msgspec.Struct, frozen=True):
    """Best bid and ask of one leg per base coin, known at `at` (UTC ns)."""

    bid: float
    ask: float
    at: int

    @property
    def usable(self) -> bool:
        """False if a side is missing or the book is crossed."""
        return 0.0 < self.bid <= self.ask


class Quotes(msgspec.Struct, frozen=True):
    """The latest quote of each leg; None: no quote yet."""

    long: LegQuote | None = None
    short: LegQuote | None = None

    def of(self, leg: Leg) -> LegQuote | None:
        """The leg's quote, if it is usable."""
        quote = self.long if leg == "long" else self.short
        return quote if quote is not None and quote.usable else None

    def fresh(self, leg: Leg, now: int, max_age_ns: int) -> bool:
        """True if the leg has a usable quote that is not older than `max_age_ns`."""
        quote = self.of(leg)
        return quote is not None and now - quote.at <= max_age_ns

    def reference(self, leg: Leg) -> LegQuote | None:
        """The quote that prices an order on a leg: the leg's own, however old; without one, the other leg's, which
        differs by the basis only."""
        return self.of(leg) or self.of(other_leg(leg))


def touch(quote: LegQuote, side: Side) -> Decimal:
    """The best price on the opposite side of the book."""
    return decimal_of(quote.ask if side == "buy" else quote.bid)


def limit_price(rules: LegRules, quote: LegQuote, side: Side, cap_bp: float) -> Decimal:
    """The limit price: `cap_bp` beyond the touch, rounded to a tick, never better than the touch itself, and inside the
    venue's price band, beyond which the venue rejects the order."""
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


class MarketView(msgspec.Struct, frozen=True):
    """The input of a plan besides the state: quotes, the time (UTC ns of the log), and whether entries may go on."""

    quotes: Quotes
    now: int
    may_open: bool = True

    def fresh(self, limits: ExecutionLimits, leg: Leg) -> bool:
        """True if the leg's quote is new enough to open or close on."""
        return self.quotes.fresh(leg, self.now, nanoseconds(limits.quote_max_age_s))


class TooSmall(msgspec.Struct, frozen=True):
    """The venue does not trade so little, or the market is closed."""


class NoQuote(msgspec.Struct, frozen=True):
    """Neither leg has a quote."""


def priced_order(
    state: ProcessState, view: MarketView, leg: Leg, side: Side, coins: Decimal, purpose: Purpose
) -> ProposedOrder | TooSmall | NoQuote:
    """The order with its limit price: the slippage cap beyond the touch, the wide cap for an unwind and where the leg's
    quote is old. An order that reduces a perpetual is marked as reduce-only."""
    limits, rules = state.spec.limits, state.spec.pair.rules(leg)
    quote = view.quotes.reference(leg)
    if quote is None:
        return NoQuote()
    wide = purpose == "unwind" or not view.fresh(limits, leg)
    price = limit_price(rules, quote, side, limits.wide_cap_bp if wide else limits.slippage_cap_bp)
    held = state.position(leg)
    reduces = not state.spec.pair.is_spot(leg) and (held < 0 if side == "buy" else held > 0)
    qty = min(coins, rules.floor(rules.qty_max))
    if rules.takes(qty, min(price, touch(quote, side)), reduces=reduces):
        return ProposedOrder(leg, side, qty, price, reduces, purpose)
    return TooSmall()


class ChildOrder(NamedTuple):
    """One part of a decision: how many coins of which leg to trade."""

    leg: Leg
    side: Side
    coins: Decimal


def next_child_order(state: ProcessState, quotes: Quotes) -> ChildOrder | None:
    """The next part to open (entry) or to close (exit) on the thin leg; None: nothing is left, or there is no quote."""
    spec = state.spec
    pair, leg = spec.pair, spec.thin
    quote = quotes.of(leg)
    if quote is None:
        return None
    price = touch(quote, "buy")
    if spec.kind == "entry":
        units = _child_units(state, price, spec.lots * pair.lot_units, state.held(leg))
        if units < pair.lot_units:
            return None
        if leg == "long":
            return ChildOrder("long", "buy", pair.gross(pair.coins(units)))
        return ChildOrder("short", "sell", pair.short.floor(pair.coins(pair.whole_lots(units))))
    return _closing_child_order(state, price)


def _closing_child_order(state: ProcessState, price: Decimal) -> ChildOrder | None:
    """The next part to close. Where the venue does not take it of the long leg, the short leg is closed first."""
    pair, leg = state.spec.pair, state.spec.thin
    whole = max(state.spec.long_units, state.spec.short_units)
    units = _child_units(state, price, whole, whole - state.held(leg))
    if leg == "long":
        left = state.held("long") - units
        coins = pair.long.floor(state.long_coins if left < pair.lot_units else pair.coins(units))
        if pair.long.takes(coins, price / _PRICE_MARGIN, reduces=not pair.is_spot("long")):
            return ChildOrder("long", "sell", coins)
        units = state.held("short")
    if units <= 0:
        return None
    return ChildOrder("short", "buy", pair.short.floor(pair.coins(units)))


def _child_units(state: ProcessState, price: Decimal, target: int, done: int) -> int:
    """Units of the next child order on the way to `target`. The rest must be tradable on its own."""
    spec = state.spec
    pair = spec.pair
    lot = pair.coins(pair.lot_units)
    remaining = target - done
    by_risk = int(decimal_of(spec.limits.max_unhedged_notional) / (price * lot))
    by_count = -(-target // (pair.lot_units * CHILD_ORDERS_MAX))
    least = max(_least_lots(pair.long, lot, price), _least_lots(pair.short, lot, price))
    lots = max(by_risk, by_count, least, 1)
    units = lots * pair.lot_units
    if remaining - units < least * pair.lot_units:
        return remaining
    return units


def _least_lots(rules: LegRules, lot: Decimal, price: Decimal) -> int:
    """The least number of lots that the venue trades."""
    by_notional = rules.notional_min * _PRICE_MARGIN / (price * lot)
    return int(max(by_notional, rules.qty_min / lot)) + 1
