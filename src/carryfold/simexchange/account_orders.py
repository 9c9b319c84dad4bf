"""All orders of the account, by id and by client id, and the coins that open spot orders lock."""

from __future__ import annotations

from decimal import Decimal

from carryfold.simexchange.account import QUOTE, money
from carryfold.simexchange.orders import Order
from carryfold.simexchange.request_params import Params, Refused

__all__ = ["AccountOrders"]

_ZERO = Decimal(0)


class AccountOrders:
    """`all` lists every order ever accepted, oldest first."""

    def __init__(self) -> None:
        self.all: list[Order] = []
        self._open: dict[str, Order] = {}
        self._by_link: dict[tuple[bool, str], Order] = {}

    @property
    def open(self) -> list[Order]:
        """Orders that may still fill, oldest first."""
        return list(self._open.values())

    def add(self, order: Order) -> None:
        """Register a new order."""
        self.all.append(order)
        self._open[order.order_id] = order
        if order.link_id:
            self._by_link[order.spot, order.link_id] = order

    def remove_closed(self, order: Order) -> None:
        """Take an order that is no longer open off the list of open orders."""
        if not order.open:
            self._open.pop(order.order_id, None)

    def has_link(self, link_id: str, *, spot: bool) -> bool:
        """Whether a client id was used before in this category."""
        return (spot, link_id) in self._by_link

    def find_open(self, params: Params, *, spot: bool) -> Order:
        """The open order that orderId or orderLinkId names. Raises Refused."""
        order = self._open.get(str(params.get("orderId") or ""))
        if order is None and params.get("orderLinkId"):
            order = self._by_link.get((spot, str(params["orderLinkId"])))
        if order is not None and order.spot == spot and order.open:
            return order
        if spot:
            raise Refused(170213, "Order does not exist.")
        raise Refused(110001, "order not exists or too late to cancel")

    def locked(self) -> dict[str, Decimal]:
        """Amounts held back by open spot orders, by coin."""
        held: dict[str, Decimal] = {}
        for order in self._open.values():
            if order.spot:
                coin = QUOTE if order.buy else order.pair.spot_coin
                needed = money(order.left * order.price) if order.buy else order.left
                held[coin] = held.get(coin, _ZERO) + needed
        return held
