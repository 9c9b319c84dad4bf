"""Rows of random markets: small, seeded, with all faults of real data.

A `Shape` lists the possible contents; the numbers come from `random.Random(seed)`. The markets are adversarial, not
realistic: rates lie at the thresholds, prices jump, fills coincide with settlements, stamps of two legs lie around the
allowed skew.
"""

from dataclasses import dataclass, fields
from itertools import pairwise
from math import nextafter
from random import Random

from carryfold.domain.instruments import Instrument, InstrumentKind, Listing
from carryfold.domain.rows import ROW, Kind, Rows, empty_rows

__all__ = ["EPOCH", "FEEDS", "FLAGS", "VENUES", "RowTuple", "Shape", "as_rows", "rows_of"]

RowTuple = tuple[int, int, int, int, int, int, float, float, float]

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR
EPOCH = 19_675 * DAY  # 2023-11-14, a day like any other

FEEDS = ("bars 60", "bars 15", "bars 480", "quotes", "quotes and bars", "mixed", "mixed legs")
VENUES = ("alpha", "beta")
KINDS: tuple[InstrumentKind, InstrumentKind] = ("spot", "perp")
COINS = ("AAA", "AB", "B", "BTC", "BTCUSDT", "Z1", "ZZ", "a", "1000X")
STEP = 15 * MINUTE


@dataclass(frozen=True)
class Shape:
    """The possible contents of a market. The defaults are the simplest market."""

    seed: int = 0
    coins: int = 1
    hours: int = 72
    start_h: int = 0
    feed: str = "bars 60"
    two_venues: bool = False
    missing_legs: bool = False
    unlisted_spots: bool = False
    more_spots: bool = False
    multipliers: bool = False
    skew: bool = False
    short_intervals: bool = False
    intervals_given: bool = True
    interval_switches: bool = False
    gaps: bool = False
    jitter: bool = False
    ties: bool = False
    suspects: bool = False
    holes: bool = False
    late: bool = False
    bulk: bool = False
    predictions: bool = False
    activity: bool = False
    revisions: bool = False
    operations: bool = False
    listings: bool = False
    changes: bool = False
    delistings: bool = False
    endings: bool = False
    jumps: bool = False
    odd_lots: bool = False
    universe: bool = False


FLAGS = [option.name for option in fields(Shape) if isinstance(option.default, bool)]
"""The options of a shape that are on or off."""


class Coin:
    """The common data of all instruments of a coin: its price, its jumps, the times of its quotes."""

    def __init__(self, rng: Random, shape: Shape, name: str) -> None:
        self.name = name
        self.begin = EPOCH + shape.start_h * HOUR
        self.end = self.begin + shape.hours * HOUR
        self.jumps: list[int] = []
        self.path = self._price_path(rng, shape)
        self.feed = rng.choice(FEEDS[:5]) if shape.feed == "mixed" else shape.feed
        self.bar_offset = 0 if rng.random() < 0.8 else rng.randrange(0, 15) * MINUTE
        self.quote_times = self._quote_times(rng)

    def _price_path(self, rng: Random, shape: Shape) -> list[float]:
        price = rng.choice([0.0625, 0.7, 1.0, 23.5, 1800.0, 30000.0]) * rng.uniform(0.8, 1.2)
        calm = rng.choice([0.0, 0.0005, 0.003])
        path: list[float] = []
        for _ in range(shape.hours * 4 + 8):
            price *= 1.0 + rng.gauss(0.0, 1.0) * calm
            if shape.jumps and rng.random() < 0.02:
                price *= rng.choice([0.55, 0.7, 0.9, 1.1, 1.3, 1.5, 2.0])
                self.jumps.append(self.begin + len(path) * STEP)
            path.append(price)
        return path

    def _quote_times(self, rng: Random) -> list[int]:
        every = rng.choice([10, 20, 45]) * MINUTE
        times = []
        t = self.begin + rng.randrange(0, MINUTE)
        while t <= self.end:
            times.append(t)
            t += rng.choice([every, every, 3 * SECOND, rng.randrange(SECOND, 2 * every)])
            if rng.random() < 0.3:  # beside the close of a bar
                t = -(-t // HOUR) * HOUR + rng.choice([-5, -1, 0, 0, 1, 2, 5]) * SECOND
        return times


class InstrumentMaker:
    """Makes the rows of one instrument; known_at order and seq come later."""

    def __init__(self, rng: Random, shape: Shape, subject: int, listing: Listing, coin: Coin, shared: list[float]):
        self.rng, self.shape, self.subject, self.coin = rng, shape, subject, coin
        self.is_perp = listing.instrument.kind == "perp"
        self.rows: list[RowTuple] = []
        self.begin, self.end = coin.begin, coin.end
        self.rates = shared if shape.ties and rng.random() < 0.7 else rate_path(rng, shape.hours + 1)
        self.multiplier = rng.choice([1.0, 10.0, 1000.0]) if shape.multipliers else 1.0
        self.shift = self.shift_path()
        self.listing_known: int | None = None

    def put(self, known_at: int, event_at: int, kind: Kind, *values: float, slot: int = 0) -> None:
        a, b, c = (*values, 0.0, 0.0, 0.0)[:3]
        self.rows.append((max(known_at, 0), event_at, 0, self.subject, int(kind), slot, float(a), float(b), float(c)))

    def make(self) -> list[RowTuple]:
        self.listing()
        feed = self.coin.feed
        if feed == "mixed legs":
            feed = self.rng.choice(FEEDS[:5])
        if feed.startswith("quotes"):
            self.quotes()
        if feed.endswith("bars"):
            self.bars(60)
        elif feed.startswith("bars"):
            self.bars(int(feed.split()[1]))
        if self.is_perp:
            settled = self.settlements()
            if self.shape.predictions:
                self.predictions(settled)
            if self.shape.revisions:
                self.revisions(settled)
        if self.shape.activity and self.rng.random() < 0.8:
            self.activity()
        if self.shape.changes:
            self.changes()
        if self.shape.universe and self.is_perp:
            self.universe()
        self.disturb()
        return self.rows

    # Listings -------------------------------------------------------------------------------------------------

    def listing(self) -> None:
        rng, shape = self.rng, self.shape
        lot, least = 1e-6, 5.0
        if shape.odd_lots:
            price = max(1.0, self.coin.path[0]) * self.multiplier
            lot = rng.choice([lot for lot in (1e-6, 0.001, 0.002, 0.01, 0.1, 0.3, 1.0, 10.0) if lot * price < 700.0])
            least = rng.choice([0.0, 1.0, 5.0, 100.0, 500.0])
        at = known = 0
        if not self.is_perp and shape.unlisted_spots and rng.random() < 0.5:
            if rng.random() < 0.5:
                return
            known = self.begin + rng.randrange(0, max(1, shape.hours // 2)) * HOUR + rng.choice([0, SECOND])
        elif shape.listings:
            choice = rng.random()
            if choice < 0.4 and self.multiplier == 1.0:
                at = known = self.begin + int(rng.random() * 0.4 * (self.end - self.begin))
            elif choice < 0.7:
                at = self.begin - rng.choice([1, 20, 29, 31, 400]) * DAY
            elif choice < 0.8 and self.multiplier == 1.0:
                known = self.begin
                at = self.begin + rng.randrange(1, max(2, shape.hours // 2)) * HOUR
            elif choice < 0.85:
                return
        self.listing_known = known
        self.put(known, at, Kind.INSTRUMENT_LISTED, lot, least, self.multiplier)

    def changes(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(0, 4)):
            at = self.moment()
            if self.listing_known is None or at <= self.listing_known:
                continue
            choice = rng.random()
            if choice < 0.35:
                self.put(at, at, Kind.INSTRUMENT_CHANGED, rng.choice([1e-6, 0.001, 0.1, 1.0]), -1.0, -1.0)
            elif choice < 0.55:
                self.put(at, at, Kind.INSTRUMENT_CHANGED, 0.0, rng.choice([0.0, 5.0, 900.0, 2000.0]), -1.0)
            else:
                self.put(at, at, Kind.INSTRUMENT_CHANGED, 0.0, -1.0, float((at + 5 * HOUR) // 10**6))
                if rng.random() < 0.5:
                    cleared = at + rng.randrange(1, 30) * 30 * MINUTE
                    self.put(cleared, cleared, Kind.INSTRUMENT_CHANGED, 0.0, -1.0, 0.0)

    def universe(self) -> None:
        """Months of a universe: the perpetual is a member, or it is not."""
        rng = Random(f"universe {self.shape.seed} {self.subject}")
        for _ in range(rng.randrange(0, 4)):
            at = self.begin + rng.randrange(0, self.shape.hours + 1) * HOUR
            self.put(at, at, Kind.UNIVERSE_CHANGED, rng.choice([0.0, 1.0]))

    def moment(self) -> int:
        """Some time inside the market, often on an hour or a second beside it."""
        at = self.begin + self.rng.randrange(0, self.shape.hours + 1) * HOUR
        return at + self.rng.choice([0, 0, SECOND, 60 * SECOND, self.rng.randrange(0, HOUR)])

    # Prices ---------------------------------------------------------------------------------------------------

    def shift_path(self) -> list[float]:
        """The offset of this instrument from the coin's price, per step; suspect where it is large."""
        rng = self.rng
        basis, shift, shift_left = 0.0, 0.0, 0
        path = []
        for _ in self.coin.path:
            basis = 0.9 * basis + rng.gauss(0.0, 0.0004) if self.is_perp else 0.0
            if self.shape.suspects:
                if shift_left > 0:
                    shift_left -= 1
                elif rng.random() < 0.02:
                    shift = rng.choice([-0.3, -0.1, -0.04, 0.031, 0.05, 0.1])
                    shift_left = rng.choice([0, 1, 1, 2, 12, 60, 200])
                else:
                    shift = 0.0
            path.append(1.0 + basis + shift)
        return path

    def price(self, t: int) -> float:
        """In the instrument's own units; 0: none in this observation."""
        index = min(max((t - self.begin) // STEP, 0), len(self.shift) - 1)
        hole = self.shape.holes and self.rng.random() < 0.04
        return 0.0 if hole else self.coin.path[index] * self.shift[index] * self.multiplier

    def mark(self, t: int) -> float:
        """Of a perpetual, 0: not given."""
        if not self.is_perp or (self.shape.holes and self.rng.random() < 0.2):
            return 0.0
        return self.price(t) * (1.0 + self.rng.gauss(0.0, 0.0002))

    def stamp(self, t: int) -> int:
        """The stamp of an observation of time t; the stamps of a pair's legs may be too far apart."""
        if not self.shape.skew or self.rng.random() < 0.5:
            return t
        return t + self.rng.choice([1, SECOND, 3 * SECOND, 5 * SECOND, 5 * SECOND + 1, 6 * SECOND, 20 * SECOND])

    def bars(self, minutes: int) -> None:
        rng = self.rng
        delay = rng.choice([SECOND, SECOND, SECOND, 0, 30 * SECOND])
        scale = rng.choice([3e2, 1e5, 1e6, 1e8])
        known = rng.random() < (0.95 if self.is_perp else 0.6)
        close = self.begin + self.coin.bar_offset
        while close <= self.end:
            turnover = scale * rng.uniform(0.1, 3.0) if known else -1.0
            if rng.random() < 0.05:
                turnover = rng.choice([-1.0, 0.0])
            if not (self.shape.holes and rng.random() < 0.03):
                at = self.stamp(close)
                values = self.price(close), self.mark(close), turnover
                self.put(at + delay, at, Kind.BAR_CLOSED, *values, slot=minutes)
            close += minutes * MINUTE

    def quotes(self) -> None:
        rng = self.rng
        width = rng.choice([0.0, 1e-4, 5e-4])
        for t in self.coin.quote_times:
            if rng.random() < 0.1:
                continue
            price = self.price(t)
            bid, ask = price * (1.0 - width), price * (1.0 + width)
            if self.shape.holes and rng.random() < 0.03:
                bid, ask = rng.choice([(0.0, ask), (bid, 0.0)])
            at = self.stamp(t)
            self.put(at + rng.choice([0, 0, 200_000_000]), at, Kind.QUOTED, bid, ask)

    def activity(self) -> None:
        rng = self.rng
        minutes = rng.choice([15, 60, 60, 480])
        scale = rng.choice([2e2, 1e4, 1e6, 1e8])
        known = self.begin + rng.choice([0, 0, 7 * MINUTE])
        while known <= self.end:
            turnover = -1.0 if rng.random() < 0.4 else scale * rng.uniform(0.0, 2.0)
            self.put(known + SECOND, known, Kind.ACTIVITY_OBSERVED, turnover, rng.choice([-1.0, 1e5]), slot=minutes)
            known += minutes * MINUTE

    # Rates ----------------------------------------------------------------------------------------------------

    def settlements(self) -> list[tuple[int, float, int]]:
        """Settled rates; returns (T, rate, interval_h) of each."""
        rng, shape = self.rng, self.shape
        hours = rng.choice([1, 1, 1, 2, 4]) if shape.short_intervals else rng.choice([4, 8, 8])
        given = shape.intervals_given if rng.random() < 0.8 else not shape.intervals_given
        delay = rng.choice([60, 60, 60, 1, 0, 4]) * SECOND
        switch_at = self.moment() if shape.interval_switches else self.end + 1
        settled = []
        nominal = -(-self.begin // (hours * HOUR)) * (hours * HOUR)
        while nominal <= self.end:
            if nominal >= switch_at:
                hours = rng.choice([1, 2, 4, 6, 8])
                switch_at = self.end + 1 if rng.random() < 0.6 else nominal + rng.randrange(8, 60) * HOUR
            at = nominal
            if shape.jitter and rng.random() < 0.6:
                at += rng.choice([-6, -5, -4, -1, 0, 1, 2, 3, 4, 5, 6, 8, 30, 500, 590, 601]) * SECOND
            rate = self.rates[min((nominal - self.begin) // HOUR, len(self.rates) - 1)] * (hours / 8.0)
            if not (shape.gaps and rng.random() < 0.06):
                stated_hours = float(hours) if given else 0.0
                if shape.interval_switches and rng.random() < 0.03:
                    stated_hours = 0.0 if given else float(hours)
                self.put(at + delay, at, Kind.FUNDING_SETTLED, rate, stated_hours)
                settled.append((at, rate, hours))
            nominal += hours * HOUR
        return settled

    def predictions(self, settled: list[tuple[int, float, int]]) -> None:
        rng = self.rng
        named = rng.random() < 0.5
        for (at, _, _), (following, rate, hours) in pairwise(settled):
            interval = following - at
            for _ in range(rng.randrange(0, 5)):
                back = rng.choice([5, 9, 10, 11, 30, 200, 290, 310, 3000]) * SECOND
                ahead = rng.choice([10, 25, 59, 60, 61, 120, 1000]) * SECOND
                t = rng.choice([following - back, at + ahead, at + int(interval * rng.random())])
                predicted = 0.0 if t < at + 30 * SECOND else rate + rng.choice([0.0, 0.0, rng.gauss(0.0, 0.0001)])
                mark = self.mark(t) if rng.random() < 0.7 else 0.0
                next_ms = float(following // SECOND * 1000)
                known = t + rng.choice([0, 0, SECOND, 100 * SECOND])
                self.put(known, t, Kind.FUNDING_PREDICTED, predicted, mark, next_ms, slot=hours * 60 if named else 0)

    def revisions(self, settled: list[tuple[int, float, int]]) -> None:
        rng = self.rng
        for at, rate, hours in settled:
            if rng.random() < 0.15:
                known = at + rng.choice([60 * SECOND, 61 * SECOND, HOUR, 9 * HOUR])
                right = rng.choice([-rate, rate * 0.5, rate + 0.0001, 0.0, rate, rate])  # the same: tells the hours
                self.put(known, at, Kind.FUNDING_REVISED, right, float(hours), rate)

    # What goes wrong ------------------------------------------------------------------------------------------

    def disturb(self) -> None:
        """Data that ends, delistings, rows that come late, and rows that all become known in one instant."""
        rng, shape = self.rng, self.shape
        if shape.delistings and rng.random() < 0.4:
            at = self.moment()
            if self.coin.jumps and rng.random() < 0.5:  # between the row that liquidates a leg and the next one
                at = -(-rng.choice(self.coin.jumps) // HOUR) * HOUR + 2 * MINUTE
            self.put(at, at - rng.choice([0, 0, SECOND, HOUR]), Kind.INSTRUMENT_DELISTED)
            if rng.random() < 0.7:
                limit = at + rng.choice([0, 120 * SECOND, 9 * HOUR])
                self.rows = [row for row in self.rows if row[0] <= limit]
        if shape.endings and rng.random() < 0.5:
            limit, again = self.moment(), self.end + 1
            if rng.random() < 0.4:
                again = limit + rng.randrange(1, max(2, shape.hours // 2)) * HOUR
            self.rows = [row for row in self.rows if row[0] <= limit or row[0] > again]
        if shape.late:
            for index, row in enumerate(self.rows):
                if row[4] <= Kind.ACTIVITY_OBSERVED and rng.random() < 0.04:
                    more = rng.choice([SECOND, 10 * SECOND, HOUR, 3 * HOUR, 10 * HOUR])
                    self.rows[index] = (row[0] + more, *row[1:])
        if shape.bulk and rng.random() < 0.5:
            first = self.moment()
            last = first + rng.choice([2, 10, 30, 60]) * HOUR
            for index, row in enumerate(self.rows):
                if first <= row[0] <= last:
                    self.rows[index] = (last, *row[1:])


def rate_path(rng: Random, hours: int) -> list[float]:
    """An 8 h-equivalent rate per hour: regimes on and around the default thresholds."""
    path: list[float] = []
    while len(path) < hours:
        level = rng.choice([0.0001, 0.0001, 0.0003, 0.0004, 0.0006, 0.0015, 0.003, 0.0, -0.0003, -0.0005, -0.001])
        noise = rng.choice([0.0, 0.0, 0.00001, 0.0001])
        for _ in range(rng.choice([1, 4, 8, 16, 24, 48, 72])):
            rate = level + rng.gauss(0.0, 1.0) * noise
            if noise == 0.0 and rng.random() < 0.1:
                rate = nextafter(rate, rng.choice([-1.0, 1.0]))
            if rng.random() < 0.01:
                rate = rng.choice([-0.02, -0.005, 0.005, 0.02])
            path.append(rate)
    return path[:hours]


def operations_of(rng: Random, shape: Shape) -> list[RowTuple]:
    """Rows of no instrument: clocks, feeds, ticks."""
    begin, rows = EPOCH + shape.start_h * HOUR, []
    for _ in range(rng.randrange(1, 12)):
        t = begin + rng.randrange(0, shape.hours * 3600) * SECOND
        kind = rng.choice(
            [Kind.CLOCK_TICKED, Kind.CLOCK_TICKED, Kind.FEED_LOST, Kind.FEED_CONNECTED, Kind.CLOCK_STEPPED]
        )
        rows.append((t, t, 0, -1, int(kind), 0, 2.5 if kind == Kind.CLOCK_STEPPED else 0.0, 0.0, 0.0))
        if kind == Kind.CLOCK_STEPPED:
            t += rng.choice([MINUTE, HOUR, 20 * HOUR])
            rows.append((t, t, 0, -1, int(kind), 0, 0.0, 0.0, 0.0))
    return rows


def listings_of(rng: Random, shape: Shape, coin: str) -> list[Listing]:
    """The instruments of a coin. The venues name them differently; some exist at one venue only."""
    found = []
    for venue in VENUES if shape.two_venues else VENUES[:1]:
        quote = "USDT" if venue == VENUES[0] else rng.choice(["USDT", "USDC", "USD"])
        symbol = coin if venue == VENUES[0] else rng.choice([coin, coin + "-" + quote])
        for kind in KINDS:
            missing = 0.5 if kind == "spot" else 0.2 if venue != VENUES[0] else 0.0
            if not (shape.missing_legs and rng.random() < missing):
                found.append(Listing(Instrument(venue, symbol, kind), coin, quote))
        if shape.more_spots and rng.random() < 0.5:
            found.append(Listing(Instrument(venue, coin + "/USDC", "spot"), coin, "USDC"))
        if shape.more_spots and rng.random() < 0.2:
            found.append(Listing(Instrument(venue, coin + "/EUR", "spot"), coin, "EUR"))
    return found


def rows_of(shape: Shape) -> tuple[list[RowTuple], list[Listing]]:
    """The rows of a market in known order (mixed inside an instant) and the instruments by subject."""
    rng = Random(shape.seed)
    shared = rate_path(rng, shape.hours + 1)
    rows: list[RowTuple] = []
    listings: list[Listing] = []
    for name in rng.sample(COINS, shape.coins):
        coin = Coin(rng, shape, name)
        for listing in listings_of(rng, shape, name):
            rows += InstrumentMaker(rng, shape, len(listings), listing, coin, shared).make()
            listings.append(listing)
    if shape.operations:
        rows += operations_of(rng, shape)
    rows = one_of_each(rows)
    rng.shuffle(rows)
    rows.sort(key=lambda row: row[0])
    return [(row[0], row[1], seq, *row[3:]) for seq, row in enumerate(rows, 1)], listings


def one_of_each(rows: list[RowTuple]) -> list[RowTuple]:
    """Drop duplicates as a log does: of two observations of one kind, instrument and time the first stays."""
    kept: dict[tuple[object, ...], RowTuple] = {}
    for row in rows:
        value = row if row[4] == Kind.FUNDING_REVISED or row[3] < 0 else None
        kept.setdefault((row[3], row[4], row[1], row[5], value), row)
    return list(kept.values())


def as_rows(rows: list[RowTuple]) -> Rows:
    """The same rows as an array of ROW records."""
    image = empty_rows(len(rows))
    image[:] = rows
    assert image.dtype == ROW
    return image
