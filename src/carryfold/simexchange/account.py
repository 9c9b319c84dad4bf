"""A unified account: coins, one-way USDT perpetual positions, margin.

All amounts are Decimal. Cash changes when a trade closes (part of) a position, and by fees, funding and interest. The
profit of an open position follows from the mark price. A position keeps its entry value as a sum instead of an average
price, so that realised amounts add up to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from carryfold.simexchange.ledger import Ledger
from carryfold.simexchange.listed_pair import ListedPair, plain

__all__ = ["QUOTE", "Account", "Closed", "Health", "Position", "money", "position_row", "wallet_row"]

QUOTE: Final = "USDT"
DEFAULT_LEVERAGE: Final = Decimal(10)
_ZERO: Final = Decimal(0)
_CENT: Final = Decimal("0.00000001")
_MAJOR_RATIO, _OTHER_RATIO = Decimal("0.95"), Decimal("0.80")
_RISK_LIMIT: Final = "2000000"


def money(amount: Decimal) -> Decimal:
    """An amount of quote as the venue books it: 8 decimals, half-even."""
    return amount.quantize(_CENT)


class Position(msgspec.Struct, kw_only=True):
    """A perpetual position. `size` is signed, short < 0; `cost` is its entry value in quote, never negative."""

    pair: ListedPair
    created_ms: int
    updated_ms: int
    size: Decimal = _ZERO
    cost: Decimal = _ZERO
    realised: Decimal = _ZERO  # of the open position
    realised_ever: Decimal = _ZERO
    leverage: Decimal = DEFAULT_LEVERAGE
    seq: int = 0

    @property
    def entry_price(self) -> Decimal:
        """Average entry price; 0 without a position."""
        return money(self.cost / abs(self.size)) if self.size else _ZERO

    def profit(self, mark: Decimal) -> Decimal:
        """Unrealised profit at a mark price."""
        value = money(abs(self.size) * mark)
        return value - self.cost if self.size > 0 else self.cost - value


class Closed(NamedTuple):
    """The part of a position that a trade closed: coins, and the profit realised before fees."""

    qty: Decimal
    pnl: Decimal


class Health(NamedTuple):
    """Equity and margin of the whole account, in quote."""

    equity: Decimal
    wallet: Decimal
    margin_balance: Decimal
    profit: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def available(self) -> Decimal:
        """Margin that new positions may use."""
        return max(self.margin_balance - self.initial, _ZERO)


class Account:
    """Coins and positions of one user."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.positions: dict[str, Position] = {}

    def position(self, pair: ListedPair, now_ms: int) -> Position:
        """The position in a perpetual; an empty one is created on first use."""
        found = self.positions.get(pair.symbol)
        if found is None:
            found = self.positions[pair.symbol] = Position(pair=pair, created_ms=now_ms, updated_ms=now_ms)
        return found

    @property
    def held(self) -> list[Position]:
        """Positions with a size other than 0."""
        return [position for position in self.positions.values() if position.size]

    def trade(self, pair: ListedPair, qty: Decimal, price: Decimal, now_ms: int) -> Closed:
        """Change a position by `qty` (bought > 0) at a price. The caller books the cash."""
        position = self.position(pair, now_ms)
        position.updated_ms, position.seq = now_ms, position.seq + 1
        if not position.size:
            position.created_ms, position.realised = now_ms, _ZERO
        closing = min(abs(qty), abs(position.size)) if qty * position.size < 0 else _ZERO
        pnl = _ZERO
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
        profit = initial = maintenance = _ZERO
        for held in self.held:
            mark = marks[held.pair.symbol]
            value = money(abs(held.size) * mark)
            profit += held.profit(mark)
            initial += money(value / held.leverage)
            maintenance += money(value * held.pair.maintenance_rate)
        return Health(equity + profit, wallet, collateral + profit, profit, initial, maintenance)


def position_row(position: Position, mark: str, health: Health, *, pushed: bool = False) -> dict[str, Any]:
    """As position/list shows a position, or as the position stream pushes it."""
    pair, size = position.pair, position.size
    value = money(abs(size) * Decimal(mark))
    initial, maintenance = money(value / position.leverage), money(value * pair.maintenance_rate)
    price = plain(position.entry_price)
    row: dict[str, Any] = {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": _RISK_LIMIT,
        "symbol": pair.symbol,
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
    profit = health.profit if quote else _ZERO
    price = Decimal(1) if quote else spots.get(coin, (_ZERO, False))[0]
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
        "borrowAmount": plain(max(-balance, _ZERO)),
        "totalPositionIM": plain(health.initial) if quote else "0",
        "walletBalance": plain(balance),
        "cumRealisedPnl": plain(ledger.realised.get(coin, _ZERO)),
        "locked": plain(locked.get(coin, _ZERO)),
        "marginCollateral": True,
        "coin": coin,
        "spotBorrow": plain(max(-balance, _ZERO)),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(Decimal("0.0001"))) if whole > 0 else "0"


def _liquidation_price(position: Position, mark: Decimal, health: Health) -> str:
    """The mark price at which the account's margin just covers maintenance, with all other prices unchanged; empty when
    there is none."""
    if not position.size:
        return ""
    room = health.margin_balance - health.maintenance
    distance = room / abs(position.size)
    price = mark - distance if position.size > 0 else mark + distance
    return plain(price.quantize(position.pair.tick)) if price > 0 else ""
