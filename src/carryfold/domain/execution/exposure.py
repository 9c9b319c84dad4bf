"""How much stood unhedged and for how long: one leg beyond the other by a lot or more."""

from decimal import Decimal

import msgspec

__all__ = ["Exposure"]


class Exposure(msgspec.Struct):
    """Measured from booking to booking, at the price of the last fill. Times are ns, notional is quote."""

    since: int = 0
    """When the legs came apart; 0: they match."""
    notional: Decimal = Decimal(0)
    """Unhedged value since the last booking."""
    peak_notional: Decimal = Decimal(0)
    total_ns: int = 0
    longest_ns: int = 0
    notional_ns: Decimal = Decimal(0)
    """Integral of notional over time."""
    last_at: int = 0

    def observe(self, at: int, notional: Decimal) -> None:
        """From `at` on `notional` is unhedged; 0: the legs match."""
        at = max(at, self.last_at)
        if self.since:
            elapsed = at - self.last_at
            self.total_ns += elapsed
            self.notional_ns += self.notional * elapsed
            self.longest_ns = max(self.longest_ns, at - self.since)
        self.last_at = at
        self.notional = notional
        self.peak_notional = max(self.peak_notional, notional)
        if not notional:
            self.since = 0
        elif not self.since:
            self.since = at
