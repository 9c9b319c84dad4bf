"""The projection runner: keeps read models up to date with the log, and builds them again when they cannot be trusted.

A projection is a fold of the log into *shards*: small states by name, such as one for each instrument, so that an
update writes only those it changed. Guarantees: shards and position are committed in one transaction, so after any
crash they belong together; a projection of another version or of another log, or with a damaged shard, is built again
from the start; what was built in steps, however cut, equals what is built at once. Everything here is disposable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

import msgspec

from carryfold.eventlog import Batch, Checkpoints, LogReader
from carryfold.projections.event_scan import UnknownEvent, events_among, tags_for
from carryfold.projections.filelock import exclusive
from carryfold.projections.lineage import has_head
from carryfold.projections.runner_store import Position, ShardDamaged, ShardStore

__all__ = ["Projection", "ProjectionError", "Projections", "Stamp", "Status", "View"]

COMMIT_EVENTS: Final = 200_000  # read between two commits: bounds the memory of a long build
_LOCK_NAME: Final = "projections.lock"

S = TypeVar("S")


class ProjectionError(Exception):
    """A projection is unknown or damaged, or the log has an event that this version cannot read; the text is one line
    that says what to do."""


class Stamp(NamedTuple):
    """The place of an event in the log: its seq, the time from which it could be acted on, and the time of its commit.
    Times in ns. One event of an older class may be read as several, which share its stamp."""

    seq: int
    known_at: int
    recorded_at: int


@dataclass(frozen=True)
class Projection(Generic[S]):
    """One read model, as plain functions. `version` has to be raised whenever one of them changes what it does.

    `events` are the classes that it takes; `shard` names the state that an event belongs to; `apply` changes this state
    in place. `decode(encode(state))` equals `state`. All of them depend on their arguments alone.
    """

    name: str
    version: int
    events: tuple[type, ...]
    shard: Callable[[Stamp, Any], str]
    initial: Callable[[], S]
    apply: Callable[[S, Stamp, Any], None]
    encode: Callable[[S], bytes]
    decode: Callable[[bytes], S]


class Status(msgspec.Struct, frozen=True):
    """The state of one projection: `position`, the last seq it has taken in; `lag`, how many events it is behind;
    `bytes`, the size of its `shards`. If `ok` is false, `reason` says why, and the next update builds it again."""

    name: str
    version: int
    position: int
    lag: int
    shards: int
    bytes: int
    ok: bool
    reason: str


class View(NamedTuple, Generic[S]):
    """Shards of a projection by name, all as of one `position`."""

    position: int
    shards: dict[str, S]


class Projections:
    """The projections of one home. Any number of processes may update them; they take turns."""

    def __init__(
        self, home: Path, reader: LogReader, store: Checkpoints, projections: Sequence[Projection[Any]]
    ) -> None:
        """Use `Projections.open`."""
        self._reader = reader
        self._store = store
        self._lock = home / Checkpoints.FOLDER / _LOCK_NAME
        self._projections = {projection.name: projection for projection in projections}
        assert len(self._projections) == len(projections), "two projections of one name"

    @classmethod
    def open(cls, home: Path, reader: LogReader, projections: Sequence[Projection[Any]]) -> Self:
        """Open without updating. The reader has to stay open as long as this is in use."""
        return cls(home, reader, Checkpoints.open(home), projections)

    def update(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Take in everything the log has by now. `progress` is called with (seq reached, seq of the log's end). Raises
        ProjectionError for an event that this version does not know."""
        with exclusive(self._lock):
            while True:
                builds = [self._begin(projection) for projection in self._projections.values()]
                try:
                    self._take_in(builds, progress)
                except UnknownEvent as unknown:
                    raise ProjectionError(str(unknown)) from None
                except ShardDamaged as damage:
                    damaged = self._projections[damage.projection]
                    self._shards(damaged).begin(damaged.version)
                else:
                    return

    def rebuild(self, name: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Discard a projection and build it again. Raises ProjectionError for an unknown name."""
        if name not in self._projections:
            raise ProjectionError(f"there is no projection '{name}'; known: {', '.join(self._projections)}")
        with exclusive(self._lock):
            self._shards(self._projections[name]).begin(self._projections[name].version)
        self.update(progress)

    def status(self) -> list[Status]:
        """The status of each projection. Reads every shard."""
        return [self._status(projection) for projection in self._projections.values()]

    def names(self, projection: Projection[Any], prefix: str = "") -> list[str]:
        """Names of the shards of a projection that start with `prefix`, as of the last update, in byte order."""
        shards = self._shards(projection)
        position = shards.position()
        return [] if position is None or position.version != projection.version else shards.names(position, prefix)

    def view(self, projection: Projection[S], prefix: str = "") -> View[S]:
        """The shards whose names start with `prefix`, as of the last update. Raises ProjectionError for a damaged
        one."""
        shards = self._shards(projection)
        while True:
            position = shards.position()
            if position is None or position.version != projection.version:
                return View(0, {})
            try:
                found = {shard: shards.get(position, shard) for shard in shards.names(position, prefix)}
                states = {shard: projection.decode(data) for shard, data in found.items() if data is not None}
            except ShardDamaged as damage:
                hint = f"run `carryfold project rebuild {projection.name}`"
                raise ProjectionError(f"{damage}: {hint}") from None
            if shards.position() == position:  # else another process has moved on while we read
                return View(position.head.seq, states)

    def close(self) -> None:
        """Give up the handle of the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shards(self, projection: Projection[Any]) -> ShardStore:
        return ShardStore(self._store, projection.name)

    def _distrust(self, projection: Projection[Any], position: Position | None) -> str:
        """The reason why a stored projection cannot be used; empty if it can."""
        if position is None:
            return "not built yet"
        if position.version != projection.version:
            return f"built by version {position.version}"
        return "" if has_head(self._reader, position.head) else "built from another log"

    def _begin(self, projection: Projection[Any]) -> "_Build":
        shards = self._shards(projection)
        position = shards.position()
        if position is None or self._distrust(projection, position):
            position = shards.begin(projection.version)
        return _Build(projection, shards, position)

    def _take_in(self, builds: "list[_Build]", progress: Callable[[int, int], None] | None) -> None:
        start = min((build.position.head.seq for build in builds), default=self._reader.last.seq)
        waiting = 0
        tags = tags_for(cls for build in builds for cls in build.projection.events)
        for batch in self._reader.read(start):
            _apply(batch, tags, [build for build in builds if build.position.head.seq < batch.last_seq])
            waiting += batch.count
            if waiting >= COMMIT_EVENTS:
                self._commit(builds)
                waiting = 0
                if progress is not None:
                    progress(batch.last_seq, max(batch.last_seq, self._reader.last.seq))
        if waiting:
            self._commit(builds)

    def _commit(self, builds: "list[_Build]") -> None:
        items: dict[str, bytes] = {}
        for build in builds:
            items.update(build.items())
        self._store.put_many(items)

    def _status(self, projection: Projection[Any]) -> Status:
        shards = self._shards(projection)
        position = shards.position()
        reason = self._distrust(projection, position)
        head, sizes = 0, []
        if position is not None:
            head = position.head.seq
            for shard in shards.names(position):
                try:
                    sizes.append(len(shards.get(position, shard) or b""))
                except ShardDamaged as damage:
                    reason = str(damage)
        lag = max(0, self._reader.last.seq - head)
        return Status(projection.name, projection.version, head, lag, len(sizes), sum(sizes), not reason, reason)


@dataclass
class _Build:
    """A projection that is being updated, with the shards that were changed since the last commit."""

    projection: Projection[Any]
    shards: ShardStore
    position: Position
    states: dict[str, Any] = field(default_factory=dict)

    def apply(self, stamp: Stamp, event: Any) -> None:
        """Apply one event to its shard. Raises ShardDamaged."""
        projection = self.projection
        name = projection.shard(stamp, event)
        if name not in self.states:
            data = self.shards.get(self.position, name)
            self.states[name] = projection.initial() if data is None else projection.decode(data)
        projection.apply(self.states[name], stamp, event)

    def items(self) -> dict[str, bytes]:
        """The items to store. Drops the shards from memory, which so stays bounded."""
        changed = {name: self.projection.encode(state) for name, state in self.states.items()}
        self.states.clear()
        return self.shards.items(self.position, changed)


def _apply(batch: Batch, tags: frozenset[str], builds: Sequence[_Build]) -> None:
    """Hand the events of a batch to the projections that ask for them, and move these to its end."""
    takers: dict[type, list[_Build]] = {}
    for build in builds:
        build.position = Position(build.position.version, build.position.build, batch.head)
        for cls in build.projection.events:
            takers.setdefault(cls, []).append(build)
    for seq, known_at, event in events_among(batch, tags):
        for build in takers.get(type(event), ()):
            build.apply(Stamp(seq, known_at, batch.recorded_at), event)
