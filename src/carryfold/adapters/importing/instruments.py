"""Bybit's instruments-info: listings, delistings, lots and rate caps of its USDT perpetuals with their spot pairs.

A snapshot says what holds when it was taken. The listing itself becomes PairListed at its launch time; what may
change (lot, minimum, interval, cap, announced delisting) is also a PairChanged at the time of the snapshot, so that
later snapshots add what changed and repeat nothing. The lot is the smallest step that both legs can trade, in coins
of the spot pair; without the spot instrument in the same import it is the perpetual's own step.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Final, NamedTuple

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.bybit import Response, text_of
from carryfold.adapters.importing.call import NS_PER_MS, Call, LogEntry
from carryfold.adapters.importing.names import spot_of
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import PairChanged, PairDelisted, PairListed

LOT_UNITS: Final = 1_000_000
"""Units of a holding in a lot: coins left after a fee that is taken in coins are counted to a millionth of a lot."""

_NOT_CRYPTO: Final = ("stock", "forex", "commodity")
_DEFAULT_MINIMUM: Final = "5"
_MAX_DIGITS: Final = 40


class _Spot(NamedTuple):
    step: Fraction
    minimum: Fraction


class _Perp(NamedTuple):
    symbol: str
    status: str
    launch_ms: int
    delivery_ms: int
    step: Fraction
    minimum: Fraction
    hours: float
    cap: float


class _Item(NamedTuple):
    time_ms: int
    row: int
    fields: dict[str, Any]
    tally: Tally


class InstrumentBook:
    """The instruments of one call, gathered before anything else is read: they confirm rates and explain lots."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._perps: list[_Item] = []
        self._spots: list[_Item] = []

    def add(self, response: Response, tally: Tally) -> None:
        """One response. The category is not in everybody's copy; a spot instrument shows in its lot filter."""
        tally.report.rows += len(response.rows)
        if response.category in ("inverse", "option"):
            tally.ignore(f"category {response.category} is not traded here", len(response.rows))
            return
        late = response.time_ms > self._call.now_ms + checks.FUTURE_MS
        for row, fields in enumerate(response.rows, response.row):
            if late:
                tally.reject(row, "time of the response is in the future", str(fields))
                continue
            if not isinstance(fields, dict) or not isinstance(fields.get("lotSizeFilter"), dict):
                tally.reject(row, "instrument has no lotSizeFilter", str(fields))
                continue
            is_spot = "basePrecision" in fields["lotSizeFilter"]
            (self._spots if is_spot else self._perps).append(_Item(response.time_ms, row, fields, tally))

    def resolve(self) -> Iterator[tuple[LogEntry, Tally]]:
        """Entries, earliest snapshot first, each with the tally of its file; fills the call's rate caps on the way."""
        spots = self._read_spots()
        alone = 0
        for item in sorted(self._perps, key=lambda one: (one.time_ms, text_of(one.fields, "symbol"))):
            try:
                why = _not_for_us(item.fields)
                if why:
                    item.tally.ignore(why)
                    continue
                perp = _read_perp(item.fields, self._call.now_ms)
            except RowRefused as refused:
                item.tally.reject(item.row, str(refused), text_of(item.fields, "symbol"))
                continue
            spot = spots.get(spot_of(perp.symbol)[0])
            alone += spot is None
            if perp.cap:
                name = (self._call.venue or "bybit", perp.symbol)
                self._call.rate_caps[name] = max(perp.cap, self._call.rate_caps.get(name, 0.0))
            for entry in self._entries(perp, spot, item.time_ms):
                yield entry, item.tally
        if alone:
            self._call.notes.append(
                f"{alone} instruments have no spot instrument in this import: their lot is the perpetual's own step"
            )

    def _read_spots(self) -> dict[str, _Spot]:
        spots: dict[str, _Spot] = {}
        for item in sorted(self._spots, key=lambda one: one.time_ms):
            try:
                symbol = checks.symbol(text_of(item.fields, "symbol"))
                lots = item.fields["lotSizeFilter"]
                minimum = _exact(lots, "minOrderAmt", "0")
                spots.setdefault(symbol, _Spot(_step(lots, "basePrecision"), minimum))
            except RowRefused as refused:
                item.tally.reject(item.row, str(refused), text_of(item.fields, "symbol"))
        return spots

    def _entries(self, perp: _Perp, spot: _Spot | None, time_ms: int) -> Iterator[LogEntry]:
        venue = self._call.venue or "bybit"
        spot_symbol, multiplier = spot_of(perp.symbol)
        step = perp.step * int(multiplier)
        lot = float(step if spot is None else common_step(step, spot.step))
        minimum = float(perp.minimum if spot is None else max(perp.minimum, spot.minimum))
        launch = perp.launch_ms * NS_PER_MS
        yield _entry(
            PairListed(
                venue,
                perp.symbol,
                1,
                launch,
                lot,
                minimum,
                LOT_UNITS,
                priced=spot is not None,
                multiplier=multiplier,
                spot_symbol=spot_symbol if spot is not None else "",
            ),
            launch,
        )
        gone = perp.delivery_ms and (perp.status == "Closed" or (time_ms and perp.delivery_ms <= time_ms))
        if gone:
            ended = perp.delivery_ms * NS_PER_MS
            yield _entry(PairDelisted(venue, perp.symbol, 1, ended, reason="delisted by the venue"), ended)
        elif time_ms:
            seen = time_ms * NS_PER_MS
            yield _entry(
                PairChanged(
                    venue,
                    perp.symbol,
                    1,
                    seen,
                    lot=lot,
                    min_notional=minimum,
                    delist_at=perp.delivery_ms * NS_PER_MS,
                    interval_hours=perp.hours or None,
                    rate_cap=perp.cap or None,
                ),
                seen,
            )


def common_step(one: Fraction, other: Fraction) -> Fraction:
    """The smallest amount that is a whole number of both steps."""
    return Fraction(lcm(one.numerator, other.numerator), gcd(one.denominator, other.denominator))


def _entry(event: PairListed | PairChanged | PairDelisted, known_at: int) -> LogEntry:
    return encode(event), event_key(event), known_at


def _not_for_us(fields: dict[str, Any]) -> str:
    if text_of(fields, "contractType") != "LinearPerpetual":
        return "instrument is not a linear perpetual"
    if text_of(fields, "settleCoin") != "USDT":
        return "instrument does not settle in USDT"
    if text_of(fields, "status") == "PreLaunch" or fields.get("isPreListing") is True:
        return "instrument is not launched yet"
    if text_of(fields, "symbolType") in _NOT_CRYPTO:
        return "instrument has no coin behind it"
    return ""


def _read_perp(fields: dict[str, Any], now_ms: int) -> _Perp:
    lots = fields["lotSizeFilter"]
    symbol = checks.symbol(text_of(fields, "symbol"))
    status = text_of(fields, "status")
    launch_ms = checks.time_ms(text_of(fields, "launchTime"), "launchTime", now_ms)
    delivery_ms = int(checks.number(text_of(fields, "deliveryTime") or "0", "deliveryTime"))
    if delivery_ms > checks.LATEST_MS:
        raise RowRefused("deliveryTime is beyond the year 2099")
    if delivery_ms and delivery_ms <= launch_ms:
        raise RowRefused("deliveryTime is not after launchTime")
    if status == "Closed" and not delivery_ms:
        raise RowRefused("deliveryTime is missing though the instrument is closed")
    if status == "Closed" and delivery_ms > now_ms + checks.FUTURE_MS:
        raise RowRefused("deliveryTime is in the future though the instrument is closed")
    caps = [abs(checks.number(text_of(fields, name) or "0", name)) for name in ("upperFundingRate", "lowerFundingRate")]
    if max(caps) > 1:
        raise RowRefused("upperFundingRate or lowerFundingRate is beyond 1")
    step = _step(lots, "qtyStep")
    minimum = _exact(lots, "minNotionalValue", _DEFAULT_MINIMUM)
    return _Perp(symbol, status, launch_ms, delivery_ms, step, minimum, _hours(fields), max(caps))


def _hours(fields: dict[str, Any]) -> float:
    """The interval is given in minutes; 0 where it is absent or makes no sense."""
    minutes = checks.number(text_of(fields, "fundingInterval") or "0", "fundingInterval")
    hours = minutes / 60
    return hours if hours.is_integer() and checks.MIN_HOURS <= hours <= checks.MAX_HOURS else 0.0


def _step(lots: dict[str, Any], name: str) -> Fraction:
    step = _exact(lots, name, "")
    if step <= 0:
        raise RowRefused(f"{name} is not positive")
    return step


def _exact(lots: dict[str, Any], name: str, default: str) -> Fraction:
    text = text_of(lots, name) or default
    value = checks.number(text, name)
    if value == 0:
        return Fraction(0)  # never by way of the text: 1e-999999999 would be written out
    if not checks.MIN_PRICE <= value <= checks.MAX_AMOUNT:
        raise RowRefused(f"{name} is outside {checks.MIN_PRICE:g} to {checks.MAX_AMOUNT:g}")
    if len(text) > _MAX_DIGITS:
        raise RowRefused(f"{name} has more than {_MAX_DIGITS} digits")
    return Fraction(text.strip())
