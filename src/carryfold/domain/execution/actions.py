"""What a process does next: the result of its plan, and the actions that its driver has to carry out."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from carryfold.domain.execution.process_state import ProcessEvent
from carryfold.domain.execution.reports import OrderRequest, Side
from carryfold.domain.instruments import Leg

__all__ = [
    "GIVEN_UP", "NEVER", "Actions", "Alert", "AlertCode", "End", "Outcome", "Plan", "ProposedOrder", "Purpose", "Wait",
]  # fmt: skip

NEVER: Final = 2**62
"""A time after all others: nothing is due until something is reported or quoted."""

Purpose = Literal["open", "close", "hedge", "unwind"]

Outcome = Literal["opened", "closed", "repaired", "partial", "unwound", "nothing", "dust", "unhedged"]
"""How a process ended. `opened`, `closed`, `repaired`: in full. `partial`: the legs match, but smaller than decided.
`unwound`: an entry that is flat again. `nothing`: no fill. `dust`: one leg is larger by a lot or more, and the venue
does not trade so little. `unhedged`: one leg is alone, and every attempt is used up."""

GIVEN_UP: Final = "given up"
"""The outcome in HedgeEnded where no process carried out the decision."""


class ProposedOrder(msgspec.Struct, frozen=True):
    """An order that the plan proposes; it is logged as OrderIntended before it is sent."""

    leg: Leg
    side: Side
    qty: Decimal
    limit_price: Decimal
    reduce_only: bool
    purpose: Purpose


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until` (UTC ns) unless something is reported or quoted."""

    until: int
    why: str


class End(msgspec.Struct, frozen=True):
    """The process is over. `why` is for a person, and empty where nothing is wrong; `dust_units` of the long leg are
    written off."""

    outcome: Outcome
    why: str = ""
    dust_units: int = 0


Plan = ProposedOrder | Wait | End


AlertCode = Literal["unhedged", "dust", "unresolved", "late_fill", "foreign_fee", "overfilled", "contradiction"]


class Alert(msgspec.Struct, frozen=True):
    """Something a person should know. After `unhedged` the run must halt."""

    code: AlertCode
    text: str


class Actions(msgspec.Struct, frozen=True):
    """What the driver does, in this order. If there are events in `log`: commit them durably, apply each, and step
    again at once. Otherwise send `place`, `cancel` and `query`, and pass each answer to the process; fetch executions
    since `fetch_fills_since` (UTC ns, 0: none) and report them. Nothing else is due before `wake_at` (UTC ns) unless
    something is reported or quoted. `why`: what the process waits for."""

    log: tuple[ProcessEvent, ...] = ()
    place: tuple[OrderRequest, ...] = ()
    cancel: tuple[OrderRequest, ...] = ()
    query: tuple[OrderRequest, ...] = ()
    fetch_fills_since: int = 0
    alerts: tuple[Alert, ...] = ()
    wake_at: int = NEVER
    ended: bool = False
    why: str = ""
