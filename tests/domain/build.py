"""Rows written by hand: one pair at round prices, times counted in hours from a fixed midnight."""

from carryfold.domain.rows import Kind

__all__ = [
    "HOUR",
    "MIDNIGHT",
    "SECOND",
    "Row",
    "announced",
    "bar",
    "delisted",
    "known_at",
    "listed",
    "quote",
    "settled",
]

SECOND = 10**9
HOUR = 3600 * SECOND
MIDNIGHT = 1_704_067_200 * SECOND  # 2024-01-01

Row = tuple[int, int, int, int, int, int, float, float, float, float]


def at(hours: float) -> int:
    """UTC ns, `hours` after MIDNIGHT."""
    return MIDNIGHT + round(hours * HOUR)


def listed(pair: int = 0, *, lot: float = 1e-6, priced: bool = True) -> Row:
    """Listed since ever."""
    return (0, 0, 0, pair, Kind.PAIR_LISTED, 0, lot, 5.0, 1.0, float(priced))


def bar(hours: float, spot: float, perp: float | None = None, *, pair: int = 0, turnover: float = -1.0) -> Row:
    """An hourly bar closed at `hours`, known one second later; the mark is the perpetual's close."""
    perp = spot if perp is None else perp
    return (at(hours) + SECOND, at(hours), 0, pair, Kind.BAR_CLOSED, 60, spot, perp, 0.0, turnover)


def quote(hours: float, price: float, *, pair: int = 0) -> Row:
    """Both legs at one price, known at once."""
    return (at(hours), at(hours), 0, pair, Kind.QUOTED, 0, price - 0.01, price + 0.01, price - 0.01, price + 0.01)


def known_at(hours: float, row: Row) -> Row:
    """The row, had it become known at `hours`."""
    return (at(hours), *row[1:])


def settled(hours: float, rate: float, *, pair: int = 0, interval_h: float = 8.0, known_after_s: float = 60) -> Row:
    """A settlement at `hours`."""
    known = at(hours) + round(known_after_s * SECOND)
    return (known, at(hours), 0, pair, Kind.FUNDING_SETTLED, 0, rate, interval_h, 0.0, 0.0)


def announced(hours: float, delist_hours: float, *, pair: int = 0) -> Row:
    """At `hours` it is announced that the pair will be delisted."""
    values = (0.0, -1.0, float(at(delist_hours) // 10**6), -1.0)
    return (at(hours), at(hours), 0, pair, Kind.PAIR_CHANGED, 0, *values)


def delisted(hours: float, *, pair: int = 0) -> Row:
    """The pair stops trading."""
    return (at(hours), at(hours), 0, pair, Kind.PAIR_DELISTED, 0, 0.0, 0.0, 0.0, 0.0)
