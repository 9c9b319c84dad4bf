"""Bybit's instruments-info: listings, delistings, lots, ticks and rate caps of its perpetuals in USDT, and of the spot
markets in USDT.

A snapshot says what holds when it was taken. A perpetual's listing becomes InstrumentListed at its launch time; what
may change (lot, tick, minimum, interval, cap, announced delisting) is also an InstrumentChanged at the time of the
snapshot, so that later snapshots add what changed and repeat nothing. The venue does not say since when a spot market
trades: its listing is the assumed one, of unknown time, with an InstrumentChanged of the same time for what the
snapshot says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.bybit import Response, text_of
from carryfold.adapters.importing.call import NS_PER_MS, Call, LogEntry
from carryfold.adapters.importing.names import read_name, refuse_other_contracts
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import InstrumentChanged, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument

_QUOTE: Final = "USDT"
_NOT_CRYPTO: Final = ("stock", "forex", "commodity")
_DEFAULT_MINIMUM: Final = "5"
_MAX_DIGITS: Final = 40


class _Terms(NamedTuple):
    """What every instrument has. `tick` 0: not told."""

    lot: float
    min_notional: float
    tick: float


class _Perp(NamedTuple):
    symbol: str
    status: str
    launch_ms: int
    delivery_ms: int
    terms: _Terms
    hours: float
    cap: float


class _Item(NamedTuple):
    time_ms: int
    row: int
    fields: dict[str, Any]
    tally: Tally
    is_spot: bool

    @property
    def symbol(self) -> str:
        return text_of(self.fields, "symbol")


class InstrumentBook:
    """The instruments of one call, gathered before anything else is read: they confirm rates."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._venue = call.venue or "bybit"
        self._items: list[_Item] = []

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
            self._items.append(_Item(response.time_ms, row, fields, tally, is_spot))

    def resolve(self) -> Iterator[tuple[LogEntry, Tally]]:
        """Entries, earliest snapshot first, each with the tally of its file; fills the call's rate caps on the way."""
        for item in sorted(self._items, key=lambda one: (one.time_ms, one.symbol, one.is_spot)):
            try:
                why = _spot_not_for_us(item.fields) if item.is_spot else _perp_not_for_us(item.fields)
                if why:
                    item.tally.ignore(why)
                    continue
                entries = self._spot(item) if item.is_spot else self._perp(item)
            except RowRefused as refused:
                item.tally.reject(item.row, str(refused), item.symbol)
                continue
            for entry in entries:
                yield entry, item.tally

    def _spot(self, item: _Item) -> list[LogEntry]:
        name = Instrument(self._venue, checks.symbol(item.symbol), "spot")
        terms = _terms(item.fields, "basePrecision", "minOrderAmt", "0")
        self._call.instruments.meet(name)
        seen = item.time_ms * NS_PER_MS
        return [
            _entry(InstrumentChanged(*name, at, terms.lot, terms.min_notional, terms.tick or None), at)
            for at in sorted({0, seen})
        ]

    def _perp(self, item: _Item) -> list[LogEntry]:
        perp = _read_perp(item.fields, self._call.now_ms)
        refuse_other_contracts(self._venue, perp.symbol)
        if perp.cap:
            name = (self._venue, perp.symbol)
            self._call.rate_caps[name] = max(perp.cap, self._call.rate_caps.get(name, 0.0))
        return list(self._perp_entries(perp, item.time_ms))

    def _perp_entries(self, perp: _Perp, time_ms: int) -> Iterator[LogEntry]:
        name = Instrument(self._venue, perp.symbol, "perp")
        said = read_name(self._venue, perp.symbol)
        lot, minimum, tick = perp.terms
        launch = perp.launch_ms * NS_PER_MS
        yield _entry(
            InstrumentListed(*name, launch, said.base, said.quote, lot, minimum, said.multiplier, tick), launch
        )
        gone = perp.delivery_ms and (perp.status == "Closed" or (time_ms and perp.delivery_ms <= time_ms))
        if gone:
            ended = perp.delivery_ms * NS_PER_MS
            yield _entry(InstrumentDelisted(*name, ended, "delisted by the venue"), ended)
        elif time_ms:
            seen = time_ms * NS_PER_MS
            delist_at = perp.delivery_ms * NS_PER_MS
            yield _entry(
                InstrumentChanged(
                    *name, seen, lot, minimum, tick or None, delist_at, perp.hours or None, perp.cap or None
                ),
                seen,
            )


def _entry(event: InstrumentListed | InstrumentChanged | InstrumentDelisted, known_at: int) -> LogEntry:
    return encode(event), event_key(event), known_at


def _perp_not_for_us(fields: dict[str, Any]) -> str:
    if text_of(fields, "contractType") != "LinearPerpetual":
        return "instrument is not a linear perpetual"
    if text_of(fields, "settleCoin") != _QUOTE:
        return f"instrument does not settle in {_QUOTE}"
    if text_of(fields, "status") == "PreLaunch" or fields.get("isPreListing") is True:
        return "instrument is not launched yet"
    if text_of(fields, "symbolType") in _NOT_CRYPTO:
        return "instrument has no coin behind it"
    return ""


def _spot_not_for_us(fields: dict[str, Any]) -> str:
    if text_of(fields, "quoteCoin") != _QUOTE and not text_of(fields, "symbol").endswith(_QUOTE):
        return f"instrument is not quoted in {_QUOTE}"
    return ""


def _read_perp(fields: dict[str, Any], now_ms: int) -> _Perp:
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
    terms = _terms(fields, "qtyStep", "minNotionalValue", _DEFAULT_MINIMUM)
    return _Perp(symbol, status, launch_ms, delivery_ms, terms, _hours(fields), max(caps))


def _hours(fields: dict[str, Any]) -> float:
    """The interval is given in minutes; 0 where it is absent or makes no sense."""
    minutes = checks.number(text_of(fields, "fundingInterval") or "0", "fundingInterval")
    hours = minutes / 60
    return hours if hours.is_integer() and checks.MIN_HOURS <= hours <= checks.MAX_HOURS else 0.0


def _terms(fields: dict[str, Any], lot_name: str, minimum_name: str, default_minimum: str) -> _Terms:
    lots, prices = fields["lotSizeFilter"], fields.get("priceFilter")
    lot = _amount(lots, lot_name, "")
    if lot <= 0:
        raise RowRefused(f"{lot_name} is not positive")
    minimum = _amount(lots, minimum_name, default_minimum)
    return _Terms(lot, minimum, _amount(prices, "tickSize", "0") if isinstance(prices, dict) else 0.0)


def _amount(fields: dict[str, Any], name: str, default: str) -> float:
    """0, or a number within bounds."""
    text = text_of(fields, name) or default
    value = checks.number(text, name)
    if value != 0 and not checks.MIN_PRICE <= value <= checks.MAX_AMOUNT:
        raise RowRefused(f"{name} is outside {checks.MIN_PRICE:g} to {checks.MAX_AMOUNT:g}")
    if value != 0 and len(text) > _MAX_DIGITS:
        raise RowRefused(f"{name} has more than {_MAX_DIGITS} digits")
    return value
