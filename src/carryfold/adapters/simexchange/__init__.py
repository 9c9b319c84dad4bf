"""A Bybit-v5-compatible exchange on loopback, for testing bots: see docs/simexchange.md."""

from carryfold.adapters.simexchange.config import KeyRights, SimConfig
from carryfold.adapters.simexchange.faults import Fault, Faults
from carryfold.adapters.simexchange.server import Endpoints, SimExchange

__all__ = ["Endpoints", "Fault", "Faults", "KeyRights", "SimConfig", "SimExchange"]
