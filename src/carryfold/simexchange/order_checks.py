"""Reading an order request, and the checks that the venue makes before it accepts one, with its codes."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from carryfold.simexchange.listed_pair import ListedPair, plain
from carryfold.simexchange.market import Market
from carryfold.simexchange.request_params import Params, Refused, choice, required
from carryfold.simexchange.symbols import find

__all__ = ["MIN_VALUE", "OrderRequest", "amount", "check_price", "check_qty", "check_tradable", "read_order_request"]

MIN_VALUE: Final = Decimal(5)
MAX_VALUE: Final = Decimal(20_000_000)
REDUCE_ONLY_BEFORE_MS: Final = 1_800_000  # before its delivery, a perpetual takes no new positions

_LINK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_IN_FORCE: Final = ("GTC", "IOC", "FOK", "PostOnly")
_CONDITIONAL_FIELDS: Final = ("triggerPrice", "takeProfit", "stopLoss", "trailingStop")
_ZERO: Final = Decimal(0)


class OrderRequest(NamedTuple):
    """A parsed order/create request, not yet checked against market and account.

    `qty` is in coins, or in quote when `quote` is set. `price` is 0 for a market order.
    """

    pair: ListedPair
    spot: bool
    buy: bool
    market: bool
    qty: Decimal
    quote: bool
    price: Decimal
    in_force: str
    reduce_only: bool
    close_all: bool
    link_id: str
    market_unit: str


def read_order_request(market: Market, params: Params) -> OrderRequest:
    """Parse the body of order/create. Raises Refused."""
    choice(params, "category", ("spot", "linear"))
    pair, spot = find(market, params)
    buy = choice(params, "side", ("Buy", "Sell")) == "Buy"
    is_market = choice(params, "orderType", ("Market", "Limit")) == "Market"
    if any(params.get(name) not in (None, "", "0") for name in _CONDITIONAL_FIELDS):
        raise Refused(10001, "params error: conditional orders are not supported here")
    if str(params.get("positionIdx") or "0") != "0":
        raise Refused(10001, "position idx not match position mode")
    in_force = str(params.get("timeInForce") or ("IOC" if is_market else "GTC"))
    if in_force not in _IN_FORCE or (is_market and in_force == "PostOnly"):
        raise Refused(10001, "params error: timeInForce invalid")
    link_id = str(params.get("orderLinkId") or "")
    if link_id and not _LINK_ID.fullmatch(link_id):
        raise Refused(10001, "params error: orderLinkId invalid")
    unit = str(params.get("marketUnit") or "")
    reduce_only = not spot and _is_true(params.get("reduceOnly"))
    return OrderRequest(
        pair=pair,
        spot=spot,
        buy=buy,
        market=is_market,
        qty=amount(params, "qty"),
        quote=spot and is_market and (unit == "quoteCoin" or (not unit and buy)),
        price=_ZERO if is_market else amount(params, "price"),
        in_force="IOC" if is_market and in_force == "GTC" else in_force,
        reduce_only=reduce_only,
        close_all=reduce_only and _is_true(params.get("closeOnTrigger")) and amount(params, "qty") == 0,
        link_id=link_id,
        market_unit=unit,
    )


def amount(params: Params, name: str) -> Decimal:
    """A non-negative number as text. Raises Refused."""
    text = required(params, name)
    try:
        value = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        value = None
    if value is None:
        raise Refused(10001, f"params error: {name} invalid")
    return value


def check_tradable(request: OrderRequest, now_ms: int) -> None:
    """Raises Refused for a pair that cannot be traded now."""
    pair = request.pair
    status = pair.status(now_ms)
    if request.spot:
        if status == "PreLaunch":
            raise Refused(10001, f"Not supported symbols {pair.spot_symbol}")
        return
    if status != "Trading":
        raise Refused(110074, "This contract is not live")
    if pair.delivery_ms and pair.delivery_ms - now_ms <= REDUCE_ONLY_BEFORE_MS and not request.reduce_only:
        raise Refused(30228, "No new positions during delisting.")


def check_qty(request: OrderRequest, qty: Decimal, reference: Decimal) -> None:
    """Raises Refused for a quantity off the step, too large, or too small at a reference price."""
    pair = request.pair
    if request.spot:
        _check_spot_qty(request, qty, reference)
        return
    if qty <= 0 or qty % pair.qty_step or qty > pair.max_qty:
        raise Refused(10001, "Qty invalid")
    if qty * reference < MIN_VALUE and not request.reduce_only:
        raise Refused(110094, "Order does not meet minimum order value 5USDT")


def _check_spot_qty(request: OrderRequest, qty: Decimal, reference: Decimal) -> None:
    pair = request.pair
    if qty <= 0:
        raise Refused(170136, "Order quantity exceeded lower limit.")
    if request.quote:
        if qty > MAX_VALUE:
            raise Refused(170124, "Order amount too large.")
        if qty % pair.spot_tick:
            raise Refused(170148, "Market order amount decimal too long.")
    elif qty > pair.max_spot_qty:
        raise Refused(170135, "Order quantity exceeded upper limit.")
    elif qty % pair.spot_step:
        raise Refused(170137, "Order volume decimal too long.")
    if (qty if request.quote else qty * reference) < MIN_VALUE:
        raise Refused(170140, "Order value exceeded lower limit.")


def check_price(request: OrderRequest, price: Decimal, reference: Decimal) -> None:
    """Raises Refused for a limit price off the tick or outside the band around a reference price."""
    pair = request.pair
    tick = pair.spot_tick if request.spot else pair.tick
    if price <= 0 or price % tick:
        raise Refused(170134, "Order price decimal too long.") if request.spot else Refused(10001, "Price invalid")
    band = pair.band[1 if request.spot else 0]
    highest, lowest = reference * (1 + band), reference * (1 - band)
    if request.buy and price > highest:
        if request.spot:
            raise Refused(170193, f"Buy order price cannot be higher than {plain(highest.quantize(tick))}USDT.")
        raise Refused(110003, "Order price exceeds the allowable range.")
    if not request.buy and price < lowest:
        if request.spot:
            raise Refused(170194, f"Sell order price cannot be lower than {plain(lowest.quantize(tick))}USDT.")
        raise Refused(110003, "Order price exceeds the allowable range.")


def _is_true(value: object) -> bool:
    return value is True or value == "true"
