"""Events about one order, in the words of its intent; each answers that OrderIntended."""

from carryfold.domain.events import OrderAccepted, OrderCancelled, OrderRejected, OrderUnknown
from carryfold.domain.execution.ledger import Order

__all__ = ["accepted", "cancelled", "rejected", "unknown"]


def accepted(order: Order, at: int, venue_id: str) -> OrderAccepted:
    """The venue has it."""
    i = order.intent
    return OrderAccepted(i.run, at, i.pair, i.leg, i.client_id, venue_id, order.seq)


def rejected(order: Order, at: int, reason: str) -> OrderRejected:
    """There is no such order, for certain."""
    i = order.intent
    return OrderRejected(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)


def unknown(order: Order, at: int, reason: str) -> OrderUnknown:
    """Nobody knows yet."""
    i = order.intent
    return OrderUnknown(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)


def cancelled(order: Order, at: int, reason: str) -> OrderCancelled:
    """What was left of it is gone."""
    i = order.intent
    return OrderCancelled(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)
