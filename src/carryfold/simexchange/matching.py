"""The matching engine: the account's orders against the depth of the market.

A new order meets the depth of the moment. A resting order fills at its own price when the other side of the book
reaches it. The account's orders never move the market.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from carryfold.simexchange.account import QUOTE, money
from carryfold.simexchange.fills import Fills
from carryfold.simexchange.liquidity import Liquidity, best_prices
from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.order_checks import (
    OrderRequest,
    amount,
    check_price,
    check_qty,
    check_tradable,
    read_order_request,
)
from carryfold.simexchange.orders import Order
from carryfold.simexchange.request_params import Params, Refused
from carryfold.simexchange.state import VenueState

__all__ = ["MatchingEngine", "OrderFault"]

_MAX_OPEN: Final = 500
_SLIPPAGE: Final = Decimal("0.03")  # a market order goes no further from the best price
_ZERO: Final = Decimal(0)


class OrderFault(NamedTuple):
    """A fault on one new order. `share` limits the part that can fill at once. With a `reject` reason, the order is
    accepted and then rejected."""

    share: Decimal = Decimal(1)
    reject: str = ""


class MatchingEngine:
    """Accepts, amends, cancels and fills the orders of one account."""

    def __init__(self, state: VenueState, fills: Fills) -> None:
        self._state = state
        self._orders = state.orders
        self._fills = fills
        self.liquidity = Liquidity(state.market)

    def create(self, params: Params, fault: OrderFault | None = None) -> Order:
        """Accept an order and match it. Raises Refused."""
        state = self._state
        request = read_order_request(state.market, params)
        check_tradable(request, state.now_ms)
        if request.link_id and self._orders.has_link(request.link_id, spot=request.spot):
            code, text = (
                (170141, "Duplicate clientOrderId.") if request.spot else (110072, "OrderLinkedID is duplicate")
            )
            raise Refused(code, text)
        if len(self._orders.open) >= _MAX_OPEN:
            raise Refused(170210 if request.spot else 110020, "Not allowed to have more than 500 active orders.")
        reference = self._opposite_price(request.pair, spot=request.spot, buy=request.buy)
        qty = self._quantity(request, reference)
        if not request.market:
            check_price(request, request.price, reference)
        self._check_funds(request, qty, request.price or reference)
        order = self._new(request, qty)
        slippage = _SLIPPAGE if request.buy else -_SLIPPAGE
        self._match_new(order, request.price or reference * (1 + slippage), fault or OrderFault())
        self._fills.publish_wallet()
        return order

    def cancel(self, order: Order, cancel_type: str = "CancelByUser") -> None:
        """Cancel the unfilled part of an open order."""
        self._close(order, cancel=cancel_type)
        self._fills.publish_wallet()

    def amend(self, order: Order, params: Params) -> None:
        """Change price or quantity of an open order. Raises Refused."""
        pair, spot = order.pair, order.spot
        qty = amount(params, "qty") if params.get("qty") else order.qty
        price = amount(params, "price") if params.get("price") else order.price
        request = OrderRequest(
            pair, spot, order.buy, False, qty, False, price, order.in_force, order.reduce_only, False, order.link_id, ""
        )
        check_qty(request, qty, price)
        check_price(request, price, self._opposite_price(pair, spot=spot, buy=order.buy))
        if qty <= order.filled:
            raise Refused(170136 if spot else 10001, "The quantity is not more than what was filled")
        order.qty, order.price, order.updated_ms = qty, price, self._state.now_ms
        self._state.publish("order", order.row(pushed=True))
        self.match_resting()

    def match_resting(self) -> None:
        """Fill resting orders that the book has reached, at their own price."""
        filled = False
        for order in self._orders.open:
            left = self._reducible(order, order.left)
            offers = self.liquidity.offers(
                order.pair, self._state.now_ms, spot=order.spot, asks=order.buy, worst=order.price, most=left
            )
            size = sum((offer.size for offer in offers), _ZERO)
            if size:
                self._fill(order, size, order.price, maker=True)
                filled = True
            elif not left:
                self._close(order, cancel="CancelByReduceOnly")
        if filled:
            self._fills.publish_wallet()

    def trade_externally(self, pair: ListedPair, qty: Decimal, *, spot: bool, buy: bool) -> Order:
        """Trade as the account's owner does outside the bot: a market order without a client id. Raises Refused."""
        params = {
            "category": "spot" if spot else "linear",
            "symbol": pair.spot_symbol if spot else pair.symbol,
            "side": "Buy" if buy else "Sell",
            "orderType": "Market",
            "marketUnit": "baseCoin",
            "qty": f"{qty:f}",
        }
        return self.create(params)

    def _opposite_price(self, pair: ListedPair, *, spot: bool, buy: bool) -> Decimal:
        """The best ask for a buyer, the best bid for a seller."""
        return best_prices(self._state.market, pair, self._state.now_ms, spot=spot)[1 if buy else 0]

    def _quantity(self, request: OrderRequest, reference: Decimal) -> Decimal:
        """Coins of the order; a reduce-only order is cut to the position. Raises Refused."""
        if request.quote:
            check_qty(request, request.qty, reference)
            step = request.pair.spot_step
            return max(request.qty / reference // step * step, step)
        qty = request.qty
        if request.reduce_only:
            size = self._state.account.position(request.pair, self._state.now_ms).size
            if size == 0 or (size > 0) == request.buy:
                raise Refused(110017, "current position is zero, cannot fix reduce-only order qty")
            qty = abs(size) if request.close_all else min(qty, abs(size))
        check_qty(request, qty, request.price or reference)
        return qty

    def _check_funds(self, request: OrderRequest, qty: Decimal, price: Decimal) -> None:
        state = self._state
        if request.spot:
            coin = QUOTE if request.buy else request.pair.spot_coin
            needed = (request.qty if request.quote else money(qty * price)) if request.buy else qty
            if state.ledger.balance(coin) - self._orders.locked().get(coin, _ZERO) < needed:
                raise Refused(170131, "Insufficient balance.")
            return
        position = state.account.position(request.pair, state.now_ms)
        same = position.size == 0 or (position.size > 0) == request.buy
        opening = money((qty if same else max(qty - abs(position.size), _ZERO)) * price)
        needed = money(opening / position.leverage) + money(opening * state.config.perp_taker)
        if opening and needed + self._margin_of_orders() > state.health().available:
            raise Refused(110007, "ab not enough for new order")

    def _margin_of_orders(self) -> Decimal:
        state = self._state
        return sum(
            (
                money(order.left * order.price / state.account.position(order.pair, state.now_ms).leverage)
                for order in self._orders.open
                if not order.spot and not order.reduce_only
            ),
            _ZERO,
        )

    def _new(self, request: OrderRequest, qty: Decimal) -> Order:
        now_ms = self._state.now_ms
        order = Order(
            seq=len(self._orders.all) + 1,
            order_id=self._fills.new_id(spot=request.spot),
            link_id=request.link_id,
            pair=request.pair,
            spot=request.spot,
            buy=request.buy,
            market=request.market,
            price=request.price,
            qty=qty,
            in_force=request.in_force,
            reduce_only=request.reduce_only,
            created_ms=now_ms,
            updated_ms=now_ms,
            quote_qty=request.qty if request.quote else _ZERO,
            market_unit=request.market_unit,
            fees={},
        )
        self._orders.add(order)
        return order

    def _match_new(self, order: Order, worst: Decimal, fault: OrderFault) -> None:
        """Match a new order with the book at prices no worse than `worst`; the rest stays open or is cancelled."""
        if fault.reject:
            self._close(order, status="Rejected", reject=fault.reject)
            return
        offers = self.liquidity.offers(
            order.pair, self._state.now_ms, spot=order.spot, asks=order.buy, worst=worst, most=order.qty
        )
        if order.in_force == "PostOnly" and offers:
            self._close(order, reject="EC_PostOnlyWillTakeLiquidity")
            return
        step = order.pair.spot_step if order.spot else order.pair.qty_step
        allowed = order.qty if fault.share >= 1 else order.qty * fault.share // step * step
        reachable = min(sum((offer.size for offer in offers), _ZERO), allowed)
        if order.in_force == "FOK" and reachable < order.qty:
            self._close(order, reject="EC_NoImmediateQtyToFill")
            return
        if order.in_force in ("GTC", "PostOnly"):
            self._state.publish("order", order.row(pushed=True))
        for offer in offers:
            size = self._affordable(order, min(offer.size, allowed - order.filled), offer.price)
            if size > 0:
                self._fill(order, size, offer.price, maker=False)
        if order.open and order.in_force in ("IOC", "FOK"):
            self._close(order, reject="EC_NoError" if order.filled else "EC_NoImmediateQtyToFill")

    def _affordable(self, order: Order, size: Decimal, price: Decimal) -> Decimal:
        """Cut a fill to what is left of the quote amount, for an order that names one."""
        if not (order.quote_qty and order.buy):
            return size
        step = order.pair.spot_step
        return min(size, (order.quote_qty - order.value) / price // step * step)

    def _reducible(self, order: Order, size: Decimal) -> Decimal:
        """Cut a fill of a reduce-only order to the position."""
        if not order.reduce_only:
            return size
        held = self._state.account.position(order.pair, self._state.now_ms).size
        return min(size, abs(held)) if held and (held > 0) != order.buy else _ZERO

    def _fill(self, order: Order, size: Decimal, price: Decimal, *, maker: bool) -> None:
        config = self._state.config
        self.liquidity.take(order.pair, self._state.now_ms, size, spot=order.spot, asks=order.buy)
        if order.spot:
            self._fills.spot(order, size, price, config.spot_maker if maker else config.spot_taker, maker=maker)
        else:
            rate = config.perp_maker if maker else config.perp_taker
            self._fills.perp(order.pair, size if order.buy else -size, price, rate, order=order, maker=maker)
        self._orders.remove_closed(order)
        self._state.publish("order", order.row(pushed=True))

    def _close(self, order: Order, *, status: str = "", reject: str = "EC_NoError", cancel: str = "UNKNOWN") -> None:
        partly = order.spot and order.filled
        order.status = status or ("PartiallyFilledCanceled" if partly else "Cancelled")
        order.reject, order.cancel, order.updated_ms = reject, cancel, self._state.now_ms
        self._orders.remove_closed(order)
        self._state.publish("order", order.row(pushed=True))
