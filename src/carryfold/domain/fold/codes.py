"""Integer codes of the fold: what the fields of its records mean. The compiled code uses them as constants."""

from typing import Final

from carryfold.domain.params import CHOICES
from carryfold.domain.rows import Kind

__all__ = ["ACTIONS", "BOOKINGS", "REASONS"]

HOUR: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR
SECOND: Final = 1_000_000_000
EXACT: Final = 9007199254740992.0  # 2**53
HEALTHY: Final = 1e300  # margin health without a short

SIMPLE: Final = CHOICES["strategy"].index("simple")
COMPOSITE: Final = CHOICES["strategy"].index("composite")
HOLD: Final = CHOICES["strategy"].index("hold")
SETTLED: Final = CHOICES["rate_source"].index("settled")
PREDICTED: Final = CHOICES["rate_source"].index("predicted")
SAME: Final = CHOICES["fill"].index("same")
SPLIT: Final = CHOICES["account"].index("split")

# pair.pending
NOTHING: Final = 0
ENTRY: Final = 1
EXIT: Final = 2
SPOT_SALE: Final = 3

# decision.action
ENTER: Final = 1
LEAVE: Final = 2
REFUSE: Final = 3
ACTIONS: Final = ("", "enter", "exit", "refused")

# decision.reason
R_WANTED: Final = 0
R_RATE: Final = 1
R_DELISTING: Final = 2
R_FLATTEN: Final = 3
REASONS: Final = ("wanted", "rate below exit", "delisting", "flatten")

# fill.action
F_ENTER: Final = 1
F_EXIT: Final = 2
F_DELISTED: Final = 3
F_ENDED: Final = 4
F_LIQUIDATED: Final = 5
F_SPOT_SOLD: Final = 6
F_FUNDING: Final = 7
BOOKINGS: Final = ("", "enter", "exit", "delisted", "data ended", "liquidated", "spot sold", "funding")

# gates, in the order of state.GATES
G_LISTED: Final = 0
G_PRICES: Final = 1
G_STALE_PRICE: Final = 2
G_STALE_RATE: Final = 3
G_HALTED: Final = 4
G_DELISTING: Final = 5
G_DAILY_LOSS: Final = 6
G_MARGIN: Final = 7
G_CAPITAL: Final = 8
G_MIN_NOTIONAL: Final = 9
G_SLOTS: Final = 10
G_BREAK_EVEN: Final = 11
G_AGE: Final = 12
G_INTERVAL: Final = 13
G_TOO_SMALL: Final = 14

# row kinds as plain integers
QUOTED: Final = int(Kind.QUOTED)
BAR_CLOSED: Final = int(Kind.BAR_CLOSED)
FUNDING_SETTLED: Final = int(Kind.FUNDING_SETTLED)
FUNDING_REVISED: Final = int(Kind.FUNDING_REVISED)
FUNDING_PREDICTED: Final = int(Kind.FUNDING_PREDICTED)
ACTIVITY_OBSERVED: Final = int(Kind.ACTIVITY_OBSERVED)
PAIR_LISTED: Final = int(Kind.PAIR_LISTED)
PAIR_CHANGED: Final = int(Kind.PAIR_CHANGED)
PAIR_DELISTED: Final = int(Kind.PAIR_DELISTED)
CLOCK_STEPPED: Final = int(Kind.CLOCK_STEPPED)
ORDER_ACCEPTED: Final = int(Kind.ORDER_ACCEPTED)
ORDER_REJECTED: Final = int(Kind.ORDER_REJECTED)
ORDER_FILLED: Final = int(Kind.ORDER_FILLED)
ORDER_CANCELLED: Final = int(Kind.ORDER_CANCELLED)
FUNDING_PAID: Final = int(Kind.FUNDING_PAID)
BORROW_CHARGED: Final = int(Kind.BORROW_CHARGED)
MARGIN_OBSERVED: Final = int(Kind.MARGIN_OBSERVED)
RECONCILIATION_CORRECTED: Final = int(Kind.RECONCILIATION_CORRECTED)
HALTED: Final = int(Kind.HALTED)
RESUMED: Final = int(Kind.RESUMED)
FLATTEN_REQUESTED: Final = int(Kind.FLATTEN_REQUESTED)
