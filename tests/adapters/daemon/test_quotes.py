"""The board of quotes: each leg as old as the venue says, whatever was read when."""

from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteBoard
from carryfold.domain.events import Quoted
from carryfold.eventlog import Clock

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND


def board_at(now: int) -> QuoteBoard:
    """A board whose clock stands."""
    return QuoteBoard(Pace(Clock(lambda: now, lambda: 0)))


def quoted(at: int, spot: tuple[float, float] = (99.0, 101.0), perp: tuple[float, float] = (98.0, 102.0)) -> Quoted:
    """A quote of one pair."""
    return Quoted("bybit", "AAAUSDT", 1, at, *spot, *perp)


def test_a_quote_that_lay_in_a_buffer_for_a_minute_is_a_minute_old() -> None:
    board = board_at(NOW)
    board.see(quoted(NOW - 60 * SECOND))
    quotes = board.quotes("AAAUSDT")
    assert quotes.spot is not None
    assert not quotes.fresh("spot", NOW, 59 * SECOND)
    assert quotes.fresh("perp", NOW, 60 * SECOND)


def test_a_quote_from_the_future_is_no_fresher_than_now() -> None:
    board = board_at(NOW)
    board.see(quoted(NOW + 60 * SECOND))
    assert not board.quotes("AAAUSDT").fresh("spot", NOW + 2 * SECOND, SECOND)


def test_a_leg_that_is_not_in_a_quote_keeps_its_price_and_its_age() -> None:
    board = board_at(NOW)
    board.see(quoted(NOW - 10 * SECOND))
    board.see(quoted(NOW, spot=(0.0, 0.0), perp=(97.0, 103.0)))
    quotes = board.quotes("AAAUSDT")
    assert board.mid("AAAUSDT", "spot") == 100.0
    assert not quotes.fresh("spot", NOW, 9 * SECOND)
    assert quotes.fresh("perp", NOW, 0)


def test_a_pair_that_was_never_quoted_has_no_price() -> None:
    board = board_at(NOW)
    assert board.quotes("BBBUSDT").of("spot") is None
    assert board.mid("BBBUSDT", "perp") == 0.0
