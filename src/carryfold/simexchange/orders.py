"""Orders and executions, and their rows in the answers and streams of the venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from carryfold.simexchange.listed_pair import ListedPair, plain

__all__ = ["CLOSED", "Execution", "Order"]

CLOSED: Final = ("Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected")
_ZERO: Final = Decimal(0)


class Order(msgspec.Struct, kw_only=True):
    """One order. Quantities are in coins of the leg. An order for an amount of quote has it in `quote_qty`, and `qty`
    is the equivalent in coins. `price` is the limit price; 0 for a market order."""

    seq: int
    order_id: str
    link_id: str
    pair: ListedPair
    spot: bool
    buy: bool
    market: bool
    price: Decimal
    qty: Decimal
    in_force: str
    reduce_only: bool
    created_ms: int
    updated_ms: int
    quote_qty: Decimal = _ZERO
    market_unit: str = ""
    create_type: str = "CreateByUser"
    status: str = "New"
    reject: str = "EC_NoError"
    cancel: str = "UNKNOWN"
    filled: Decimal = _ZERO
    value: Decimal = _ZERO
    closed_pnl: Decimal = _ZERO
    fees: dict[str, Decimal] = {}

    @property
    def open(self) -> bool:
        """Whether it can still fill."""
        return self.status not in CLOSED

    @property
    def left(self) -> Decimal:
        """The quantity that may still fill."""
        return self.qty - self.filled if self.open else _ZERO

    @property
    def category(self) -> str:
        """spot or linear."""
        return "spot" if self.spot else "linear"

    @property
    def symbol(self) -> str:
        """The symbol of the traded leg."""
        return self.pair.spot_symbol if self.spot else self.pair.symbol

    @property
    def side(self) -> str:
        """Buy or Sell."""
        return "Buy" if self.buy else "Sell"

    def row(self, *, pushed: bool = False) -> dict[str, Any]:
        """The row in order/realtime and order/history, or the row pushed by the order stream."""
        average = plain(_rounded(self.value / self.filled, self.pair)) if self.filled else ("" if pushed else "0")
        fee_coin = next(iter(self.fees), "")
        row: dict[str, Any] = {
            "orderId": self.order_id,
            "orderLinkId": self.link_id,
            "blockTradeId": "",
            "symbol": self.symbol,
            "price": plain(self.price) if self.price else "0",
            "qty": plain(self.quote_qty or self.qty),
            "side": self.side,
            "isLeverage": "0" if self.spot else "",
            "positionIdx": 0,
            "orderStatus": self.status,
            "cancelType": self.cancel,
            "rejectReason": self.reject,
            "avgPrice": average,
            "leavesQty": plain(self.left),
            "leavesValue": plain(self.left * self.price),
            "cumExecQty": plain(self.filled),
            "cumExecValue": plain(self.value),
            "cumExecFee": plain(self.fees.get(fee_coin, _ZERO)),
            "timeInForce": self.in_force,
            "orderType": "Market" if self.market else "Limit",
            "stopOrderType": "",
            "orderIv": "",
            "marketUnit": self.market_unit,
            "triggerPrice": "",
            "takeProfit": "",
            "stopLoss": "",
            "tpTriggerBy": "",
            "slTriggerBy": "",
            "triggerDirection": 0,
            "triggerBy": "",
            "lastPriceOnCreated": "",
            "reduceOnly": self.reduce_only,
            "closeOnTrigger": False,
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "tpLimitPrice": "",
            "slLimitPrice": "",
            "placeType": "",
            "slippageToleranceType": "UNKNOWN",
            "slippageTolerance": "",
            "createType": self.create_type,
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
            "cumFeeDetail": {coin: plain(fee) for coin, fee in self.fees.items()},
            "rpiTakerAccess": False,
            "rpiMatchedQty": "0",
            "extraFees": "",
        }
        if not self.spot:
            row["tpslMode"] = ""  # spot orders have no such field
        if pushed:
            row |= {"category": self.category, "feeCurrency": fee_coin, "closedPnl": plain(self.closed_pnl)}
        return row


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of the account: a trade, funding, auto-deleveraging, a liquidation or a delivery. `fee` is in
    `fee_coin`, paid > 0."""

    seq: int
    exec_id: str
    kind: str
    pair: ListedPair
    spot: bool
    buy: bool
    qty: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    maker: bool
    time_ms: int
    mark: str
    index: str
    order_id: str
    link_id: str = ""
    order_kind: str = "Market"
    order_price: Decimal = _ZERO
    order_qty: Decimal = _ZERO
    left: Decimal = _ZERO
    closed: Decimal = _ZERO
    pnl: Decimal = _ZERO
    create_type: str = "CreateByUser"
    market_unit: str = ""

    @property
    def category(self) -> str:
        """spot or linear."""
        return "spot" if self.spot else "linear"

    @property
    def symbol(self) -> str:
        """The symbol of the traded leg."""
        return self.pair.spot_symbol if self.spot else self.pair.symbol

    def row(self, *, pushed: bool = False) -> dict[str, Any]:
        """The row in execution/list, or the row pushed by the execution stream."""
        row: dict[str, Any] = {
            "symbol": self.symbol,
            "orderType": self.order_kind,
            "underlyingPrice": "",
            "orderLinkId": self.link_id,
            "side": "Buy" if self.buy else "Sell",
            "indexPrice": self.index,
            "orderId": self.order_id,
            "stopOrderType": "UNKNOWN",
            "leavesQty": plain(self.left),
            "execTime": str(self.time_ms),
            "feeCurrency": self.fee_coin,
            "isMaker": self.maker,
            "execFee": plain(self.fee),
            "feeRate": plain(self.fee_rate),
            "execId": self.exec_id,
            "tradeIv": "",
            "blockTradeId": "",
            "markPrice": self.mark,
            "execPrice": plain(self.price),
            "markIv": "",
            "orderQty": plain(self.order_qty),
            "orderPrice": plain(self.order_price),
            "execValue": plain(self.value),
            "execType": self.kind,
            "execQty": plain(self.qty),
            "closedSize": plain(self.closed),
            "extraFees": "",
            "seq": self.seq,
        }
        if self.kind != "Funding":
            row["createType"] = self.create_type
        if pushed:
            row |= {
                "category": self.category,
                "isLeverage": "0",
                "marketUnit": self.market_unit,
                "execPnl": plain(self.pnl),
                "extraFees": [],
            }
        return row


def _rounded(price: Decimal, pair: ListedPair) -> Decimal:
    return price.quantize(Decimal(1).scaleb(-max(pair.decimals, pair.spot_decimals) - 2))
