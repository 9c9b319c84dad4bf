"""Bring our books to the venues', as events, and say whether the two agree.

What explains a difference is booked as it was: a missed fill by its id, a payment by its settlement, each once, with
the venue's own value and fee. What no record explains is adopted as a correction and is a reason not to trade on before
a person has looked. Nothing is ever sold to make books agree. Applying the events and reconciling again gives none.

Tolerances: a position may differ by less than one unit of the holding; coins in the wallet may be fewer by less than
one unit a pair, and may be more by any amount: an account may hold coins that are not the run's, and what a run wrote
off stays there. Cash is not compared: deposits and withdrawals are not ours to explain.
"""

import copy
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    FundingCorrected,
    FundingPaid,
    OrderCancelled,
    OrderRejected,
    TradingEvent,
)
from carryfold.domain.execution.adoption import adopt_coins, adopt_fills, adopt_positions
from carryfold.domain.execution.books import OurBooks, VenueBooks
from carryfold.domain.execution.pair import TradedPair
from carryfold.domain.execution.reports import FundingReport, NotFound, OrderReport
from carryfold.domain.execution.verdict import Verdict

__all__ = ["Reconciliation", "funding_paid", "needs_repair", "reconcile"]


class Reconciliation(msgspec.Struct, frozen=True):
    """`events` bring our books to the venues'. `reasons`: why the two do not agree (read-only until they do); `notes`:
    what a person may want to know; `repairs`: names of pairs whose legs are apart by a lot or more."""

    events: tuple[TradingEvent, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def agreed(self) -> bool:
        """True if nothing is left unexplained."""
        return not self.reasons


def funding_paid(books: OurBooks, venue: str, report: FundingReport, now: int) -> FundingPaid | None:
    """The event of one payment as the private stream tells it; None for one that is booked, or is not ours."""
    found = books.holder(venue, report.symbol, "perp")
    if found is None or report.settled_at < books.started_at:
        return None
    pair, leg = found.books.pair.pair, found.leg
    if (pair.leg(leg), report.settled_at) in books.funding:
        return None
    return FundingPaid(books.run, now, pair, leg, report.settled_at, report.amount, report.venue_id)


def needs_repair(pair: TradedPair, long_units: int, short_units: int, price: Decimal = Decimal(0)) -> bool:
    """True if the legs (both counted positive) are apart by a lot or more and the venue trades so little, at `price`
    (0: not known, then by the lot alone)."""
    gap = long_units - short_units
    if abs(gap) < pair.lot_units:
        return False
    if not pair.rules("long" if gap > 0 else "short").trading:
        return False
    if not price or gap < 0 or short_units < 0:
        return True
    return pair.long.takes(pair.long.floor(pair.coins(gap)), price, reduces=not pair.is_spot("long"))


def reconcile(ours: OurBooks, theirs: Sequence[VenueBooks], now: int) -> Reconciliation:
    """Compare with what each venue says, and say what to log. `ours` is not changed: apply the events once they are
    logged."""
    verdict = Verdict(copy.deepcopy(ours), now)
    adopt_fills(verdict, theirs)
    for one in theirs:
        _adopt_funding(verdict, one)
        _adopt_interest(verdict, one)
        _adopt_answers(verdict, one)
        adopt_positions(verdict, one)
        adopt_coins(verdict, one)
        _look_for_strangers(verdict, one)
    prices = {(one.venue, position.symbol): position.mark_price for one in theirs for position in one.positions}
    repairs = [
        name
        for name, books in verdict.books.pairs.items()
        if not books.busy
        and needs_repair(
            books.pair, books.long_units, books.short_units, prices.get(books.pair.pair.short[:2], Decimal(0))
        )
    ]
    return Reconciliation(tuple(verdict.events), tuple(verdict.reasons), tuple(verdict.notes), tuple(repairs))


def _adopt_funding(verdict: Verdict, theirs: VenueBooks) -> None:
    """Book each settlement once. A venue may pay one in several records, each with its own id; a record that comes
    twice counts once, and one that says something else later is a correction of the difference."""
    books = verdict.books
    paid: dict[tuple[str, int], dict[str, FundingReport]] = {}
    for report in sorted(theirs.funding, key=lambda r: (r.settled_at, r.symbol, r.venue_id)):
        if report.settled_at >= books.started_at:
            paid.setdefault((report.symbol, report.settled_at), {})[report.venue_id] = report
    for (symbol, settled_at), records in paid.items():
        found = books.holder(theirs.venue, symbol, "perp")
        if found is None:
            continue
        pair, leg, amount = found.books.pair, found.leg, sum((r.amount for r in records.values()), Decimal(0))
        booked = books.funding.get((pair.pair.leg(leg), settled_at))
        key = (books.run, verdict.now, pair.pair, leg, settled_at)
        if booked is None:
            verdict.log(FundingPaid(*key, amount, venue_id=min(records)))
        elif booked.amount != amount:
            by = amount - booked.amount
            verdict.log(FundingCorrected(*key, by, booked.amount, venue_id=min(records), caused_by=booked.seq))
            verdict.notes.append(f"{pair.name}: funding of {settled_at} is {amount}, not {booked.amount}")


def _adopt_interest(verdict: Verdict, theirs: VenueBooks) -> None:
    """Book each charge once. It is the account's, and all of it is the run's: only its coins and shorts cost cash."""
    books = verdict.books
    venue = books.venue_named(theirs.venue)
    for report in sorted(theirs.interest, key=lambda r: (r.charged_at, r.venue_id)):
        if (venue, report.venue_id) not in books.interest and report.charged_at >= books.started_at:
            verdict.log(BorrowCharged(books.run, report.charged_at, report.amount, report.venue_id, venue))


def _adopt_answers(verdict: Verdict, theirs: VenueBooks) -> None:
    """Orders of ours without an end: closed ones and absent ones get it, others are a reason to wait."""
    books = verdict.books
    for client_id, intent in sorted(books.intents.items()):
        pair = books.of(intent.pair)
        if pair is None or pair.busy or intent.instrument.venue != theirs.venue:
            continue
        answer, filled = theirs.answers.get(client_id), books.filled.get(client_id, Decimal(0))
        key = (books.run, verdict.now, intent.pair, intent.leg, client_id)
        seq = books.orders[client_id].seq
        if isinstance(answer, NotFound) and filled == 0:
            verdict.log(OrderRejected(*key, "absent", seq))
        elif isinstance(answer, NotFound):
            verdict.log(OrderCancelled(*key, "absent", seq))
        elif isinstance(answer, OrderReport) and not answer.open and answer.filled <= filled:
            verdict.log(OrderCancelled(*key, answer.reason, seq))
        else:
            verdict.reasons.append(f"{pair.pair.name}: it is not known what became of {client_id}")


def _look_for_strangers(verdict: Verdict, theirs: VenueBooks) -> None:
    """Open orders on our instruments that no process of ours waits for."""
    books = verdict.books
    for order in theirs.orders:
        holder = books.holder(theirs.venue, order.symbol, order.kind)
        if holder is None or not order.open:
            continue
        intent = books.intents.get(order.client_id)
        at_work = None if intent is None else books.of(intent.pair)
        if at_work is None or not at_work.busy:
            name = holder.books.pair.name
            verdict.reasons.append(f"{name}: an open order of {order.qty} ({order.side} {order.kind}) is not ours")
