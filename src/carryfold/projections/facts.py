"""Facts: events as fact projections keep them, stamped so that any cursor can be put on them later."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.rows import KIND_OF, KINDS, row_values
from carryfold.projections.cursor import Cursor
from carryfold.projections.runner import Stamp
from carryfold.projections.tape import PairName

__all__ = [
    "Fact", "FactEvent", "admitted", "as_folded", "decode_facts", "encode_facts", "keep", "pair_of_shard",
    "pair_shard",
]  # fmt: skip

FactEvent = (
    ev.PairListed | ev.PairChanged | ev.PairDelisted | ev.FundingRevised | ev.ObservationCorrected | ev.DataRejected
)


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One event with its stamp; `known_at` in ns."""

    known_at: int
    seq: int
    event: FactEvent


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Fact])

encode_facts = _ENCODER.encode
decode_facts = _DECODER.decode


def keep(facts: list[Fact], stamp: Stamp, event: FactEvent) -> None:
    """The `apply` of a projection that only collects."""
    facts.append(Fact(stamp.known_at, stamp.seq, event))


def admitted(facts: Iterable[Fact], cursor: Cursor, position: int) -> list[Fact]:
    """The facts that exist under a cursor, as far as a projection has come."""
    upto_seq = min(cursor.upto_seq, position)
    return [fact for fact in facts if fact.known_at <= cursor.as_of and fact.seq <= upto_seq]


def as_folded(facts: Sequence[Fact]) -> list[Fact]:
    """Facts in the order in which a fold takes them: by known_at; in an instant by phase and content, not by seq."""
    return sorted(facts, key=_fold_order)


def pair_of_shard(shard: str) -> PairName:
    """The pair that a name made by `pair_shard` begins with."""
    venue, symbol, listing, _ = shard.split("\0")
    return PairName(venue, symbol, int(listing))


def pair_shard(pair: PairName, part: str = "") -> str:
    """The shard name of a pair; venue and symbol hold no NUL. With `part`, the name of one of several."""
    return f"{pair.venue}\0{pair.symbol}\0{pair.listing}\0{part}"


def _fold_order(fact: Fact) -> tuple[object, ...]:
    values = row_values(fact.event)
    assert values is not None, "only events with rows are folded"
    phase = KINDS[KIND_OF[type(fact.event)]].phase
    kind, slot, *numbers = values
    return (fact.known_at, phase, fact.event.event_at, kind, *numbers, slot)
