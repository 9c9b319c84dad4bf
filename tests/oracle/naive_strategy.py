"""What the three strategies want, how large an entry may be, and every gate it has to pass."""

from dataclasses import dataclass
from math import floor, sqrt

from carryfold.domain.params import Parameters

from .naive_book import EXACT, Book, Seat, SizeOutOfRange
from .naive_rates import SECOND, clip

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

    seat: Seat
    q: float
    conviction: float


@dataclass
class Moment:
    """What gates and sizes need beside the book and the pair."""

    t: int
    theta: float
    halted: bool
    day_start_equity: int
    universe: int
    heard_since: int


def candidates(params: Parameters, seats: list[Seat], t: int) -> list[Candidate]:
    """Pairs wanted at t, best first; `seats` come in symbol order and sorting is stable."""
    found = []
    for seat in seats:
        if seat.position is not None or seat.entry is not None:
            continue
        q = seat.market.rates.estimate(t)
        if params.strategy == "hold":
            if not seat.ever_entered:
                found.append(Candidate(seat, 0.0, 0.0))
        elif q is None:
            continue
        elif params.strategy == "simple":
            if q >= params.enter:
                found.append(Candidate(seat, q, 0.0))
        else:
            conviction = seat.market.conviction(q)
            if conviction is not None and conviction >= params.conviction_enter:
                found.append(Candidate(seat, q, conviction))
    if params.strategy == "simple":
        found.sort(key=lambda c: -c.q)
    if params.strategy == "composite":
        found.sort(key=lambda c: -c.conviction)
    return found


def wants_exit(params: Parameters, seat: Seat, t: int) -> bool:
    """Whether an open position without an exit on its way is to be closed."""
    position = seat.position
    if position is None or position.exit is not None or position.liquidated_at is not None:
        return False
    if seat.market.delisting:
        return True
    if params.strategy == "hold":
        return False
    q = seat.market.rates.estimate(t)
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


def spot_mid(seat: Seat) -> float | None:
    """What sizes are divided by: 1 without prices, None while a price is missing."""
    if not seat.market.priced:
        return 1.0
    return seat.market.price.spot_mid if seat.market.price is not None else None


def entry_cost_bp(params: Parameters) -> float:
    p = params
    return p.spot_taker_bp + p.perp_taker_bp + 2.0 * (p.half_spread_bp + p.slippage_bp)


def entry_size(book: Book, candidate: Candidate, moment: Moment) -> float:
    p = book.params
    if p.strategy == "simple":
        return p.notional
    if p.strategy == "hold":
        return float(p.max_positions) * p.notional / float(moment.universe)
    return min(composite_sizes(book, candidate, moment).values())


def composite_sizes(book: Book, candidate: Candidate, moment: Moment) -> dict[str, float]:
    """Every cap on a composite entry, by name."""
    p = book.params
    over = clip((candidate.conviction - p.conviction_enter) / (1.0 - p.conviction_enter))
    gross = 0.0
    decided = []
    for seat in book.seats:
        position = seat.position
        if position is not None:
            if position.unpriced:
                gross += position.quantity
            else:
                assert seat.market.price is not None
                gross += position.quantity * seat.market.price.spot_mid
            decided.append(position.size)
        elif seat.entry is not None:
            gross += seat.entry.size
            decided.append(seat.entry.size)
    sizes = {
        "conviction": p.notional * (p.size_floor + (p.size_cap - p.size_floor) * over) * moment.theta,
        "pair": p.pair_cap,
        "book": p.book_cap - gross,
        "capital": float(book.free()) / 1e8 / ((1.0 + p.margin_fraction) + entry_cost_bp(p) / 1e4),
        "correlation": correlation_room(decided, p.funding_corr, p.corr_cap),
    }
    turnover = candidate.seat.market.smaller_turnover()
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


def needed(params: Parameters, size: float) -> int:
    amount = ((1.0 + params.margin_fraction) * size + size * entry_cost_bp(params) / 1e4) * 1e8
    if abs(amount) >= EXACT:
        raise SizeOutOfRange
    return round(amount)


def break_even(q: float, phi: float, mu: float, cost: float) -> tuple[int, float] | None:
    """The first 8 h bucket by which the expected rates have paid the cost, with their sum; None within 90 buckets."""
    g, total = q - mu, 0.0
    for n in range(1, BREAK_EVEN_BUCKETS + 1):
        g *= phi
        total += mu + g
        if total >= cost:
            return n, total
    return None


def round_trip_cost(params: Parameters, seat: Seat, size: float) -> float:
    """Fees, spreads, slippage and impact of both legs in and out, as a fraction of the size."""
    p, market = params, seat.market
    spot_impact = market.impact_bp(market.spot_turnover, max(size, 0.0))
    perp_impact = market.impact_bp(market.perp_turnover, max(size, 0.0))
    cost_bp = (
        2.0 * (p.spot_taker_bp + p.perp_taker_bp)
        + 4.0 * (p.half_spread_bp + p.slippage_bp)
        + 2.0 * (spot_impact + perp_impact)
    )
    return cost_bp / 1e4


def failed_gates(book: Book, candidate: Candidate, moment: Moment, size: float, lots: int) -> list[str]:
    """The names of all gates that forbid this entry, in the order of `GATES`."""
    p, seat, market, t = book.params, candidate.seat, candidate.seat.market, moment.t
    rates, price = market.rates, market.price
    mid = spot_mid(seat)
    passed = {
        "listed": is_listed(seat, moment, p),
        "prices": not market.priced or price is not None,
        "stale_price": not market.priced or (price is not None and t - price.event_at <= p.stale_s * SECOND),
        "stale_rate": rates.settled_at is not None
        and rates.interval_h > 0
        and float(t - rates.settled_at) <= 1.5 * rates.interval_h * 3600e9,
        "halted": not moment.halted,
        "delisting": not market.delisting,
        "daily_loss": float(moment.day_start_equity - book.equity()) < p.daily_loss_limit * p.capital * 1e8,
        "margin": book.health() >= HEALTH_MIN,
        "capital": p.strategy == "composite" or book.free() >= needed(p, size),
        "min_notional": lots >= 1 and mid is not None and lots * market.lot * mid >= market.min_notional,
        "slots": p.strategy == "hold"
        or sum(s.position is not None or s.entry is not None for s in book.seats) < p.max_positions,
        "break_even": True,
        "age": True,
        "interval": True,
        "too_small": True,
    }
    if p.strategy == "composite":
        phi, mu = rates.regression.phi_mu()
        since = market.listed_at if market.listed_at > 0 else market.first_event_at
        assert since is not None
        passed["break_even"] = break_even(candidate.q, phi, mu, round_trip_cost(p, seat, size)) is not None
        passed["age"] = float(t - since) / 86400e9 >= p.min_age_d
        passed["interval"] = rates.interval_h > 0 and rates.interval_h >= p.min_interval_h
        passed["too_small"] = size >= 0.5 * p.size_floor * p.notional
    return [name for name in GATES if not passed[name]]


def is_listed(seat: Seat, moment: Moment, params: Parameters) -> bool:
    market, t = seat.market, moment.t
    known = market.listing_seen and market.listed_at <= t
    return known and market.delisted_at is None and not is_dead(seat, t, params, moment.heard_since)


def is_dead(seat: Seat, t: int, params: Parameters, heard_since: int) -> bool:
    """No market row for so long that the pair counts as gone, until another one comes; not before anything at all was
    heard for as long."""
    last = seat.market.last_known_at
    return last is not None and t - max(last, heard_since) > params.dead_s * SECOND
