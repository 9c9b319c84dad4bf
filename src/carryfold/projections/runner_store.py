"""The storage of projections: the position and the shards of each, as values of the derived store.

    projection/NAME              version, build, head of the log it has come to
    projection/NAME/BUILD/SHARD  CRC-32 and state

`build` is new each time a projection is built from the start, so shards of an earlier build are never mixed in.
"""

import secrets
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from carryfold.eventlog import Checkpoints, Head

__all__ = ["Position", "ShardDamaged", "ShardStore"]


class ShardDamaged(Exception):
    """A stored shard does not match its checksum."""

    def __init__(self, projection: str, shard: str) -> None:
        self.projection = projection
        super().__init__(f"shard {shard!r} of projection {projection!r} is damaged")


class Position(msgspec.Struct, frozen=True):
    """The origin of the shards of a projection: code `version`, one `build`, the log up to `head`."""

    version: int
    build: str
    head: Head


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Position)


class ShardStore:
    """The values of one projection."""

    def __init__(self, store: Checkpoints, projection: str) -> None:
        self.projection = projection
        self._store = store
        self._key = f"projection/{projection}"

    def position(self) -> Position | None:
        """The stored position, or None if there is none that can be read."""
        data = self._store.get(self._key)
        try:
            return None if data is None else _DECODER.decode(data)
        except msgspec.MsgspecError:
            return None

    def begin(self, version: int) -> Position:
        """Start a new, empty build, and delete the others."""
        position = Position(version, secrets.token_hex(4), Head())
        self._store.put(self._key, _ENCODER.encode(position))
        for name in self._store.names(f"{self._key}/"):
            self._store.delete(name)
        return position

    def names(self, position: Position, prefix: str = "") -> list[str]:
        """Names of the shards of a build that start with `prefix`, in byte order."""
        base = self._base(position)
        return [name.removeprefix(base) for name in self._store.names(base + prefix)]

    def get(self, position: Position, shard: str) -> bytes | None:
        """A shard's state, None when there is none. Raises ShardDamaged."""
        data = self._store.get(self._base(position) + shard)
        if data is None:
            return None
        if len(data) < 4 or zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
            raise ShardDamaged(self.projection, shard)
        return data[4:]

    def items(self, position: Position, shards: Mapping[str, bytes]) -> dict[str, bytes]:
        """The items of one transaction that stores `shards` and `position` together."""
        base = self._base(position)
        items = {base + shard: zlib.crc32(data).to_bytes(4, "big") + data for shard, data in shards.items()}
        return {**items, self._key: _ENCODER.encode(position)}

    def _base(self, position: Position) -> str:
        return f"{self._key}/{position.build}/"
