"""The pairs that a run holds, at the last prices."""

from collections.abc import Collection
from decimal import Decimal

import msgspec

from carryfold.domain.execution.holdings import PairHolding
from carryfold.domain.instruments import Leg, Pair
from carryfold.projections.cursor import DAY_NS, MAX, day_of, format_optional_time
from carryfold.projections.day_prices import day_prices
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_account import RunAccount
from carryfold.projections.run_facts import ACCOUNT, run_facts
from carryfold.projections.run_values import MarketValues

__all__ = ["LegPosition", "Position", "Positions", "positions"]


class LegPosition(msgspec.Struct, frozen=True):
    """One leg, counted positive on its own side. `cost` is the purchase or sale value of its coins, `value` their value
    at `price`, or the cost without one. `entry_price` and `price` are per coin, null if there is none. Amounts in
    quote."""

    instrument: str
    coins: Decimal
    cost: Decimal
    entry_price: float | None
    price: float | None
    value: Decimal
    unrealised: Decimal


class Position(msgspec.Struct, frozen=True):
    """One pair that is held since `opened_at` (RFC 3339). `realised`, `funding` and `fees` are of the pair since the
    run began; `net` is their sum with what is unrealised."""

    pair: str
    opened_at: str | None
    long: LegPosition
    short: LegPosition
    unrealised: Decimal
    realised: Decimal
    funding: Decimal
    fees: Decimal
    net: Decimal


class Positions(Answer, frozen=True, kw_only=True):
    """The pairs that a run holds, by name. `at_cost` names those of which a leg has no price."""

    run: int
    mode: str
    is_simulated: bool
    positions: list[Position]
    at_cost: list[str]


def positions(
    sources: Sources, *, run: int | None = None, names: Collection[str] | None = None, venue: str | None = None
) -> Positions:
    """The pairs that a run (None: the latest) holds under the cursor. Raises QueryError."""
    start = run_start(sources, run)
    wanted = Names(sources, names, venue)
    account = RunAccount(start.run)
    for fact in run_facts(sources.projections, ACCOUNT, start.run, sources.cursor):
        account.apply(fact)
    held = {
        pair: holding for pair, holding in account.holdings.held().items() if wanted.match_pair(pair, start.label(pair))
    }
    values = MarketValues(
        day_prices(sources.tape, sources.cursor, {leg for pair in held for leg in pair}, start.known_at - DAY_NS),
        sources.multipliers,
    )
    day = day_of(MAX)
    found = [_position(start, account, values, pair, holding, day) for pair, holding in held.items()]
    at_cost = [start.label(pair) for pair, holding in held.items() if not values.has_prices(pair, holding, day)]
    return Positions(
        run=start.run,
        mode=start.event.mode,
        is_simulated=start.is_simulated,
        positions=sorted(found, key=lambda one: one.pair),
        at_cost=sorted(at_cost),
        **bounds(sources.cursor),
    )


def _position(
    start: RunStart, account: RunAccount, values: MarketValues, pair: Pair, holding: PairHolding, day: int
) -> Position:
    long, short = holding.long, holding.short
    unrealised = sum(values.unrealised(pair, holding, day), Decimal(0))
    realised, funding, fees = long.realised + short.realised, long.funding + short.funding, long.fees + short.fees
    return Position(
        pair=start.label(pair),
        opened_at=format_optional_time(account.opened_at.get(pair)),
        long=_leg(values, pair, "long", holding, day),
        short=_leg(values, pair, "short", holding, day),
        unrealised=unrealised,
        realised=realised,
        funding=funding,
        fees=fees,
        net=realised + unrealised + funding - fees,
    )


def _leg(values: MarketValues, pair: Pair, leg: Leg, holding: PairHolding, day: int) -> LegPosition:
    held = holding.leg(leg)
    value = values.value(pair, leg, holding, day)
    return LegPosition(
        instrument=pair.leg(leg).label,
        coins=held.coins,
        cost=held.cost,
        entry_price=float(held.cost / held.coins) if held.coins else None,
        price=values.price(pair, leg, day),
        value=value,
        unrealised=value - held.cost if leg == "long" else held.cost - value,
    )
