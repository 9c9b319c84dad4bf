"""Reading a few kinds of events out of a log that is mostly quotes.

The kinds of a commit are read from the tags of its events, which costs a third of decoding it; a commit without a kind
that is asked for is not decoded.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from carryfold.domain.codec import TAGS, decode_batch
from carryfold.domain.events import Event, tag_of
from carryfold.domain.legacy import LEGACY
from carryfold.eventlog import Batch

__all__ = ["UnknownEvent", "events_among", "tags_for"]

_KNOWN: Final = frozenset(tag.decode() for tag in TAGS)
_OLDER: Final = frozenset(tag_of(cls) for cls in LEGACY)


class UnknownEvent(Exception):
    """The log holds an event of a kind that this version does not have; the text is one line."""


class _Tagged(msgspec.Struct, array_like=True, gc=False):
    """The first element of an encoded event."""

    tag: str


_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[int, _Tagged]])


def tags_for(classes: Iterable[type]) -> frozenset[str]:
    """The tags under which events of these classes may be stored: their own, and those of every older class, because
    an older event may be read as several of today's."""
    return _OLDER | {tag_of(cls) for cls in classes}


def events_among(batch: Batch, tags: frozenset[str]) -> Iterator[tuple[int, int, Event]]:
    """(seq, known_at, event) of every event of a batch that has one stored under one of `tags`, in today's classes:
    several may share a seq. Nothing for a batch that has none. Raises UnknownEvent for a tag that no class has."""
    stored = _DECODER.decode(batch.payload)
    found = {one.tag for _, one in stored}
    if not found <= _KNOWN:
        seq, tag = next((seq, one.tag) for seq, (_, one) in enumerate(stored, batch.first_seq) if one.tag not in _KNOWN)
        raise UnknownEvent(f"seq {seq} is a {tag}, which this version does not know: use the version that wrote it")
    if not found.isdisjoint(tags):
        yield from decode_batch(batch.payload, batch.first_seq)
