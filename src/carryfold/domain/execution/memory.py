"""What a process remembers beside its ledger; lost in a crash, and not missed."""

import msgspec

from carryfold.domain.execution.actions import Alert, AlertCode
from carryfold.domain.execution.ledger import Order
from carryfold.domain.execution.watch import Watch

__all__ = ["Memory"]


class Memory(msgspec.Struct):
    """Watches by client id, alerts not yet handed out, and the intents this process proposed itself: only these may be
    sent once they are logged. An intent found in the log may have been sent by somebody who crashed."""

    watches: dict[str, Watch]
    alerts: list[Alert]
    proposed: set[str]

    def watch(self, order: Order, now: int) -> Watch:
        """The watch over an order; one that nobody watched yet is asked for at once."""
        name = order.intent.client_id
        if name not in self.watches:
            self.watches[name] = Watch(began_at=now, query_at=now)
        return self.watches[name]

    def alert(self, code: AlertCode, text: str) -> None:
        """Something for a person."""
        self.alerts.append(Alert(code, text))

    def take_alerts(self) -> tuple[Alert, ...]:
        """The alerts so far, each once."""
        alerts, self.alerts = tuple(self.alerts), []
        return alerts
