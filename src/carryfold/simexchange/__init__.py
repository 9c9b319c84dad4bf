"""A Bybit-v5-compatible exchange on loopback, for testing bots: see docs/simexchange.md."""

from carryfold.simexchange.config import KeyRights, SimConfig
from carryfold.simexchange.faults import Fault, Faults
from carryfold.simexchange.server import Endpoints, SimExchange

__all__ = ["Endpoints", "Fault", "Faults", "KeyRights", "SimConfig", "SimExchange"]
