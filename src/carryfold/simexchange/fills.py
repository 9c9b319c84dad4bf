"""Booking of executions on the account, and the private rows published for them."""

from __future__ import annotations

import hashlib
from decimal import ROUND_DOWN, Decimal
from typing import Final

from carryfold.simexchange.account import QUOTE, money, position_row, wallet_row
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.orders import Execution, Order
from carryfold.simexchange.state import VenueState

__all__ = ["Fills"]

_ZERO: Final = Decimal(0)
_SHOWN_RATE: Final = Decimal("0.000001")
_ENTRY_OF: Final = {"Trade": "TRADE", "AdlTrade": "ADL", "BustTrade": "LIQUIDATION", "Delivery": "DELIVERY"}


class Fills:
    """Books executions on the account. `executions` lists them in order."""

    def __init__(self, state: VenueState) -> None:
        self._state = state
        self._account = state.account
        self._ledger = state.ledger
        self._ids = 0
        self.executions: list[Execution] = []

    def new_id(self, *, spot: bool) -> str:
        """A new id for an order or an execution. The same requests get the same ids in every run."""
        self._ids += 1
        if spot:
            return str(2_000_000_000_000_000_000 + self._state.config.seed % 1_000 * 10**12 + self._ids)
        text = hashlib.blake2b(f"{self._state.config.seed}/{self._ids}".encode(), digest_size=16).hexdigest()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def spot(self, order: Order, qty: Decimal, price: Decimal, fee_rate: Decimal, *, maker: bool) -> None:
        """Book a fill of a spot order. A purchase pays its fee in the coin bought, a sale in quote."""
        state, pair = self._state, order.pair
        value = money(qty * price)
        fee = qty * fee_rate if order.buy else money(value * fee_rate)
        fee_coin = pair.spot_coin if order.buy else QUOTE
        _add_fill(order, qty, value, fee, fee_coin, state.now_ms)
        execution = self._record(
            order, pair, qty, price, value, fee, fee_rate, fee_coin, spot=True, buy=order.buy, maker=maker
        )
        sign = 1 if order.buy else -1
        flows = ((pair.spot_coin, sign * qty), (QUOTE, -sign * value))
        for coin, flow in flows:
            charged = fee if coin == fee_coin else _ZERO
            self._ledger.book(
                "TRADE", coin, state.now_ms, category="spot", symbol=pair.spot_symbol, side=order.side, qty=qty,
                size=self._ledger.balance(coin) + flow - charged, price=price, cash_flow=flow, fee=charged,
                fee_rate=fee_rate if charged else _ZERO, order_id=order.order_id, link_id=order.link_id,
                trade_id=execution.exec_id,
            )  # fmt: skip
        self._state.publish("execution", execution.row(pushed=True))

    def perp(
        self,
        pair: ListedPair,
        qty: Decimal,
        price: Decimal,
        fee_rate: Decimal,
        *,
        order: Order | None = None,
        kind: str = "Trade",
        create_type: str = "CreateByUser",
        maker: bool = False,
    ) -> None:
        """Change a position by `qty` (bought > 0), through an order or without one."""
        state = self._state
        value = money(abs(qty) * price)
        fee = money(value * fee_rate)
        done = self._account.trade(pair, qty, price, state.now_ms)
        position = self._account.position(pair, state.now_ms)
        position.realised -= fee
        position.realised_ever -= fee
        if order is not None:
            _add_fill(order, abs(qty), value, fee, QUOTE, state.now_ms)
            order.closed_pnl += done.pnl - fee if done.qty else _ZERO
        execution = self._record(
            order, pair, abs(qty), price, value, fee, fee_rate, QUOTE, spot=False, buy=qty > 0, maker=maker, kind=kind,
            closed=done.qty, pnl=done.pnl, create_type=create_type,
        )  # fmt: skip
        self._ledger.book(
            _ENTRY_OF[kind], QUOTE, state.now_ms, category="linear", symbol=pair.symbol,
            side="Buy" if qty > 0 else "Sell", qty=abs(qty), size=position.size, price=price, cash_flow=done.pnl,
            fee=fee, fee_rate=fee_rate, order_id=execution.order_id, link_id=execution.link_id,
            trade_id=execution.exec_id,
        )  # fmt: skip
        self._state.publish("execution", execution.row(pushed=True))
        self.publish_position(pair)

    def funding(self, pair: ListedPair, at_ms: int, rate: Decimal) -> None:
        """Book the funding of one settlement on the position at that moment."""
        mark = Decimal(fixed(self._state.market.mark(pair, at_ms), pair.decimals))
        position = self._account.position(pair, at_ms)
        size, side = position.size, "Buy" if position.size > 0 else "Sell"
        value = money(abs(size) * mark)
        paid = money(value * rate) * (1 if size > 0 else -1)
        shown = rate.quantize(_SHOWN_RATE, rounding=ROUND_DOWN)
        execution = self._record(
            None, pair, abs(size), mark, value, paid, shown, QUOTE, spot=False, buy=size > 0, maker=False,
            kind="Funding", at_ms=at_ms,
        )  # fmt: skip
        self._ledger.book(
            "SETTLEMENT", QUOTE, at_ms, category="linear", symbol=pair.symbol, side=side, qty=abs(size), size=size,
            price=mark, funding=-paid, fee_rate=rate if size > 0 else -rate, order_id=execution.order_id,
            trade_id=execution.exec_id,
        )  # fmt: skip
        position.realised -= paid
        position.realised_ever -= paid
        self._state.publish("execution", execution.row(pushed=True))
        self.publish_position(pair)

    def publish_position(self, pair: ListedPair) -> None:
        """Publish the current state of a position."""
        state = self._state
        mark = fixed(state.market.mark(pair, state.now_ms), pair.decimals)
        position = self._account.position(pair, state.now_ms)
        self._state.publish("position", position_row(position, mark, state.health(), pushed=True))

    def publish_wallet(self) -> None:
        """Publish the current balances and margin of the account."""
        state = self._state
        row = wallet_row(self._ledger, state.health(), state.orders.locked(), state.spot_prices())
        state.publish("wallet", row)

    def _record(
        self,
        order: Order | None,
        pair: ListedPair,
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
        closed: Decimal = _ZERO,
        pnl: Decimal = _ZERO,
        create_type: str = "CreateByUser",
        at_ms: int = 0,
    ) -> Execution:
        now_ms = at_ms or self._state.now_ms
        market = self._state.market
        execution = Execution(
            seq=len(self.executions) + 1,
            exec_id=self.new_id(spot=spot),
            kind=kind,
            pair=pair,
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
            mark="" if spot else fixed(market.mark(pair, now_ms), pair.decimals),
            index="" if spot else fixed(market.index(pair, now_ms), pair.decimals),
            order_id=order.order_id if order else self.new_id(spot=spot),
            link_id=order.link_id if order else "",
            order_kind="UNKNOWN" if kind == "Funding" else "Limit" if order and not order.market else "Market",
            order_price=order.price if order else _ZERO,
            order_qty=order.qty if order else qty,
            left=order.qty - order.filled if order else _ZERO,
            closed=closed,
            pnl=pnl,
            create_type=order.create_type if order else create_type,
            market_unit=order.market_unit if order else "",
        )
        self.executions.append(execution)
        return execution


def _add_fill(order: Order, qty: Decimal, value: Decimal, fee: Decimal, fee_coin: str, now_ms: int) -> None:
    order.filled += qty
    order.value += value
    order.fees[fee_coin] = order.fees.get(fee_coin, _ZERO) + fee
    order.updated_ms = now_ms
    order.status = "Filled" if order.filled >= order.qty else "PartiallyFilled"
