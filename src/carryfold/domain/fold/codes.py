"""Integer codes of the fold: what the fields of its records mean. The compiled code uses them as constants."""

from typing import Final

from carryfold.domain.fold.state import GATES
from carryfold.domain.params import CHOICES
from carryfold.domain.rows import Kind

__all__ = ["ACTIONS", "BOOKINGS", "LEGS", "REASONS"]

HOUR: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR
SECOND: Final = 1_000_000_000
EXACT: Final = 9007199254740992.0  # 2**53
HEALTHY: Final = 1e300  # margin health without a perpetual
FOREVER: Final = 2**62

SETTLED: Final = CHOICES["rate_source"].index("settled")
PREDICTED: Final = CHOICES["rate_source"].index("predicted")
SAME: Final = CHOICES["fill"].index("same")
SPLIT: Final = CHOICES["account"].index("split")

# pair.pending
NOTHING: Final = 0
ENTRY: Final = 1
EXIT: Final = 2
SPOT_SALE: Final = 3  # the long leg, at the next pair row, after its short was liquidated
LONG_EXIT: Final = 4  # one leg, at its own instrument's next price
SHORT_EXIT: Final = 5

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
F_LEG_CLOSED: Final = 6
F_FUNDING: Final = 7
BOOKINGS: Final = ("", "enter", "exit", "delisted", "data ended", "liquidated", "leg closed", "funding")

# fill.leg
BOTH: Final = 0
LONG: Final = 1
SHORT: Final = 2
LEGS: Final = ("", "long", "short")

# bits of gates
G_LISTED: Final = 1 << GATES.index("listed")
G_PRICES: Final = 1 << GATES.index("prices")
G_STALE_PRICE: Final = 1 << GATES.index("stale_price")
G_STALE_RATE: Final = 1 << GATES.index("stale_rate")
G_HALTED: Final = 1 << GATES.index("halted")
G_DELISTING: Final = 1 << GATES.index("delisting")
G_DAILY_LOSS: Final = 1 << GATES.index("daily_loss")
G_MARGIN: Final = 1 << GATES.index("margin")
G_CAPITAL: Final = 1 << GATES.index("capital")
G_MIN_NOTIONAL: Final = 1 << GATES.index("min_notional")
G_SLOTS: Final = 1 << GATES.index("slots")
G_BUSY: Final = 1 << GATES.index("busy")
G_UNIVERSE: Final = 1 << GATES.index("universe")
SHARED_GATES: Final = (1 << len(GATES)) - 1

QUOTED: Final = int(Kind.QUOTED)
BAR_CLOSED: Final = int(Kind.BAR_CLOSED)
FUNDING_SETTLED: Final = int(Kind.FUNDING_SETTLED)
FUNDING_REVISED: Final = int(Kind.FUNDING_REVISED)
FUNDING_PREDICTED: Final = int(Kind.FUNDING_PREDICTED)
ACTIVITY_OBSERVED: Final = int(Kind.ACTIVITY_OBSERVED)
INSTRUMENT_LISTED: Final = int(Kind.INSTRUMENT_LISTED)
INSTRUMENT_CHANGED: Final = int(Kind.INSTRUMENT_CHANGED)
INSTRUMENT_DELISTED: Final = int(Kind.INSTRUMENT_DELISTED)
CLOCK_STEPPED: Final = int(Kind.CLOCK_STEPPED)
UNIVERSE_CHANGED: Final = int(Kind.UNIVERSE_CHANGED)
ORDER_ACCEPTED: Final = int(Kind.ORDER_ACCEPTED)
LONG_FILLED: Final = int(Kind.LONG_FILLED)
SHORT_FILLED: Final = int(Kind.SHORT_FILLED)
HEDGE_ENDED: Final = int(Kind.HEDGE_ENDED)
FUNDING_PAID: Final = int(Kind.FUNDING_PAID)
FUNDING_CORRECTED: Final = int(Kind.FUNDING_CORRECTED)
BORROW_CHARGED: Final = int(Kind.BORROW_CHARGED)
MARGIN_OBSERVED: Final = int(Kind.MARGIN_OBSERVED)
RECONCILIATION_CORRECTED: Final = int(Kind.RECONCILIATION_CORRECTED)
LONG_ADOPTED: Final = int(Kind.LONG_ADOPTED)
SHORT_ADOPTED: Final = int(Kind.SHORT_ADOPTED)
HALTED: Final = int(Kind.HALTED)
RESUMED: Final = int(Kind.RESUMED)
FLATTEN_REQUESTED: Final = int(Kind.FLATTEN_REQUESTED)
