"""What a plan can be: an order that is wanted, a wait, the end."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from carryfold.domain.execution.reports import Side
from carryfold.domain.instruments import Leg

__all__ = ["GIVEN_UP", "NEVER", "End", "OrderWanted", "Outcome", "Plan", "Purpose", "Wait"]

NEVER: Final = 2**62
"""A time after all times: wait for news."""

Purpose = Literal["open", "close", "hedge", "unwind"]

Outcome = Literal["opened", "closed", "repaired", "partial", "unwound", "nothing", "dust", "unhedged"]
"""How a process ended. `opened`, `closed`, `repaired`: all of it. `partial`: matched legs, but less than was wanted.
`unwound`: an entry that is flat again. `nothing`: no fill. `dust`: a lot or more on one leg that is below what the
venue trades. `unhedged`: one leg alone, and every attempt is used up."""

GIVEN_UP: Final = "given up"
"""The outcome in the HedgeEnded of a decision that no process carried out."""


class OrderWanted(msgspec.Struct, frozen=True):
    """An order to intend."""

    leg: Leg
    side: Side
    qty: Decimal
    limit_price: Decimal
    reduce_only: bool
    purpose: Purpose


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until` unless something is reported or quoted."""

    until: int
    why: str


class End(msgspec.Struct, frozen=True):
    """The process is over; `why` is for a person and empty where all is well. `dust_units` of coins are written off."""

    outcome: Outcome
    why: str = ""
    dust_units: int = 0


Plan = OrderWanted | Wait | End
