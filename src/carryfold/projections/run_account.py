"""The account of one run, event by event: changes of P&L, funding, fees and cash, and the holdings.

Amounts are exact, in quote. Of every entry, and so of any sum of entries,

    net = funding + long_pnl + short_pnl - fees - borrow + corrected

where P&L is realised: open legs stand at their cost. `corrected` is cash that a reconciliation added without a record.
The units and their cost are those of `domain.execution.holdings`.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple, Self

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.execution.holdings import Holdings, PairHolding
from carryfold.domain.instruments import Leg, Pair
from carryfold.projections.facts import Fact

__all__ = ["AccountEntry", "Attribution", "RunAccount"]

_ZERO: Final = Decimal(0)
_KINDS: Final[dict[type, str]] = {
    ev.OrderFilled: "fill",
    ev.FundingPaid: "funding",
    ev.FundingCorrected: "funding corrected",
    ev.BorrowCharged: "borrow",
    ev.ReconciliationCorrected: "reconciled",
    ev.HoldingAdopted: "adopted",
}


class Attribution(msgspec.Struct, frozen=True):
    """The parts of a net amount, in quote."""

    net: Decimal = _ZERO
    funding: Decimal = _ZERO
    long_pnl: Decimal = _ZERO
    short_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO
    borrow: Decimal = _ZERO
    corrected: Decimal = _ZERO

    @classmethod
    def of(
        cls,
        funding: Decimal = _ZERO,
        long_pnl: Decimal = _ZERO,
        short_pnl: Decimal = _ZERO,
        fees: Decimal = _ZERO,
        borrow: Decimal = _ZERO,
        corrected: Decimal = _ZERO,
    ) -> Self:
        """The attribution of these parts, with their net amount."""
        net = funding + long_pnl + short_pnl - fees - borrow + corrected
        return cls(net, funding, long_pnl, short_pnl, fees, borrow, corrected)

    def plus(self, other: "Attribution") -> "Attribution":
        """Both together, part by part."""
        return Attribution(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    def minus(self, other: "Attribution") -> "Attribution":
        """The difference to another one, part by part."""
        return Attribution(*(getattr(self, name) - getattr(other, name) for name in self.__struct_fields__))


class AccountEntry(NamedTuple):
    """One event of the account. `kind` is fill, funding, funding corrected, borrow, reconciled or adopted, or the name
    of a simulated booking. `pair` None: the account alone; `leg` None: both legs, or none."""

    fact: Fact
    kind: str
    pair: Pair | None
    leg: Leg | None
    change: Attribution


class RunAccount:
    """The holdings of one run. `opened_at`: known_at of the event that opened each pair that is held."""

    def __init__(self, run: int) -> None:
        self.holdings = Holdings(run)
        self.opened_at: dict[Pair, int] = {}

    def apply(self, fact: Fact) -> bool:
        """Take the next event of the log. False: it moves neither units nor money."""
        if not self.holdings.apply(fact.event):
            return False
        pair: Pair | None = getattr(fact.event, "pair", None)
        if pair is not None:
            if self.holdings.of(pair).is_flat:
                self.opened_at.pop(pair, None)
            else:
                self.opened_at.setdefault(pair, fact.known_at)
        return True

    def entries(self, facts: Iterable[Fact]) -> Iterator[AccountEntry]:
        """The entries of these facts, in the order of the log; none for a fact that moves neither units nor money."""
        for fact in facts:
            event = fact.event
            pair: Pair | None = getattr(event, "pair", None)
            before = self._attribution(pair)
            if self.apply(fact):
                kind = event.action if isinstance(event, ev.FillSimulated) else _KINDS[type(event)]
                yield AccountEntry(fact, kind, pair, _leg(event), self._attribution(pair).minus(before))

    def total(self) -> Attribution:
        """Everything so far, with open legs at their cost."""
        total = self._attribution(None)
        for holding in self.holdings.pairs.values():
            total = total.plus(_of_pair(holding))
        return total

    def _attribution(self, pair: Pair | None) -> Attribution:
        """Of a pair so far; of the account alone for None."""
        if pair is not None:
            return _of_pair(self.holdings.of(pair))
        borrow = sum(self.holdings.borrowed.values(), _ZERO)
        return Attribution.of(borrow=borrow, corrected=self.holdings.cash_corrected)


def _of_pair(holding: PairHolding) -> Attribution:
    long, short = holding.long, holding.short
    return Attribution.of(
        funding=long.funding + short.funding,
        long_pnl=long.realised,
        short_pnl=short.realised,
        fees=long.fees + short.fees,
        corrected=holding.cash_corrected,
    )


def _leg(event: ev.Event) -> Leg | None:
    if isinstance(event, ev.FillSimulated):
        return event.values.get("leg") or None
    return getattr(event, "leg", None)
