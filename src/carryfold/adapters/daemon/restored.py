"""Processes that a restart interrupted, from the log alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

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
from carryfold.projections.runs import RunInfo

__all__ = ["restored_processes"]

Logged = tuple[int, int, Event]


def restored_processes(
    info: RunInfo, pairs: Mapping[str, TradedPair], own: Sequence[Logged], limits: ExecutionLimits
) -> list[Execution]:
    """Every process that intended an order and has no end. `own` are the run's (seq, known_at, event) in order."""
    begun: dict[str, tuple[OrderName, OrderIntended, int, int]] = {}
    ended: set[str] = set()
    for place, (_, known_at, event) in enumerate(own):
        if isinstance(event, OrderIntended):
            name = parse_client_id(event.client_id)
            if name is not None and name.process not in begun:
                begun[name.process] = name, event, known_at, place
        elif isinstance(event, OrderCancelled):
            ended.add(event.client_id)
    found: list[Execution] = []
    for process, (name, intent, known_at, place) in begun.items():
        if process in ended or intent.symbol not in pairs:
            continue
        spot_units, perp_units = _units(own[:place], intent.symbol)
        decision = next((event for seq, _, event in own if seq == name.decision_seq), None)
        lots = decision.lots if isinstance(decision, EntryDecided) else 0
        working = decision.working if isinstance(decision, EntryDecided | ExitDecided) else {}
        spec = ProcessSpec(
            tag=run_tag(info.started_at),
            run=info.run,
            decision_seq=name.decision_seq,
            kind=name.kind,
            pair=pairs[intent.symbol],
            thin=name.leg,
            started_at=known_at,
            lots=lots,
            spot_units=spot_units,
            perp_units=perp_units,
            price=Decimal(repr(float(working.get("mid", 0.0)))),
            limits=limits,
        )
        found.append(Execution.restore(spec, [(at, event) for _, at, event in own[place:]]))
    return found


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
