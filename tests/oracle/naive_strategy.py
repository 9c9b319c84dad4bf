"""The three strategies: candidates, entry sizes, and gates."""

from dataclasses import dataclass
from math import floor, sqrt

from carryfold.domain.params import Parameters

from .naive_book import EXACT, Book, BookedPair, SizeOutOfRange, whole
from .naive_market import PairMarket
from .naive_pairs import venues_of
from .naive_rates import clip

GATES = (
    "listed",
    "prices",
    "stale_price",
    "stale_rate",
    "halted",
    "delisting",
    "daily_loss",
    "margin",
    "capital",
    "min_notional",
    "slots",
    "busy",
    "universe",
    "break_even",
    "age",
    "interval",
    "too_small",
)

BREAK_EVEN_BUCKETS = 90
HEALTH_MIN = 3.0


@dataclass
class Candidate:
    """A pair the strategy wants, with what was known when the entries of this decision began."""

    booked: BookedPair
    q: float
    conviction: float


@dataclass
class Moment:
    """The inputs of gates and sizes besides the book and the pair."""

    t: int
    theta: float
    halted: bool
    day_start_equity: int
    heard_since: int


def candidates(params: Parameters, booked_pairs: list[BookedPair], t: int) -> list[Candidate]:
    """Pairs wanted at t, best first; `booked_pairs` come in pair order and sorting is stable."""
    found = []
    for booked in booked_pairs:
        if booked.taken:
            continue
        q = booked.market.estimate(t)
        if params.strategy == "hold":
            if not booked.ever_entered and not booked.market.is_spread:
                found.append(Candidate(booked, 0.0, 0.0))
        elif q is None:
            continue
        elif params.strategy == "simple":
            if q >= params.enter:
                found.append(Candidate(booked, q, 0.0))
        else:
            conviction = booked.market.conviction(q)
            if conviction is not None and conviction >= params.conviction_enter:
                found.append(Candidate(booked, q, conviction))
    if params.strategy == "simple":
        found.sort(key=lambda c: -c.q)
    if params.strategy == "composite":
        found.sort(key=lambda c: -c.conviction)
    return found


def wants_exit(params: Parameters, booked: BookedPair, t: int) -> bool:
    """Whether a position with both legs and without an exit on its way is to be closed."""
    position = booked.position
    if position is None or position.exit is not None or not position.is_whole:
        return False
    if booked.market.delisting():
        return True
    if params.strategy == "hold":
        return False
    q = booked.market.estimate(t)
    return q is not None and q < params.exit


# Sizes --------------------------------------------------------------------------------------------------------


def correlation_room(sizes: list[float], rho: float, k: float) -> float:
    """The size that one more position may have under the cap on correlated funding risk."""
    g = squares = 0.0
    for size in sizes:
        g += size
        squares += size * size
    inner = rho * rho * g * g - rho * g * g - (1.0 - rho) * squares + k * k
    return -rho * g + sqrt(max(0.0, inner))


def sizing_mid(market: PairMarket) -> float | None:
    """The divisor of sizes, the long leg's price: 1 for an unpriced pair, None while a price is missing."""
    if not market.priced:
        return 1.0
    return market.price.long.mid if market.price is not None else None


def entry_size(book: Book, candidate: Candidate, moment: Moment) -> float:
    p = book.params
    if p.strategy == "simple":
        return p.in_quote("notional")
    if p.strategy == "hold":
        known = sum(
            not booked.market.is_spread
            and booked.market.known()
            and not waits(book, booked)
            and all(view.in_universe for view in booked.market.perps)
            for booked in book.booked_pairs
        )
        return float(p.max_positions) * p.in_quote("notional") / float(max(known, 1))
    return min(composite_sizes(book, candidate, moment).values())


def composite_sizes(book: Book, candidate: Candidate, moment: Moment) -> dict[str, float]:
    """Every cap on a composite entry, by name."""
    p = book.params
    over = clip((candidate.conviction - p.conviction_enter) / (1.0 - p.conviction_enter))
    gross = 0.0
    decided = []
    for booked in book.booked_pairs:
        position = booked.position
        if position is not None:
            if position.unpriced:
                gross += position.quantity
            else:
                assert booked.market.price is not None
                gross += position.quantity * booked.market.price.long.mid
            decided.append(position.size)
        elif booked.entry is not None:
            gross += booked.entry.size
            decided.append(booked.entry.size)
    sizes = {
        "conviction": p.in_quote("notional") * (p.size_floor + (p.size_cap - p.size_floor) * over) * moment.theta,
        "pair": p.in_quote("pair_cap"),
        "book": p.in_quote("book_cap") - gross,
        "correlation": correlation_room(decided, p.funding_corr, p.in_quote("corr_cap")),
    }
    for venue in venues_of([candidate.booked.pair]):
        of_one = book.need(candidate.booked, venue, 1.0)
        if of_one != 0:
            sizes["capital " + venue] = float(book.free(venue)) / 1e8 / of_one
    turnover = candidate.booked.market.smaller_turnover()
    if turnover is not None:
        sizes["liquidity"] = p.liquidity_cap * turnover
    return sizes


def lots_of(size: float, mid: float | None, lot: float) -> int:
    """Whole lots that a size buys; none where the price or the lot is unknown."""
    if size <= 0 or mid is None or lot <= 0:
        return 0
    lots = size / mid / lot * (1 + 1e-12)
    if lots >= EXACT:
        raise SizeOutOfRange
    return floor(lots)


# Gates --------------------------------------------------------------------------------------------------------


def break_even(q: float, phi: float, mu: float, cost: float) -> tuple[int, float] | None:
    """The first 8 h bucket by which the expected rates have paid the cost, with their sum; None within 90 buckets."""
    g, total = q - mu, 0.0
    for n in range(1, BREAK_EVEN_BUCKETS + 1):
        g *= phi
        total += mu + g
        if total >= cost:
            return n, total
    return None


def round_trip_cost(book: Book, booked: BookedPair, size: float) -> float:
    """Fees, spreads, slippage and impact of both legs in and out, as a fraction of the size."""
    p = book.params
    long_impact = booked.market.impact_bp("long", max(size, 0.0))
    short_impact = booked.market.impact_bp("short", max(size, 0.0))
    cost_bp = (
        2.0 * (book.taker(booked, "long") + book.taker(booked, "short"))
        + 4.0 * (p.half_spread_bp + p.slippage_bp)
        + 2.0 * (long_impact + short_impact)
    )
    return cost_bp / 1e4


def failed_gates(book: Book, candidate: Candidate, moment: Moment, size: float, lots: int) -> list[str]:
    """The names of all gates that forbid this entry, in the order of `GATES`."""
    p, booked, market, t = book.params, candidate.booked, candidate.booked.market, moment.t
    price, mid, venues = market.price, sizing_mid(market), venues_of([booked.pair])
    taken = [other.pair for other in book.booked_pairs if other.taken]
    passed = {
        "listed": is_listed(market, moment) and not waits(book, booked),
        "prices": not market.priced or price is not None,
        "stale_price": not market.priced or (price is not None and t - price.event_at <= market.stale_ns()),
        "stale_rate": all(view.rates.is_fresh(t) for view in market.perps),
        "halted": not moment.halted,
        "delisting": not market.delisting(),
        "daily_loss": float(moment.day_start_equity - book.equity()) < p.daily_loss_limit * p.capital * 1e8,
        "margin": all(book.health(venue) >= HEALTH_MIN for venue in venues),
        "capital": p.strategy == "composite"
        or all(book.free(venue) >= whole(book.need(booked, venue, size) * 1e8) for venue in venues),
        "min_notional": lots >= 1 and mid is not None and lots * market.lot() * mid >= market.min_notional(),
        "slots": p.strategy == "hold" or len(taken) < p.max_positions,
        "busy": not any(leg in pair for pair in taken for leg in booked.pair),
        "universe": all(view.in_universe for view in market.perps),
        "break_even": True,
        "age": True,
        "interval": True,
        "too_small": True,
    }
    if p.strategy == "composite":
        phi, mu = market.rates.regression.phi_mu()
        since, hours = market.born_at(), market.interval_h()
        passed["break_even"] = break_even(candidate.q, phi, mu, round_trip_cost(book, booked, size)) is not None
        passed["age"] = since is not None and float(t - since) / 86400e9 >= p.min_age_d
        passed["interval"] = hours > 0 and hours >= p.min_interval_h
        passed["too_small"] = size >= 0.5 * p.size_floor * p.in_quote("notional")
    return [name for name in GATES if not passed[name]]


def waits(book: Book, booked: BookedPair) -> bool:
    """The spot leg is not listed, and another pair of the perpetual is the one that counts: one whose spot is, or of
    those whose spots are not either, an earlier one."""
    if booked.market.priced:
        return False
    rivals = [
        other
        for other in book.booked_pairs
        if other.market.is_one_venue_carry and other.pair.short == booked.pair.short
    ]
    return any(other.market.priced for other in rivals) or rivals[0] is not booked


def is_listed(market: PairMarket, moment: Moment) -> bool:
    """Every leg is listed, none is delisted, and the data of none has ended."""
    listed = all(view.listing_seen and view.listed_at <= moment.t for view in market.traded_views)
    return listed and not market.delisted() and not market.dead_views(moment.t, moment.heard_since)
