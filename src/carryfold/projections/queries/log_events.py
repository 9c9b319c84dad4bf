"""Events of the log as they were written, under the names of their classes, those of older releases included."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from carryfold.domain.codec import decode
from carryfold.domain.events import MARKET, OPERATION, TRADING, Event, tag_of
from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.legacy import LEGACY, Legacy
from carryfold.eventlog import Batch
from carryfold.projections.cursor import format_optional_time
from carryfold.projections.queries.answers import UnknownKind
from carryfold.projections.queries.sources import Sources

__all__ = ["EventFilter", "LogEvent", "events"]

_KINDS: Final = tuple(cls.__name__ for cls in (*MARKET, *TRADING, *OPERATION))
_OLDER_KINDS: Final = frozenset(cls.__name__ for cls in LEGACY)
_RAW_BATCH: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_WITHDRAWN: Final = "withdrawn"


class LogEvent(msgspec.Struct, frozen=True):
    """One event. Times are RFC 3339, null where unknown. `fields` are the event's own by name; pairs are objects of two
    instruments. An event of a kind that this version does not know has `unknown` true, and its `values` in order."""

    seq: int
    known_at: str | None
    recorded_at: str | None
    kind: str
    fields: dict[str, Any]

    @property
    def flat(self) -> dict[str, Any]:
        """All of it in one object."""
        stamps = {"seq": self.seq, "known_at": self.known_at, "recorded_at": self.recorded_at, "kind": self.kind}
        return stamps | self.fields


class EventFilter:
    """Chooses events by kind and by the name of an instrument or a pair. A kind that has changed since an older release
    stands for its events of then, too. What this version does not know matches where nothing is asked for."""

    def __init__(self, kinds: Collection[str] | None = None, name: str | None = None) -> None:
        """Raises UnknownKind for a kind that there is not."""
        for kind in kinds or ():
            if kind not in _KINDS and kind not in _OLDER_KINDS:
                raise UnknownKind(f"there is no kind of event '{kind}'; known: {', '.join(_KINDS)}")
        self._kinds = frozenset(kinds) if kinds else None
        self._name = name

    def select(self, batch: Batch) -> Iterator[LogEvent]:
        """The events of a batch that match."""
        recorded_at = format_optional_time(batch.recorded_at)
        for seq, (known_at, raw) in enumerate(_RAW_BATCH.decode(batch.payload), batch.first_seq):
            try:
                event = decode(raw)
            except msgspec.ValidationError:
                if self._kinds is None and self._name is None:
                    yield _unknown(seq, known_at, recorded_at, msgspec.msgpack.decode(raw))
                continue
            if self._matches(event):
                fields = {_field(event, name): _value(name, getattr(event, name)) for name in event.__struct_fields__}
                yield LogEvent(seq, format_optional_time(known_at), recorded_at, type(event).__name__, fields)

    def _matches(self, event: Event | Legacy) -> bool:
        if self._kinds is not None and self._kinds.isdisjoint((type(event).__name__, tag_of(type(event)))):
            return False
        return self._name is None or self._name in _names_in(event)


def events(
    sources: Sources,
    *,
    first_seq: int = 1,
    last_seq: int | None = None,
    kinds: Collection[str] | None = None,
    name: str | None = None,
) -> Iterator[LogEvent]:
    """The events from one seq to another (None: the end) that are of some kinds, and of a symbol or of a pair that has
    it. They are decoded as they are taken. Raises UnknownKind."""
    chosen = EventFilter(kinds, name)
    end = sources.cursor.upto_seq if last_seq is None else min(last_seq, sources.cursor.upto_seq)
    for batch in sources.reader.read(first_seq - 1):
        if batch.first_seq > end:
            return
        yield from (event for event in chosen.select(batch) if first_seq <= event.seq <= end)


def _unknown(seq: int, known_at: int, recorded_at: str | None, content: Any) -> LogEvent:
    whole = content if isinstance(content, list) and content else ["unknown", content]
    fields = {"unknown": True, "values": whole[1:]}
    return LogEvent(seq, format_optional_time(known_at), recorded_at, str(whole[0]), fields)


def _names_in(event: Event | Legacy) -> set[str]:
    """The names of the instrument of an event, or of its pair and both legs."""
    pair: Pair | None = getattr(event, "pair", None)
    if pair is not None:
        return {pair.name, *(name for leg in pair for name in (leg.symbol, leg.label))}
    symbol: str | None = getattr(event, "symbol", None)
    instrument: Instrument | None = getattr(event, "instrument", None)
    return {name for name in (symbol, instrument and instrument.label) if name}


def _field(event: Event | Legacy, name: str) -> str:
    """The name of a field in answers, where `kind` is that of the event itself."""
    if name != "kind":
        return name
    return "instrument_kind" if hasattr(event, "instrument") else "observation"


def _value(name: str, value: Any) -> Any:
    """Times as text, pairs with the names of their parts."""
    if name.endswith("_at") and isinstance(value, int):
        if value > 0:
            return format_optional_time(value)
        return _WITHDRAWN if name == "delist_at" else None
    if isinstance(value, Pair):
        return {"long": value.long._asdict(), "short": value.short._asdict()}
    return [_value("", one) for one in value] if isinstance(value, tuple) else value
