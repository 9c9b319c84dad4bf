"""The account's ledger: every change of a balance, with its reason, exact to the last digit.

A balance is always the sum of its entries, so that tests and bots can check their own sums against it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from carryfold.simexchange.listed_pair import plain

__all__ = ["Entry", "Ledger"]

_ZERO: Final = Decimal(0)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a balance. `change` = `cash_flow` + `funding` - `fee`, in `currency`; funding received > 0, fees
    paid > 0. `size` is the position after the change, or the balance of the coin for a spot trade."""

    seq: int
    time_ms: int
    kind: str
    currency: str
    category: str = ""
    symbol: str = ""
    side: str = "None"
    qty: Decimal = _ZERO
    size: Decimal = _ZERO
    price: Decimal = _ZERO
    cash_flow: Decimal = _ZERO
    funding: Decimal = _ZERO
    fee: Decimal = _ZERO
    fee_rate: Decimal = _ZERO
    balance: Decimal = _ZERO
    order_id: str = ""
    link_id: str = ""
    trade_id: str = ""

    @property
    def change(self) -> Decimal:
        """The change of the balance."""
        return self.cash_flow + self.funding - self.fee

    def row(self, account: int) -> dict[str, Any]:
        """As /v5/account/transaction-log shows it."""
        return {
            "transSubType": "",
            "id": f"{account}_{self.symbol or self.currency}_{self.seq}",
            "symbol": self.symbol,
            "side": self.side,
            "funding": plain(self.funding) if self.kind == "SETTLEMENT" else "",
            "orderLinkId": self.link_id,
            "orderId": self.order_id,
            "fee": plain(self.fee),
            "change": plain(self.change),
            "cashFlow": plain(self.cash_flow),
            "transactionTime": str(self.time_ms),
            "type": self.kind,
            "feeRate": plain(self.fee_rate),
            "bonusChange": "",
            "size": plain(self.size),
            "qty": plain(self.qty),
            "cashBalance": plain(self.balance),
            "currency": self.currency,
            "category": self.category,
            "tradePrice": plain(self.price) if self.price else "",
            "tradeId": self.trade_id,
            "extraFees": "",
        }


class Ledger:
    """Balances by coin and their entries in order. `realised` sums all entries but transfers, by coin."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.balances: dict[str, Decimal] = {}
        self.realised: dict[str, Decimal] = {}

    def balance(self, coin: str) -> Decimal:
        """The balance of a coin; only USDT can be negative."""
        return self.balances.get(coin, _ZERO)

    def book(self, kind: str, currency: str, time_ms: int, **details: Any) -> Entry:
        """Record one change and return it."""
        draft = Entry(seq=len(self.entries) + 1, time_ms=time_ms, kind=kind, currency=currency, **details)
        entry = msgspec.structs.replace(draft, balance=self.balance(currency) + draft.change)
        self.balances[currency] = entry.balance
        self.entries.append(entry)
        if kind not in ("TRANSFER_IN", "TRANSFER_OUT"):
            self.realised[currency] = self.realised.get(currency, _ZERO) + entry.change
        return entry

    def total(self, currency: str, *kinds: str) -> Decimal:
        """Sum of the changes of a coin, over entries of these kinds, or of all kinds when none is given."""
        return sum(
            (
                entry.change
                for entry in self.entries
                if entry.currency == currency and (not kinds or entry.kind in kinds)
            ),
            _ZERO,
        )
