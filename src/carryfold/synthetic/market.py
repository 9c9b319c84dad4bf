"""The events of a synthetic market, in known order, from a seed.

The events are a pure function of seed and options. More days extend a market without changing its beginning, and more
pairs do not change the first ones. Events are known with a delay: quotes 0.2 s, bars 1 s, predictions 1 s, settlements
60 s. A strategy's profit here says nothing about its profit in a real market.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.availability import Availability, agree_on_availability
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import (
    ActivityObserved,
    BarClosed,
    Event,
    FundingPredicted,
    FundingSettled,
    InstrumentChanged,
    Quoted,
)
from carryfold.eventlog import EventLog
from carryfold.synthetic.options import VENUE, SyntheticOptions
from carryfold.synthetic.pair import (
    BAR,
    OPEN_INTEREST,
    PREDICTED,
    QUOTED,
    SETTLED,
    Columns,
    ListingEvent,
    SyntheticPair,
)
from carryfold.synthetic.price_process import BLOCK_DAYS, MarketProcess
from carryfold.synthetic.profile import NS_PER_DAY, make_profile

BATCH: Final = 4_096


def synthetic_events(
    seed: int, options: SyntheticOptions | None = None, **changes: object
) -> Iterator[tuple[Event, int]]:
    """(event, known_at) of everything known before the last day ends, in known order.

    Options may be given by name: `synthetic_events(7, pairs=20, days=365)`. Raises ValueError for invalid ones.
    """
    chosen = msgspec.structs.replace(options or SyntheticOptions(), **changes)
    if seed < 0:
        raise ValueError("the seed must not be negative")
    return _events(seed, chosen)


def write_synthetic(
    log: EventLog,
    seed: int,
    options: SyntheticOptions | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    **changes: object,
) -> int:
    """Append a synthetic market to a log and return the number of new events.

    Writing it again adds only quotes, which have no key. `progress` is called with the number of events so far.
    """
    events = synthetic_events(seed, options, **changes)
    agree_on_availability(log, Availability())
    written = generated = 0
    while batch := [(encode(event), event_key(event), known_at) for event, known_at in islice(events, BATCH)]:
        written += log.append(batch).count
        generated += len(batch)
        if progress is not None:
            progress(generated)
    return written


def _events(seed: int, options: SyntheticOptions) -> Iterator[tuple[Event, int]]:
    start = options.start_ns
    end = start + options.days * NS_PER_DAY
    step_minutes = 5 if options.bar_minutes % 5 == 0 else 1
    steps_per_day = 1_440 // step_minutes
    priced = options.pairs - options.unpriced
    pairs = [
        SyntheticPair(seed, make_profile(seed, number, start, priced=number < priced), options, step_minutes)
        for number in range(options.pairs)
    ]
    market = MarketProcess(seed, steps_per_day)
    symbols = [pair.profile.symbol for pair in pairs]
    listing_events = [event for pair in pairs for event in pair.listing_events()]
    later = Columns.empty()
    for block in range(-(-options.days // BLOCK_DAYS)):
        block_start = start + block * BLOCK_DAYS * NS_PER_DAY
        shared = market.advance(block)
        blocks = [pair.advance(block, block_start, shared) for pair in pairs]
        rows = Columns.join([later, *blocks])
        # Rows known after this block wait for the next one, whose rows may be known earlier.
        until = min(block_start + BLOCK_DAYS * NS_PER_DAY, end)
        now, later = rows.split(rows.known_at < until)
        due = sorted((event for event in listing_events if event.known_at < until), key=_listing_order)
        listing_events = [event for event in listing_events if event.known_at >= until]
        yield from _merged(now.sorted(), due, symbols, options.bar_minutes)


def _listing_order(item: ListingEvent) -> tuple[int, str, str, str]:
    return item.known_at, item.event.symbol, type(item.event).__name__, item.event.kind


def _merged(
    rows: Columns, listing_events: list[ListingEvent], symbols: list[str], minutes: int
) -> Iterator[tuple[Event, int]]:
    """Rows as events, merged with listing events; these come before rows known at the same moment."""
    known = rows.known_at
    cuts = [int(np.searchsorted(known, event.known_at, side="left")) for event in listing_events]
    first = 0
    for cut, (event, known_at) in zip(cuts, listing_events, strict=True):
        yield from _to_events(rows.part(first, cut), symbols, minutes)
        yield event, known_at
        first = cut
    yield from _to_events(rows.part(first, len(known)), symbols, minutes)


def _to_events(rows: Columns, symbols: list[str], minutes: int) -> Iterator[tuple[Event, int]]:
    columns: list[npt.NDArray[np.int64] | npt.NDArray[np.float64]] = list(rows)
    for known_at, kind, pair, at, extra, a, b, c, d, e in zip(*(column.tolist() for column in columns), strict=True):
        symbol = symbols[pair]
        if kind == BAR:
            yield BarClosed(VENUE, symbol, "perp", 1, at, minutes, b, c, d), known_at
            if a:
                yield BarClosed(VENUE, symbol, "spot", 1, at, minutes, a, turnover=e), known_at
        elif kind == OPEN_INTEREST:
            yield ActivityObserved(VENUE, symbol, "perp", 1, at, minutes, open_interest=a), known_at
        elif kind == SETTLED:
            yield FundingSettled(VENUE, symbol, 1, at, a, b), known_at
        elif kind == PREDICTED:
            yield FundingPredicted(VENUE, symbol, 1, at, a, extra, b, c), known_at
        elif kind == QUOTED:
            yield Quoted(VENUE, symbol, "perp", 1, at, c, d), known_at
            if a:
                yield Quoted(VENUE, symbol, "spot", 1, at, a, b), known_at
        else:
            yield InstrumentChanged(VENUE, symbol, "perp", 1, at, interval_hours=a), known_at
