"""Events to bytes and back, and the keys under which the log recognises an observation it already has."""

from typing import Final

import msgspec

from carryfold.domain import events as ev

__all__ = ["BATCH_DECODER", "decode", "encode", "event_key", "pair_key_prefix"]

_ENCODER: Final = msgspec.msgpack.Encoder(decimal_format="string")
_DECODER: Final = msgspec.msgpack.Decoder(ev.Event)

BATCH_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[int, ev.Event]])
"""Decodes the payload of a log batch: [(known_at, event), ...]."""

encode = _ENCODER.encode
"""One event as msgpack bytes; equal events give equal bytes."""

decode = _DECODER.decode
"""The event of `encode`d bytes. Raises msgspec.ValidationError for an unknown kind or a malformed event."""

_KEY_KIND: Final[dict[type, bytes]] = {
    ev.PairListed: b"\x01",
    ev.PairChanged: b"\x02",
    ev.PairDelisted: b"\x03",
    ev.FundingSettled: b"\x04",
    ev.FundingPredicted: b"\x05",
    ev.BarClosed: b"\x06",
    ev.ActivityObserved: b"\x07",
    ev.FundingRevised: b"\x08",
    ev.ObservationCorrected: b"\x09",
    # b"\x10" is taken: the importer keys DataRejected with it, by what was refused (adapters/importing/writer.py).
    ev.OrderFilled: b"\x20",
    ev.FundingPaid: b"\x21",
    ev.BorrowCharged: b"\x22",
    ev.OrderIntended: b"\x23",
}


def event_key(event: ev.Event) -> bytes | None:
    """The identity of an observation, or None for events that are never observed twice (quotes, decisions, ticks).

    Keys sort by kind, venue, symbol, listing, event time, so that imported history appends to the key table in order.
    Kinds of which a pair may have several at one time carry what tells them apart at the end.
    """
    kind = _KEY_KIND.get(type(event))
    if kind is None:
        return None
    match event:
        case ev.PairListed():  # one with a known time and one assumed by an importer, whenever it was
            known = b"\x01" if event.event_at else b"\x00"
            return pair_key_prefix(kind, event.venue, event.symbol, event.listing) + known
        case ev.PairChanged():
            fields = [
                event.lot,
                event.min_notional,
                event.priced,
                event.delist_at,
                event.interval_hours,
                event.rate_cap,
            ]
            which = bytes(i for i, value in enumerate(fields) if value is not None)
            return _pair_time_key(kind, event) + which
        case ev.FundingPredicted():
            return _pair_time_key(kind, event) + event.next_at.to_bytes(8, "big", signed=True)
        case ev.BarClosed() | ev.ActivityObserved():
            return _pair_time_key(kind, event) + event.minutes.to_bytes(4, "big")
        case ev.FundingRevised():
            return _pair_time_key(kind, event) + repr(event.rate).encode()
        case ev.ObservationCorrected():
            return _pair_time_key(kind, event) + event.kind.encode() + repr(event.values).encode()
        case ev.PairDelisted() | ev.FundingSettled():
            return _pair_time_key(kind, event)
        case ev.OrderFilled():
            return _run_key(kind, event.run, event.fill_id)
        case ev.OrderIntended():
            return _run_key(kind, event.run, event.client_id)
        case ev.FundingPaid():
            return _run_key(kind, event.run, f"{event.venue}\0{event.symbol}\0{event.listing}\0{event.settled_at}")
        case ev.BorrowCharged():
            return _run_key(kind, event.run, event.venue_id or str(event.event_at))
        case _:
            raise AssertionError(f"no key rule for {type(event).__name__}")


def pair_key_prefix(kind: bytes, venue: str, symbol: str, listing: int) -> bytes:
    """The common beginning of a pair's keys of one kind. Venue and symbol hold no NUL (checked at the door)."""
    return b"%b%b\0%b\0%b" % (kind, venue.encode(), symbol.encode(), listing.to_bytes(2, "big"))


def _pair_time_key(kind: bytes, event: "ev.MarketEvent") -> bytes:
    assert not isinstance(event, ev.DataRejected)
    return pair_key_prefix(kind, event.venue, event.symbol, event.listing) + event.event_at.to_bytes(
        8, "big", signed=True
    )


def _run_key(kind: bytes, run: int, name: str) -> bytes:
    return kind + run.to_bytes(8, "big") + name.encode()
