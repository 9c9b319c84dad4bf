"""A unified account: coins, one-way USDT perpetual positions, margin.

Everything is Decimal. Cash moves when a trade closes (part of) a position, for fees, funding and interest; profit of
an open position is worked out from the mark price. The entry value of a position is kept as a sum, not as an average
price, so that what is realised adds up to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from carryfold.adapters.simexchange.instrument import Instrument, plain
from carryfold.adapters.simexchange.ledger import Ledger

__all__ = ["QUOTE", "Account", "Closed", "Health", "Position", "money", "position_row", "wallet_row"]

QUOTE: Final = "USDT"
DEFAULT_LEVERAGE: Final = Decimal(10)
_NOTHING: Final = Decimal(0)
_CENT: Final = Decimal("0.00000001")
_MAJOR_RATIO, _OTHER_RATIO = Decimal("0.95"), Decimal("0.80")
_RISK_LIMIT: Final = "2000000"


def money(amount: Decimal) -> Decimal:
    """An amount of quote as the venue books it: 8 decimals, half-even."""
    return amount.quantize(_CENT)


class Position(msgspec.Struct, kw_only=True):
    """`size` signed, short < 0; `cost` the entry value of what is open, positive."""

    one: Instrument
    created_ms: int
    updated_ms: int
    size: Decimal = _NOTHING
    cost: Decimal = _NOTHING
    realised: Decimal = _NOTHING  # of the open position
    realised_ever: Decimal = _NOTHING
    leverage: Decimal = DEFAULT_LEVERAGE
    seq: int = 0

    @property
    def entry_price(self) -> Decimal:
        """Average price of what is open; 0 for nothing."""
        return money(self.cost / abs(self.size)) if self.size else _NOTHING

    def profit(self, mark: Decimal) -> Decimal:
        """Not yet realised, at a mark price."""
        value = money(abs(self.size) * mark)
        return value - self.cost if self.size > 0 else self.cost - value


class Closed(NamedTuple):
    """What a perpetual trade did: coins of the position it closed, and what that realised before fees."""

    qty: Decimal
    pnl: Decimal


class Health(NamedTuple):
    """Margin of the whole account, in quote."""

    equity: Decimal
    wallet: Decimal
    margin_balance: Decimal
    profit: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def available(self) -> Decimal:
        """What new positions may take as margin."""
        return max(self.margin_balance - self.initial, _NOTHING)


class Account:
    """Coins and positions of one user."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.positions: dict[str, Position] = {}

    def position(self, one: Instrument, now_ms: int) -> Position:
        """The position in a perpetual, empty when there never was one."""
        found = self.positions.get(one.symbol)
        if found is None:
            found = self.positions[one.symbol] = Position(one=one, created_ms=now_ms, updated_ms=now_ms)
        return found

    @property
    def held(self) -> list[Position]:
        """Positions that are open."""
        return [one for one in self.positions.values() if one.size]

    def trade(self, one: Instrument, qty: Decimal, price: Decimal, now_ms: int) -> Closed:
        """Move a position by `qty` (bought > 0) at a price; the caller books the cash."""
        position = self.position(one, now_ms)
        position.updated_ms, position.seq = now_ms, position.seq + 1
        if not position.size:
            position.created_ms, position.realised = now_ms, _NOTHING
        closing = min(abs(qty), abs(position.size)) if qty * position.size < 0 else _NOTHING
        pnl = _NOTHING
        if closing:
            whole = closing == abs(position.size)
            removed = position.cost if whole else money(position.cost * closing / abs(position.size))
            value = money(closing * price)
            pnl = value - removed if position.size > 0 else removed - value
            position.cost -= removed
        opening = abs(qty) - closing
        position.cost += money(opening * price)
        position.size += qty
        position.realised += pnl
        position.realised_ever += pnl
        return Closed(closing, pnl)

    def health(self, marks: Mapping[str, Decimal], spots: Mapping[str, tuple[Decimal, bool]]) -> Health:
        """Margin at these mark prices by symbol, and these spot prices by coin (price, whether a major)."""
        equity = wallet = collateral = self.ledger.balance(QUOTE)
        for coin, amount in self.ledger.balances.items():
            if coin == QUOTE or not amount or coin not in spots:
                continue
            price, major = spots[coin]
            value = money(amount * price)
            equity, wallet = equity + value, wallet + value
            collateral += money(value * (_MAJOR_RATIO if major else _OTHER_RATIO))
        profit = initial = maintenance = _NOTHING
        for held in self.held:
            mark = marks[held.one.symbol]
            value = money(abs(held.size) * mark)
            profit += held.profit(mark)
            initial += money(value / held.leverage)
            maintenance += money(value * held.one.maintenance_rate)
        return Health(equity + profit, wallet, collateral + profit, profit, initial, maintenance)


def position_row(position: Position, mark: str, health: Health, *, pushed: bool = False) -> dict[str, Any]:
    """As position/list shows a position, or as the position stream pushes it."""
    one, size = position.one, position.size
    value = money(abs(size) * Decimal(mark))
    initial, maintenance = money(value / position.leverage), money(value * one.maintenance_rate)
    price = plain(position.entry_price)
    row: dict[str, Any] = {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": _RISK_LIMIT,
        "symbol": one.symbol,
        "side": "Buy" if size > 0 else "Sell" if size < 0 else "",
        "size": plain(abs(size)),
        "entryPrice" if pushed else "avgPrice": price,
        "positionValue": plain(value),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if size else 0,
        "leverage": plain(position.leverage),
        "breakEvenPrice": price,
        "positionBalance": plain(initial) if pushed else "0",
        "markPrice": mark,
        "liqPrice": _liquidation_price(position, Decimal(mark), health),
        "bustPrice": "",
        "positionMM": plain(maintenance),
        "positionMMByMp": plain(maintenance),
        "positionIM": plain(initial),
        "positionIMByMp": plain(initial),
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": plain(position.profit(Decimal(mark))),
        "curRealisedPnl": plain(position.realised),
        "cumRealisedPnl": plain(position.realised_ever),
        "seq": position.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime" if pushed else "mmrSysUpdateTime": "",
        "leverageSysUpdatedTime": "",
        "sessionAvgPrice": "0" if pushed else "",
        "createdTime": str(position.created_ms),
        "updatedTime": str(position.updated_ms),
    }
    if pushed:
        row["category"] = "linear"
    return row


def wallet_row(
    ledger: Ledger, health: Health, locked: Mapping[str, Decimal], spots: Mapping[str, tuple[Decimal, bool]]
) -> dict[str, Any]:
    """As account/wallet-balance and the wallet stream show the account."""
    initial_rate = _ratio(health.initial, health.margin_balance)
    maintenance_rate = _ratio(health.maintenance, health.margin_balance)
    return {
        "totalEquity": plain(health.equity),
        "accountIMRate": initial_rate,
        "accountIMRateByMp": initial_rate,
        "totalMarginBalance": plain(health.margin_balance),
        "totalInitialMargin": plain(health.initial),
        "totalInitialMarginByMp": plain(health.initial),
        "accountType": "UNIFIED",
        "totalAvailableBalance": plain(health.available),
        "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalPerpUPL": plain(health.profit),
        "totalWalletBalance": plain(health.wallet),
        "accountLTV": "0",
        "totalMaintenanceMargin": plain(health.maintenance),
        "totalMaintenanceMarginByMp": plain(health.maintenance),
        "coin": [_coin_row(ledger, coin, health, locked, spots) for coin in sorted(ledger.balances)],
    }


def _coin_row(
    ledger: Ledger,
    coin: str,
    health: Health,
    locked: Mapping[str, Decimal],
    spots: Mapping[str, tuple[Decimal, bool]],
) -> dict[str, Any]:
    balance, quote = ledger.balance(coin), coin == QUOTE
    profit = health.profit if quote else _NOTHING
    price = Decimal(1) if quote else spots.get(coin, (_NOTHING, False))[0]
    return {
        "availableToBorrow": "",
        "bonus": "0",
        "accruedInterest": "0",
        "availableToWithdraw": "",
        "totalOrderIM": "0",
        "equity": plain(balance + profit),
        "totalPositionMM": plain(health.maintenance) if quote else "0",
        "usdValue": plain(money((balance + profit) * price)),
        "spotHedgingQty": "0",
        "unrealisedPnl": plain(profit),
        "collateralSwitch": True,
        "borrowAmount": plain(max(-balance, _NOTHING)),
        "totalPositionIM": plain(health.initial) if quote else "0",
        "walletBalance": plain(balance),
        "cumRealisedPnl": plain(ledger.realised.get(coin, _NOTHING)),
        "locked": plain(locked.get(coin, _NOTHING)),
        "marginCollateral": True,
        "coin": coin,
        "spotBorrow": plain(max(-balance, _NOTHING)),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(Decimal("0.0001"))) if whole > 0 else "0"


def _liquidation_price(position: Position, mark: Decimal, health: Health) -> str:
    """Where the account's margin would just cover maintenance, all else standing still; empty for nowhere."""
    if not position.size:
        return ""
    room = health.margin_balance - health.maintenance
    distance = room / abs(position.size)
    price = mark - distance if position.size > 0 else mark + distance
    return plain(price.quantize(position.one.tick)) if price > 0 else ""
