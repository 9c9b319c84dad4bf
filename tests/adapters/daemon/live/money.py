"""Our ledger against the exchange's: every figure of the attribution, to the last 1e-8."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from carryfold.simexchange import SimExchange
from tests.adapters.daemon.live.session import Session

__all__ = ["Figures", "ours", "theirs"]

_E8 = Decimal("0.00000001")


class Figures(NamedTuple):
    """The result of trading, in quote. `spot` and `perp` before fees."""

    spot: Decimal
    perp: Decimal
    funding: Decimal
    fees: Decimal
    borrow: Decimal

    @property
    def total(self) -> Decimal:
        """The change of capital."""
        return self.spot + self.perp + self.funding - self.fees - self.borrow


def ours(session: Session) -> Figures:
    """The fold's book of the run."""
    names = ("long_realised", "short_realised", "funding", "fees", "borrow")
    return Figures(*(session.figure(name) * _E8 for name in names))


def theirs(venue: SimExchange) -> Figures:
    """The exchange's ledger of quote. A fee that it keeps in coins is worth its share of the purchase: so much less was
    spent on coins, and so much more on fees."""
    entries = [entry for entry in venue.ledger.entries if entry.currency == "USDT" and entry.kind != "TRANSFER_IN"]
    kept = _sum(
        (fill.value * fill.fee / fill.qty).quantize(_E8)
        for fill in venue.exchange.fills.executions
        if fill.spot and fill.fee_coin != "USDT"
    )
    return Figures(
        spot=_sum(entry.cash_flow for entry in entries if entry.category == "spot") + kept,
        perp=_sum(entry.cash_flow for entry in entries if entry.category == "linear"),
        funding=_sum(entry.funding for entry in entries),
        fees=_sum(entry.fee for entry in entries if entry.kind != "INTEREST") + kept,
        borrow=_sum(entry.fee for entry in entries if entry.kind == "INTEREST"),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
