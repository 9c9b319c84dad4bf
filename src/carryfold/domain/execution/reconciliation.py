"""Compares a run's books with its venues' and returns the events to book so that they agree.

A difference with an explanation is booked as it happened: a missing fill by its id, a payment by its settlement, each
once, with the venue's value and fee. A difference without one is booked as a correction, and is a reason to open
nothing until a person has looked. No order is ever sent to make books agree. Applying the events and reconciling again
gives no events.

Tolerances: a position may differ by less than one unit of the holding. The wallet may hold less than one unit a pair
too few coins, and any number too many, because an account may hold coins that are not the run's, and written-off coins
stay there. Cash is not compared, because deposits and withdrawals are not in the log.
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
from carryfold.domain.execution.adoption import Findings, adopt_coins, adopt_fills, adopt_positions
from carryfold.domain.execution.books import RunBooks, VenueBooks
from carryfold.domain.execution.reports import FundingReport, NotFound, OrderReport
from carryfold.domain.execution.traded_pair import TradedPair

__all__ = ["Reconciliation", "funding_paid", "needs_repair", "reconcile"]


class Reconciliation(msgspec.Struct, frozen=True):
    """`events`: what to log so that the books agree; `reasons`: why they still disagree (nothing is opened until they
    agree); `notes`: for a person; `repairs`: the names of pairs whose legs differ by a lot or more."""

    events: tuple[TradingEvent, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def agreed(self) -> bool:
        """True if every difference is explained."""
        return not self.reasons


def funding_paid(books: RunBooks, venue: str, report: FundingReport, now: int) -> FundingPaid | None:
    """The event for a payment that the private stream reported; None if it is booked already or not of this run."""
    found = books.holder(venue, report.symbol, "perp")
    if found is None or report.settled_at < books.started_at:
        return None
    pair, leg = found.books.pair.pair, found.leg
    if (pair.leg(leg), report.settled_at) in books.funding:
        return None
    return FundingPaid(books.run, now, pair, leg, report.settled_at, report.amount, report.venue_id)


def needs_repair(pair: TradedPair, long_units: int, short_units: int, price: Decimal = Decimal(0)) -> bool:
    """True if the legs (both counted positive) differ by a lot or more and the venue trades the difference at `price`
    (0: not known; the least notional is then ignored)."""
    gap = long_units - short_units
    if abs(gap) < pair.lot_units:
        return False
    if not pair.rules("long" if gap > 0 else "short").trading:
        return False
    if not price or gap < 0 or short_units < 0:
        return True
    return pair.long.takes(pair.long.floor(pair.coins(gap)), price, reduces=not pair.is_spot("long"))


def reconcile(ours: RunBooks, theirs: Sequence[VenueBooks], now: int) -> Reconciliation:
    """Compare the run's books with those of each venue. `ours` is not changed: apply the events once they are
    logged."""
    findings = Findings(copy.deepcopy(ours), now)
    adopt_fills(findings, theirs)
    for one in theirs:
        _adopt_funding(findings, one)
        _adopt_interest(findings, one)
        _close_intents(findings, one)
        adopt_positions(findings, one)
        adopt_coins(findings, one)
        _find_foreign_orders(findings, one)
    prices = {(one.venue, position.symbol): position.mark_price for one in theirs for position in one.positions}
    repairs = [
        name
        for name, books in findings.books.pairs.items()
        if not books.busy
        and needs_repair(
            books.pair, books.long_units, books.short_units, prices.get(books.pair.pair.short[:2], Decimal(0))
        )
    ]
    return Reconciliation(tuple(findings.events), tuple(findings.reasons), tuple(findings.notes), tuple(repairs))


def _adopt_funding(findings: Findings, theirs: VenueBooks) -> None:
    """Book each settlement once. A venue may report one in several records, each with its own id. A repeated record
    counts once, and a total that changed later is booked as a correction of the difference."""
    books = findings.books
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
        key = (books.run, findings.now, pair.pair, leg, settled_at)
        if booked is None:
            findings.log(FundingPaid(*key, amount, venue_id=min(records)))
        elif booked.amount != amount:
            by = amount - booked.amount
            findings.log(FundingCorrected(*key, by, booked.amount, venue_id=min(records), caused_by=booked.seq))
            findings.notes.append(f"{pair.name}: funding of {settled_at} is {amount}, not {booked.amount}")


def _adopt_interest(findings: Findings, theirs: VenueBooks) -> None:
    """Book each interest charge once. The run bears every charge of the account."""
    books = findings.books
    venue = books.account_venue(theirs.venue)
    for report in sorted(theirs.interest, key=lambda r: (r.charged_at, r.venue_id)):
        if (venue, report.venue_id) not in books.interest and report.charged_at >= books.started_at:
            findings.log(BorrowCharged(books.run, report.charged_at, report.amount, report.venue_id, venue))


def _close_intents(findings: Findings, theirs: VenueBooks) -> None:
    """End the run's orders that the venue shows as closed or absent; any other answer is a reason to wait."""
    books = findings.books
    for client_id, intent in sorted(books.intents.items()):
        pair = books.of(intent.pair)
        if pair is None or pair.busy or intent.instrument.venue != theirs.venue:
            continue
        answer, filled = theirs.answers.get(client_id), books.filled.get(client_id, Decimal(0))
        key = (books.run, findings.now, intent.pair, intent.leg, client_id)
        seq = books.orders[client_id].seq
        if isinstance(answer, NotFound) and filled == 0:
            findings.log(OrderRejected(*key, "absent", seq))
        elif isinstance(answer, NotFound):
            findings.log(OrderCancelled(*key, "absent", seq))
        elif isinstance(answer, OrderReport) and not answer.open and answer.filled <= filled:
            findings.log(OrderCancelled(*key, answer.reason, seq))
        else:
            findings.reasons.append(f"{pair.pair.name}: the state of order {client_id} is not known")


def _find_foreign_orders(findings: Findings, theirs: VenueBooks) -> None:
    """Open orders on the run's instruments that no running process has sent."""
    books = findings.books
    for order in theirs.orders:
        holder = books.holder(theirs.venue, order.symbol, order.kind)
        if holder is None or not order.open:
            continue
        intent = books.intents.get(order.client_id)
        at_work = None if intent is None else books.of(intent.pair)
        if at_work is None or not at_work.busy:
            name = holder.books.pair.name
            findings.reasons.append(
                f"{name}: an open order of {order.qty} ({order.side} {order.kind}) is not of this run"
            )
