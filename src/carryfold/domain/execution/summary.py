"""What a process came to: holdings, orders, fees, and how much stood unhedged for how long."""

from decimal import Decimal

import msgspec

from carryfold.domain.execution.ledger import Ledger

__all__ = ["Summary", "summarise"]


class Summary(msgspec.Struct, frozen=True):
    """Units are the holding's, amounts quote. `outcome` is empty while the process runs."""

    process: str
    outcome: str
    long_units: int
    short_units: int
    residual: Decimal
    """Value that stands unhedged now; below a lot it counts as hedged."""
    orders: int
    incomplete: int
    fees: Decimal
    unhedged_s: float
    longest_unhedged_s: float
    peak_unhedged: Decimal
    unhedged_notional_s: Decimal
    why: str = ""


def summarise(ledger: Ledger, now: int = 0) -> Summary:
    """As of the last event, or as of `now` (UTC ns) if that is later."""
    exposure = msgspec.structs.replace(ledger.exposure)
    exposure.observe(now, exposure.notional)
    return Summary(
        process=ledger.spec.process,
        outcome=ledger.outcome,
        long_units=ledger.long_units,
        short_units=ledger.short_units,
        residual=ledger.spec.pair.coins(abs(ledger.gap)) * ledger.price,
        orders=len(ledger.orders),
        incomplete=sum(order.missed for order in ledger.orders.values()),
        fees=ledger.fees,
        unhedged_s=exposure.total_ns / 1e9,
        longest_unhedged_s=exposure.longest_ns / 1e9,
        peak_unhedged=exposure.peak_notional,
        unhedged_notional_s=exposure.notional_ns / 1_000_000_000,
        why=ledger.why,
    )
