"""Observing an instant, phases 1 and 2: prices, then pair rows, then rates, predictions, activity and listings. Nothing
here depends on a run. (docs/semantics.md 4.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled, index, inlined, prefetch
from carryfold.domain.fold.arithmetic import common_lot
from carryfold.domain.fold.codes import (
    ACTIVITY_OBSERVED,
    BAR_CLOSED,
    CLOCK_STEPPED,
    FUNDING_PREDICTED,
    FUNDING_REVISED,
    FUNDING_SETTLED,
    INSTRUMENT_CHANGED,
    INSTRUMENT_DELISTED,
    INSTRUMENT_LISTED,
    ORDER_ACCEPTED,
    UNIVERSE_CHANGED,
)
from carryfold.domain.fold.observe import (
    LATE_BAR,
    NOTHING_NEW,
    measure,
    measure_late_bar,
    observe_activity,
    observe_pair_row,
    observe_price,
    observe_volume,
)
from carryfold.domain.fold.ordering import phase_of
from carryfold.domain.fold.rates import (
    READS_BASIS,
    READS_VOLUME,
    observe_pair_rate,
    observe_predicted,
    observe_settled,
)

# what an instant holds for the later phases
PRICES = 1
MONEY = 2
OUTCOME = 4
DELISTING = 8

UNCHANGED = -1
PREFETCHED = 256  # rows ahead: an instant of a hundred pairs


@compiled
def _observe_listing(market: Any, views: Any, links: Any, row: Any) -> None:
    """A listing or a change of it, and what follows for the instrument's pairs. A listing of unknown time never
    overrides a real one."""
    m = market[row.subject]
    if row.kind == INSTRUMENT_LISTED:
        if row.event_at == 0 and m.listed != 0:
            return
        m.listed = 1
        m.listed_at = row.event_at
        m.lot = row.a
        m.min_notional = row.b
        m.multiplier = row.c if row.c > 0.0 else 1.0
    else:
        if row.a > 0.0:
            m.lot = row.a
        if row.b >= 0.0:
            m.min_notional = row.b
        if row.c >= 0.0:
            m.delist_at = np.int64(row.c) * 1_000_000
    for k in range(links[row.subject], links[row.subject + 1]):
        v = views[links[k]]
        short = market[v.short]
        if v.long < 0 or market[v.long].listed == 0:  # an assumed leg, or one that is not listed yet
            v.lot = common_lot(short.lot, short.multiplier, short.lot, short.multiplier)
            v.min_notional = short.min_notional
            continue
        long = market[v.long]
        if v.priced == 0:
            v.priced = 1
            _let_others_wait(views, links, v.short)
        v.waits = 0
        if short.listed != 0:
            v.lot = common_lot(long.lot, long.multiplier, short.lot, short.multiplier)
            v.min_notional = max(long.min_notional, short.min_notional)


@compiled
def _let_others_wait(views: Any, links: Any, perpetual: int) -> None:
    """A spot of the perpetual is listed: its pairs with spots that are not are no stand-ins any more."""
    for k in range(links[perpetual], links[perpetual + 1]):
        v = views[links[k]]
        if v.short == perpetual and v.priced == 0:
            v.waits = 1


@compiled
def _interval_by_revision(rows: Any, k: int, end: int) -> float:
    """The interval in hours of the settlement rows[k]: its own, else the one that another source told of it later, in a
    revision that changes no rate; 0: nobody did. Revisions stand behind all rows of phase 2."""
    row = rows[k]
    if row.b > 0.0:
        return float(row.b)
    for j in range(end - 1, k, -1):
        other = rows[j]
        if other.kind == FUNDING_REVISED:
            same = other.subject == row.subject and other.event_at == row.event_at
            if same and other.a == row.a and other.c == row.a:
                return float(other.b)
        elif phase_of(other.kind) < 3:
            break
    return 0.0


@inlined
def _observe_prices(
    market: Any,
    views: Any,
    links: Any,
    tally: Any,
    params: Any,
    rows: Any,
    first: int,
    end: int,
    fresh: Any,
) -> int:
    """Phase 1: the prices of instruments; then, once all are there, the rows of their pairs. Gives the number of price
    rows, which come first in the instant."""
    t = rows[first].known_at
    prices = end
    for k in range(index(first), index(end)):
        row = rows[k]
        if row.kind > BAR_CLOSED:
            prices = np.int64(k)  # type: ignore[assignment]
            break
        prefetch(rows, np.int64(k) + PREFETCHED)
        fresh[k] = observe_price(market[index(row.subject)], tally, row)
    reads_basis = params.reads & READS_BASIS != 0
    for k in range(index(first), index(prices)):
        if fresh[k] == NOTHING_NEW:
            continue
        row = rows[k]
        subject = row.subject
        m = market[index(subject)]
        if fresh[k] == LATE_BAR:
            measure_late_bar(m, row)
            continue
        if m.price_known_at == t:
            for i in range(index(links[index(subject)]), index(links[index(subject + 1)])):
                v = views[index(links[i])]
                if v.tried_at != t:
                    observe_pair_row(market, v, tally, params, t, reads_basis)
        if m.suspect_at != t:
            measure(m, row)
    return prices - first


@inlined
def _observe_others(
    market: Any,
    views: Any,
    links: Any,
    tally: Any,
    params: Any,
    rows: Any,
    first: int,
    end: int,
    rates: Any,
) -> int:
    """Phase 2: rates, predictions, activity and listings, in groups of equal event times: a pair of two perpetuals that
    settle together makes one observation. Gives what the later phases are wanted for, as bits. `rates` follows the
    settled rates."""
    later = 0
    t = rows[first].known_at
    group = first
    while group < end:
        at = rows[index(group)].event_at
        spreads = False
        stop = group
        while stop < end and rows[index(stop)].event_at == at:
            row = rows[index(stop)]
            kind = row.kind
            if kind == FUNDING_SETTLED:
                tally.settlements += 1
                later |= MONEY
                interval_h = row.b if row.b > 0.0 else _interval_by_revision(rows, stop, end)
                subject = row.subject
                if observe_settled(market[index(subject)], tally, row, interval_h):
                    for i in range(index(links[index(subject)]), index(links[index(subject + 1)])):
                        j = index(links[i])
                        v = views[j]
                        if v.carry == 0:
                            spreads = True
                        elif v.short == subject and observe_pair_rate(market, v, params, t, at):
                            rates[j] = v.rate_8h
            elif kind == FUNDING_PREDICTED:
                observe_predicted(market[row.subject], tally, row)
            elif kind == ACTIVITY_OBSERVED:
                observe_activity(market[row.subject], tally, row)
            elif kind == INSTRUMENT_LISTED or kind == INSTRUMENT_CHANGED:
                _observe_listing(market, views, links, row)
            elif kind == INSTRUMENT_DELISTED:
                m = market[row.subject]
                m.delisted = 1
                m.delisted_at = row.event_at
                m.delisted_known_at = row.known_at
                later |= DELISTING
            elif kind == UNIVERSE_CHANGED:
                market[row.subject].outside = 1 if row.a == 0.0 else 0
            elif kind == CLOCK_STEPPED:
                tally.clock = 1 if row.a != 0.0 else 0
            elif kind == FUNDING_REVISED:
                later |= MONEY
            elif kind >= ORDER_ACCEPTED:
                later |= OUTCOME
            stop += 1
        if spreads:
            for k in range(group, stop):
                row = rows[k]
                if row.kind == FUNDING_SETTLED and market[row.subject].set_at == t:
                    for i in range(links[row.subject], links[row.subject + 1]):
                        j = links[i]
                        if views[j].carry == 0 and observe_pair_rate(market, views[j], params, t, at):
                            rates[j] = views[j].rate_8h
        group = stop
    return later


@compiled
def _observe_volumes(market: Any, views: Any, links: Any, rows: Any, first: int, end: int) -> None:
    """The volume signals of every pair with a leg whose turnover grew."""
    t = rows[first].known_at
    for k in range(first, end):
        row = rows[k]
        if row.kind != BAR_CLOSED and row.kind != ACTIVITY_OBSERVED:
            continue
        if market[row.subject].turnover_entered_at == t:
            for i in range(links[row.subject], links[row.subject + 1]):
                observe_volume(market, views[links[i]], t)


@inlined
def observe_instant(
    market: Any,
    views: Any,
    links: Any,
    tally: Any,
    params: Any,
    rows: Any,
    first: int,
    end: int,
    fresh: Any,
    rates: Any,
) -> int:
    """Phases 1 and 2. Gives what later phases are wanted for."""
    tally.late = 0
    tally.suspect = 0
    tally.gaps = 0
    tally.settlements = 0
    tally.clock = UNCHANGED
    later = 0
    prices = _observe_prices(market, views, links, tally, params, rows, first, end, fresh)
    if prices > 0:
        later = PRICES
    if first + prices < end:
        later |= _observe_others(market, views, links, tally, params, rows, first + prices, end, rates)
    if params.reads & READS_VOLUME:
        _observe_volumes(market, views, links, rows, first, end)
    return later
