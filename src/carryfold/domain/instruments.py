"""What is traded: instruments, and pairs of two of them.

An instrument is a spot market or a linear perpetual of one venue, under the venue's own symbol. A relisting under an
old symbol is listing 2, 3, ... A pair is two legs of one base coin, the long one first. Listing 0 marks an assumed spot
leg: the log has no spot market of the perpetual's coin at its venue. Such a leg has no observations, and its pair is
unpriced.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm
from typing import Final, Literal, NamedTuple

__all__ = [
    "ASSUMED", "LOT_UNITS", "Instrument", "InstrumentKind", "Leg", "Legs", "Listing", "Pair", "carry_pair",
    "common_lot", "labels", "nominal_settlement", "pairs_of",
]  # fmt: skip

InstrumentKind = Literal["spot", "perp"]
Leg = Literal["long", "short"]

Legs = Literal["carry", "spread", "both"]

ASSUMED: Final = 0
"""The listing number of an assumed spot leg."""

LOT_UNITS: Final = 1_000_000
"""Units of a live holding in a pair's lot. A fee taken in coins leaves fractions of a lot, which are counted in
units."""

_ONE_ACCOUNT: Final = frozenset({"USDT", "USDC", "USD"})
_MINUTE = 60_000_000_000
_HOUR = 60 * _MINUTE


class Instrument(NamedTuple):
    """The identity of an instrument: venue, the venue's own symbol, spot or perp, and which listing of that name."""

    venue: str
    symbol: str
    kind: InstrumentKind
    listing: int = 1

    @property
    def label(self) -> str:
        """`bybit:spot:BTCUSDT`; a perpetual names no kind: `bybit:BTCUSDT`."""
        kind = "spot:" if self.kind == "spot" else ""
        number = "" if self.listing <= 1 else f"#{self.listing}"
        return f"{self.venue}:{kind}{self.symbol}{number}"

    @property
    def is_assumed(self) -> bool:
        """True for a spot leg without a market in the log."""
        return self.listing == ASSUMED


class Pair(NamedTuple):
    """Two legs of one base coin: `long` is bought, `short`, always a perpetual, is sold."""

    long: Instrument
    short: Instrument

    @property
    def is_carry(self) -> bool:
        """Spot against perpetual; otherwise a spread of two perpetuals."""
        return self.long.kind == "spot"

    @property
    def is_one_venue(self) -> bool:
        """True if both legs are in one account."""
        return self.long.venue == self.short.venue

    @property
    def name(self) -> str:
        """The name by both legs, long first."""
        return f"{self.long.label}>{self.short.label}"

    @property
    def order(self) -> tuple[bytes, bytes, bytes, bytes, bytes, int, int]:
        """The sort key that breaks ties between pairs: short symbol, short venue, long venue, long symbol, long kind,
        listings."""
        long, short = self.long, self.short
        symbol = short.symbol if long.is_assumed else long.symbol
        return (
            short.symbol.encode(), short.venue.encode(), long.venue.encode(), symbol.encode(), long.kind.encode(),
            short.listing, long.listing,
        )  # fmt: skip

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues of its legs, in byte order, each once."""
        return tuple(sorted({self.long.venue, self.short.venue}, key=str.encode))

    def leg(self, leg: Leg) -> Instrument:
        """The instrument of a leg."""
        return self.long if leg == "long" else self.short


class Listing(NamedTuple):
    """The facts of an instrument that never change: its coins."""

    instrument: Instrument
    base: str
    quote: str


def pairs_of(listings: Iterable[Listing], legs: Legs = "carry", *, carry_across: bool = False) -> list[Pair]:
    """Every pair of these instruments, in tie order. `carry`: spot and perpetual of one venue, with `carry_across` also
    of two; `spread`: perpetuals of two venues, in both directions; `both`. A perpetual without a spot market of its
    coin at its venue gets an assumed spot leg."""
    listings = list(listings)
    spots = [one for one in listings if one.instrument.kind == "spot"]
    perps = [one for one in listings if one.instrument.kind == "perp"]
    pairs: list[Pair] = []
    for short in perps:
        perp = short.instrument
        if legs != "spread":
            own = [s.instrument for s in spots if s.instrument.venue == perp.venue and _match(s, short)]
            pairs += [Pair(spot, perp) for spot in own] or [carry_pair(perp.venue, perp.symbol, perp.listing)]
            if carry_across:
                others = (s.instrument for s in spots if s.instrument.venue != perp.venue and _match(s, short))
                pairs += [Pair(spot, perp) for spot in others]
        if legs != "carry":
            longs = (p.instrument for p in perps if p.instrument.venue != perp.venue and _match(p, short))
            pairs += [Pair(long, perp) for long in longs]
    return sorted(pairs, key=lambda pair: pair.order)


def _match(a: Listing, b: Listing) -> bool:
    """True for the same base coin and quotes of one unit of account (an assumption, stated in reports)."""
    return a.base == b.base and (a.quote == b.quote or {a.quote, b.quote} <= _ONE_ACCOUNT)


def common_lot(long_lot: float, long_multiplier: float, short_lot: float, short_multiplier: float) -> Decimal:
    """The smallest number of coins that is a whole number of both legs' lots, exactly."""
    long, short = (Fraction(repr(lot)) * Fraction(repr(m)) for lot, m in (
        (long_lot, long_multiplier), (short_lot, short_multiplier),
    ))  # fmt: skip
    both = Fraction(lcm(long.numerator, short.numerator), gcd(long.denominator, short.denominator))
    return Decimal(both.numerator) / Decimal(both.denominator)


def carry_pair(venue: str, symbol: str, listing: int = 1, spot_symbol: str | None = None) -> Pair:
    """The carry pair of a perpetual at its own venue. `spot_symbol` None: the spot leg is assumed."""
    perp = Instrument(venue, symbol, "perp", listing)
    if spot_symbol is None:
        return Pair(Instrument(venue, symbol, "spot", ASSUMED), perp)
    return Pair(Instrument(venue, spot_symbol, "spot", 1), perp)


def labels(pairs: Iterable[Pair], *, several_venues: bool) -> dict[Pair, str]:
    """The short names of pairs. A carry pair of one venue has its perpetual's symbol, with the venue where the log has
    several. Any other pair, and one of several pairs with the same short leg, has the names of both legs."""
    pairs = list(pairs)
    shorts = [pair.short for pair in pairs if pair.is_carry and pair.is_one_venue]
    named: dict[Pair, str] = {}
    for pair in pairs:
        if not (pair.is_carry and pair.is_one_venue) or shorts.count(pair.short) > 1:
            named[pair] = pair.name
        else:
            label = pair.short.label
            named[pair] = label if several_venues else label.partition(":")[2]
    return named


def nominal_settlement(at: int) -> int:
    """The nominal time of a settlement stamped `at` (UTC ns): the whole UTC hour within 5 minutes of the stamp, else
    the stamp rounded down to the minute. Venues stamp late and with jitter; two stamps of a settlement become one."""
    hour = (at + _HOUR // 2) // _HOUR * _HOUR
    return hour if abs(at - hour) <= 5 * _MINUTE else at // _MINUTE * _MINUTE
