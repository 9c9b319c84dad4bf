"""What a plan can be: an order, a wait, the end."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from carryfold.domain.execution.reports import Leg, Side

__all__ = ["NEVER", "End", "Outcome", "Plan", "Purpose", "Wait", "Wish"]

NEVER: Final = 2**62
"""A time after all times: wait for news."""

Purpose = Literal["open", "close", "hedge", "unwind"]

Outcome = Literal["opened", "closed", "repaired", "partial", "unwound", "nothing", "dust", "unhedged"]
"""How a process ended. `opened`, `closed`, `repaired`: as wished. `partial`: matched legs, but less than wished.
`unwound`: an entry that is flat again. `nothing`: no fill. `dust`: a lot or more on one leg that is below what the
venue trades. `unhedged`: one leg alone, and every attempt is used up."""


class Wish(msgspec.Struct, frozen=True):
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


Plan = Wish | Wait | End
