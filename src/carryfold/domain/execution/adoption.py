"""Fills we missed, positions and coins that differ: what is ours is booked as it was, what is not is left alone.

Whose is a fill? One with a client id of this run is ours; where a process is at work on the pair, it is left to that.
Any other execution of a perpetual of ours (auto-deleveraging, liquidation, delisting, by hand) has moved the one
position there is, and is booked with its own value and fee. Coins have no such position: a purchase by hand is
somebody's own, and a sale is booked only where coins of ours are missing, if it is not larger than what is missing.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from carryfold.domain.execution.booking import book_fill, filled_event
from carryfold.domain.execution.books import PairBooks, VenueBooks
from carryfold.domain.execution.ids import parse_client_id
from carryfold.domain.execution.reports import FillReport
from carryfold.domain.execution.verdict import Verdict

__all__ = ["adopt_coins", "adopt_fills", "adopt_positions"]


def adopt_fills(verdict: Verdict, theirs: VenueBooks) -> None:
    """Book every execution that is ours and not booked yet, oldest first."""
    for fill in sorted(theirs.fills, key=lambda f: (f.event_at, f.fill_id)):
        if not _is_news(verdict, fill):
            continue
        if _is_ours(verdict, fill):
            if verdict.books.pairs[fill.symbol].busy:
                verdict.notes.append(f"{fill.client_id}: a fill is left to its process")
            else:
                _book(verdict, fill)
        elif fill.leg == "perp":
            _book(verdict, msgspec.structs.replace(fill, client_id=""))
            cause = "by hand" if fill.cause == "trade" else fill.cause
            verdict.notes.append(f"{fill.symbol}: {fill.side} {fill.qty} of the perpetual, {cause}, is booked")


def adopt_positions(verdict: Verdict, theirs: VenueBooks) -> None:
    """What is left of differences in positions, pair by pair; a pair at work cannot be judged."""
    shown = {position.symbol: position.qty for position in theirs.positions}
    for symbol, books in verdict.books.pairs.items():
        if books.busy:
            continue
        short = books.pair.units(-shown.get(symbol, Decimal(0)))
        if short != books.perp_units:
            difference = short - books.perp_units
            verdict.correct(books.pair, 0, difference, f"the short is {short} units, not {books.perp_units}")
        if short < 0:
            verdict.reasons.append(f"{symbol}: the perpetual is long")


def adopt_coins(verdict: Verdict, theirs: VenueBooks) -> None:
    """Coins of ours that the wallet does not hold: sales by hand first, corrections for the rest."""
    by_coin: dict[str, list[PairBooks]] = {}
    for books in verdict.books.pairs.values():
        by_coin.setdefault(books.pair.spot_coin, []).append(books)
    for coin, holders in by_coin.items():
        if any(books.busy for books in holders):
            continue
        wallet = theirs.account.coins.get(coin, Decimal(0))
        _adopt_sales(verdict, theirs.fills, holders, wallet)
        _correct_coins(verdict, holders, wallet)


def _is_news(verdict: Verdict, fill: FillReport) -> bool:
    books = verdict.books
    known = fill.fill_id in books.fill_ids or fill.event_at < books.started_at
    return not known and fill.symbol in books.pairs


def _is_ours(verdict: Verdict, fill: FillReport) -> bool:
    name = parse_client_id(fill.client_id)
    return name is not None and (name.tag, name.run) == (verdict.books.tag, verdict.books.run)


def _book(verdict: Verdict, fill: FillReport) -> None:
    books = verdict.books.pairs[fill.symbol]
    units = books.spot_units if fill.leg == "spot" else -books.perp_units
    booking = book_fill(books.pair, fill, books.pair.coins(units), units)
    if booking.foreign_fee:
        verdict.notes.append(f"{fill.fill_id}: a fee of {fill.fee} {fill.fee_coin} is booked as 0")
    verdict.log(filled_event(verdict.books.run, books.pair, fill, booking))


def _missing(holders: list[PairBooks], wallet: Decimal) -> Decimal:
    """Coins of ours that are not there; a unit a pair may be lost to rounding."""
    ours = sum((books.pair.coins(books.spot_units) for books in holders), Decimal(0))
    tolerance = sum((books.pair.unit for books in holders), Decimal(0))
    return ours - wallet if ours - wallet >= tolerance else Decimal(0)


def _adopt_sales(verdict: Verdict, fills: Iterable[FillReport], holders: list[PairBooks], wallet: Decimal) -> None:
    """Sales by hand that explain missing coins, oldest first."""
    symbols = {books.pair.symbol for books in holders}
    for fill in sorted(fills, key=lambda f: (f.event_at, f.fill_id)):
        if fill.symbol not in symbols or fill.leg != "spot" or fill.side != "sell":
            continue
        if not _is_news(verdict, fill) or _is_ours(verdict, fill):
            continue
        missing = _missing(holders, wallet)
        pair = verdict.books.pairs[fill.symbol].pair
        if missing and fill.qty <= missing + pair.unit and fill.qty <= pair.coins(_units(verdict, fill)):
            _book(verdict, msgspec.structs.replace(fill, client_id=""))
            verdict.notes.append(f"{fill.symbol}: sell {fill.qty} of the coins, by hand, is booked")


def _units(verdict: Verdict, fill: FillReport) -> int:
    return verdict.books.pairs[fill.symbol].spot_units


def _correct_coins(verdict: Verdict, holders: list[PairBooks], wallet: Decimal) -> None:
    """Take what is still missing from the largest holdings first, rounded up to whole units."""
    for books in sorted(holders, key=lambda b: (-b.pair.coins(b.spot_units), b.pair.symbol)):
        missing = _missing(holders, wallet)
        units = min(-books.pair.units(-missing), books.spot_units)
        if units > 0:
            verdict.correct(books.pair, -units, 0, f"{missing.normalize():f} {books.pair.spot_coin} are missing")
