"""What the venue refuses before it takes an order, with its codes."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple

from carryfold.adapters.simexchange.answers import Params, Refused, choice, required
from carryfold.adapters.simexchange.instrument import Instrument, plain
from carryfold.adapters.simexchange.rest_public import find

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = ["MIN_VALUE", "Wish", "amount", "check_live", "check_price", "check_qty", "read_wish"]

MIN_VALUE: Final = Decimal(5)
MAX_VALUE: Final = Decimal(20_000_000)
REDUCE_ONLY_BEFORE_MS: Final = 1_800_000  # so long before its end, a perpetual takes no new positions

_LINK: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_IN_FORCE: Final = ("GTC", "IOC", "FOK", "PostOnly")
_UNKNOWN_KINDS: Final = ("triggerPrice", "takeProfit", "stopLoss", "trailingStop")
_NOTHING: Final = Decimal(0)


class Wish(NamedTuple):
    """What a client asks for in order/create, understood but not yet checked against market and account."""

    one: Instrument
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


def read_wish(exchange: Exchange, params: Params) -> Wish:
    """Read the body of order/create. Raises Refused."""
    choice(params, "category", ("spot", "linear"))
    one, spot = find(exchange, params)
    buy = choice(params, "side", ("Buy", "Sell")) == "Buy"
    market = choice(params, "orderType", ("Market", "Limit")) == "Market"
    if any(params.get(name) not in (None, "", "0") for name in _UNKNOWN_KINDS):
        raise Refused(10001, "params error: conditional orders are not supported here")
    if str(params.get("positionIdx") or "0") != "0":
        raise Refused(10001, "position idx not match position mode")
    in_force = str(params.get("timeInForce") or ("IOC" if market else "GTC"))
    if in_force not in _IN_FORCE or (market and in_force == "PostOnly"):
        raise Refused(10001, "params error: timeInForce invalid")
    link_id = str(params.get("orderLinkId") or "")
    if link_id and not _LINK.fullmatch(link_id):
        raise Refused(10001, "params error: orderLinkId invalid")
    unit = str(params.get("marketUnit") or "")
    reduce_only = not spot and _truth(params.get("reduceOnly"))
    return Wish(
        one=one,
        spot=spot,
        buy=buy,
        market=market,
        qty=amount(params, "qty"),
        quote=spot and market and (unit == "quoteCoin" or (not unit and buy)),
        price=_NOTHING if market else amount(params, "price"),
        in_force="IOC" if market and in_force == "GTC" else in_force,
        reduce_only=reduce_only,
        close_all=reduce_only and _truth(params.get("closeOnTrigger")) and amount(params, "qty") == 0,
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


def check_live(wish: Wish, now_ms: int) -> None:
    """Refuse what cannot be traded now."""
    one = wish.one
    status = one.status(now_ms)
    if wish.spot:
        if status == "PreLaunch":
            raise Refused(10001, f"Not supported symbols {one.spot_symbol}")
        return
    if status != "Trading":
        raise Refused(110074, "This contract is not live")
    if one.delivery_ms and one.delivery_ms - now_ms <= REDUCE_ONLY_BEFORE_MS and not wish.reduce_only:
        raise Refused(30228, "No new positions during delisting.")


def check_qty(wish: Wish, qty: Decimal, reference: Decimal) -> None:
    """Refuse what is off the step, too large or too small at a reference price."""
    one = wish.one
    if wish.spot:
        _check_spot_qty(wish, qty, reference)
        return
    if qty <= 0 or qty % one.qty_step or qty > one.max_qty:
        raise Refused(10001, "Qty invalid")
    if qty * reference < MIN_VALUE and not wish.reduce_only:
        raise Refused(110094, "Order does not meet minimum order value 5USDT")


def _check_spot_qty(wish: Wish, qty: Decimal, reference: Decimal) -> None:
    one = wish.one
    if qty <= 0:
        raise Refused(170136, "Order quantity exceeded lower limit.")
    if wish.quote:
        if qty > MAX_VALUE:
            raise Refused(170124, "Order amount too large.")
        if qty % one.spot_tick:
            raise Refused(170148, "Market order amount decimal too long.")
    elif qty > one.max_spot_qty:
        raise Refused(170135, "Order quantity exceeded upper limit.")
    elif qty % one.spot_step:
        raise Refused(170137, "Order volume decimal too long.")
    if (qty if wish.quote else qty * reference) < MIN_VALUE:
        raise Refused(170140, "Order value exceeded lower limit.")


def check_price(wish: Wish, price: Decimal, reference: Decimal) -> None:
    """Refuse a limit off the tick or beyond the band around a reference price."""
    one = wish.one
    tick = one.spot_tick if wish.spot else one.tick
    if price <= 0 or price % tick:
        raise Refused(170134, "Order price decimal too long.") if wish.spot else Refused(10001, "Price invalid")
    band = one.band[1 if wish.spot else 0]
    highest, lowest = reference * (1 + band), reference * (1 - band)
    if wish.buy and price > highest:
        if wish.spot:
            raise Refused(170193, f"Buy order price cannot be higher than {plain(highest.quantize(tick))}USDT.")
        raise Refused(110003, "Order price exceeds the allowable range.")
    if not wish.buy and price < lowest:
        if wish.spot:
            raise Refused(170194, f"Sell order price cannot be lower than {plain(lowest.quantize(tick))}USDT.")
        raise Refused(110003, "Order price exceeds the allowable range.")


def _truth(value: object) -> bool:
    return value is True or value == "true"
