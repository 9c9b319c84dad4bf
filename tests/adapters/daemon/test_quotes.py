"""The quote cache: a quote is as old as the venue's time of it, whenever it was read."""

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.domain.events import InstrumentListed, Quoted
from carryfold.domain.instruments import Instrument, carry_pair
from carryfold.eventlog import Clock

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND
PAIR = carry_pair("bybit", "1000AAAUSDT", 1, "AAAUSDT")


def cache_at(now: int) -> QuoteCache:
    """A cache with a stopped clock, for a perpetual on a thousand coins."""
    cache = QuoteCache(DaemonClock(Clock(lambda: now, lambda: 0)))
    facts = "AAA", "USDT", 1.0, 5.0
    cache.follow([InstrumentListed(*PAIR.long, 0, *facts), InstrumentListed(*PAIR.short, 0, *facts, multiplier=1000.0)])
    return cache


def quoted(instrument: Instrument, at: int, bid: float, ask: float) -> Quoted:
    """A quote of one instrument."""
    return Quoted(*instrument, at, bid, ask)


def test_a_quote_that_lay_in_a_buffer_for_a_minute_is_a_minute_old() -> None:
    cache = cache_at(NOW)
    cache.update(quoted(PAIR.long, NOW - 60 * SECOND, 99.0, 101.0))
    quotes = cache.quotes(PAIR)
    assert quotes.long is not None
    assert not quotes.fresh("long", NOW, 59 * SECOND)
    assert quotes.fresh("long", NOW, 60 * SECOND)


def test_a_quote_from_the_future_is_no_fresher_than_now() -> None:
    cache = cache_at(NOW)
    cache.update(quoted(PAIR.long, NOW + 60 * SECOND, 99.0, 101.0))
    assert not cache.quotes(PAIR).fresh("long", NOW + 2 * SECOND, SECOND)


def test_each_leg_keeps_its_own_price_and_age() -> None:
    cache = cache_at(NOW)
    cache.update(quoted(PAIR.long, NOW - 10 * SECOND, 99.0, 101.0))
    cache.update(quoted(PAIR.short, NOW, 97_000.0, 103_000.0))
    quotes = cache.quotes(PAIR)
    assert cache.mid(PAIR.long) == 100.0
    assert not quotes.fresh("long", NOW, 9 * SECOND)
    assert quotes.fresh("short", NOW, 0)


def test_prices_are_per_coin_whatever_the_venue_counts_in() -> None:
    cache = cache_at(NOW)
    cache.update(quoted(PAIR.short, NOW, 97_000.0, 103_000.0))
    quote = cache.quotes(PAIR).short
    assert quote is not None
    assert (quote.bid, quote.ask, cache.mid(PAIR.short)) == (97.0, 103.0, 100.0)


def test_a_pair_that_was_never_quoted_has_no_price() -> None:
    cache = cache_at(NOW)
    assert cache.quotes(PAIR).of("long") is None
    assert cache.mid(PAIR.short) == 0.0
