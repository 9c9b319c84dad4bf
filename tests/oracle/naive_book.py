"""The money of a simulated run: orders, positions of two legs, an account for each venue, fills, payments, equity.

Amounts are whole numbers of 1e-8 quote; every product is rounded once, when it is made. Its only decisions
are those of the venue: liquidations.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from carryfold.domain.instruments import Pair
from carryfold.domain.params import Parameters

from .naive_market import LegPrice, PairMarket, leg_price
from .naive_pairs import LEGS, capital_by_venue, in_one_account, taker_bp, venues_of
from .naive_rates import SECOND
from .naive_view import View

EDGE = 5 * SECOND
CLOSED_HOLDINGS_KEPT = 4
EXACT = 2.0**53
SPOT_AS_COLLATERAL = 0.9


class SizeOutOfRange(ValueError):
    """A quantity or an amount does not fit a float64 exactly."""

    def __init__(self) -> None:
        super().__init__("size out of range")


def e8(amount: float) -> int:
    """An amount in whole 1e-8, half to even."""
    return whole(amount * 1e8)


def whole(scaled: float) -> int:
    """A number of 1e-8, half to even."""
    if abs(scaled) >= EXACT:
        raise SizeOutOfRange
    return round(scaled)


@dataclass
class Holding:
    """The holding of one leg and its times, the inputs of a settlement."""

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
    """A pending entry or exit; `lot` and `size` as of the decision."""

    lots: int
    lot: float
    size: float
    decided_at: int
    due: int


@dataclass
class OpenLeg:
    """One leg of a position: its value at entry (a perpetual's notional, a spot leg's cost) and its entry price."""

    entry: int
    price: float
    holding: Holding


@dataclass
class Position:
    """A held pair. A leg that was closed before the other one is no longer in `legs`."""

    lots: int
    lot: float
    size: float
    unpriced: bool
    legs: dict[str, OpenLeg] = field(default_factory=dict)
    closed: dict[str, Holding] = field(default_factory=dict)
    exit: Order | None = None
    last_leg: Order | None = None  # the other leg is gone: this one closes at a price of its own instrument
    liquidated_at: int | None = None  # the short of a split account's carry is gone: the spot waits for a pair row

    @property
    def quantity(self) -> float:
        return self.lots * self.lot

    @property
    def is_whole(self) -> bool:
        return len(self.legs) == 2


@dataclass
class BookedPair:
    """One pair in the book."""

    market: PairMarket
    entry: Order | None = None
    position: Position | None = None
    closed: list[dict[str, Holding]] = field(default_factory=list)  # by leg, of trades that are closed or half closed
    ever_entered: bool = False

    @property
    def pair(self) -> Pair:
        return self.market.pair

    @property
    def taken(self) -> bool:
        return self.position is not None or self.entry is not None


class Fill(NamedTuple):
    """A booking that opened or closed legs. Amounts in 1e-8; those of a leg without a part in it are 0."""

    t: int
    pair: Pair
    action: str
    lots: int
    long_value: int
    short_value: int
    long_fee: int
    short_fee: int


class Payment(NamedTuple):
    """Funding of one leg for the settlement at `settled_at`; received > 0, in 1e-8."""

    t: int
    settled_at: int
    pair: Pair
    leg: str
    amount: int


@dataclass
class Account:
    """Everything booked at one venue."""

    capital: int
    funding: int = 0
    long_pnl: int = 0  # realised
    short_pnl: int = 0  # realised
    fees: int = 0
    borrow: int = 0
    min_free: int | None = None

    def cash(self) -> int:
        return self.capital + self.funding + self.long_pnl + self.short_pnl - self.fees - self.borrow


@dataclass
class Book:
    params: Parameters
    booked_pairs: list[BookedPair]  # in pair order

    accounts: dict[str, Account] = field(init=False)  # by venue, in byte order
    slippage: int = 0
    liquidation: int = 0
    liquidations: int = 0
    trades: int = 0
    dropped: int = 0
    payments_booked: int = 0
    edge_payments: int = 0
    fills: list[Fill] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    revisions: list[Payment] = field(default_factory=list)

    def __post_init__(self) -> None:
        capital = capital_by_venue(self.params, venues_of(booked.pair for booked in self.booked_pairs))
        self.accounts = {venue: Account(amount) for venue, amount in capital.items()}
        self.fee_bp = {i: taker_bp(self.params, i) for booked in self.booked_pairs for i in booked.pair}

    def account(self, booked: BookedPair, leg: str) -> Account:
        return self.accounts[booked.market.instrument(leg).venue]

    def taker(self, booked: BookedPair, leg: str) -> float:
        return self.fee_bp[booked.market.instrument(leg)]

    # Fills ----------------------------------------------------------------------------------------------------

    def open(self, t: int, booked: BookedPair, order: Order, unpriced: bool) -> None:
        """Buys the long leg and sells the short one of a decided entry."""
        position = Position(order.lots, order.lot, order.size, unpriced)
        quantity = position.quantity
        values, fees = {}, {}
        for leg in LEGS:
            price = 1.0
            if unpriced:
                self._book_cost(booked, leg, quantity, order.size)
                fees[leg] = self._fee(booked, leg, quantity, 1.0)
            else:
                assert booked.market.price is not None
                price = self._fill_price(booked, leg, position, order.size, buying=leg == "long")
                fees[leg] = self._fee(booked, leg, quantity, price)
            values[leg] = e8(quantity * price)
            position.legs[leg] = OpenLeg(values[leg], price, Holding(order.lots, order.lot, unpriced, t))
            self.account(booked, leg).fees += fees[leg]
        booked.entry, booked.position, booked.ever_entered = None, position, True
        self._record(t, booked, "enter", position.lots, values, fees)

    def close(self, t: int, booked: BookedPair, action: str = "exit") -> None:
        """Closes every open leg at the pair's last accepted row, or at the notional of a pair without prices."""
        position = self._position(booked)
        quantity, values, fees = position.quantity, {}, {}
        for leg in list(position.legs):
            if position.unpriced:
                self._book_cost(booked, leg, quantity, quantity)
                fees[leg], values[leg] = self._fee(booked, leg, quantity, 1.0), e8(quantity)
            else:
                notional = quantity * self._price(booked, leg).mid
                price = self._fill_price(booked, leg, position, notional, buying=leg == "short")
                fees[leg], values[leg] = self._fee(booked, leg, quantity, price), e8(quantity * price)
        self._end(t, booked, action, values, fees)

    def close_last_leg(self, t: int, booked: BookedPair) -> None:
        """Closes the leg that is left at its own instrument's last price."""
        (leg,) = self._position(booked).legs
        value, fee = self._at_own_price(booked, leg)
        self._end(t, booked, "leg closed", {leg: value}, {leg: fee})

    def end(self, t: int, booked: BookedPair, reason: str, concerned: list[View]) -> None:
        """The data of `concerned` legs ended: they and the rest of the pair end at the last prices."""
        p, position, market = self.params, booked.position, booked.market
        if booked.entry is not None:
            booked.entry = None
            self.dropped += 1
        if position is None:
            return
        if position.unpriced:
            loss = e8(position.quantity * p.delist_haircut)
            self.account(booked, "long").long_pnl -= loss
            values = {leg: e8(position.quantity) for leg in position.legs}
            fees = {leg: self._fee(booked, leg, position.quantity, 1.0) for leg in position.legs}
            self._end(t, booked, reason, values, fees)
            return
        values, fees = {}, {}
        for leg in position.legs:
            view = market.view(leg)
            if not market.is_one_venue_carry and view not in concerned:
                values[leg], fees[leg] = self._at_own_price(booked, leg, as_bar=True)
                continue
            if view.is_perp:
                price = view.newest_mark()
                amount = position.quantity * price
            else:
                amount = position.quantity * self._price(booked, leg).mid * (1.0 - p.delist_haircut)
            values[leg], fees[leg] = e8(amount), e8(amount * self.taker(booked, leg) / 1e4)
        self._end(t, booked, reason, values, fees)

    def _position(self, booked: BookedPair) -> Position:
        assert booked.position is not None
        return booked.position

    def _price(self, booked: BookedPair, leg: str) -> LegPrice:
        assert booked.market.price is not None
        return booked.market.price.leg(leg)

    def _end(self, t: int, booked: BookedPair, action: str, values: dict[str, int], fees: dict[str, int]) -> None:
        """Realises the legs that are closed. When no leg is left the trade is over."""
        position = self._position(booked)
        for leg, value in values.items():
            entry, account = position.legs[leg].entry, self.account(booked, leg)
            if leg == "long":
                account.long_pnl += value - entry
            else:
                account.short_pnl += entry - value
            account.fees += fees[leg]
            holding = position.legs.pop(leg).holding
            holding.closed_at = t
            if not position.closed:
                booked.closed.append(position.closed)
                del booked.closed[:-CLOSED_HOLDINGS_KEPT]
            position.closed[leg] = holding
        if not position.legs:
            self.trades += 1
            booked.position = None
        self._record(t, booked, action, position.lots, values, fees)

    def _record(
        self, t: int, booked: BookedPair, action: str, lots: int, values: dict[str, int], fees: dict[str, int]
    ) -> None:
        amounts = [amount.get(leg, 0) for amount in (values, fees) for leg in LEGS]
        self.fills.append(Fill(t, booked.pair, action, lots, *amounts))

    # Prices and costs of fills --------------------------------------------------------------------------------

    def _fee(self, booked: BookedPair, leg: str, quantity: float, price: float) -> int:
        return e8(quantity * price * self.taker(booked, leg) / 1e4)

    def _book_cost(self, booked: BookedPair, leg: str, quantity: float, notional: float) -> int:
        """Books and returns spread, slippage and impact of a leg without prices."""
        p = self.params
        cost = e8(quantity * (p.half_spread_bp + p.slippage_bp + booked.market.impact_bp(leg, notional)) / 1e4)
        if leg == "long":
            self.account(booked, leg).long_pnl -= cost
        else:
            self.account(booked, leg).short_pnl -= cost
        self.slippage += cost
        return cost

    def _fill_price(self, booked: BookedPair, leg: str, position: Position, notional: float, *, buying: bool) -> float:
        """The price of a leg on the pair's last accepted row; books the slippage figure."""
        impact = booked.market.impact_bp(leg, notional)
        return self._worse(self._price(booked, leg), position, impact, buying=buying)

    def _at_own_price(self, booked: BookedPair, leg: str, *, as_bar: bool = False) -> tuple[int, int]:
        """Value and fee of a leg that closes alone, at its instrument's last price and without impact. `as_bar`: at
        its mid less half spread, also where it was quoted."""
        position, price = self._position(booked), leg_price(booked.market.view(leg))
        filled = self._worse(price, position, 0.0, buying=leg == "short", as_bar=as_bar)
        return e8(position.quantity * filled), self._fee(booked, leg, position.quantity, filled)

    def _worse(
        self, price: LegPrice, position: Position, impact: float, *, buying: bool, as_bar: bool = False
    ) -> float:
        p = self.params
        if price.quoted and not as_bar:
            worse = (p.slippage_bp + impact) / 1e4
            base = price.ask if buying else price.bid
        else:
            worse = (p.half_spread_bp + p.slippage_bp + impact) / 1e4
            base = price.mid
        filled = base * (1.0 + worse) if buying else base * max(0.0, 1.0 - worse)
        self.slippage += e8(abs(filled - price.mid) * position.lots * position.lot)
        return filled

    # Liquidations ---------------------------------------------------------------------------------------------

    def liquidate_legs(self, t: int, booked: BookedPair) -> None:
        """Split accounts: each perpetual leg by its own entry, at an accepted pair row."""
        p, position = self.params, booked.position
        if position is None or position.unpriced or booked.market.price is None:
            return
        for leg in reversed(list(position.legs)):
            if not booked.market.view(leg).is_perp or t <= position.legs[leg].holding.opened_at:
                continue
            price, entry = self._price(booked, leg).mid, position.legs[leg].price
            fee = self.taker(booked, leg) / 1e4
            if leg == "short":
                hit = price >= entry * (1.0 + p.margin_fraction) / (1.0 + p.mmr + fee)
            else:
                hit = price <= entry * (1.0 - p.margin_fraction) / (1.0 - p.mmr - fee)
            if hit:
                self._liquidate_leg(t, booked, leg)

    def liquidate_accounts(self, t: int) -> None:
        """One account a venue: where it no longer covers the maintenance margin, every perpetual there is closed."""
        if all(in_one_account(booked.pair) for booked in self.booked_pairs):
            return
        for venue in self.accounts:
            spot, perp = self._collateral(venue)
            covered = float(self.before_margin(venue)) + SPOT_AS_COLLATERAL * float(spot)
            if perp <= 0 or covered >= self.params.mmr * float(perp):
                continue
            for booked in self.booked_pairs:
                for leg in LEGS:
                    if booked.position is not None and leg in booked.position.legs:
                        instrument = booked.market.instrument(leg)
                        if instrument.kind == "perp" and instrument.venue == venue:
                            self._liquidate_leg(t, booked, leg)

    def _liquidate_leg(self, t: int, booked: BookedPair, leg: str) -> None:
        """The venue closes a perpetual leg; the other one is closed as soon as it has a price."""
        p, position = self.params, self._position(booked)
        self.liquidations += 1
        quantity = position.quantity
        if position.unpriced:
            costs = {each: self._book_cost(booked, each, quantity, quantity) for each in LEGS}
            fees = {each: self._fee(booked, each, quantity, 1.0) for each in LEGS}
            self.liquidation -= costs["short"] + fees["short"]
            self._end(t, booked, "liquidated", dict.fromkeys(LEGS, e8(quantity)), fees)
            return
        price, entry = self._price(booked, leg).mid, position.legs[leg].entry
        value, fee = e8(quantity * price), self._fee(booked, leg, quantity, price)
        self.liquidation += (value - entry if leg == "long" else entry - value) - fee
        position.exit = position.last_leg = None
        self._end(t, booked, "liquidated", {leg: value}, {leg: fee})
        if position.legs and p.account == "split" and not booked.market.is_spread:
            position.liquidated_at = t
        elif position.legs:
            position.last_leg = Order(position.lots, position.lot, position.size, t, t + p.latency_ms * 10**6)

    # Settlements ----------------------------------------------------------------------------------------------

    def settle(self, t: int, view: View, settled_at: int, rate: float) -> None:
        """Books a settled rate on every holding of a perpetual at that time."""
        for booked, leg, holding, full, mark in self._held_at(view, settled_at):
            amount = received(leg, holding, mark, rate)
            if full or amount < 0:
                self.account(booked, leg).funding += amount
                self.payments_booked += 1
                self.edge_payments += not full
                self.payments.append(Payment(t, settled_at, booked.pair, leg, amount))

    def revise(self, t: int, view: View, settled_at: int, rate: float, old_rate: float) -> None:
        """Books the difference of a corrected rate."""
        for booked, leg, holding, full, mark in self._held_at(view, settled_at):
            new, old = received(leg, holding, mark, rate), received(leg, holding, mark, old_rate)
            if not full:
                new, old = min(new, 0), min(old, 0)
            if new != old:
                self.account(booked, leg).funding += new - old
                self.revisions.append(Payment(t, settled_at, booked.pair, leg, new - old))

    def _held_at(self, view: View, settled_at: int) -> list[tuple[BookedPair, str, Holding, bool, float]]:
        """Holdings that count for a settlement: whether held all through it, and the mark (1 without prices)."""
        if view.delisted_at is not None and settled_at > view.delisted_at:
            return []
        found = []
        for booked in self.booked_pairs:
            for leg in LEGS:
                if booked.market.view(leg) is not view:
                    continue
                holdings = [trade[leg] for trade in booked.closed if leg in trade]
                if booked.position is not None and leg in booked.position.legs:
                    holdings.append(booked.position.legs[leg].holding)
                for holding in holdings:
                    full = holding.is_full(settled_at)
                    if not full and not holding.is_edge(settled_at):
                        continue
                    mark = 1.0 if holding.unpriced else view.mark_for(settled_at)
                    if mark is None:
                        view.counters.no_mark += 1
                        continue
                    found.append((booked, leg, holding, full, mark))
        return found

    # State of the accounts ------------------------------------------------------------------------------------

    def held(self) -> list[Position]:
        return [booked.position for booked in self.booked_pairs if booked.position is not None]

    def _open_legs(self, venue: str) -> list[tuple[BookedPair, Position, str, OpenLeg]]:
        return [
            (booked, booked.position, leg, open_leg)
            for booked in self.booked_pairs
            if booked.position is not None
            for leg, open_leg in booked.position.legs.items()
            if booked.market.instrument(leg).venue == venue
        ]

    def _notional(self, booked: BookedPair, position: Position, leg: str) -> float:
        """An open leg at the pair's last accepted row."""
        return position.quantity if position.unpriced else position.quantity * self._price(booked, leg).mid

    def _collateral(self, venue: str) -> tuple[int, int]:
        """The value of the spot there and the notional of the perpetuals."""
        spot = perp = 0
        for booked, position, leg, _ in self._open_legs(venue):
            value = e8(self._notional(booked, position, leg))
            if booked.market.view(leg).is_perp:
                perp += value
            else:
                spot += value
        return spot, perp

    def unrealised(self, venue: str, kinds: tuple[str, ...] = ("spot", "perp")) -> dict[str, int]:
        """Unrealised P&L of the open legs of these kinds, by leg."""
        pnl = dict.fromkeys(LEGS, 0)
        for booked, position, leg, open_leg in self._open_legs(venue):
            if booked.market.instrument(leg).kind in kinds and not position.unpriced:
                value = e8(self._notional(booked, position, leg))
                pnl[leg] += value - open_leg.entry if leg == "long" else open_leg.entry - value
        return pnl

    def equity(self, venue: str | None = None) -> int:
        if venue is None:
            return sum(self.equity(each) for each in self.accounts)
        return self.accounts[venue].cash() + sum(self.unrealised(venue).values())

    def before_margin(self, venue: str) -> int:
        """Cash left after paying for the open spot legs, with the perpetuals' profit or loss."""
        legs = self._open_legs(venue)
        spot_cost = sum(open_leg.entry for booked, _, leg, open_leg in legs if not booked.market.view(leg).is_perp)
        return self.accounts[venue].cash() - spot_cost + sum(self.unrealised(venue, ("perp",)).values())

    def free(self, venue: str) -> int:
        free = self.before_margin(venue)
        for booked, position, leg, _ in self._open_legs(venue):
            if booked.market.view(leg).is_perp:
                free -= e8(self.params.margin_fraction * self._notional(booked, position, leg))
        for booked in self.booked_pairs:
            if booked.entry is not None:
                free -= self._pending(booked, venue, booked.entry.size)
        return free

    def _pending(self, booked: BookedPair, venue: str, size: float) -> int:
        """The capital that a pending entry reserves at a venue; the legs of one venue's carry pair are rounded
        together."""
        return sum(e8(part) for part in self._parts(booked, venue, size))

    def _parts(self, booked: BookedPair, venue: str, size: float) -> list[float]:
        p, market = self.params, booked.market
        if market.is_one_venue_carry:
            return [(1.0 + p.margin_fraction) * size] if booked.pair.long.venue == venue else []
        return [
            p.margin_fraction * size if market.view(leg).is_perp else size
            for leg in LEGS
            if market.instrument(leg).venue == venue
        ]

    def need(self, booked: BookedPair, venue: str, size: float) -> float:
        """The capital that an entry of `size` needs at a venue, in quote."""
        p = self.params
        if booked.market.is_one_venue_carry:
            bp = self.taker(booked, "long") + self.taker(booked, "short") + 2.0 * (p.half_spread_bp + p.slippage_bp)
        else:
            (leg,) = (leg for leg in LEGS if booked.market.instrument(leg).venue == venue)
            bp = self.taker(booked, leg) + p.half_spread_bp + p.slippage_bp
        (part,) = self._parts(booked, venue, size)
        return part + size * bp / 1e4

    def health(self, venue: str) -> float:
        """How many times the maintenance margin is covered, infinite without perpetuals or with split accounts."""
        if self.params.account == "split":
            return float("inf")
        spot, perp = self._collateral(venue)
        if perp <= 0:
            return float("inf")
        covered = float(self.before_margin(venue)) + SPOT_AS_COLLATERAL * float(spot)
        return covered / (self.params.mmr * float(perp))

    def charge_borrow(self, hours: int) -> None:
        for venue, account in self.accounts.items():
            missing = -self.before_margin(venue)
            if missing > 0:
                account.borrow += whole(float(missing) * self.params.borrow_apr / 8760.0 * float(hours))


def received(leg: str, holding: Holding, mark: float, rate: float) -> int:
    """The short leg receives a positive rate, the long one pays it."""
    amount = e8(holding.lots * holding.lot * mark * rate)
    return amount if leg == "short" else -amount
