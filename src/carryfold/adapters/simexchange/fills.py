"""What an execution does to the account, and what the account is told of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, Final

from carryfold.adapters.simexchange.account import QUOTE, Account, money, position_row, wallet_row
from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.ledger import Ledger
from carryfold.adapters.simexchange.orders import Execution, Order

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = ["Fills", "Tell"]

Tell = Callable[[str, dict[str, Any]], None]

_NOTHING: Final = Decimal(0)
_SHOWN_RATE: Final = Decimal("0.000001")
_ENTRY_OF: Final = {"Trade": "TRADE", "AdlTrade": "ADL", "BustTrade": "LIQUIDATION", "Delivery": "DELIVERY"}


class Fills:
    """Books executions of one account. `executions` are in order."""

    def __init__(self, exchange: Exchange, account: Account, ledger: Ledger, tell: Tell) -> None:
        self._exchange = exchange
        self._account = account
        self._ledger = ledger
        self._tell = tell
        self._ids = 0
        self.executions: list[Execution] = []

    def new_id(self, *, spot: bool) -> str:
        """An id of an order or an execution: the same in every run of the same requests."""
        self._ids += 1
        if spot:
            return str(2_000_000_000_000_000_000 + self._exchange.config.seed % 1_000 * 10**12 + self._ids)
        text = hashlib.blake2b(f"{self._exchange.config.seed}/{self._ids}".encode(), digest_size=16).hexdigest()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def spot(self, order: Order, qty: Decimal, price: Decimal, fee_rate: Decimal, *, maker: bool) -> None:
        """A spot order filled: what is bought arrives less a fee in its own coin, what is sold brings quote less a
        fee in quote."""
        exchange, one = self._exchange, order.one
        value = money(qty * price)
        fee = qty * fee_rate if order.buy else money(value * fee_rate)
        fee_coin = one.spot_coin if order.buy else QUOTE
        _count(order, qty, value, fee, fee_coin, exchange.now_ms)
        execution = self._recorded(
            order, one, qty, price, value, fee, fee_rate, fee_coin, spot=True, buy=order.buy, maker=maker
        )
        sign = 1 if order.buy else -1
        flows = ((one.spot_coin, sign * qty), (QUOTE, -sign * value))
        for coin, flow in flows:
            charged = fee if coin == fee_coin else _NOTHING
            self._ledger.book(
                "TRADE", coin, exchange.now_ms, category="spot", symbol=one.spot_symbol, side=order.side, qty=qty,
                size=self._ledger.balance(coin) + flow - charged, price=price, cash_flow=flow, fee=charged,
                fee_rate=fee_rate if charged else _NOTHING, order_id=order.order_id, link_id=order.link_id,
                trade_id=execution.exec_id,
            )  # fmt: skip
        self._tell("execution", execution.row(pushed=True))

    def perp(
        self,
        one: Instrument,
        qty: Decimal,
        price: Decimal,
        fee_rate: Decimal,
        *,
        order: Order | None = None,
        kind: str = "Trade",
        create_type: str = "CreateByUser",
        maker: bool = False,
    ) -> None:
        """A position changed by `qty`, bought > 0, through an order or without one."""
        exchange = self._exchange
        value = money(abs(qty) * price)
        fee = money(value * fee_rate)
        done = self._account.trade(one, qty, price, exchange.now_ms)
        position = self._account.position(one, exchange.now_ms)
        position.realised -= fee
        position.realised_ever -= fee
        if order is not None:
            _count(order, abs(qty), value, fee, QUOTE, exchange.now_ms)
            order.closed_pnl += done.pnl - fee if done.qty else _NOTHING
        execution = self._recorded(
            order, one, abs(qty), price, value, fee, fee_rate, QUOTE, spot=False, buy=qty > 0, maker=maker, kind=kind,
            closed=done.qty, pnl=done.pnl, create_type=create_type,
        )  # fmt: skip
        self._ledger.book(
            _ENTRY_OF[kind], QUOTE, exchange.now_ms, category="linear", symbol=one.symbol,
            side="Buy" if qty > 0 else "Sell", qty=abs(qty), size=position.size, price=price, cash_flow=done.pnl,
            fee=fee, fee_rate=fee_rate, order_id=execution.order_id, link_id=execution.link_id,
            trade_id=execution.exec_id,
        )  # fmt: skip
        self._tell("execution", execution.row(pushed=True))
        self.tell_position(one)

    def funding(self, one: Instrument, at_ms: int, rate: Decimal) -> None:
        """What a settlement took from or gave to the position of that moment."""
        mark = Decimal(fixed(self._exchange.market.mark(one, at_ms), one.decimals))
        position = self._account.position(one, at_ms)
        size, side = position.size, "Buy" if position.size > 0 else "Sell"
        value = money(abs(size) * mark)
        paid = money(value * rate) * (1 if size > 0 else -1)
        shown = rate.quantize(_SHOWN_RATE, rounding=ROUND_DOWN)
        execution = self._recorded(
            None, one, abs(size), mark, value, paid, shown, QUOTE, spot=False, buy=size > 0, maker=False,
            kind="Funding", at_ms=at_ms,
        )  # fmt: skip
        self._ledger.book(
            "SETTLEMENT", QUOTE, at_ms, category="linear", symbol=one.symbol, side=side, qty=abs(size), size=size,
            price=mark, funding=-paid, fee_rate=rate if size > 0 else -rate, order_id=execution.order_id,
            trade_id=execution.exec_id,
        )  # fmt: skip
        position.realised -= paid
        position.realised_ever -= paid
        self._tell("execution", execution.row(pushed=True))
        self.tell_position(one)

    def tell_position(self, one: Instrument) -> None:
        """Say how a position stands now."""
        exchange = self._exchange
        mark = fixed(exchange.market.mark(one, exchange.now_ms), one.decimals)
        position = self._account.position(one, exchange.now_ms)
        self._tell("position", position_row(position, mark, exchange.health(), pushed=True))

    def tell_wallet(self) -> None:
        """Say how the account stands now."""
        exchange = self._exchange
        locked = exchange.desk.locked()
        self._tell("wallet", wallet_row(self._ledger, exchange.health(), locked, exchange.spot_prices()))

    def _recorded(
        self,
        order: Order | None,
        one: Instrument,
        qty: Decimal,
        price: Decimal,
        value: Decimal,
        fee: Decimal,
        fee_rate: Decimal,
        fee_coin: str,
        *,
        spot: bool,
        buy: bool,
        maker: bool,
        kind: str = "Trade",
        closed: Decimal = _NOTHING,
        pnl: Decimal = _NOTHING,
        create_type: str = "CreateByUser",
        at_ms: int = 0,
    ) -> Execution:
        now_ms = at_ms or self._exchange.now_ms
        market = self._exchange.market
        execution = Execution(
            seq=len(self.executions) + 1,
            exec_id=self.new_id(spot=spot),
            kind=kind,
            one=one,
            spot=spot,
            buy=buy,
            qty=qty,
            price=price,
            value=value,
            fee=fee,
            fee_rate=fee_rate,
            fee_coin=fee_coin,
            maker=maker,
            time_ms=now_ms,
            mark="" if spot else fixed(market.mark(one, now_ms), one.decimals),
            index="" if spot else fixed(market.index(one, now_ms), one.decimals),
            order_id=order.order_id if order else self.new_id(spot=spot),
            link_id=order.link_id if order else "",
            order_kind="UNKNOWN" if kind == "Funding" else "Limit" if order and not order.market else "Market",
            order_price=order.price if order else _NOTHING,
            order_qty=order.qty if order else qty,
            left=order.qty - order.filled if order else _NOTHING,
            closed=closed,
            pnl=pnl,
            create_type=order.create_type if order else create_type,
            market_unit=order.market_unit if order else "",
        )
        self.executions.append(execution)
        return execution


def _count(order: Order, qty: Decimal, value: Decimal, fee: Decimal, fee_coin: str, now_ms: int) -> None:
    order.filled += qty
    order.value += value
    order.fees[fee_coin] = order.fees.get(fee_coin, _NOTHING) + fee
    order.updated_ms = now_ms
    order.status = "Filled" if order.filled >= order.qty else "PartiallyFilled"
