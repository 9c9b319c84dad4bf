"""The ledger of a run: every movement of money, with its attribution, and the sums by pair."""

from collections.abc import Collection
from decimal import Decimal

import msgspec

from carryfold.domain.instruments import Leg
from carryfold.projections.cursor import MAX, format_optional_time
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_account import AccountEntry, Attribution, RunAccount
from carryfold.projections.run_facts import ACCOUNT, run_facts

__all__ = ["Ledger", "LedgerEntry", "PairAttribution", "ledger"]


class LedgerEntry(msgspec.Struct, frozen=True):
    """One movement: `kind` is fill, funding, funding corrected, borrow, reconciled, adopted, or the booking of the
    simulated venue. `pair` null: the account alone; `leg` null: both, or none. `at` is RFC 3339, null where unknown.
    Amounts in quote, exact: net = funding + long_pnl + short_pnl - fees - borrow + corrected."""

    seq: int
    at: str | None
    kind: str
    pair: str | None
    leg: Leg | None
    net: Decimal
    funding: Decimal
    long_pnl: Decimal
    short_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    corrected: Decimal


class PairAttribution(msgspec.Struct, frozen=True):
    """The sums of the entries of one pair; `pair` null: those of the account alone."""

    pair: str | None
    entries: int
    sums: Attribution


class Ledger(Answer, frozen=True, kw_only=True):
    """The entries of a run in the order of the log, and what they add up to. P&L is realised: open legs stand at their
    cost (`equity` has them at the market)."""

    run: int
    mode: str
    is_simulated: bool
    total: Attribution
    by_pair: list[PairAttribution]
    entries: list[LedgerEntry]


def ledger(
    sources: Sources,
    *,
    run: int | None = None,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Ledger:
    """The ledger of a run (None: the latest), of entries with since <= event_at < until (ns). Raises QueryError."""
    start = run_start(sources, run)
    wanted = Names(sources, names, venue)
    account = RunAccount(start.run)
    entries: list[LedgerEntry] = []
    by_pair: dict[str | None, PairAttribution] = {}
    total = Attribution()
    for entry in account.entries(run_facts(sources.projections, ACCOUNT, start.run, sources.cursor)):
        label = None if entry.pair is None else start.label(entry.pair)
        if since <= entry.fact.event.event_at < until and wanted.match_pair(entry.pair, label or ""):
            entries.append(_entry(start, entry))
            before = by_pair.get(label, PairAttribution(label, 0, Attribution()))
            by_pair[label] = PairAttribution(label, before.entries + 1, before.sums.plus(entry.change))
            total = total.plus(entry.change)
    return Ledger(
        run=start.run,
        mode=start.event.mode,
        is_simulated=start.is_simulated,
        total=total,
        by_pair=sorted(by_pair.values(), key=lambda one: one.pair or ""),
        entries=entries,
        **bounds(sources.cursor),
    )


def _entry(start: RunStart, entry: AccountEntry) -> LedgerEntry:
    return LedgerEntry(
        entry.fact.seq,
        format_optional_time(entry.fact.event.event_at),
        entry.kind,
        None if entry.pair is None else start.label(entry.pair),
        entry.leg,
        **msgspec.structs.asdict(entry.change),
    )
