"""Rows written by hand: instruments at round prices, times counted in hours from a fixed midnight.

Rows of an instrument name it by its id. Where only a `pair` is given, the instruments are those of `compiled.carry`:
pair n is spot 2n against perpetual 2n + 1, and rows of both legs come as a list of two.
"""

from carryfold.domain.rows import Kind

__all__ = [
    "HOUR", "MIDNIGHT", "SECOND", "Market", "Row", "announced", "at", "bar", "closed", "delisted", "delisting",
    "known_at", "listed", "listing", "quote", "quoted", "settled", "settlement",
]  # fmt: skip

SECOND = 10**9
HOUR = 3600 * SECOND
MIDNIGHT = 1_704_067_200 * SECOND  # 2024-01-01

Row = tuple[int, int, int, int, int, int, float, float, float]
Market = list[Row | list[Row]]


def at(hours: float) -> int:
    """UTC ns, `hours` after MIDNIGHT."""
    return MIDNIGHT + round(hours * HOUR)


def known_at(hours: float, rows: list[Row]) -> list[Row]:
    """The rows with a known_at of `hours`."""
    return [(at(hours), *row[1:]) for row in rows]


# --- of one instrument ------------------------------------------------------------------------------------------------


def listing(subject: int, *, lot: float = 1e-6, min_notional: float = 5.0, multiplier: float = 1.0) -> Row:
    """A listing of unknown time."""
    return (0, 0, 0, subject, Kind.INSTRUMENT_LISTED, 0, lot, min_notional, multiplier)


def closed(
    hours: float, subject: int, price: float, *, minutes: int = 60, mark: float = 0.0, turnover: float = -1.0
) -> Row:
    """A bar closed at `hours`, known one second later."""
    return (at(hours) + SECOND, at(hours), 0, subject, Kind.BAR_CLOSED, minutes, price, mark, turnover)


def quoted(hours: float, subject: int, bid: float, ask: float) -> Row:
    """Best bid and ask, known at once."""
    return (at(hours), at(hours), 0, subject, Kind.QUOTED, 0, bid, ask, 0.0)


def settlement(hours: float, subject: int, rate: float, *, interval_h: float = 8.0, known_after_s: float = 60) -> Row:
    """A settlement at `hours`."""
    known = at(hours) + round(known_after_s * SECOND)
    return (known, at(hours), 0, subject, Kind.FUNDING_SETTLED, 0, rate, interval_h, 0.0)


def delisting(hours: float, subject: int, delist_hours: float) -> Row:
    """At `hours` it is announced that the instrument will be delisted."""
    announced_for = float(at(delist_hours) // 10**6)
    return (at(hours), at(hours), 0, subject, Kind.INSTRUMENT_CHANGED, 0, 0.0, -1.0, announced_for)


def delisted(hours: float, subject: int = 1) -> Row:
    """The instrument stops trading."""
    return (at(hours), at(hours), 0, subject, Kind.INSTRUMENT_DELISTED, 0, 0.0, 0.0, 0.0)


# --- of a carry pair --------------------------------------------------------------------------------------------------


def listed(pair: int = 0, *, lot: float = 1e-6, priced: bool = True) -> list[Row]:
    """Listings of unknown time; not `priced`: without a spot market."""
    legs = (2 * pair, 2 * pair + 1) if priced else (2 * pair + 1,)
    return [listing(leg, lot=lot) for leg in legs]


def bar(hours: float, spot: float, perp: float | None = None, *, pair: int = 0, turnover: float = -1.0) -> list[Row]:
    """Hourly bars of both legs; the mark is the perpetual's close, and the turnover is the perpetual's."""
    perp = spot if perp is None else perp
    return [closed(hours, 2 * pair, spot), closed(hours, 2 * pair + 1, perp, turnover=turnover)]


def quote(hours: float, price: float, *, pair: int = 0) -> list[Row]:
    """Both legs at one price."""
    return [quoted(hours, leg, price - 0.01, price + 0.01) for leg in (2 * pair, 2 * pair + 1)]


def settled(hours: float, rate: float, *, pair: int = 0, interval_h: float = 8.0, known_after_s: float = 60) -> Row:
    """A settlement of the perpetual."""
    return settlement(hours, 2 * pair + 1, rate, interval_h=interval_h, known_after_s=known_after_s)


def announced(hours: float, delist_hours: float, *, pair: int = 0) -> Row:
    """At `hours` it is announced that the perpetual will be delisted."""
    return delisting(hours, 2 * pair + 1, delist_hours)
