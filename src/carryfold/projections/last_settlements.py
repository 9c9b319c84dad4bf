"""The last settlement of each perpetual that the log has, kept without its history."""

from typing import Any, Final

import msgspec

from carryfold.domain.events import FundingSettled
from carryfold.domain.instruments import Instrument, nominal_settlement
from carryfold.eventlog import LogReader
from carryfold.projections.facts import instrument_of_shard, instrument_shard
from carryfold.projections.runner import Projection, Projections, Stamp

__all__ = ["LAST_SETTLEMENTS", "last_settlements"]


class _Last(msgspec.Struct):
    """The nominal time of the last settlement, UTC ns."""

    at: int = 0


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Last)


def _shard(_: Stamp, event: Any) -> str:
    return instrument_shard(event.instrument)


def _apply(last: _Last, _: Stamp, event: Any) -> None:
    last.at = max(last.at, nominal_settlement(event.event_at))


LAST_SETTLEMENTS: Final[Projection[_Last]] = Projection(
    "last-settlements", 1, (FundingSettled,), _shard, _Last, _apply, _ENCODER.encode, _DECODER.decode
)
"""A shard for each perpetual."""


def last_settlements(reader: LogReader) -> dict[Instrument, int]:
    """The nominal time (UTC ns) of each perpetual's last settlement in the log. Raises ProjectionError for a log or a
    projection that cannot be read."""
    with Projections.open(reader.home, reader, [LAST_SETTLEMENTS]) as projections:
        projections.update()
        view = projections.view(LAST_SETTLEMENTS)
    return {instrument_of_shard(shard): last.at for shard, last in view.shards.items()}
