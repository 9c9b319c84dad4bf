"""Events that fall due with time: settlements, deliveries, interest, resting orders and liquidation.

They are processed in that order, on whole minutes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from carryfold.simexchange.account import QUOTE, money
from carryfold.simexchange.fills import Fills
from carryfold.simexchange.funding import HOUR_MS
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.matching import MatchingEngine
from carryfold.simexchange.state import VenueState
from carryfold.simexchange.tickers import rate_text

__all__ = ["INTEREST_PER_HOUR", "Lifecycle"]

INTEREST_PER_HOUR: Final = Decimal("0.0000114155")  # 10 % a year
_ZERO: Final = Decimal(0)


class Lifecycle:
    """Processes what falls due for the account."""

    def __init__(self, state: VenueState, fills: Fills, matching: MatchingEngine) -> None:
        self._state = state
        self._fills = fills
        self._matching = matching

    def process_due(self, after_ms: int) -> None:
        """Process everything that fell due after a moment, up to now."""
        self._settle(after_ms)
        self._deliver(after_ms)
        self._charge_interest(after_ms)
        self._matching.match_resting()
        self._liquidate()

    def auto_deleverage(self, pair: ListedPair, share: Decimal) -> None:
        """Close a share of a position at the mark price, without fee or order. Does nothing without a position."""
        size = self._state.account.position(pair, self._state.now_ms).size
        qty = abs(size) * share // pair.qty_step * pair.qty_step
        if not qty:
            return
        self._fills.perp(
            pair,
            -qty if size > 0 else qty,
            self._state.mark_price(pair),
            _ZERO,
            kind="AdlTrade",
            create_type="CreateByAdl_PassThrough",
        )
        self._fills.publish_wallet()

    def _settle(self, after_ms: int) -> None:
        state, settled = self._state, False
        for position in state.account.held:
            for at_ms, rate in state.market.settlements(position.pair, after_ms, state.now_ms):
                self._fills.funding(position.pair, at_ms, Decimal(rate_text(rate)))
                settled = True
        if settled:
            self._fills.publish_wallet()

    def _deliver(self, after_ms: int) -> None:
        state = self._state
        for pair in state.market.pairs:
            if not after_ms < pair.delivery_ms <= state.now_ms:
                continue
            for order in state.orders.open:
                if order.pair is pair and not order.spot:
                    self._matching.cancel(order, "CancelBySettle")
            size = state.account.position(pair, state.now_ms).size
            if size:
                price = Decimal(fixed(state.market.delivery_price(pair), pair.decimals))
                self._fills.perp(pair, -size, price, _ZERO, kind="Delivery", create_type="CreateBySettle")
                self._fills.publish_wallet()

    def _charge_interest(self, after_ms: int) -> None:
        """Charge interest on a negative quote balance at each full hour."""
        ledger = self._state.ledger
        for hour in range(after_ms // HOUR_MS + 1, self._state.now_ms // HOUR_MS + 1):
            owed = -ledger.balance(QUOTE)
            if owed <= 0:
                return
            fee = money(owed * INTEREST_PER_HOUR)
            ledger.book("INTEREST", QUOTE, hour * HOUR_MS, fee=fee, fee_rate=INTEREST_PER_HOUR)

    def _liquidate(self) -> None:
        """While margin does not cover maintenance, cancel all orders and take positions over at the mark price,
        the one with the greatest maintenance margin first."""
        state = self._state
        while state.account.held:
            health = state.health()
            if health.margin_balance > health.maintenance:
                return
            for order in state.orders.open:
                self._matching.cancel(order, "CancelByPrepareLiq")
            marks = state.marks()
            worst = max(
                state.account.held,
                key=lambda held: abs(held.size) * marks[held.pair.symbol] * held.pair.maintenance_rate,
            )
            self._fills.perp(
                worst.pair,
                -worst.size,
                marks[worst.pair.symbol],
                state.config.perp_taker,
                kind="BustTrade",
                create_type="CreateByLiq",
            )
            self._fills.publish_wallet()
