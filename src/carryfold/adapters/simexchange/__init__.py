"""A Bybit-v5-compatible exchange on loopback, for testing bots: see docs/simexchange.md."""

from carryfold.adapters.simexchange.config import KeyRights, SimConfig
from carryfold.adapters.simexchange.server import Endpoints, SimExchange

__all__ = ["Endpoints", "KeyRights", "SimConfig", "SimExchange"]
