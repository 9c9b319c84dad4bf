"""The fold's state and its outputs, as arrays of records: what the market shows (`view[M]`), what the run holds
(`pair[M]`, `book[1]`), what the simulated venue was sent (`order[M]`).

Every field is an int64 or a float64, so records have no padding, and no NaN is ever stored: the bytes of the arrays
are the snapshot. Money is int64 of 1e-8 quote, times are int64 UTC nanoseconds, NEVER stands for "not yet".
"""

from typing import Final

import numpy as np

__all__ = [
    "BOOK",
    "CLOSED_KEPT",
    "DAY",
    "DECISION",
    "FILL",
    "GATES",
    "MARKS_KEPT",
    "NEVER",
    "ORDER",
    "PAIR",
    "TALLY",
    "TURNOVER_KEPT",
    "VIEW",
]

NEVER: Final = -(2**62)
"""A time before all times. Differences with real times still fit an int64."""

MARKS_KEPT: Final = 16  # hours: an outage of one 8 h interval must not cost a payment
CLOSED_KEPT: Final = 4
TURNOVER_KEPT: Final = 24  # hours

VIEW: Final = np.dtype(
    [
        # what a decision looks at first
        ("x_count", "i8"),  # settlements that gave a rate
        ("x", "f8"),  # 8 h-equivalent of the last settled rate
        ("predicted_at", "i8"),
        ("view_known_at", "i8"),
        ("viewed", "i8"),  # 1: there is an accepted price row with both legs, "the view"
        ("priced", "i8"),
        ("market_known_at", "i8"),  # known time of the last market row
        ("interval_h", "f8"),  # 0: unknown
        # listing
        ("tag", "i8"),  # stands for the symbol in the trace: ids and ranks depend on what else a log holds
        ("listed", "i8"),
        ("listed_at", "i8"),  # 0: unknown
        ("lot", "f8"),
        ("lot_units", "i8"),
        ("min_notional", "f8"),
        ("delist_at", "i8"),  # announced; 0: not
        ("delisted", "i8"),
        ("delisted_at", "i8"),
        ("delisted_known_at", "i8"),
        ("first_at", "i8"),  # event time of the first market row
        # newest event time per lateness group
        ("price_at", "i8"),
        ("settled_at", "i8"),
        ("activity_at", "i8"),
        # the view
        ("view_at", "i8"),
        ("quoted", "i8"),  # 1: it was a quote, 0: a bar
        ("spot", "f8"),  # mids
        ("perp", "f8"),
        ("accepted_b", "f8"),
        ("both_b", "f8"),  # basis of the last row with both prices
        ("both_suspect", "i8"),
        ("mark_count", "i8"),
        ("mark_until", "i8"),  # end of the hour of the newest mark
        ("perp_turnover_count", "i8"),
        # perpetual's volatility, hourly variance
        ("vol_price", "f8"),
        ("vol_at", "i8"),
        ("vol_hour_end", "i8"),  # end of the UTC hour of the last sample
        ("vol_count", "i8"),
        ("vol_m", "f8"),
        # the sides of the last accepted quote
        ("spot_bid", "f8"),
        ("spot_ask", "f8"),
        ("perp_bid", "f8"),
        ("perp_ask", "f8"),
        # turnover of the last 24 h, in hour buckets
        ("spot_turnover_count", "i8"),
        ("spot_turnover_at", "i8", (TURNOVER_KEPT,)),
        ("spot_turnover", "f8", (TURNOVER_KEPT,)),
        ("perp_turnover_at", "i8", (TURNOVER_KEPT,)),
        ("perp_turnover", "f8", (TURNOVER_KEPT,)),
        ("spot_hourly", "f8"),  # -1: unknown
        ("perp_hourly", "f8"),
        ("hourly_count", "i8"),
        ("hourly_day", "f8"),  # EMA24
        ("hourly_week", "f8"),  # EMA168
        # basis
        ("basis_hour_end", "i8"),  # end of the UTC hour of the last sample
        ("basis_count", "i8"),
        ("basis_m", "f8"),
        ("basis_d", "f8"),
        ("basis_z", "f8"),
        # funding marks: a ring of the last one of each hour, in the order of the hours
        ("mark_at", "i8", (MARKS_KEPT,)),
        ("mark", "f8", (MARKS_KEPT,)),
        # settled rates
        ("x_before", "f8"),
        ("longer_h", "f8"),  # a longer spacing seen once
        ("ema_fast", "f8"),
        ("ema_slow", "f8"),
        ("dx", "f8"),
        ("run_h8", "f8"),  # how long x >= enter, in units of 8 h
        ("ar_end", "i8"),  # end of the open 8 h bucket
        ("ar_sum", "f8"),
        ("ar_count", "i8"),
        ("ar_before", "f8"),
        ("ar_mean", "f8"),
        ("ar_var", "f8"),
        ("ar_cov", "f8"),
        # the last prediction
        ("predicted", "f8"),
        ("predicted_h", "f8"),
        ("predicted_next", "i8"),
    ]
)
"""What the market shows of a pair. The same for every run whose `view_parameters` are equal, whatever it holds."""

PAIR: Final = np.dtype(
    [
        ("held", "i8"),  # 1: at least one leg is on
        ("pending", "i8"),  # what is ordered and not done: NOTHING, ENTRY, EXIT, SPOT_SALE
        ("selected", "i8"),  # 1: part of this run
        ("traded", "i8"),  # 1: had a filled entry in this run
        ("refusal", "i8"),  # gates that failed at the decision of `refused_at`, so that only changes are reported
        ("refused_at", "i8"),
        # what is ordered
        ("pending_at", "i8"),
        ("pending_lots", "i8"),
        ("pending_lot", "f8"),
        ("pending_size", "f8"),
        ("pending_e8", "i8"),  # capital it blocks
        # what is held
        ("held_priced", "i8"),
        ("spot_units", "i8"),  # long
        ("perp_units", "i8"),  # short, counted positive
        ("unit", "f8"),  # base coins a unit
        ("held_lots", "i8"),
        ("held_size", "f8"),  # as decided
        ("opened_at", "i8"),
        ("trade", "i8"),
        ("spot_cost", "i8"),
        ("perp_entry", "i8"),  # value the short was opened at
        ("entry_price", "f8"),  # of the perpetual
        ("spot_value", "i8"),  # at the last accepted row
        ("perp_value", "i8"),
        ("margin", "i8"),
        # the last closed holdings, for settlements that become known late
        ("closed_count", "i8"),
        ("closed_opened_at", "i8", (CLOSED_KEPT,)),
        ("closed_at", "i8", (CLOSED_KEPT,)),
        ("closed_units", "i8", (CLOSED_KEPT,)),
        ("closed_unit", "f8", (CLOSED_KEPT,)),
        ("closed_priced", "i8", (CLOSED_KEPT,)),
        ("closed_trade", "i8", (CLOSED_KEPT,)),
    ]
)
"""What a run holds and has ordered of a pair."""

GATES: Final = (
    "listed", "prices", "stale_price", "stale_rate", "halted", "delisting", "daily_loss", "margin", "capital",
    "min_notional", "slots", "break_even", "age", "interval", "too_small",
)  # fmt: skip
"""Names of the gates, in the order of their bit in `failed` and of `refused`."""

BOOK: Final = np.dtype(
    [
        ("started", "i8"),  # 1 from the first instant at or after the start
        ("simulated", "i8"),  # 1: the simulated venue answers; 0: outcomes come as rows
        ("start", "i8"),  # decisions begin at the first instant at or after it
        ("universe", "i8"),  # pairs selected for the run
        ("now", "i8"),  # the last instant folded
        ("heard_since", "i8"),  # the first instant after the last time that nothing at all was heard for dead_s
        ("due_at", "i8"),  # when the next decision is due: the end of the last one's period
        ("day_end", "i8"),  # end of the UTC day of the last instant
        ("hour_end", "i8"),  # end of the UTC hour up to which borrow interest is charged
        # money
        ("capital", "i8"),
        ("funding", "i8"),
        ("spot_realised", "i8"),
        ("perp_realised", "i8"),
        ("fees", "i8"),
        ("borrow", "i8"),
        ("slippage", "i8"),  # informational: inside spot and perp P&L
        ("liquidation", "i8"),  # informational: inside perp P&L
        # sums over held pairs
        ("spot_cost", "i8"),
        ("spot_value", "i8"),
        ("perp_entry", "i8"),
        ("perp_value", "i8"),
        ("margin", "i8"),
        ("pending_e8", "i8"),
        ("held", "i8"),
        ("pending_entries", "i8"),
        ("ordered", "i8"),  # orders the simulated venue has open
        # risk
        ("halted", "i8"),
        ("clock_off", "i8"),
        ("flatten", "i8"),
        ("day_start_equity", "i8"),
        ("peak", "f8"),  # of the drawdown throttle, decays
        ("theta", "f8"),
        ("observed_health", "f8"),
        # figures
        ("peak_equity", "i8"),
        ("max_drawdown", "f8"),
        ("min_free", "i8"),
        ("min_health", "f8"),  # HEALTHY: never had a short
        ("sampled_at", "i8"),
        ("deployed_e8_h", "f8"),  # time integral of deployed capital
        ("rows", "i8"),
        ("settlements", "i8"),
        ("payments", "i8"),
        ("no_mark", "i8"),
        ("gaps", "i8"),
        ("suspect", "i8"),
        ("late", "i8"),
        ("dropped", "i8"),
        ("decisions", "i8"),
        ("entries", "i8"),
        ("trades", "i8"),
        ("refused", "i8", (len(GATES),)),
        ("trace", "i8"),  # rolling digest of all decisions
    ]
)

TALLY: Final = np.dtype(
    [
        ("late", "i8"),
        ("suspect", "i8"),
        ("gaps", "i8"),
        ("settlements", "i8"),
        ("clock", "i8"),  # UNCHANGED, or what the last ClockStepped of the instant made of it
    ]
)
"""What observing one instant found; every book that has started counts it."""

ORDER: Final = np.dtype([("due_at", "i8")])
"""The simulated venue: when the pair's open order reaches the market."""

DECISION: Final = np.dtype(
    [
        ("t", "i8"),
        ("pair", "i8"),
        ("action", "i8"),
        ("reason", "i8"),
        ("lots", "i8"),
        ("failed", "i8"),  # bit set of gates
        ("applied", "i8"),  # gates that apply to this strategy and pair
        ("known", "i8"),  # bit set of known components
        ("size", "f8"),
        ("mid", "f8"),
        ("q", "f8"),
        ("x", "f8"),
        ("x_before", "f8"),
        ("interval_h", "f8"),
        ("conviction", "f8"),  # -1: unknown
        ("level", "f8"),
        ("trend", "f8"),
        ("persistence", "f8"),
        ("basis", "f8"),
        ("volume", "f8"),
        ("basis_z", "f8"),
        ("phi", "f8"),
        ("mu", "f8"),
        ("cost_bp", "f8"),
        ("break_even_n", "i8"),  # 0: not within 90 settlements
        ("break_even_sum", "f8"),
        ("age_d", "f8"),
        ("cap_conviction", "f8"),  # -1: does not apply
        ("cap_pair", "f8"),
        ("cap_book", "f8"),
        ("cap_liquidity", "f8"),
        ("cap_capital", "f8"),
        ("cap_correlation", "f8"),
        ("theta", "f8"),
        ("need", "i8"),
        ("free", "i8"),
        ("equity", "i8"),
        ("health", "f8"),
        ("price_age", "i8"),
        ("rate_age", "i8"),
    ]
)
"""One decision with its full working; refusals are written when the set of failed gates changes."""

FILL: Final = np.dtype(
    [
        ("t", "i8"),
        ("pair", "i8"),
        ("action", "i8"),
        ("trade", "i8"),
        ("units", "i8"),
        ("unit", "f8"),
        ("decided_at", "i8"),
        ("spot_price", "f8"),
        ("perp_price", "f8"),
        ("spot_value", "i8"),
        ("perp_value", "i8"),
        ("spot_fee", "i8"),
        ("perp_fee", "i8"),
        ("slippage", "i8"),
        ("spot_pnl", "i8"),
        ("perp_pnl", "i8"),
        ("settled_at", "i8"),
        ("rate", "f8"),
        ("mark", "f8"),
        ("amount", "i8"),  # funding received
    ]
)
"""One booking: both legs of a simulated fill, or a funding payment."""

DAY: Final = np.dtype(
    [
        ("day", "i8"),  # days since the epoch of the day that begins
        ("equity", "i8"),
        ("funding", "i8"),
        ("spot_pnl", "i8"),
        ("perp_pnl", "i8"),
        ("fees", "i8"),
        ("borrow", "i8"),
        ("deployed", "i8"),
        ("held", "i8"),
        ("theta", "f8"),
    ]
)
"""The book at a UTC-day close."""
