"""What time brings: settlements, deliveries, interest, liquidation. All on whole minutes, in that order."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from carryfold.adapters.simexchange.account import QUOTE, money
from carryfold.adapters.simexchange.funding import HOUR_MS
from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.tickers import rate_text

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = ["INTEREST_A_HOUR", "adl", "live_through"]

INTEREST_A_HOUR: Final = Decimal("0.0000114155")  # 10 % a year
_NOTHING: Final = Decimal(0)


def live_through(exchange: Exchange, after_ms: int) -> None:
    """Do what fell due after a moment, up to now."""
    _settle(exchange, after_ms)
    _deliver(exchange, after_ms)
    _charge_interest(exchange, after_ms)
    exchange.desk.match()
    _liquidate(exchange)


def adl(exchange: Exchange, one: Instrument, share: Decimal) -> None:
    """Auto-deleverage a share of a position at the mark price; no fee, no order. Nothing happens without one."""
    size = exchange.account.position(one, exchange.now_ms).size
    qty = abs(size) * share // one.qty_step * one.qty_step
    if not qty:
        return
    mark = Decimal(fixed(exchange.market.mark(one, exchange.now_ms), one.decimals))
    exchange.fills.perp(
        one,
        -qty if size > 0 else qty,
        mark,
        _NOTHING,
        kind="AdlTrade",
        create_type="CreateByAdl_PassThrough",
    )
    exchange.fills.tell_wallet()


def _settle(exchange: Exchange, after_ms: int) -> None:
    settled = False
    for position in exchange.account.held:
        for at_ms, rate in exchange.market.settlements(position.one, after_ms, exchange.now_ms):
            exchange.fills.funding(position.one, at_ms, Decimal(rate_text(rate)))
            settled = True
    if settled:
        exchange.fills.tell_wallet()


def _deliver(exchange: Exchange, after_ms: int) -> None:
    for one in exchange.market.instruments:
        if not after_ms < one.delivery_ms <= exchange.now_ms:
            continue
        for order in exchange.desk.open_orders:
            if order.one is one and not order.spot:
                exchange.desk.cancel(order, "CancelBySettle")
        size = exchange.account.position(one, exchange.now_ms).size
        if size:
            price = Decimal(fixed(exchange.market.delivery_price(one), one.decimals))
            exchange.fills.perp(one, -size, price, _NOTHING, kind="Delivery", create_type="CreateBySettle")
            exchange.fills.tell_wallet()


def _charge_interest(exchange: Exchange, after_ms: int) -> None:
    """A negative balance of quote is a loan, charged at each full hour."""
    for hour in range(after_ms // HOUR_MS + 1, exchange.now_ms // HOUR_MS + 1):
        owed = -exchange.ledger.balance(QUOTE)
        if owed <= 0:
            return
        exchange.ledger.book(
            "INTEREST", QUOTE, hour * HOUR_MS, fee=money(owed * INTEREST_A_HOUR), fee_rate=INTEREST_A_HOUR
        )


def _liquidate(exchange: Exchange) -> None:
    """While maintenance margin is not covered, everything that rests is cancelled and positions are taken over at the
    mark price, the one that needs most margin first."""
    while exchange.account.held:
        health = exchange.health()
        if health.margin_balance > health.maintenance:
            return
        for order in exchange.desk.open_orders:
            exchange.desk.cancel(order, "CancelByPrepareLiq")
        marks = exchange.marks()
        worst = max(
            exchange.account.held, key=lambda held: abs(held.size) * marks[held.one.symbol] * held.one.maintenance_rate
        )
        exchange.fills.perp(
            worst.one,
            -worst.size,
            marks[worst.one.symbol],
            exchange.config.perp_taker,
            kind="BustTrade",
            create_type="CreateByLiq",
        )
        exchange.fills.tell_wallet()
