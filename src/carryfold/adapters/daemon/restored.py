"""What a restart finds in the log: processes that were interrupted, and the numbers that are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from carryfold.domain.events import (
    EntryDecided,
    Event,
    ExitDecided,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    ReconciliationCorrected,
)
from carryfold.domain.execution import (
    Execution,
    ExecutionLimits,
    ProcessSpec,
    TradedPair,
    parse_client_id,
    run_tag,
)
from carryfold.domain.execution.ids import OrderName
from carryfold.domain.execution.reports import Leg
from carryfold.projections.runs import RunInfo

__all__ = ["Logged", "last_repair", "restored_processes"]

Logged = tuple[int, int, Event]
"""(seq, known_at, event) of the run."""


class _Begun(NamedTuple):
    """The first order of a process: its name, when and where in the run it was intended, the leg to go first."""

    name: OrderName
    symbol: str
    known_at: int
    place: int
    thin: Leg


def restored_processes(
    info: RunInfo, pairs: Mapping[str, TradedPair], own: Sequence[Logged], limits: ExecutionLimits
) -> list[Execution]:
    """Every process that intended an order and has no end. `own` are the run's events in order."""
    decisions = {seq: event for seq, _, event in own if isinstance(event, EntryDecided | ExitDecided)}
    found: list[Execution] = []
    for begun in _unfinished(own).values():
        if begun.symbol not in pairs:
            continue
        spot_units, perp_units = _units(own[: begun.place], begun.symbol)
        decision = decisions.get(begun.name.decision_seq) if begun.name.kind != "repair" else None
        mid = 0.0 if decision is None else float(decision.working.get("mid", 0.0))
        spec = ProcessSpec(
            tag=run_tag(info.started_at),
            run=info.run,
            decision_seq=begun.name.decision_seq,
            kind=begun.name.kind,
            pair=pairs[begun.symbol],
            thin=begun.thin,
            started_at=begun.known_at,
            lots=decision.lots if isinstance(decision, EntryDecided) else 0,
            spot_units=spot_units,
            perp_units=perp_units,
            price=Decimal(repr(mid)),
            limits=limits,
        )
        found.append(Execution.restore(spec, [(at, event) for _, at, event in own[begun.place :]]))
    return found


def last_repair(own: Sequence[Logged]) -> int:
    """The largest number that a repair of the run was named by; 0: there was none."""
    names = (parse_client_id(event.client_id) for _, _, event in own if isinstance(event, OrderIntended))
    return max((name.decision_seq for name in names if name is not None and name.kind == "repair"), default=0)


def _unfinished(own: Sequence[Logged]) -> dict[str, _Begun]:
    """By the name of the process. The leg to go first is that of the first order that opens or closes by free will: an
    order before it only brought legs together."""
    begun: dict[str, _Begun] = {}
    chosen: set[str] = set()
    for place, (_, known_at, event) in enumerate(own):
        if isinstance(event, OrderCancelled):
            begun.pop(event.client_id, None)
        if not isinstance(event, OrderIntended):
            continue
        name = parse_client_id(event.client_id)
        if name is None:
            continue
        if name.process not in begun:
            begun[name.process] = _Begun(name, event.symbol, known_at, place, name.leg)
        if event.purpose in ("open", "close") and name.process not in chosen:
            chosen.add(name.process)
            begun[name.process] = begun[name.process]._replace(thin=name.leg)
    return begun


def _units(own: Sequence[Logged], symbol: str) -> tuple[int, int]:
    """(spot units, short units) that the run held after these events."""
    spot = perp = 0
    seen: set[str] = set()
    for _, _, event in own:
        if isinstance(event, OrderFilled) and event.symbol == symbol and event.fill_id not in seen:
            seen.add(event.fill_id)
            spot += event.units if event.leg == "spot" else 0
            perp -= event.units if event.leg == "perp" else 0
        elif isinstance(event, ReconciliationCorrected) and event.symbol == symbol:
            spot += event.spot_units
            perp += event.perp_units
    return spot, perp
