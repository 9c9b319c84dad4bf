"""Encoding and decoding of events, and the keys by which the log recognises an observation that it has already."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument
from carryfold.domain.legacy import LEGACY, Legacy, upcast

__all__ = ["TAGS", "decode", "decode_batch", "encode", "event_key", "instrument_key_prefix", "read"]

Stored = ev.Event | Legacy

_ENCODER: Final = msgspec.msgpack.Encoder(decimal_format="string")
_DECODER: Final = msgspec.msgpack.Decoder(Stored)
_BATCH_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[int, Stored]])
_LEGACY: Final = frozenset(LEGACY)

TAGS: Final = frozenset(ev.tag_of(cls).encode() for cls in Stored.__args__)
"""The tag of every event class that this version can read."""

encode = _ENCODER.encode
"""One event as msgpack bytes; equal events give equal bytes."""

decode = _DECODER.decode
"""The event in `encode`d bytes as it was written, of a current or an older class. Raises msgspec.ValidationError for an
unknown class or a malformed event."""


def read(data: bytes | msgspec.Raw) -> tuple[ev.Event, ...]:
    """Decode one event into current classes. An event of an older class may become several events, or none."""
    event = decode(data)
    return upcast(event) if type(event) in _LEGACY else (event,)


def decode_batch(payload: bytes, first_seq: int) -> Iterator[tuple[int, int, ev.Event]]:
    """(seq, known_at, event) of a log batch's payload, [(known_at, event), ...], in current classes. Several events may
    share a seq. Raises msgspec.ValidationError."""
    event: Any
    for seq, (known_at, event) in enumerate(_BATCH_DECODER.decode(payload), first_seq):
        if type(event) in _LEGACY:
            for one in upcast(event):
                yield seq, known_at, one
        else:
            yield seq, known_at, event


_KEY_KIND: Final[dict[type, bytes]] = {
    # Release 0.1.0 used b"\x01" to b"\x03", b"\x06", b"\x07" and b"\x09" for events of pairs.
    ev.FundingSettled: b"\x04",
    ev.FundingPredicted: b"\x05",
    ev.FundingRevised: b"\x08",
    # b"\x10" is taken: the importer keys DataRejected with it, by what was refused (adapters/importing/writer.py).
    ev.InstrumentListed: b"\x11",
    ev.InstrumentChanged: b"\x12",
    ev.InstrumentDelisted: b"\x13",
    ev.BarClosed: b"\x16",
    ev.ActivityObserved: b"\x17",
    ev.ObservationCorrected: b"\x19",
    ev.OrderFilled: b"\x20",
    ev.FundingPaid: b"\x21",
    ev.BorrowCharged: b"\x22",
    ev.OrderIntended: b"\x23",
}


def event_key(event: Stored) -> bytes | None:
    """The identity of an observation. None for events that cannot be observed twice (quotes, decisions, ticks) and for
    older classes, which are no longer written.

    Where an instrument may have several events of a class at one time, the end of the key distinguishes them.
    """
    kind = _KEY_KIND.get(type(event))
    if kind is None:
        return None
    match event:
        case ev.InstrumentListed():  # a listing with its time and one assumed by an importer differ
            known = b"\x01" if event.event_at else b"\x00"
            return instrument_key_prefix(kind, event.instrument) + known
        case ev.InstrumentChanged():
            fields = [
                event.lot,
                event.min_notional,
                event.tick,
                event.delist_at,
                event.interval_hours,
                event.rate_cap,
            ]
            which = bytes(i for i, value in enumerate(fields) if value is not None)
            return _time_key(kind, event.instrument, event.event_at) + which
        case ev.FundingPredicted():
            key = _perp_key(kind, event.venue, event.symbol, event.listing, event.event_at)
            return key + event.next_at.to_bytes(8, "big", signed=True)
        case ev.BarClosed() | ev.ActivityObserved():
            return _time_key(kind, event.instrument, event.event_at) + event.minutes.to_bytes(4, "big")
        case ev.FundingRevised():
            return _perp_key(kind, event.venue, event.symbol, event.listing, event.event_at) + repr(event.rate).encode()
        case ev.ObservationCorrected():
            what = event.observation.encode() + repr(event.values).encode()
            return _time_key(kind, event.instrument, event.event_at) + what
        case ev.InstrumentDelisted():
            return _time_key(kind, event.instrument, event.event_at)
        case ev.FundingSettled():
            return _perp_key(kind, event.venue, event.symbol, event.listing, event.event_at)
        case ev.OrderFilled():
            return _run_key(kind, event.run, event.fill_id)
        case ev.OrderIntended():
            return _run_key(kind, event.run, event.client_id)
        case ev.FundingPaid():
            name = event.instrument
            return _run_key(kind, event.run, f"{name.venue}\0{name.symbol}\0{name.listing}\0{event.settled_at}")
        case ev.BorrowCharged():
            venue = f"{event.venue}\0" if event.venue else ""
            return _run_key(kind, event.run, venue + (event.venue_id or str(event.event_at)))
        case _:
            raise AssertionError(f"no key rule for {type(event).__name__}")


def instrument_key_prefix(kind: bytes, name: Instrument) -> bytes:
    """The common prefix of an instrument's keys of one class. Venue and symbol contain no NUL (checked on input)."""
    spot_or_perp = name.kind[0].encode()
    return b"%b%b\0%b\0%b%b" % (
        kind, name.venue.encode(), name.symbol.encode(), spot_or_perp, name.listing.to_bytes(2, "big"),
    )  # fmt: skip


def _time_key(kind: bytes, name: Instrument, event_at: int) -> bytes:
    return instrument_key_prefix(kind, name) + event_at.to_bytes(8, "big", signed=True)


def _perp_key(kind: bytes, venue: str, symbol: str, listing: int, event_at: int) -> bytes:
    """Only perpetuals have funding, so these keys have no kind. Release 0.1.0 wrote the same keys."""
    head = b"%b%b\0%b\0%b" % (kind, venue.encode(), symbol.encode(), listing.to_bytes(2, "big"))
    return head + event_at.to_bytes(8, "big", signed=True)


def _run_key(kind: bytes, run: int, name: str) -> bytes:
    return kind + run.to_bytes(8, "big") + name.encode()
