"""The fold's state and its outputs, as arrays of records: what the market shows of instruments (`market[I]`) and of
pairs (`view[M]`), what the run holds (`pair[M]`, `account[V]`, `book[1]`).

Every field is an int64 or a float64, so records have no padding, and no NaN is ever stored: the bytes of the arrays
are the snapshot. Money is int64 of 1e-8 quote, times are int64 UTC nanoseconds, NEVER stands for "not yet". Prices of
an instrument are the venue's own; those of a pair are per coin.
"""

from typing import Final

import numpy as np

from carryfold.domain.params import SHARED_GATES

__all__ = [
    "ACCOUNT",
    "BOOK",
    "BY_RATE",
    "CAPS",
    "CHOSEN",
    "CLOSED_KEPT",
    "DAY",
    "DECISION",
    "FAILED",
    "FILL",
    "GATES",
    "GATES_AT",
    "HELD",
    "HELD_AT",
    "INSTRUMENT",
    "MARKS_BEFORE",
    "NEVER",
    "NUMBERS",
    "OWN_GATES",
    "PAIR",
    "RATES",
    "SCORES",
    "SCORES_OF_PAIRS",
    "TALLY",
    "TURNOVERS",
    "TURNOVERS_AT",
    "TURNOVERS_BEFORE",
    "VIEW",
]

NEVER: Final = -(2**62)
"""A time before all times. Differences with real times still fit an int64."""

MARKS_BEFORE: Final = 15  # hours before the newest one: an outage of one 8 h interval must not cost a payment
CLOSED_KEPT: Final = 4
TURNOVERS_BEFORE: Final = 23  # hours before the newest one
SCORES: Final = 8  # of a strategy, in its decision record
CAPS: Final = 8
OWN_GATES: Final = 8

INSTRUMENT: Final = np.dtype(
    [
        # the last price, a quote's mid or a bar's close: what every price row changes comes first, side by side
        ("market_known_at", "i8"),  # known time of the last price or settlement
        ("newest_at", "i8"),  # newest event time of a price row
        ("perp", "i8"),  # 1: a perpetual
        ("price", "f8"),  # 0: none yet
        ("price_mark", "f8"),  # the mark beside it, else itself
        ("price_at", "i8"),
        ("price_known_at", "i8"),
        ("bar_ns", "i8"),  # length of the last price's bar; 0: it is a quote's
        ("bid", "f8"),  # of the last quote; 0: the last price is a bar's
        ("ask", "f8"),
        ("multiplier", "f8"),
        ("suspect_at", "i8"),  # the instant at which it was part of a suspect row of its venue's carry pair
        # the newest mark
        ("mark_until", "i8"),  # end of its hour
        ("mark_at", "i8"),
        ("mark", "f8"),
        # volatility of a perpetual, hourly variance
        ("vol_hour_end", "i8"),  # end of the UTC hour of the last sample
        # turnover of the newest hour
        ("turnover_until", "i8"),  # end of the hour
        ("turnover_at", "i8"),  # event time of the newest row
        ("turnover", "f8"),
        ("turnover_entered_at", "i8"),  # the last instant at which some was added
        ("last_turnover", "f8"),  # of the last row, and its minutes
        ("last_minutes", "i8"),
        ("vol_price", "f8"),
        ("vol_at", "i8"),
        ("vol_count", "i8"),
        ("vol_m", "f8"),
        # settled rates
        ("settled_at", "i8"),  # newest event time
        ("rate_count", "i8"),  # settlements that gave a rate
        ("rate_8h", "f8"),  # 8 h-equivalent of the last settled rate
        ("rate", "f8"),  # the last settled rate itself
        ("set_at", "i8"),  # the instant and the settlement at which `rate_8h` was set
        ("set_for", "i8"),
        ("interval_h", "f8"),  # 0: unknown
        ("longer_h", "f8"),  # a longer spacing seen once
        ("first_at", "i8"),  # event time of the first price or settlement
        # the last prediction
        ("predicted_at", "i8"),
        ("predicted", "f8"),
        ("predicted_h", "f8"),
        ("predicted_next", "i8"),
        # listing
        ("listed", "i8"),
        ("listed_at", "i8"),  # 0: unknown
        ("lot", "f8"),
        ("min_notional", "f8"),
        ("delist_at", "i8"),  # announced; 0: not
        ("delisted", "i8"),
        ("delisted_at", "i8"),
        ("delisted_known_at", "i8"),
        ("activity_at", "i8"),  # newest event time of an activity row
        ("outside", "i8"),  # 1: not of the run's universe now, so its pairs are not entered
        # rings of the last mark and of the turnover of each hour before the newest, in the order of the hours
        ("mark_count", "i8"),
        ("turnover_count", "i8"),
        ("marks_at", "i8", (MARKS_BEFORE,)),
        ("marks", "f8", (MARKS_BEFORE,)),
        ("turnovers_at", "i8", (TURNOVERS_BEFORE,)),
        ("turnovers", "f8", (TURNOVERS_BEFORE,)),
    ]
)
"""What the market shows of an instrument. The same for every run, whatever its parameters."""

VIEW: Final = np.dtype(
    [
        ("long", "i8"),  # indices of the legs' instruments; long -1: an assumed spot leg
        ("short", "i8"),
        ("carry", "i8"),  # 1: the long leg is a spot
        ("one_venue", "i8"),
        ("long_venue", "i8"),  # indices of the legs' accounts
        ("short_venue", "i8"),
        ("shares_legs", "i8"),  # 1: an instrument of it is a leg of another pair too
        # what a decision looks at first
        ("rate_count", "i8"),  # observations of the pair's rate
        ("rate_8h", "f8"),  # 8 h-equivalent: the short leg's less the long leg's
        ("rate_8h_before", "f8"),
        ("seen_at", "i8"),  # the instant and the settlement of the last observation
        ("seen_for", "i8"),
        ("priced", "i8"),
        ("waits", "i8"),  # 1: its spot is not listed yet, and another pair of the perpetual stands for it
        # the last accepted pair row
        ("viewed", "i8"),
        ("view_known_at", "i8"),
        ("view_at", "i8"),  # the older of the legs' event times
        ("long_price", "f8"),  # mids or closes, per coin
        ("short_price", "f8"),
        ("tried_at", "i8"),  # the last instant at which a pair row was looked for
        ("accepted_b", "f8"),
        ("both_b", "f8"),  # basis of the last pair row
        ("both_suspect", "i8"),
        ("long_bid", "f8"),  # the legs' sides; 0: a bar's
        ("long_ask", "f8"),
        ("short_bid", "f8"),
        ("short_ask", "f8"),
        # facts
        ("lot", "f8"),  # coins
        ("min_notional", "f8"),
        ("tag", "i8"),  # stands for the pair in the trace: indices depend on what else a log holds
        # averages of the rate
        ("ema_fast", "f8"),
        ("ema_slow", "f8"),
        ("rate_step", "f8"),
        ("periods_above", "f8"),  # how long rate_8h >= enter, in units of 8 h
        ("trend_score", "f8"),
        # forecast
        ("ar_end", "i8"),  # end of the open 8 h bucket
        ("ar_sum", "f8"),
        ("ar_count", "i8"),
        ("ar_before", "f8"),
        ("ar_mean", "f8"),
        ("ar_var", "f8"),
        ("ar_cov", "f8"),
        # basis
        ("basis_hour_end", "i8"),  # end of the UTC hour of the last sample
        ("basis_count", "i8"),
        ("basis_m", "f8"),
        ("basis_d", "f8"),
        ("basis_z", "f8"),
        ("basis_score", "f8"),  # -1: unknown
        # volume: hourly turnover of the smaller known leg
        ("hourly_at", "i8"),  # the instant of the last update
        ("hourly_count", "i8"),
        ("hourly_day", "f8"),  # EMA24
        ("hourly_week", "f8"),  # EMA168
        ("volume_score", "f8"),  # -1: unknown
    ]
)
"""What the market shows of a pair. The same for every run whose `view_parameters` are equal, whatever it holds."""

PAIR: Final = np.dtype(
    [
        ("held", "i8"),  # 1: at least one leg is on
        ("pending", "i8"),  # what is ordered and not done: NOTHING, ENTRY, EXIT, LONG_EXIT, SHORT_EXIT
        ("due_at", "i8"),  # when the simulated venue has the order
        ("closed_count", "i8"),
        ("closed_until", "i8"),  # when the last of them was closed
        ("traded", "i8"),  # 1: had a filled entry in this run
        ("refusal", "i8"),  # gates that failed at the decision of `refused_at`, so that only changes are reported
        ("refused_at", "i8"),
        ("long_bp", "f8"),  # taker fees
        ("short_bp", "f8"),
        # what is ordered
        ("pending_at", "i8"),
        ("pending_lots", "i8"),
        ("pending_lot", "f8"),
        ("pending_size", "f8"),
        ("pending_long_e8", "i8"),  # capital it blocks at the long leg's venue; all of it where that is the only one
        ("pending_short_e8", "i8"),
        # what is held
        ("held_priced", "i8"),
        ("long_units", "i8"),
        ("short_units", "i8"),  # counted positive
        ("unit", "f8"),  # base coins a unit
        ("held_lots", "i8"),
        ("held_size", "f8"),  # as decided
        ("opened_at", "i8"),
        ("trade", "i8"),
        ("long_cost", "i8"),
        ("short_entry", "i8"),  # value the short was opened at
        ("long_entry_price", "f8"),
        ("short_entry_price", "f8"),
        ("long_value", "i8"),  # at the last accepted row
        ("short_value", "i8"),
        ("long_margin", "i8"),  # 0 for a spot leg
        ("short_margin", "i8"),
        # the last closed holdings, for settlements that become known late; a leg that is still open: NEVER
        ("closed_opened_at", "i8", (CLOSED_KEPT,)),
        ("closed_long_at", "i8", (CLOSED_KEPT,)),
        ("closed_short_at", "i8", (CLOSED_KEPT,)),
        ("closed_units", "i8", (CLOSED_KEPT,)),
        ("closed_unit", "f8", (CLOSED_KEPT,)),
        ("closed_priced", "i8", (CLOSED_KEPT,)),
        ("closed_trade", "i8", (CLOSED_KEPT,)),
    ]
)
"""What a run holds and has ordered of a pair."""

ACCOUNT: Final = np.dtype(
    [
        ("capital", "i8"),
        ("cash", "i8"),  # capital and everything booked
        ("borrow", "i8"),
        ("spot_cost", "i8"),
        ("spot_value", "i8"),
        ("perp_pnl", "i8"),  # unrealised
        ("perp_notional", "i8"),
        ("margin", "i8"),
        ("pending_e8", "i8"),
        ("min_free", "i8"),
        ("min_health", "f8"),
        ("largest_in", "i8"),  # the most that equity here has stood above the start, and below it
        ("largest_out", "i8"),
    ]
)
"""What a run has at one venue."""

GATES: Final = SHARED_GATES
"""Names of the gates that all strategies share, in the order of their bit in `failed`; a strategy's own follow."""

BOOK: Final = np.dtype(
    [
        ("started", "i8"),  # 1 from the first instant at or after the start
        ("simulated", "i8"),  # 1: the simulated venue answers; 0: outcomes come as rows
        ("start", "i8"),  # decisions begin at the first instant at or after it
        ("across", "i8"),  # 1: some pair has its legs at two venues
        ("now", "i8"),  # the last instant folded
        ("data_since", "i8"),  # the first instant after the last time that nothing at all was heard for dead_s
        ("due_at", "i8"),  # when the next decision is due: the end of the last one's period
        ("day_end", "i8"),  # end of the UTC day of the last instant
        ("hour_end", "i8"),  # end of the UTC hour up to which borrow interest is charged
        # money
        ("capital", "i8"),
        ("funding", "i8"),
        ("long_realised", "i8"),
        ("short_realised", "i8"),
        ("fees", "i8"),
        ("borrow", "i8"),
        ("slippage", "i8"),  # informational: inside the legs' P&L
        ("liquidation", "i8"),  # informational: inside the legs' P&L and fees
        # sums over held pairs
        ("long_cost", "i8"),
        ("long_value", "i8"),
        ("short_entry", "i8"),
        ("short_value", "i8"),
        ("deployed", "i8"),  # spot cost and margin
        ("spot_pnl_e8", "i8"),  # the part of long P&L that spot legs have realised
        ("spot_cost", "i8"),
        ("spot_value", "i8"),
        ("held", "i8"),
        ("held_changes", "i8"),  # how often a holding began or ended
        ("pending_entries", "i8"),
        ("ordered", "i8"),  # orders the simulated venue has open
        # risk
        ("halted", "i8"),
        ("clock_off", "i8"),
        ("flatten", "i8"),
        ("day_start_equity", "i8"),
        ("peak", "f8"),  # of the drawdown throttle, decays
        ("throttle", "f8"),
        ("observed_health", "f8"),
        # figures
        ("peak_equity", "i8"),
        ("max_drawdown", "f8"),
        ("sampled_at", "i8"),
        ("deployed_e8_h", "f8"),  # time integral of deployed capital
        ("gross_e8_h", "f8"),  # time integral of the long legs' value
        ("rows", "i8"),
        ("settlements", "i8"),
        ("payments", "i8"),
        ("edge_payments", "i8"),
        ("no_mark", "i8"),
        ("gaps", "i8"),
        ("suspect", "i8"),
        ("late", "i8"),
        ("dropped", "i8"),
        ("decisions", "i8"),
        ("entries", "i8"),
        ("trades", "i8"),
        ("liquidations", "i8"),
        ("refused", "i8", (len(GATES) + OWN_GATES,)),
        ("trace", "i8"),  # rolling digest of all decisions
    ]
)

RATES: Final = 0
SCORES_OF_PAIRS: Final = 1
TURNOVERS: Final = 2
NUMBERS: Final = 3
"""Rows of the kernel's working numbers: rates and scores by pair, turnover of 24 h by instrument."""

GATES_AT: Final = 0
FAILED: Final = 1
CHOSEN: Final = 2
BY_RATE: Final = 3
TURNOVERS_AT: Final = 4
HELD_AT: Final = 5
HELD: Final = 6
"""Rows of its working integers: market gates of each pair and their instant, pairs in the order in which they are
looked at, pairs by rate, the instant of each instrument's turnover, and from HELD on, for each run, the pairs that it
holds, as of `book.held_changes` in HELD_AT."""

TALLY: Final = np.dtype(
    [
        ("ready", "i8"),  # 1: the rates are worked out, and `shared`
        ("shared", "i8"),  # pairs of one instrument, at most
        ("late", "i8"),
        ("suspect", "i8"),
        ("gaps", "i8"),
        ("settlements", "i8"),
        ("clock", "i8"),  # UNCHANGED, or what the last ClockStepped of the instant made of it
    ]
)
"""What observing one instant found; every book that has started counts it."""

DECISION: Final = np.dtype(
    [
        ("t", "i8"),
        ("pair", "i8"),
        ("action", "i8"),
        ("reason", "i8"),
        ("lots", "i8"),
        ("failed", "i8"),  # bit set of gates
        ("applied", "i8"),  # gates that apply to this strategy and pair
        ("size", "f8"),
        ("mid", "f8"),  # of the long leg
        ("estimate_8h", "f8"),  # the rate that the strategy went by
        ("rate_8h", "f8"),
        ("rate_8h_before", "f8"),
        ("interval_h", "f8"),
        ("score", "f8"),
        ("known_pairs", "i8"),  # carry pairs known by then
        ("age_d", "f8"),
        ("gross", "f8"),  # of the book, at current prices, and as decided
        ("total", "f8"),
        ("squares", "f8"),
        ("turnover", "f8"),  # the smaller known leg's of 24 h; -1: unknown
        ("long_turnover", "f8"),
        ("short_turnover", "f8"),
        ("sigma_d", "f8"),
        ("round_trip_bp", "f8"),  # fees, spread and slippage of both legs, in and out, without impact
        ("capital_room", "f8"),  # the largest size that free capital allows
        ("throttle", "f8"),
        ("need", "i8"),  # of the venue where free capital leaves least
        ("free", "i8"),
        ("equity", "i8"),
        ("health", "f8"),  # the lower of the venues concerned
        ("price_age", "i8"),
        ("rate_age", "i8"),
        ("scores", "f8", (SCORES,)),  # of the strategy, by its SCORES; -1: unknown
        ("caps", "f8", (CAPS,)),  # by its CAPS; -1: does not apply
    ]
)
"""One decision with its full working; refusals are written when the set of failed gates changes. A strategy sizes an
entry by what is in this record, and leaves its own scores and caps in it."""

FILL: Final = np.dtype(
    [
        ("t", "i8"),
        ("pair", "i8"),
        ("action", "i8"),
        ("trade", "i8"),
        ("leg", "i8"),  # BOTH, LONG, SHORT
        ("units", "i8"),
        ("unit", "f8"),
        ("decided_at", "i8"),
        ("long_price", "f8"),
        ("short_price", "f8"),
        ("long_value", "i8"),
        ("short_value", "i8"),
        ("long_fee", "i8"),
        ("short_fee", "i8"),
        ("slippage", "i8"),
        ("long_pnl", "i8"),
        ("short_pnl", "i8"),
        ("settled_at", "i8"),
        ("rate", "f8"),
        ("mark", "f8"),
        ("amount", "i8"),  # funding received
    ]
)
"""One booking: a simulated fill of one or both legs, or a funding payment of one."""

DAY: Final = np.dtype(
    [
        ("day", "i8"),  # days since the epoch of the day that begins
        ("equity", "i8"),
        ("funding", "i8"),
        ("long_pnl", "i8"),
        ("short_pnl", "i8"),
        ("spot_pnl", "i8"),
        ("fees", "i8"),
        ("borrow", "i8"),
        ("deployed", "i8"),
        ("held", "i8"),
        ("throttle", "f8"),
    ]
)
"""The book at a UTC-day close."""
