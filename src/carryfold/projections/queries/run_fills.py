"""The fills of a run, of a real or of the simulated venue."""

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from carryfold.domain.events import FillSimulated, OrderFilled
from carryfold.domain.execution.holdings import coins_filled
from carryfold.domain.instruments import Leg
from carryfold.projections.cursor import MAX, format_optional_time
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_account import AccountEntry, RunAccount
from carryfold.projections.run_facts import ACCOUNT, run_facts

__all__ = ["FillRecord", "Fills", "fills", "fills_of_run"]

_LEGS: Final[tuple[Leg, Leg]] = ("long", "short")


class FillRecord(msgspec.Struct, frozen=True):
    """One fill of one leg. `kind` is fill, or the name of a simulated booking: enter, exit, ... `qty` is in base coins
    and positive, `coins` the same less a fee that was taken in the coin. `price` is per coin, null if the pair has no
    prices; `value`, `fee` and the realised `pnl` are in quote. `at` is RFC 3339, null if unknown. Simulated fills have
    neither `client_id` nor `fill_id`."""

    seq: int
    at: str | None
    pair: str
    leg: Leg
    instrument: str
    kind: str
    side: str
    qty: Decimal
    coins: Decimal
    price: float | None
    value: Decimal
    fee: Decimal
    pnl: Decimal
    client_id: str
    fill_id: str


class Fills(Answer, frozen=True, kw_only=True):
    """The fills of a run in the order of the log."""

    run: int
    mode: str
    is_simulated: bool
    fills: list[FillRecord]


def fills(
    sources: Sources,
    *,
    run: int | None = None,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Fills:
    """The fills of a run (None: the latest) with since <= event_at < until (ns). Raises QueryError."""
    start = run_start(sources, run)
    wanted = Names(sources, names, venue)
    found = [
        fill
        for entry, fill in fills_of_run(sources, start)
        if since <= entry.fact.event.event_at < until
        and entry.pair is not None
        and wanted.match(entry.pair.leg(fill.leg), label=fill.pair)
    ]
    return Fills(
        run=start.run, mode=start.event.mode, is_simulated=start.is_simulated, fills=found, **bounds(sources.cursor)
    )


def fills_of_run(sources: Sources, start: RunStart) -> Iterator[tuple[AccountEntry, FillRecord]]:
    """Every fill of a run, each once, with the entry of its account."""
    account = RunAccount(start.run)
    for entry in account.entries(run_facts(sources.projections, ACCOUNT, start.run, sources.cursor)):
        event = entry.fact.event
        if isinstance(event, OrderFilled):
            holding = account.holdings.of(event.pair)
            yield entry, _filled(start, entry, event, abs(coins_filled(event, holding.unit, holding.coin)))
        elif isinstance(event, FillSimulated) and event.action != "funding":
            for leg in _LEGS:
                if event.values.get("leg") in ("", None, leg):
                    yield entry, _simulated(start, entry, event, leg, event.values)


def _filled(start: RunStart, entry: AccountEntry, event: OrderFilled, coins: Decimal) -> FillRecord:
    return FillRecord(
        seq=entry.fact.seq,
        at=format_optional_time(event.event_at),
        pair=start.label(event.pair),
        leg=event.leg,
        instrument=event.instrument.label,
        kind=entry.kind,
        side="buy" if event.units > 0 or event.qty > 0 else "sell",
        qty=abs(event.qty) or coins,
        coins=coins,
        price=float(event.value / coins) if coins else None,
        value=event.value,
        fee=event.fee,
        pnl=entry.change.long_pnl if event.leg == "long" else entry.change.short_pnl,
        client_id=event.client_id,
        fill_id=event.fill_id,
    )


def _simulated(
    start: RunStart, entry: AccountEntry, event: FillSimulated, leg: Leg, figures: dict[str, Any]
) -> FillRecord:
    coins = Decimal(int(figures["units"])) * Decimal(repr(float(figures["unit"])))
    return FillRecord(
        seq=entry.fact.seq,
        at=format_optional_time(event.event_at),
        pair=start.label(event.pair),
        leg=leg,
        instrument=event.pair.leg(leg).label,
        kind=entry.kind,
        side="buy" if (leg == "long") == (event.action == "enter") else "sell",
        qty=coins,
        coins=coins,
        price=float(figures[f"{leg}_price"]) or None,
        value=_quote(figures[f"{leg}_value"]),
        fee=_quote(figures[f"{leg}_fee"]),
        pnl=_quote(figures[f"{leg}_pnl"]),
        client_id="",
        fill_id="",
    )


def _quote(e8: int) -> Decimal:
    return Decimal(int(e8)).scaleb(-8)
