"""The pairs among instruments, and the oracle's parsing of text parameters."""

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from math import lcm, prod

from carryfold.domain.instruments import Instrument, Listing, Pair
from carryfold.domain.params import Parameters

ONE_UNIT_OF_ACCOUNT = {"USDT", "USDC", "USD"}
LEGS = ("long", "short")


def pairs_among(listings: Iterable[Listing], params: Parameters) -> list[Pair]:
    """The pairs of a run over these instruments, in pair order."""
    listings = list(listings)
    found = []
    for short in listings:
        if short.instrument.kind != "perp":
            continue
        own_spots = [one for one in listings if is_spot_of(one, short, own_venue=True)]
        if params.legs in ("carry", "both"):
            found += [Pair(one.instrument, short.instrument) for one in own_spots]
            if not own_spots:
                found.append(assumed_carry(short.instrument))
            if params.carry_across:
                found += [
                    Pair(one.instrument, short.instrument)
                    for one in listings
                    if is_spot_of(one, short, own_venue=False)
                ]
        if params.legs in ("spread", "both"):
            found += [
                Pair(one.instrument, short.instrument)
                for one in listings
                if one.instrument.kind == "perp"
                and one.instrument.venue != short.instrument.venue
                and one.base == short.base
                and is_one_account(one.quote, short.quote)
            ]
    return sorted(found, key=pair_order)


def assumed_carry(perp: Instrument) -> Pair:
    """The carry pair of a perpetual whose venue has no spot market of its coin: the spot leg is assumed."""
    return Pair(Instrument(perp.venue, perp.symbol, "spot", 0), perp)


def is_spot_of(one: Listing, perp: Listing, *, own_venue: bool) -> bool:
    """Whether a listing is a spot market of a perpetual's coin, at its venue or at another one."""
    if one.instrument.kind != "spot" or one.base != perp.base or not is_one_account(one.quote, perp.quote):
        return False
    return (one.instrument.venue == perp.instrument.venue) == own_venue


def is_one_account(quote: str, other: str) -> bool:
    return quote == other or (quote in ONE_UNIT_OF_ACCOUNT and other in ONE_UNIT_OF_ACCOUNT)


def pair_order(pair: Pair) -> tuple[bytes | int, ...]:
    """The sort key that breaks ties: short symbol, short venue, long venue, long symbol, long kind, listing numbers."""
    long, short = pair
    texts = (short.symbol, short.venue, long.venue, long.symbol, long.kind)
    return (*(text.encode() for text in texts), short.listing, long.listing)


def in_one_account(pair: Pair) -> bool:
    return pair.long.venue == pair.short.venue


def venues_of(pairs: Iterable[Pair]) -> list[str]:
    """Every venue with a leg, in byte order."""
    return sorted({leg.venue for pair in pairs for leg in pair}, key=lambda venue: venue.encode())


def lot_in_coins(lot: float, multiplier: float) -> Fraction:
    """An instrument's lot in coins, both numbers being the decimals that they print as."""
    return Fraction(repr(lot)) * Fraction(repr(multiplier))


def smallest_common_lot(lots: list[Fraction]) -> float:
    """The smallest number of coins that is a whole number of each lot; 0 where one is not known."""
    if not lots or min(lots) <= 0:
        return 0.0
    denominator = prod(lot.denominator for lot in lots)
    return float(Fraction(lcm(*(int(lot * denominator) for lot in lots)), denominator))


def capital_by_venue(params: Parameters, venues: list[str]) -> dict[str, int]:
    """The capital in 1e-8 of each venue: its share, rounded down, and the remainder for the first."""
    whole = round(params.capital * 1e8)
    given = numbers_by_name(params.split)
    parts = {venue: int(whole * given[venue]) if given else whole // len(venues) for venue in venues}
    if venues:
        parts[venues[0]] += whole - sum(parts.values())
    return parts


def taker_bp(params: Parameters, instrument: Instrument) -> float:
    """The taker fee of an instrument."""
    usual = params.spot_taker_bp if instrument.kind == "spot" else params.perp_taker_bp
    return numbers_by_name(params.fees).get(f"{instrument.venue}:{instrument.kind}", usual)


@cache
def numbers_by_name(text: str) -> dict[str, float]:
    """`a=1,b=2` as numbers by name."""
    found = {}
    for part in text.split(","):
        if part.strip():
            name, value = part.split("=")
            found[name.strip()] = float(value)
    return found
