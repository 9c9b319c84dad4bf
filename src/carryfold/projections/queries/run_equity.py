"""The equity of a run at the end of each UTC day, with its attribution."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from carryfold.domain.events import FillSimulated, RunStopped
from carryfold.domain.params import Parameters
from carryfold.projections.cursor import DAY_NS, day_of, format_day
from carryfold.projections.day_prices import DayPrices, day_prices
from carryfold.projections.facts import Fact
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_account import Attribution, RunAccount
from carryfold.projections.run_facts import ACCOUNT, facts_of_run, run_facts
from carryfold.projections.run_values import MarketValues

__all__ = ["Equity", "EquityDay", "equity"]


class EquityDay(msgspec.Struct, frozen=True):
    """The end of one UTC day; of the last one, the end of what is known. Amounts in quote since the run began, with
    open legs at the last prices: equity = capital + funding + long_pnl + short_pnl - fees - borrow + corrected. `held`:
    pairs that are held; `long_value`: of their long legs; `at_cost`: those of which a leg has no price yet."""

    day: str
    equity: Decimal
    net: Decimal
    funding: Decimal
    long_pnl: Decimal
    short_pnl: Decimal
    fees: Decimal
    borrow: Decimal
    corrected: Decimal
    held: int
    long_value: Decimal
    at_cost: list[str]


class Equity(Answer, frozen=True, kw_only=True):
    """The days of a run from its start to its end, or to the end of the log. Interest that a fold charges on simulated
    borrowing is not recorded, and not included."""

    run: int
    mode: str
    is_simulated: bool
    capital: Decimal
    days: list[EquityDay]


def equity(sources: Sources, *, run: int | None = None) -> Equity:
    """The equity of a run (None: the latest) by day. Reads the run's part of the tape once. Raises QueryError."""
    start = run_start(sources, run)
    facts = run_facts(sources.projections, ACCOUNT, start.run, sources.cursor)
    pairs = {pair for fact in facts if (pair := getattr(fact.event, "pair", None)) is not None}
    legs = {leg for pair in pairs for leg in pair}
    prices = day_prices(sources.tape, sources.cursor, legs, start.known_at - DAY_NS)
    values = MarketValues(prices, sources.multipliers)
    capital = Decimal(repr(float(start.event.parameters.get("capital", Parameters().capital))))
    last = day_of(_end(sources, start, prices))
    days = [
        _day(start, account, values, capital, day)
        for day, account in _closes(start, facts, day_of(start.known_at), last)
    ]
    return Equity(
        run=start.run,
        mode=start.event.mode,
        is_simulated=start.is_simulated,
        capital=capital,
        days=days,
        **bounds(sources.cursor),
    )


def _end(sources: Sources, start: RunStart, prices: DayPrices) -> int:
    """The end of a stopped run, else the latest time that is known under the cursor (ns)."""
    own = facts_of_run(sources.projections, start.run, sources.cursor)
    if isinstance(own[-1].event, RunStopped):
        return own[-1].known_at
    last_commit = max(batch.known_max for batch in sources.reader.read(sources.cursor.upto_seq - 1, limit_batches=1))
    return max(own[-1].known_at, prices.last_known, min(last_commit, sources.cursor.as_of))


def _closes(start: RunStart, facts: list[Fact], first: int, last: int) -> Iterator[tuple[int, RunAccount]]:
    """The account of a run at the end of each day; the same object, further on."""
    account = RunAccount(start.run)
    place = 0
    for day in range(first, last + 1):
        while place < len(facts) and (_moment(facts[place]) < (day + 1) * DAY_NS or day == last):
            account.apply(facts[place])
            place += 1
        yield day, account


def _moment(fact: Fact) -> int:
    """The instant of an event in a fold (ns). A simulated booking is recorded after its instant."""
    return fact.event.event_at if isinstance(fact.event, FillSimulated) else fact.known_at


def _day(start: RunStart, account: RunAccount, values: MarketValues, capital: Decimal, day: int) -> EquityDay:
    held = account.holdings.held()
    open_pnl = [values.unrealised(pair, holding, day) for pair, holding in held.items()]
    total = account.total().plus(
        Attribution.of(
            long_pnl=sum((long for long, _ in open_pnl), Decimal(0)),
            short_pnl=sum((short for _, short in open_pnl), Decimal(0)),
        )
    )
    return EquityDay(
        day=format_day(day),
        equity=capital + total.net,
        **msgspec.structs.asdict(total),
        held=len(held),
        long_value=sum((values.value(pair, "long", one, day) for pair, one in held.items()), Decimal(0)),
        at_cost=sorted(start.label(pair) for pair, one in held.items() if not values.has_prices(pair, one, day)),
    )
