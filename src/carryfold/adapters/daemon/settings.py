"""Settings of the daemon: the [daemon] table of the configuration file, merged with the command line."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from carryfold.adapters.daemon.conflation import RecordingPolicy
from carryfold.domain.execution import ExecutionLimits
from carryfold.domain.params import Parameters

__all__ = ["LIVE_STALE_S", "DaemonSettings", "DaemonTable", "Mode", "ParameterSet"]

LIVE_STALE_S: Final = 120
"""`stale_s` of a run that does not set it. Live prices arrive every second, so one of two minutes ago is old."""

PORT_MAX: Final = 65_535
Mode = Literal["observe", "paper", "live"]


class DaemonTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [daemon] table. `live` must be true for real orders."""

    live: bool = False
    pairs: str = "top:20"
    endpoint: str = "mainnet"
    low_disk_mb: int = 512
    metrics_port: int = 0
    key_file: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.low_disk_mb < 0:
            raise ValueError("low_disk_mb must not be negative")
        if not 0 <= self.metrics_port <= PORT_MAX:
            raise ValueError(f"metrics_port must be from 0 to {PORT_MAX}")


class ParameterSet(msgspec.Struct, frozen=True):
    """The parameters of one run, and the name of their file."""

    name: str
    parameters: Parameters


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a start. `sets`: one run each; none when observing. `speed`: seconds of the venue's clock in a
    real second, for a simulated exchange; None: real time. `low_disk_mb`: entries stop when less is free."""

    mode: Mode
    pairs: str = "top:20"
    endpoint: str = "mainnet"
    sets: tuple[ParameterSet, ...] = ()
    policy: RecordingPolicy = RecordingPolicy()
    limits: ExecutionLimits = ExecutionLimits()
    speed: float | None = None
    low_disk_mb: int = 512
    metrics_port: int = 0
    stop_after_s: float | None = None
    key_file: str | None = None
