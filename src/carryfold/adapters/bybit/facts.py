"""The rules of Bybit that other code goes by, each with its source."""

from __future__ import annotations

from typing import Final

from carryfold.adapters.venues.facts import ClientIds, VenueFacts
from carryfold.domain.premium import FundingFormula

__all__ = ["FACTS", "VENUE_NAME"]

VENUE_NAME: Final = "bybit"

FACTS: Final = VenueFacts(
    funding=FundingFormula(),  # help center, "Introduction to Funding Rate"
    funding_price="mark",
    intervals_hours=(1, 2, 4, 8),  # fundingInterval of instruments-info
    settlement_jitter_s=0.0,  # fundingRateTimestamp is the whole hour
    settlement_edge_s=5.0,  # help center: positions opened or closed within 5 s may or may not be charged
    quiet_s=60.0,  # tickers show the old interval's rate for some seconds after a settlement
    receive_window_s=5.0,  # X-BAPI-RECV-WINDOW as this adapter sends it
    client_ids=ClientIds(r"[A-Za-z0-9_-]{1,36}", reuse="never"),  # orderLinkId of order/create
    account="unified",  # classic accounts are refused
    quote_coin="USDT",  # perpetuals that settle in USDC are left out
    spot_fee_coin="received",  # feeCurrency of execution/list
    bar_minutes=(1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1_440),  # interval of market/kline
)
