"""Bring our books to the venue's, as events, and say whether the two agree.

What explains a difference is booked as it was: a missed fill by its id, a payment by its settlement, each once, with
the venue's own value and fee. What no record explains is adopted as a correction and is a reason not to trade on before
a person has looked. Nothing is ever sold to make books agree. Applying the events and reconciling again gives none.

Tolerances: a position may differ by less than one unit of the holding; coins in the wallet may be fewer by less than
one unit a pair, and may be more by any amount: an account may hold coins that are not the run's, and what a run wrote
off stays there. Cash is not compared: deposits and withdrawals are not ours to explain.
"""

import copy
from decimal import Decimal

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    FundingPaid,
    OrderCancelled,
    OrderRejected,
    ReconciliationCorrected,
    TradingEvent,
)
from carryfold.domain.execution.adoption import adopt_coins, adopt_fills, adopt_positions
from carryfold.domain.execution.books import FUNDING_CORRECTION, OurBooks, VenueBooks
from carryfold.domain.execution.pair import TradedPair
from carryfold.domain.execution.reports import FundingReport, InterestReport, NotFound, OrderReport
from carryfold.domain.execution.verdict import Verdict

__all__ = ["Reconciliation", "funding_paid", "needs_repair", "reconcile"]


class Reconciliation(msgspec.Struct, frozen=True):
    """`events` bring our books to the venue's. `reasons`: why the two do not agree (read-only until they do); `notes`:
    what a person may want to know; `repairs`: symbols whose legs are apart by a lot or more."""

    events: tuple[TradingEvent, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def agreed(self) -> bool:
        """True if nothing is left unexplained."""
        return not self.reasons


def funding_paid(run: int, pair: TradedPair, report: FundingReport, now: int) -> FundingPaid:
    """The event of one payment as the private stream tells it."""
    key = (run, now, pair.venue, pair.symbol, pair.listing)
    return FundingPaid(*key, report.settled_at, report.amount, venue_id=report.venue_id)


def needs_repair(pair: TradedPair, spot_units: int, perp_units: int, price: Decimal = Decimal(0)) -> bool:
    """True if the legs (both counted positive) are apart by a lot or more and the venue trades so little, at `price`
    (0: not known, then by the lot alone)."""
    gap = spot_units - perp_units
    if abs(gap) < pair.lot_units:
        return False
    if not price or gap < 0 or perp_units < 0:
        return True
    return pair.spot.takes(pair.spot.floor(pair.coins(gap)), price)


def reconcile(ours: OurBooks, theirs: VenueBooks, now: int) -> Reconciliation:
    """Compare, and say what to log. `ours` is not changed: apply the events once they are logged."""
    verdict = Verdict(copy.deepcopy(ours), now)
    adopt_fills(verdict, theirs)
    _adopt_funding(verdict, theirs.funding)
    _adopt_interest(verdict, theirs.interest)
    _adopt_answers(verdict, theirs)
    adopt_positions(verdict, theirs)
    adopt_coins(verdict, theirs)
    _look_for_strangers(verdict, theirs.orders)
    prices = {position.symbol: position.mark_price for position in theirs.positions}
    repairs = [
        symbol
        for symbol, books in verdict.books.pairs.items()
        if not books.busy
        and needs_repair(books.pair, books.spot_units, books.perp_units, prices.get(symbol, Decimal(0)))
    ]
    return Reconciliation(tuple(verdict.events), tuple(verdict.reasons), tuple(verdict.notes), tuple(repairs))


def _adopt_funding(verdict: Verdict, reports: tuple[FundingReport, ...]) -> None:
    """Book each settlement once. A venue may pay one in several records, each with its own id; a record that comes
    twice counts once, and one that says something else later is a correction of the difference."""
    books = verdict.books
    paid: dict[tuple[str, int], dict[str, Decimal]] = {}
    for report in sorted(reports, key=lambda r: (r.settled_at, r.symbol, r.venue_id)):
        if report.symbol in books.pairs and report.settled_at >= books.started_at:
            paid.setdefault((report.symbol, report.settled_at), {})[report.venue_id] = report.amount
    for (symbol, settled_at), records in paid.items():
        pair, amount = books.pairs[symbol].pair, sum(records.values(), Decimal(0))
        booked = books.funding.get((symbol, settled_at))
        key = (books.run, verdict.now, pair.venue, symbol, pair.listing)
        if booked is None:
            verdict.log(FundingPaid(*key, settled_at, amount, venue_id=min(records)))
        elif booked != amount:
            reason = f"{FUNDING_CORRECTION}{settled_at} is {amount}, not {booked}"
            verdict.log(ReconciliationCorrected(*key, 0, 0, amount - booked, reason))
            verdict.notes.append(f"{symbol}: {reason}")


def _adopt_interest(verdict: Verdict, reports: tuple[InterestReport, ...]) -> None:
    """Book each charge once. It is the account's, and all of it is the run's: only its coins and shorts cost cash."""
    books = verdict.books
    for report in sorted(reports, key=lambda r: (r.charged_at, r.venue_id)):
        if report.venue_id not in books.interest and report.charged_at >= books.started_at:
            verdict.log(BorrowCharged(books.run, report.charged_at, report.amount, report.venue_id))


def _adopt_answers(verdict: Verdict, theirs: VenueBooks) -> None:
    """Orders of ours without an end: closed ones and absent ones get it, others are a reason to wait."""
    books = verdict.books
    for client_id, intent in sorted(books.intents.items()):
        pair = books.pairs.get(intent.symbol)
        if pair is None or pair.busy:
            continue
        answer, filled = theirs.answers.get(client_id), books.filled.get(client_id, Decimal(0))
        key = (books.run, verdict.now, intent.venue, intent.symbol, intent.listing)
        if isinstance(answer, NotFound) and filled == 0:
            verdict.log(OrderRejected(*key, client_id=client_id, reason="absent"))
        elif isinstance(answer, NotFound):
            verdict.log(OrderCancelled(*key, client_id=client_id, reason="absent"))
        elif isinstance(answer, OrderReport) and not answer.open and answer.filled <= filled:
            verdict.log(OrderCancelled(*key, client_id=client_id, reason=answer.reason))
        else:
            verdict.reasons.append(f"{intent.symbol}: it is not known what became of {client_id}")


def _look_for_strangers(verdict: Verdict, orders: tuple[OrderReport, ...]) -> None:
    """Open orders on our pairs that no process of ours waits for."""
    books = verdict.books
    for order in orders:
        pair = books.pairs.get(order.symbol)
        if pair is None or not order.open:
            continue
        if order.client_id not in books.intents or not pair.busy:
            verdict.reasons.append(
                f"{order.symbol}: an open order of {order.qty} ({order.side} {order.leg}) is not ours"
            )
