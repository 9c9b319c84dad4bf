"""The life of the account's orders.

New orders meet the depth of the moment; a resting order fills at its own price when the other side of the book comes
to it. Nothing of the account moves the market.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from carryfold.adapters.simexchange.account import QUOTE, Account, money
from carryfold.adapters.simexchange.answers import Params, Refused
from carryfold.adapters.simexchange.checks import Wish, amount, check_live, check_price, check_qty, read_wish
from carryfold.adapters.simexchange.fills import Fills, Tell
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.ledger import Ledger
from carryfold.adapters.simexchange.liquidity import Liquidity, best_prices
from carryfold.adapters.simexchange.orders import Order

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = ["Desk", "Restraint"]

_MAX_OPEN: Final = 500
_SLIPPAGE: Final = Decimal("0.03")  # how far a market order goes from the best price
_NOTHING: Final = Decimal(0)


class Restraint(NamedTuple):
    """What a fault does to one new order: the share of it that can fill at once, and why it is refused after having
    been accepted."""

    share: Decimal = Decimal(1)
    reject: str = ""


class Desk:
    """Orders of one account."""

    def __init__(self, exchange: Exchange, account: Account, ledger: Ledger, fills: Fills, tell: Tell) -> None:
        self._exchange = exchange
        self._account = account
        self._ledger = ledger
        self._fills = fills
        self._tell = tell
        self.liquidity = Liquidity(exchange.market)
        self.orders: list[Order] = []
        self._open: dict[str, Order] = {}
        self._links: dict[tuple[bool, str], Order] = {}

    @property
    def open_orders(self) -> list[Order]:
        """Those that may still fill, oldest first."""
        return list(self._open.values())

    def locked(self) -> dict[str, Decimal]:
        """Coins held back by open spot orders."""
        held: dict[str, Decimal] = {}
        for order in self._open.values():
            if order.spot:
                coin = QUOTE if order.buy else order.one.spot_coin
                needed = money(order.left * order.price) if order.buy else order.left
                held[coin] = held.get(coin, _NOTHING) + needed
        return held

    def create(self, params: Params, restraint: Restraint | None = None) -> Order:
        """Take an order. Raises Refused."""
        exchange = self._exchange
        wish = read_wish(exchange, params)
        check_live(wish, exchange.now_ms)
        if wish.link_id and (wish.spot, wish.link_id) in self._links:
            code, text = (170141, "Duplicate clientOrderId.") if wish.spot else (110072, "OrderLinkedID is duplicate")
            raise Refused(code, text)
        if len(self._open) >= _MAX_OPEN:
            raise Refused(170210 if wish.spot else 110020, "Not allowed to have more than 500 active orders.")
        reference = best_prices(exchange.market, wish.one, exchange.now_ms, spot=wish.spot)[1 if wish.buy else 0]
        qty = self._quantity(wish, reference)
        if not wish.market:
            check_price(wish, wish.price, reference)
        self._check_funds(wish, qty, wish.price or reference)
        order = self._new(wish, qty)
        slippage = _SLIPPAGE if wish.buy else -_SLIPPAGE
        self._enter(order, wish.price or reference * (1 + slippage), restraint or Restraint())
        self._fills.tell_wallet()
        return order

    def find_open(self, params: Params, *, spot: bool) -> Order:
        """The open order that orderId or orderLinkId names. Raises Refused."""
        order = self._open.get(str(params.get("orderId") or ""))
        if order is None and params.get("orderLinkId"):
            order = self._links.get((spot, str(params["orderLinkId"])))
        if order is not None and order.spot == spot and order.open:
            return order
        if spot:
            raise Refused(170213, "Order does not exist.")
        raise Refused(110001, "order not exists or too late to cancel")

    def cancel(self, order: Order, cancel_type: str = "CancelByUser") -> None:
        """Take what is left of an open order out of the book."""
        self._close(order, cancel=cancel_type)
        self._fills.tell_wallet()

    def amend(self, order: Order, params: Params) -> None:
        """Change price or quantity of an open order. Raises Refused."""
        one, spot = order.one, order.spot
        qty = amount(params, "qty") if params.get("qty") else order.qty
        price = amount(params, "price") if params.get("price") else order.price
        wish = Wish(
            one, spot, order.buy, False, qty, False, price, order.in_force, order.reduce_only, False, order.link_id, ""
        )
        check_qty(wish, qty, price)
        check_price(
            wish,
            price,
            best_prices(self._exchange.market, one, self._exchange.now_ms, spot=spot)[1 if order.buy else 0],
        )
        if qty <= order.filled:
            raise Refused(170136 if spot else 10001, "The quantity is not more than what was filled")
        order.qty, order.price, order.updated_ms = qty, price, self._exchange.now_ms
        self._tell("order", order.row(pushed=True))
        self.match()

    def match(self) -> None:
        """Fill resting orders that the book has come to, at their own price."""
        exchange, filled = self._exchange, False
        for order in self.open_orders:
            left = self._allowed(order, order.left)
            offers = self.liquidity.offers(
                order.one, exchange.now_ms, spot=order.spot, asks=order.buy, worst=order.price, most=left
            )
            size = sum((offer.size for offer in offers), _NOTHING)
            if size:
                self._fill(order, size, order.price, maker=True)
                filled = True
            elif not left:
                self._close(order, cancel="CancelByReduceOnly")
        if filled:
            self._fills.tell_wallet()

    def trade_by_hand(self, one: Instrument, qty: Decimal, *, spot: bool, buy: bool) -> Order:
        """What the owner of the account does elsewhere: a market order without a link id. Raises Refused."""
        params = {
            "category": "spot" if spot else "linear",
            "symbol": one.spot_symbol if spot else one.symbol,
            "side": "Buy" if buy else "Sell",
            "orderType": "Market",
            "marketUnit": "baseCoin",
            "qty": f"{qty:f}",
        }
        return self.create(params)

    def _quantity(self, wish: Wish, reference: Decimal) -> Decimal:
        """Coins of the order; a reducing one is cut to the position. Raises Refused."""
        if wish.quote:
            check_qty(wish, wish.qty, reference)
            step = wish.one.spot_step
            return max(wish.qty / reference // step * step, step)
        qty = wish.qty
        if wish.reduce_only:
            size = self._account.position(wish.one, self._exchange.now_ms).size
            if size == 0 or (size > 0) == wish.buy:
                raise Refused(110017, "current position is zero, cannot fix reduce-only order qty")
            qty = abs(size) if wish.close_all else min(qty, abs(size))
        check_qty(wish, qty, wish.price or reference)
        return qty

    def _check_funds(self, wish: Wish, qty: Decimal, price: Decimal) -> None:
        if wish.spot:
            coin = QUOTE if wish.buy else wish.one.spot_coin
            needed = (wish.qty if wish.quote else money(qty * price)) if wish.buy else qty
            if self._ledger.balance(coin) - self.locked().get(coin, _NOTHING) < needed:
                raise Refused(170131, "Insufficient balance.")
            return
        position = self._account.position(wish.one, self._exchange.now_ms)
        same = position.size == 0 or (position.size > 0) == wish.buy
        opening = money((qty if same else max(qty - abs(position.size), _NOTHING)) * price)
        needed = money(opening / position.leverage) + money(opening * self._exchange.config.perp_taker)
        if opening and needed + self._margin_of_orders() > self._exchange.health().available:
            raise Refused(110007, "ab not enough for new order")

    def _margin_of_orders(self) -> Decimal:
        now_ms = self._exchange.now_ms
        return sum(
            (
                money(order.left * order.price / self._account.position(order.one, now_ms).leverage)
                for order in self._open.values()
                if not order.spot and not order.reduce_only
            ),
            _NOTHING,
        )

    def _new(self, wish: Wish, qty: Decimal) -> Order:
        now_ms = self._exchange.now_ms
        order = Order(
            seq=len(self.orders) + 1,
            order_id=self._fills.new_id(spot=wish.spot),
            link_id=wish.link_id,
            one=wish.one,
            spot=wish.spot,
            buy=wish.buy,
            market=wish.market,
            price=wish.price,
            qty=qty,
            in_force=wish.in_force,
            reduce_only=wish.reduce_only,
            created_ms=now_ms,
            updated_ms=now_ms,
            quote_qty=wish.qty if wish.quote else _NOTHING,
            market_unit=wish.market_unit,
            fees={},
        )
        self.orders.append(order)
        self._open[order.order_id] = order
        if order.link_id:
            self._links[order.spot, order.link_id] = order
        return order

    def _enter(self, order: Order, worst: Decimal, restraint: Restraint) -> None:
        """Match a new order with the book, and let what is left of it rest or go."""
        if restraint.reject:
            self._close(order, status="Rejected", reject=restraint.reject)
            return
        exchange = self._exchange
        offers = self.liquidity.offers(
            order.one, exchange.now_ms, spot=order.spot, asks=order.buy, worst=worst, most=order.qty
        )
        if order.in_force == "PostOnly" and offers:
            self._close(order, reject="EC_PostOnlyWillTakeLiquidity")
            return
        step = order.one.spot_step if order.spot else order.one.qty_step
        allowed = order.qty if restraint.share >= 1 else order.qty * restraint.share // step * step
        reachable = min(sum((offer.size for offer in offers), _NOTHING), allowed)
        if order.in_force == "FOK" and reachable < order.qty:
            self._close(order, reject="EC_NoImmediateQtyToFill")
            return
        if order.in_force in ("GTC", "PostOnly"):
            self._tell("order", order.row(pushed=True))
        for offer in offers:
            size = self._affordable(order, min(offer.size, allowed - order.filled), offer.price)
            if size > 0:
                self._fill(order, size, offer.price, maker=False)
        if order.open and order.in_force in ("IOC", "FOK"):
            self._close(order, reject="EC_NoError" if order.filled else "EC_NoImmediateQtyToFill")

    def _affordable(self, order: Order, size: Decimal, price: Decimal) -> Decimal:
        """An order that names what to spend buys no more than that pays for, level by level."""
        if not (order.quote_qty and order.buy):
            return size
        step = order.one.spot_step
        return min(size, (order.quote_qty - order.value) / price // step * step)

    def _allowed(self, order: Order, size: Decimal) -> Decimal:
        """A reducing order fills no further than the position reaches."""
        if not order.reduce_only:
            return size
        held = self._account.position(order.one, self._exchange.now_ms).size
        return min(size, abs(held)) if held and (held > 0) != order.buy else _NOTHING

    def _fill(self, order: Order, size: Decimal, price: Decimal, *, maker: bool) -> None:
        config = self._exchange.config
        self.liquidity.take(order.one, self._exchange.now_ms, size, spot=order.spot, asks=order.buy)
        if order.spot:
            self._fills.spot(order, size, price, config.spot_maker if maker else config.spot_taker, maker=maker)
        else:
            rate = config.perp_maker if maker else config.perp_taker
            self._fills.perp(order.one, size if order.buy else -size, price, rate, order=order, maker=maker)
        if not order.open:
            self._open.pop(order.order_id, None)
        self._tell("order", order.row(pushed=True))

    def _close(self, order: Order, *, status: str = "", reject: str = "EC_NoError", cancel: str = "UNKNOWN") -> None:
        partly = order.spot and order.filled
        order.status = status or ("PartiallyFilledCanceled" if partly else "Cancelled")
        order.reject, order.cancel, order.updated_ms = reject, cancel, self._exchange.now_ms
        self._open.pop(order.order_id, None)
        self._tell("order", order.row(pushed=True))
