"""Which events of the log `carryfold log` shows, and how: as they were written, under the name of their class then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from carryfold.adapters.cli.errors import UsageFailed
from carryfold.adapters.terminal import Terminal, count

if TYPE_CHECKING:
    from carryfold.domain.events import Event
    from carryfold.domain.instruments import Instrument, Pair
    from carryfold.domain.legacy import Legacy

__all__ = ["Foreign", "Wanted", "decoded", "show_event"]


class Wanted:
    """Which events to show. Raises UsageFailed for a kind that there is not. The name of a kind that has changed since
    an older release stands for its events of then, too."""

    def __init__(self, kinds: list[str] | None, name: str | None) -> None:
        from carryfold.domain.events import MARKET, OPERATION, TRADING
        from carryfold.domain.legacy import LEGACY

        known = [cls.__name__ for cls in (*MARKET, *TRADING, *OPERATION)]
        older = [cls.__name__ for cls in LEGACY]
        for kind in kinds or ():
            if kind not in known and kind not in older:
                raise UsageFailed(f"there is no kind of event '{kind}'; known: {', '.join(known)}")
        self._kinds = None if not kinds else set(kinds)
        self._name = name

    def matches(self, event: Event | Legacy | Foreign) -> bool:
        """Is this one of them? What this version does not know is, unless others are asked for."""
        if isinstance(event, Foreign):
            return self._kinds is None and self._name is None
        if self._kinds is not None and self._kinds.isdisjoint(_kinds_of(event)):
            return False
        return self._name is None or self._name in _names_in(event)


def _kinds_of(event: Event | Legacy) -> tuple[str, str]:
    from carryfold.domain.events import tag_of

    return type(event).__name__, tag_of(type(event))


def _names_in(event: Event | Legacy) -> set[str]:
    """What the instrument of an event, or the pair and its legs, are called."""
    pair: Pair | None = getattr(event, "pair", None)
    if pair is not None:
        return {pair.name, *(name for leg in pair for name in (leg.symbol, leg.label))}
    symbol: str | None = getattr(event, "symbol", None)
    instrument: Instrument | None = getattr(event, "instrument", None)
    return {name for name in (symbol, instrument and instrument.label) if name}


def decoded(first_seq: int, payload: bytes) -> Iterator[tuple[int, int, Event | Legacy | Foreign]]:
    """Events as they were written; of a kind that this version does not know, what can be said without knowing it."""
    import msgspec

    from carryfold.domain.codec import decode

    batch = msgspec.msgpack.decode(payload, type=list[tuple[int, msgspec.Raw]])
    for seq, (known_at, raw) in enumerate(batch, first_seq):
        try:
            yield seq, known_at, decode(raw)
        except msgspec.ValidationError:
            yield seq, known_at, Foreign(msgspec.msgpack.decode(raw))


class Foreign:
    """What another version wrote: its kind and its fields without their names."""

    def __init__(self, content: Any) -> None:
        whole = content if isinstance(content, list) and content else ["unknown", content]
        self.kind = str(whole[0])
        self.fields = {"unknown": True, "values": whole[1:]}


def show_event(
    terminal: Terminal,
    seq: int,
    known_at: int,
    recorded_at: int,
    event: Event | Legacy | Foreign,
    *,
    flush: bool = False,
) -> None:
    """One event: a line for people, or a line of JSON."""
    from carryfold.projections.cursor import format_time

    if isinstance(event, Foreign):
        kind, fields = event.kind, dict(event.fields)
    else:
        kind, fields = type(event).__name__, {name: getattr(event, name) for name in event.__struct_fields__}
    times = {name: value for name, value in fields.items() if name.endswith("_at") and isinstance(value, int)}
    fields.update({name: format_time(value) if value >= 0 else value for name, value in times.items()})
    if terminal.json:
        terminal.emit(
            {"seq": seq, "known_at": format_time(known_at), "recorded_at": format_time(recorded_at), "kind": kind}
            | {_field(event, name): _named(value) for name, value in fields.items()},
            flush=flush,
        )
        return
    told = " ".join(f"{name}={_text(value)}" for name, value in fields.items() if value is not None)
    terminal.say(f"{count(seq):>10}  {format_time(known_at)}  {kind:<20}  {told}")


def _field(event: Event | Legacy | Foreign, name: str) -> str:
    """What JSON calls a field of an event: `kind` is that of the event itself."""
    if name != "kind":
        return name
    return "instrument_kind" if hasattr(event, "instrument") else "observation"


def _named(value: Any) -> Any:
    """A value for programs: pairs with the names of their fields."""
    from carryfold.domain.instruments import Pair

    if isinstance(value, Pair):
        return {"long": value.long._asdict(), "short": value.short._asdict()}
    return [_named(one) for one in value] if isinstance(value, tuple) else value


def _text(value: Any) -> Any:
    """A value for people: pairs by name."""
    from carryfold.domain.instruments import Pair

    if isinstance(value, Pair):
        return value.name
    return ",".join(str(_text(one)) for one in value) if isinstance(value, tuple) else value
