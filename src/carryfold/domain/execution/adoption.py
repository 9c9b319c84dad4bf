"""Fills we missed, positions and coins that differ: what is ours is booked as it was, what is not is left alone.

Whose is a fill? One with a client id of this run is ours; where a process is at work on the pair, it is left to that.
Any other execution of a perpetual of ours (auto-deleveraging, liquidation, delisting, by hand) has moved the one
position there is, and is booked with its own value and fee. Coins have no such position: a purchase by hand is
somebody's own, and a sale is booked only where coins of ours are missing, if it is not larger than what is missing.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from carryfold.domain.execution.booking import book_fill, filled_event
from carryfold.domain.execution.books import LegBooks, PairBooks, VenueBooks
from carryfold.domain.execution.reports import FillReport
from carryfold.domain.execution.verdict import Verdict
from carryfold.domain.instruments import InstrumentKind

__all__ = ["adopt_coins", "adopt_fills", "adopt_positions"]


def adopt_fills(verdict: Verdict, theirs: Sequence[VenueBooks]) -> None:
    """Book every execution that is ours and not booked yet, oldest first."""
    fills = [(fill, one.venue) for one in theirs for fill in one.fills]
    for fill, venue in sorted(fills, key=lambda each: (each[0].event_at, each[0].fill_id)):
        found = _leg_of(verdict, fill, venue)
        if found is None or not _is_news(verdict, fill):
            continue
        if verdict.books.is_ours(fill.client_id):
            if found.books.busy:
                verdict.notes.append(f"{fill.client_id}: a fill is left to its process")
            else:
                _book(verdict, fill, found)
        elif fill.kind == "perp":
            _book(verdict, msgspec.structs.replace(fill, client_id=""), found)
            cause = "by hand" if fill.cause == "trade" else fill.cause
            name = found.books.pair.name
            verdict.notes.append(f"{name}: {fill.side} {fill.qty} of the perpetual, {cause}, is booked")


def adopt_positions(verdict: Verdict, theirs: VenueBooks) -> None:
    """What is left of differences in positions, perpetual by perpetual; a pair at work cannot be judged."""
    shown = {position.symbol: position.qty for position in theirs.positions}
    for symbol in _symbols(verdict, theirs.venue, "perp"):
        legs = verdict.books.legs_of(theirs.venue, symbol, "perp")
        if any(one.books.busy for one in legs):
            continue
        position = shown.get(symbol, Decimal(0))
        ours = sum((one.books.pair.coins(one.books.position(one.leg)) for one in legs), Decimal(0))
        found = verdict.books.holder(theirs.venue, symbol, "perp", "long" if position > 0 else "short")
        assert found is not None, "a symbol of ours is a leg of ours"
        _correct_position(verdict, found, position - ours)


def _correct_position(verdict: Verdict, found: LegBooks, difference: Decimal) -> None:
    """Bring a leg to where the venue has it; `difference` in coins, bought > 0."""
    books, leg = found
    pair, held = books.pair, books.held(leg)
    sign = 1 if leg == "long" else -1
    shown = pair.units(pair.coins(held) + sign * difference)
    if shown != held:
        change = shown - held
        long, short = (change, 0) if leg == "long" else (0, change)
        verdict.correct(pair, long, short, f"the {leg} leg is {shown} units, not {held}")
    if shown < 0:
        wrong = "short" if leg == "long" else "long"
        verdict.reasons.append(f"{pair.name}: the perpetual is {wrong}")


def adopt_coins(verdict: Verdict, theirs: VenueBooks) -> None:
    """Coins of ours that the wallet does not hold: sales by hand first, corrections for the rest."""
    by_coin: dict[str, list[PairBooks]] = {}
    for books in verdict.books.pairs.values():
        if books.pair.is_spot("long") and books.pair.pair.long.venue == theirs.venue:
            by_coin.setdefault(books.pair.coin, []).append(books)
    for coin, holders in by_coin.items():
        if any(books.busy for books in holders):
            continue
        wallet = theirs.account.coins.get(coin, Decimal(0))
        _adopt_sales(verdict, theirs, holders, wallet)
        _correct_coins(verdict, holders, wallet)


def _symbols(verdict: Verdict, venue: str, kind: InstrumentKind) -> list[str]:
    """The instruments of a venue that are legs of ours, each once, in the order of the pairs."""
    pairs = [books.pair.pair for books in verdict.books.pairs.values()]
    legs = [leg for pair in pairs for leg in (pair.long, pair.short)]
    return list(dict.fromkeys(leg.symbol for leg in legs if leg.venue == venue and leg.kind == kind))


def _leg_of(verdict: Verdict, fill: FillReport, venue: str) -> LegBooks | None:
    """The leg that a fill moves: that of its order, else the one that holds the instrument."""
    placed = verdict.books.orders.get(fill.client_id)
    if placed is not None:
        books = verdict.books.of(placed.pair)
        return None if books is None else LegBooks(books, placed.leg)
    return verdict.books.holder(venue, fill.symbol, fill.kind)


def _is_news(verdict: Verdict, fill: FillReport) -> bool:
    return fill.fill_id not in verdict.books.fill_ids and fill.event_at >= verdict.books.started_at


def _book(verdict: Verdict, fill: FillReport, found: LegBooks) -> None:
    books, leg = found
    units = books.position(leg)
    booking = book_fill(books.pair, leg, fill, books.pair.coins(units), units)
    if booking.foreign_fee:
        verdict.notes.append(f"{fill.fill_id}: a fee of {fill.fee} {fill.fee_coin} is booked as 0")
    placed = verdict.books.orders.get(fill.client_id)
    seq = 0 if placed is None else placed.seq
    verdict.log(filled_event(verdict.books.run, books.pair, leg, fill, booking, seq))


def _missing(holders: list[PairBooks], wallet: Decimal) -> Decimal:
    """Coins of ours that are not there; a unit a pair may be lost to rounding."""
    ours = sum((books.pair.coins(books.long_units) for books in holders), Decimal(0))
    tolerance = sum((books.pair.unit for books in holders), Decimal(0))
    return ours - wallet if ours - wallet >= tolerance else Decimal(0)


def _adopt_sales(verdict: Verdict, theirs: VenueBooks, holders: list[PairBooks], wallet: Decimal) -> None:
    """Sales by hand that explain missing coins, oldest first."""
    for fill in sorted(theirs.fills, key=lambda f: (f.event_at, f.fill_id)):
        if fill.kind != "spot" or fill.side != "sell" or verdict.books.is_ours(fill.client_id):
            continue
        found = verdict.books.holder(theirs.venue, fill.symbol, "spot", "long")
        if found is None or found.books not in holders or not _is_news(verdict, fill):
            continue
        missing, pair = _missing(holders, wallet), found.books.pair
        if missing and fill.qty <= missing + pair.unit and fill.qty <= pair.coins(found.books.long_units):
            _book(verdict, msgspec.structs.replace(fill, client_id=""), found)
            verdict.notes.append(f"{pair.name}: sell {fill.qty} of the coins, by hand, is booked")


def _correct_coins(verdict: Verdict, holders: list[PairBooks], wallet: Decimal) -> None:
    """Take what is still missing from the largest holdings first, rounded up to whole units."""
    for books in sorted(holders, key=lambda b: (-b.pair.coins(b.long_units), b.pair.name)):
        missing = _missing(holders, wallet)
        units = min(-books.pair.units(-missing), books.long_units)
        if units > 0:
            verdict.correct(books.pair, -units, 0, f"{missing.normalize():f} {books.pair.coin} are missing")
