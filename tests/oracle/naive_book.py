"""The money of a simulated run: orders, positions, fills, payments, equity, and the answers to "may we afford it".

Amounts are whole numbers of 1e-8 quote; every product is rounded once, when it is made. Nothing here decides anything.
"""

from dataclasses import dataclass, field

from carryfold.domain.params import Parameters

from .naive_rates import SECOND
from .naive_view import Market, Turnover

EDGE = 5 * SECOND
CLOSED_HOLDINGS_KEPT = 4
EXACT = 2.0**53


class SizeOutOfRange(ValueError):
    """A quantity or an amount does not fit a float64 exactly."""

    def __init__(self) -> None:
        super().__init__("size out of range")


def e8(amount: float) -> int:
    """An amount in whole 1e-8, half to even."""
    scaled = amount * 1e8
    if abs(scaled) >= EXACT:
        raise SizeOutOfRange
    return round(scaled)


@dataclass
class Holding:
    """What was held when: all that a settlement needs to know."""

    lots: int
    lot: float
    unpriced: bool
    opened_at: int
    closed_at: int | None = None

    def is_full(self, settled_at: int) -> bool:
        lo, hi = settled_at - EDGE, settled_at + EDGE
        return self.opened_at <= lo and (self.closed_at is None or self.closed_at >= hi)

    def is_edge(self, settled_at: int) -> bool:
        lo, hi = settled_at - EDGE, settled_at + EDGE
        closed_at = self.closed_at
        inside = lo < self.opened_at < hi or (closed_at is not None and lo < closed_at < hi)
        overlaps = self.opened_at < hi and (closed_at is None or closed_at > lo)
        return not self.is_full(settled_at) and inside and overlaps


@dataclass
class Order:
    """A decided entry or exit on its way; `lot` and `size` as they were at the decision."""

    lots: int
    lot: float
    size: float
    decided_at: int
    due: int


@dataclass
class Position:
    lots: int
    lot: float
    size: float
    unpriced: bool
    holding: Holding
    spot_cost: int
    perp_entry: int
    perp_price: float
    exit: Order | None = None
    liquidated_at: int | None = None  # the short is gone and the spot leg waits for its sale

    @property
    def quantity(self) -> float:
        return self.lots * self.lot


@dataclass
class Seat:
    """One pair in the book."""

    market: Market
    entry: Order | None = None
    position: Position | None = None
    closed: list[Holding] = field(default_factory=list)
    ever_entered: bool = False


Fill = tuple[int, str, str, int, int, int, int, int]
"""t, symbol, action, lots, spot value, perp value, spot fee, perp fee; amounts in 1e-8."""

Payment = tuple[int, int, str, int]
"""t, T, symbol, amount in 1e-8."""


@dataclass
class Book:
    params: Parameters
    seats: list[Seat]  # in symbol order

    funding: int = 0
    spot_pnl: int = 0  # realised
    perp_pnl: int = 0  # realised
    fees: int = 0
    borrow: int = 0
    slippage: int = 0
    liquidation: int = 0
    trades: int = 0
    dropped: int = 0
    payments_booked: int = 0
    fills: list[Fill] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    revisions: list[Payment] = field(default_factory=list)

    @property
    def capital(self) -> int:
        return e8(self.params.capital)

    # Fills ----------------------------------------------------------------------------------------------------

    def open(self, t: int, seat: Seat, order: Order, unpriced: bool) -> None:
        """Buys the spot and sells the perp of a decided entry."""
        holding = Holding(order.lots, order.lot, unpriced, t)
        position = Position(order.lots, order.lot, order.size, unpriced, holding, 0, 0, 1.0)
        notionals = (order.size, order.size)
        if unpriced:
            position.spot_cost = position.perp_entry = e8(position.quantity)
            fees = self._unpriced_costs(seat, position.quantity, notionals)
        else:
            spot, perp = self._prices(seat, position, notionals, buying_spot=True)
            position.spot_cost, position.perp_entry = e8(position.quantity * spot), e8(position.quantity * perp)
            position.perp_price = perp
            fees = self._fees(position.quantity, spot, perp)
        seat.entry, seat.position, seat.ever_entered = None, position, True
        self._record(t, seat, "enter", position.lots, (position.spot_cost, position.perp_entry), fees)

    def close(self, t: int, seat: Seat) -> None:
        """Sells the spot and buys the perp back; only the spot where the short was liquidated before."""
        position = seat.position
        assert position is not None
        quantity = position.quantity
        if position.unpriced:
            values = (e8(quantity), e8(quantity))
            fees = self._unpriced_costs(seat, quantity, (quantity, quantity))
            self._end(t, seat, "exit", values, fees)
            return
        price = seat.market.price
        assert price is not None
        notionals = (quantity * price.spot_mid, quantity * price.perp_mid)
        both = position.liquidated_at is None
        spot, perp = self._prices(seat, position, notionals, buying_spot=False)
        spot_fee, perp_fee = self._fees(quantity, spot, perp)
        if both:
            self._end(t, seat, "exit", (e8(quantity * spot), e8(quantity * perp)), (spot_fee, perp_fee))
        else:
            self._end(t, seat, "spot sold", (e8(quantity * spot), 0), (spot_fee, 0))

    def liquidate(self, t: int, seat: Seat) -> None:
        """The venue buys a short back at the perp mid; the spot leg stays until it is sold."""
        position, price = seat.position, seat.market.price
        assert position is not None
        assert price is not None
        value = e8(position.quantity * price.perp_mid)
        fee = e8(position.quantity * price.perp_mid * self.params.perp_taker_bp / 1e4)
        self.perp_pnl += position.perp_entry - value
        self.liquidation += position.perp_entry - value
        position.liquidated_at, position.exit = t, None
        self._end_holding(t, seat)
        self._record(t, seat, "liquidated", position.lots, (0, value), (0, fee))

    def is_liquidated(self, t: int, seat: Seat) -> bool:
        p, position, price = self.params, seat.position, seat.market.price
        if position is None or position.unpriced or position.liquidated_at is not None or price is None:
            return False
        limit = position.perp_price * (1.0 + p.margin_fraction) / (1.0 + p.mmr + p.perp_taker_bp / 1e4)
        return t > position.holding.opened_at and price.perp_mid >= limit

    def delist(self, t: int, seat: Seat, reason: str) -> None:
        """Ends whatever the pair has, at its last prices."""
        p, position, market = self.params, seat.position, seat.market
        if seat.entry is not None:
            seat.entry = None
            self.dropped += 1
        if position is None:
            return
        quantity, kept = position.quantity, 1.0 - p.delist_haircut
        if position.unpriced:
            self.spot_pnl -= e8(quantity * p.delist_haircut)
            fees = (e8(quantity * p.spot_taker_bp / 1e4), e8(quantity * p.perp_taker_bp / 1e4))
            self._end(t, seat, reason, (e8(quantity), e8(quantity)), fees)
            return
        assert market.price is not None
        spot = market.price.spot_mid
        spot_value, spot_fee = e8(quantity * spot * kept), e8(quantity * spot * kept * p.spot_taker_bp / 1e4)
        perp_value = perp_fee = 0
        if position.liquidated_at is None:
            mark = market.newest_mark()
            perp_value, perp_fee = e8(quantity * mark), e8(quantity * mark * p.perp_taker_bp / 1e4)
        self._end(t, seat, reason, (spot_value, perp_value), (spot_fee, perp_fee))

    def _end(self, t: int, seat: Seat, action: str, values: tuple[int, int], fees: tuple[int, int]) -> None:
        position = seat.position
        assert position is not None
        self.spot_pnl += values[0] - position.spot_cost
        if position.liquidated_at is None:
            self.perp_pnl += position.perp_entry - values[1]
            self._end_holding(t, seat)
        self.trades += 1
        seat.position = None
        self._record(t, seat, action, position.lots, values, fees)

    def _end_holding(self, t: int, seat: Seat) -> None:
        assert seat.position is not None
        seat.position.holding.closed_at = t
        seat.closed.append(seat.position.holding)
        del seat.closed[:-CLOSED_HOLDINGS_KEPT]

    def _record(
        self, t: int, seat: Seat, action: str, lots: int, values: tuple[int, int], fees: tuple[int, int]
    ) -> None:
        self.fees += fees[0] + fees[1]
        self.fills.append((t, seat.market.symbol.decode(), action, lots, *values, *fees))

    def _fees(self, quantity: float, spot: float, perp: float) -> tuple[int, int]:
        p = self.params
        return e8(quantity * spot * p.spot_taker_bp / 1e4), e8(quantity * perp * p.perp_taker_bp / 1e4)

    def _unpriced_costs(self, seat: Seat, quantity: float, notionals: tuple[float, float]) -> tuple[int, int]:
        """Books spread, slippage and impact of both legs of a pair without prices; returns the two fees."""
        spot_cost = self._modelled_cost(seat.market, seat.market.spot_turnover, quantity, notionals[0])
        perp_cost = self._modelled_cost(seat.market, seat.market.perp_turnover, quantity, notionals[1])
        self.spot_pnl -= spot_cost
        self.perp_pnl -= perp_cost
        self.slippage += spot_cost + perp_cost
        return self._fees(quantity, 1.0, 1.0)

    def _modelled_cost(self, market: Market, leg: Turnover, quantity: float, notional: float) -> int:
        p = self.params
        return e8(quantity * (p.half_spread_bp + p.slippage_bp + market.impact_bp(leg, notional)) / 1e4)

    def _prices(
        self, seat: Seat, position: Position, notionals: tuple[float, float], *, buying_spot: bool
    ) -> tuple[float, float]:
        """Fill prices of the spot and the perp leg on the pair's last accepted row; books the slippage figure."""
        p, market, price = self.params, seat.market, seat.market.price
        assert price is not None
        spot_impact = market.impact_bp(market.spot_turnover, notionals[0])
        perp_impact = market.impact_bp(market.perp_turnover, notionals[1])
        if price.quoted:
            spot_worse = (p.slippage_bp + spot_impact) / 1e4
            perp_worse = (p.slippage_bp + perp_impact) / 1e4
            spot_base = price.spot_ask if buying_spot else price.spot_bid
            perp_base = price.perp_bid if buying_spot else price.perp_ask
        else:
            spot_worse = (p.half_spread_bp + p.slippage_bp + spot_impact) / 1e4
            perp_worse = (p.half_spread_bp + p.slippage_bp + perp_impact) / 1e4
            spot_base, perp_base = price.spot_mid, price.perp_mid
        if buying_spot:
            spot, perp = spot_base * (1.0 + spot_worse), perp_base * max(0.0, 1.0 - perp_worse)
        else:
            spot, perp = spot_base * max(0.0, 1.0 - spot_worse), perp_base * (1.0 + perp_worse)
        self.slippage += e8(abs(spot - price.spot_mid) * position.lots * position.lot)
        if position.liquidated_at is None:
            self.slippage += e8(abs(perp - price.perp_mid) * position.lots * position.lot)
        return spot, perp

    # Settlements ----------------------------------------------------------------------------------------------

    def settle(self, t: int, seat: Seat, settled_at: int, rate: float) -> None:
        """Books a settled rate on everything that was held then."""
        for holding, full, mark in self._held_at(seat, settled_at):
            amount = e8(holding.lots * holding.lot * mark * rate)
            if full or amount < 0:
                self.funding += amount
                self.payments_booked += 1
                self.payments.append((t, settled_at, seat.market.symbol.decode(), amount))

    def revise(self, t: int, seat: Seat, settled_at: int, rate: float, old_rate: float) -> None:
        """Books the difference that a corrected rate makes."""
        for holding, full, mark in self._held_at(seat, settled_at):
            new = e8(holding.lots * holding.lot * mark * rate)
            old = e8(holding.lots * holding.lot * mark * old_rate)
            if not full:
                new, old = min(new, 0), min(old, 0)
            if new != old:
                self.funding += new - old
                self.revisions.append((t, settled_at, seat.market.symbol.decode(), new - old))

    def _held_at(self, seat: Seat, settled_at: int) -> list[tuple[Holding, bool, float]]:
        """Holdings that count for a settlement: each, whether held all through it, and the mark (1 without prices)."""
        market = seat.market
        if market.delisted_at is not None and settled_at > market.delisted_at:
            return []
        holdings = list(seat.closed)
        if seat.position is not None and seat.position.liquidated_at is None:
            holdings.append(seat.position.holding)
        found = []
        for holding in holdings:
            full = holding.is_full(settled_at)
            if not full and not holding.is_edge(settled_at):
                continue
            mark = 1.0 if holding.unpriced else market.mark_for(settled_at)
            if mark is None:
                market.counters.no_mark += 1
                continue
            found.append((holding, full, mark))
        return found

    # State of the account -------------------------------------------------------------------------------------

    def held(self) -> list[Position]:
        return [seat.position for seat in self.seats if seat.position is not None]

    def _spot_value(self, seat: Seat) -> int:
        """The open spot leg at the last accepted mid."""
        assert seat.position is not None
        if seat.position.unpriced:
            return e8(seat.position.quantity)
        assert seat.market.price is not None
        return e8(seat.position.quantity * seat.market.price.spot_mid)

    def _perp_notional(self, seat: Seat) -> float:
        """The open perp leg at the last accepted mid, 0 where it was liquidated."""
        assert seat.position is not None
        if seat.position.liquidated_at is not None:
            return 0.0
        if seat.position.unpriced:
            return seat.position.quantity
        assert seat.market.price is not None
        return seat.position.quantity * seat.market.price.perp_mid

    def unrealised(self) -> tuple[int, int]:
        """Unrealised P&L of the open spot and perp legs."""
        spot = perp = 0
        for seat in self.seats:
            position = seat.position
            if position is not None and not position.unpriced:
                spot += self._spot_value(seat) - position.spot_cost
                if position.liquidated_at is None:
                    perp += position.perp_entry - e8(self._perp_notional(seat))
        return spot, perp

    def realised(self) -> int:
        return self.capital + self.funding + self.spot_pnl + self.perp_pnl - self.fees - self.borrow

    def equity(self) -> int:
        return self.realised() + sum(self.unrealised())

    def before_margin(self) -> int:
        """Cash left after paying for the open spot legs, with the perp legs' profit or loss."""
        return self.realised() - sum(position.spot_cost for position in self.held()) + self.unrealised()[1]

    def free(self) -> int:
        p = self.params
        free = self.before_margin()
        for seat in self.seats:
            if seat.position is not None:
                free -= e8(p.margin_fraction * self._perp_notional(seat))
            if seat.entry is not None:
                free -= e8((1.0 + p.margin_fraction) * seat.entry.size)
        return free

    def health(self) -> float:
        """How many times the maintenance margin is covered, infinite without a short or with split accounts."""
        if self.params.account == "split":
            return float("inf")
        spot_value = perp_notional = 0
        for seat in self.seats:
            if seat.position is not None:
                spot_value += self._spot_value(seat)
                perp_notional += e8(self._perp_notional(seat))
        if perp_notional <= 0:
            return float("inf")
        return (float(self.before_margin()) + 0.9 * float(spot_value)) / (self.params.mmr * float(perp_notional))

    def charge_borrow(self, hours: int) -> None:
        missing = -self.before_margin()
        if missing > 0:
            amount = float(missing) * self.params.borrow_apr / 8760.0 * float(hours)
            if abs(amount) >= EXACT:
                raise SizeOutOfRange
            self.borrow += round(amount)
