"""What a process asks of whoever drives it."""

from typing import Literal

import msgspec

from carryfold.domain.execution.ledger import ProcessEvent
from carryfold.domain.execution.plans import NEVER
from carryfold.domain.execution.reports import OrderRequest

__all__ = ["Actions", "Alert", "AlertCode"]

AlertCode = Literal["unhedged", "dust", "unresolved", "late_fill", "foreign_fee", "overfilled", "contradiction"]


class Alert(msgspec.Struct, frozen=True):
    """Something a person should know; after `unhedged` the run must halt."""

    code: AlertCode
    text: str


class Actions(msgspec.Struct, frozen=True):
    """To be done in this order: `log` durably and apply every event of it, then step again at once; send `place`,
    `cancel` and `query` and hand in what comes back; fetch executions since `fetch_fills_since` (UTC ns, 0: no need)
    and report them. Nothing more happens before `wake_at` unless something is reported or quoted."""

    log: tuple[ProcessEvent, ...] = ()
    place: tuple[OrderRequest, ...] = ()
    cancel: tuple[OrderRequest, ...] = ()
    query: tuple[OrderRequest, ...] = ()
    fetch_fills_since: int = 0
    alerts: tuple[Alert, ...] = ()
    wake_at: int = NEVER
    ended: bool = False
    why: str = ""
