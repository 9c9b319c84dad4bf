"""Books fills, positions and coins that the venue has and the log has not.

A fill with a client id of this run is the run's; while a process trades the pair, the fill is left to it. Any other
execution of a perpetual (auto-deleveraging, liquidation, delisting, by hand) moved the one position there is, and is
booked with its own value and fee. Spot coins have no such position: a purchase by hand belongs to somebody else, and a
sale by hand is booked only where at least as many of the run's coins are missing.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from carryfold.domain.events import ReconciliationCorrected, TradingEvent
from carryfold.domain.execution.books import LegBooks, PairBooks, RunBooks, VenueBooks, book_fill, filled_event
from carryfold.domain.execution.reports import FillReport
from carryfold.domain.execution.traded_pair import TradedPair
from carryfold.domain.instruments import InstrumentKind

__all__ = ["Findings", "adopt_coins", "adopt_fills", "adopt_positions"]


class Findings(msgspec.Struct):
    """What a reconciliation has found so far. `books` is a copy of the run's books with `events` applied."""

    books: RunBooks
    now: int
    events: list[TradingEvent] = msgspec.field(default_factory=list)
    reasons: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    def log(self, event: TradingEvent) -> None:
        """Book an event."""
        self.events.append(event)
        self.books.apply(event)

    def correct(self, pair: TradedPair, long_units: int, short_units: int, reason: str) -> None:
        """Book a difference that no record explains; a person has to look at it."""
        units = long_units, short_units
        self.log(ReconciliationCorrected(self.books.run, self.now, pair.pair, *units, Decimal(0), reason))
        self.reasons.append(f"{pair.name}: {reason}")


def adopt_fills(findings: Findings, theirs: Sequence[VenueBooks]) -> None:
    """Book every execution of the run that is not booked yet, oldest first."""
    fills = [(fill, one.venue) for one in theirs for fill in one.fills]
    for fill, venue in sorted(fills, key=lambda each: (each[0].event_at, each[0].fill_id)):
        found = _leg_of(findings, fill, venue)
        if found is None or not _is_new(findings, fill):
            continue
        if findings.books.is_ours(fill.client_id):
            if found.books.busy:
                findings.notes.append(f"{fill.client_id}: its process books a fill")
            else:
                _book(findings, fill, found)
        elif fill.kind == "perp":
            _book(findings, msgspec.structs.replace(fill, client_id=""), found)
            cause = "by hand" if fill.cause == "trade" else fill.cause
            name = found.books.pair.name
            findings.notes.append(f"{name}: {fill.side} {fill.qty} of the perpetual, {cause}: booked")


def adopt_positions(findings: Findings, theirs: VenueBooks) -> None:
    """Correct positions that still differ, perpetual by perpetual; pairs with a running process are skipped."""
    shown = {position.symbol: position.qty for position in theirs.positions}
    for symbol in _symbols(findings, theirs.venue, "perp"):
        legs = findings.books.legs_of(theirs.venue, symbol, "perp")
        if any(one.books.busy for one in legs):
            continue
        position = shown.get(symbol, Decimal(0))
        ours = sum((one.books.pair.coins(one.books.position(one.leg)) for one in legs), Decimal(0))
        found = findings.books.holder(theirs.venue, symbol, "perp", "long" if position > 0 else "short")
        assert found is not None, "every symbol is one of a leg"
        _correct_position(findings, found, position - ours)


def _correct_position(findings: Findings, found: LegBooks, difference: Decimal) -> None:
    """Move a leg to the venue's position; `difference` in coins, bought > 0."""
    books, leg = found
    pair, held = books.pair, books.held(leg)
    sign = 1 if leg == "long" else -1
    shown = pair.units(pair.coins(held) + sign * difference)
    if shown != held:
        change = shown - held
        long, short = (change, 0) if leg == "long" else (0, change)
        findings.correct(pair, long, short, f"the {leg} leg is {shown} units, not {held}")
    if shown < 0:
        wrong = "short" if leg == "long" else "long"
        findings.reasons.append(f"{pair.name}: the perpetual is {wrong}")


def adopt_coins(findings: Findings, theirs: VenueBooks) -> None:
    """Book coins that are missing from the wallet: as sales by hand where these explain it, else as corrections."""
    by_coin: dict[str, list[PairBooks]] = {}
    for books in findings.books.pairs.values():
        if books.pair.is_spot("long") and books.pair.pair.long.venue == theirs.venue:
            by_coin.setdefault(books.pair.coin, []).append(books)
    for coin, holders in by_coin.items():
        if any(books.busy for books in holders):
            continue
        wallet = theirs.account.coins.get(coin, Decimal(0))
        _adopt_sales(findings, theirs, holders, wallet)
        _correct_coins(findings, holders, wallet)


def _symbols(findings: Findings, venue: str, kind: InstrumentKind) -> list[str]:
    """The symbols of a venue that are legs of the run, each once, in the order of the pairs."""
    pairs = [books.pair.pair for books in findings.books.pairs.values()]
    legs = [leg for pair in pairs for leg in (pair.long, pair.short)]
    return list(dict.fromkeys(leg.symbol for leg in legs if leg.venue == venue and leg.kind == kind))


def _leg_of(findings: Findings, fill: FillReport, venue: str) -> LegBooks | None:
    """The leg of a fill: that of its order, else the one that holds the instrument."""
    placed = findings.books.orders.get(fill.client_id)
    if placed is not None:
        books = findings.books.of(placed.pair)
        return None if books is None else LegBooks(books, placed.leg)
    return findings.books.holder(venue, fill.symbol, fill.kind)


def _is_new(findings: Findings, fill: FillReport) -> bool:
    return fill.fill_id not in findings.books.fill_ids and fill.event_at >= findings.books.started_at


def _book(findings: Findings, fill: FillReport, found: LegBooks) -> None:
    books, leg = found
    units = books.position(leg)
    booking = book_fill(books.pair, leg, fill, books.pair.coins(units), units)
    if booking.foreign_fee:
        findings.notes.append(f"{fill.fill_id}: a fee of {fill.fee} {fill.fee_coin} is booked as 0")
    placed = findings.books.orders.get(fill.client_id)
    seq = 0 if placed is None else placed.seq
    findings.log(filled_event(findings.books.run, books.pair, leg, fill, booking, seq))


def _missing(holders: list[PairBooks], wallet: Decimal) -> Decimal:
    """Coins that are missing from the wallet, beyond a unit a pair for rounding."""
    ours = sum((books.pair.coins(books.long_units) for books in holders), Decimal(0))
    tolerance = sum((books.pair.unit for books in holders), Decimal(0))
    return ours - wallet if ours - wallet >= tolerance else Decimal(0)


def _adopt_sales(findings: Findings, theirs: VenueBooks, holders: list[PairBooks], wallet: Decimal) -> None:
    """Book sales by hand that explain missing coins, oldest first."""
    for fill in sorted(theirs.fills, key=lambda f: (f.event_at, f.fill_id)):
        if fill.kind != "spot" or fill.side != "sell" or findings.books.is_ours(fill.client_id):
            continue
        found = findings.books.holder(theirs.venue, fill.symbol, "spot", "long")
        if found is None or found.books not in holders or not _is_new(findings, fill):
            continue
        missing, pair = _missing(holders, wallet), found.books.pair
        if missing and fill.qty <= missing + pair.unit and fill.qty <= pair.coins(found.books.long_units):
            _book(findings, msgspec.structs.replace(fill, client_id=""), found)
            findings.notes.append(f"{pair.name}: sell {fill.qty} of the coins, by hand: booked")


def _correct_coins(findings: Findings, holders: list[PairBooks], wallet: Decimal) -> None:
    """Correct the largest holdings first by what is still missing, rounded up to whole units."""
    for books in sorted(holders, key=lambda b: (-b.pair.coins(b.long_units), b.pair.name)):
        missing = _missing(holders, wallet)
        units = min(-books.pair.units(-missing), books.long_units)
        if units > 0:
            findings.correct(books.pair, -units, 0, f"{missing.normalize():f} {books.pair.coin} are missing")
