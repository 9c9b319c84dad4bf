"""Facts: events as projections keep them, with the stamps by which any cursor selects them later."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec

from carryfold.domain.events import Event
from carryfold.domain.instruments import Instrument, InstrumentKind
from carryfold.domain.rows import KINDS, Kind, row_values
from carryfold.projections.cursor import Cursor
from carryfold.projections.runner import Stamp

__all__ = [
    "Fact", "admitted", "as_folded", "decode_facts", "encode_facts", "instrument_of_shard", "instrument_shard", "keep",
]  # fmt: skip


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One event with its stamp; `known_at` in ns."""

    known_at: int
    seq: int
    event: Event


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Fact])

encode_facts = _ENCODER.encode
decode_facts = _DECODER.decode


def keep(facts: list[Fact], stamp: Stamp, event: Event) -> None:
    """The `apply` of a projection that collects facts."""
    facts.append(Fact(stamp.known_at, stamp.seq, event))


def admitted(facts: Iterable[Fact], cursor: Cursor, position: int) -> list[Fact]:
    """The facts that exist under a cursor in a projection that has come to `position`."""
    upto_seq = min(cursor.upto_seq, position)
    return [fact for fact in facts if fact.known_at <= cursor.as_of and fact.seq <= upto_seq]


def as_folded(facts: Sequence[Fact]) -> list[Fact]:
    """Facts in the order of a fold: by known_at, and within an instant by phase and content, not by seq."""
    return sorted(facts, key=_fold_order)


def instrument_of_shard(shard: str) -> Instrument:
    """The instrument of a shard name made by `instrument_shard`."""
    venue, symbol, kind, listing, _ = shard.split("\0")
    return Instrument(venue, symbol, cast("InstrumentKind", kind), int(listing))


def instrument_shard(name: Instrument, part: str = "") -> str:
    """The shard name of an instrument, or of one `part` of it. Venue and symbol hold no NUL."""
    return f"{name.venue}\0{name.symbol}\0{name.kind}\0{name.listing}\0{part}"


def _fold_order(fact: Fact) -> tuple[object, ...]:
    values = row_values(fact.event)
    assert values is not None, "only events with rows are folded"
    kind, slot, a, b, c = values
    return (fact.known_at, KINDS[Kind(kind)].phase, fact.event.event_at, kind, -a, b, c, slot)
