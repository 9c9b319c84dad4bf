"""The gates that all strategies share: what the market, the run and its accounts say against an entry.
(docs/semantics.md 5.)"""

from typing import Any

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.codes import (
    G_CAPITAL,
    G_DAILY_LOSS,
    G_DELISTING,
    G_HALTED,
    G_LISTED,
    G_MARGIN,
    G_PRICES,
    G_SLOTS,
    G_STALE_PRICE,
    G_STALE_RATE,
    G_UNIVERSE,
    HOUR,
    NOTHING,
    SECOND,
)
from carryfold.domain.fold.money import equity, free_capital, margin_health, needs
from carryfold.domain.fold.state import FAILED, GATES_AT, NEVER

MIN_HEALTH = 3.0
ENDED = 1 << 40  # beside the gates that the market fails: a leg of the pair is gone


@compiled
def _is_silent(known_at: int, book: Any, params: Any, t: int) -> bool:
    """True if what had market rows has had none for more than dead_s, while others went on. What nobody listened to
    (the daemon was down) is no end."""
    return known_at != NEVER and t - max(known_at, book.data_since) > params.dead_s * SECOND


@compiled
def ended_legs(market: Any, v: Any, book: Any, params: Any, t: int) -> tuple[bool, bool]:
    """(the long leg's market is gone, the short leg's is): delisted, or its data ended. The data of a carry pair of one
    venue ends with the newer of its legs."""
    short = market[v.short]
    if v.carry != 0 and v.one_venue != 0:
        known_at = short.market_known_at
        delisted = short.delisted != 0
        if v.long >= 0:
            known_at = max(known_at, market[v.long].market_known_at)
            delisted = delisted or market[v.long].delisted != 0
        ended = delisted or _is_silent(known_at, book, params, t)
        return ended, ended
    long = market[v.long]
    return (
        long.delisted != 0 or _is_silent(long.market_known_at, book, params, t),
        short.delisted != 0 or _is_silent(short.market_known_at, book, params, t),
    )


@compiled
def stale_ns(market: Any, v: Any, params: Any) -> int:
    """How old a price may be: stale_s, but at least the longer bar of the legs' last prices."""
    longest = market[v.short].bar_ns
    if v.long >= 0:
        longest = max(longest, market[v.long].bar_ns)
    return max(params.stale_s * SECOND, longest)


@compiled
def market_gates(market: Any, v: Any, book: Any, params: Any, t: int) -> int:
    """The shared gates that fail by what the market shows of the pair, as a bit set, with ENDED: the same for every run
    that has the same limits of age."""
    failed = 0
    short = market[v.short]
    if short.listed == 0 or short.listed_at > t or v.waits != 0:
        failed |= G_LISTED
    if short.delist_at != 0:
        failed |= G_DELISTING
    if short.outside != 0:
        failed |= G_UNIVERSE
    if _is_rate_stale(short, t):
        failed |= G_STALE_RATE
    if v.long >= 0:
        long = market[v.long]
        if long.listed_at > t or (long.listed == 0 and (v.carry == 0 or v.one_venue == 0)):
            failed |= G_LISTED
        if long.delist_at != 0:
            failed |= G_DELISTING
        if long.outside != 0:
            failed |= G_UNIVERSE
        if v.carry == 0 and _is_rate_stale(long, t):
            failed |= G_STALE_RATE
    long_ended, short_ended = ended_legs(market, v, book, params, t)
    if long_ended or short_ended:
        failed |= G_LISTED | ENDED
    if v.priced != 0:
        if v.viewed == 0:
            failed |= G_PRICES | G_STALE_PRICE
        elif t - v.view_at > stale_ns(market, v, params):
            failed |= G_STALE_PRICE
    return failed


@compiled
def _is_rate_stale(m: Any, t: int) -> bool:
    """True without a rate, or if the last one is older than one and a half intervals."""
    if m.settled_at == NEVER or m.interval_h <= 0.0:
        return True
    return float(t - m.settled_at) > 1.5 * m.interval_h * HOUR


@compiled
def gates_now(market: Any, views: Any, book: Any, params: Any, t: int, pair: int, integers: Any) -> int:
    """market_gates of a pair, worked out once an instant."""
    if integers[GATES_AT, pair] != t:
        integers[GATES_AT, pair] = t
        integers[FAILED, pair] = market_gates(market, views[pair], book, params, t)
    return integers[FAILED, pair]


@compiled
def book_gates(book: Any, params: Any) -> int:
    """The shared gates that fail by the state of the run alone."""
    failed = 0
    if book.halted != 0 or book.clock_off != 0 or book.flatten != 0:
        failed |= G_HALTED
    if not float(book.day_start_equity - equity(book)) < params.daily_loss_limit * params.capital * 1e8:
        failed |= G_DAILY_LOSS
    if book.held + book.pending_entries >= params.max_positions:
        failed |= G_SLOTS
    return failed


@compiled
def account_gates(v: Any, p: Any, book: Any, accounts: Any, params: Any, size: float) -> int:
    """The shared gates that fail by what the venues of the pair's legs hold."""
    failed = 0
    at_long, at_short = needs(v, p, params, max(size, 0.0))
    account = accounts[v.long_venue]
    if not margin_health(account, book, params) >= MIN_HEALTH:
        failed |= G_MARGIN
    if free_capital(account) < at_long:
        failed |= G_CAPITAL
    if v.long_venue != v.short_venue:
        account = accounts[v.short_venue]
        if not margin_health(account, book, params) >= MIN_HEALTH:
            failed |= G_MARGIN
        if free_capital(account) < at_short:
            failed |= G_CAPITAL
    return failed


@compiled
def is_busy(v: Any, links: Any, pairs: Any, pair: int) -> bool:
    """True if an instrument of the pair is a leg of another held or pending pair."""
    if v.shares_legs == 0:
        return False
    for k in range(links[v.short], links[v.short + 1]):
        other = links[k]
        if other != pair and (pairs[other].held != 0 or pairs[other].pending != NOTHING):
            return True
    if v.long >= 0:
        for k in range(links[v.long], links[v.long + 1]):
            other = links[k]
            if other != pair and (pairs[other].held != 0 or pairs[other].pending != NOTHING):
                return True
    return False
