"""Bybit's unified account: implements the port `Trading`.

An order is sent exactly once, as a limit order, immediate or cancel, under the caller's own id. Market orders are not
used: on the spot market their quantity can mean quote, and everywhere their price has no limit of ours. Orders have
connections and rate limits of their own, so that queries never delay one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, TypeGuard, TypeVar

from carryfold.adapters.bybit.client import RestClient, Sleep
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.errors import ErrorKind, classify, place_outcome
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.bybit.fields import text_of
from carryfold.adapters.bybit.instruments_info import QUOTE
from carryfold.adapters.bybit.reports import (
    CATEGORY,
    FUNDING,
    Multipliers,
    exact,
    execution_report,
    order_report,
    plain,
    position_report,
    venue_time,
)
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.adapters.venues import FeeRates, KeyPermissions, PairSpec, VenueError
from carryfold.adapters.venues.credentials import Credentials
from carryfold.domain.execution.reports import (
    Accepted,
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    NotFound,
    OrderReport,
    OrderRequest,
    PlaceOutcome,
    PositionReport,
    PrivateReport,
    QueryOutcome,
    Retry,
    Unknown,
)
from carryfold.domain.instruments import InstrumentKind

__all__ = ["BybitTrading"]

_CLIENT_ID: Final = re.compile(FACTS.client_ids.pattern, re.ASCII)
MAX_PAGES: Final = 200
WINDOW_MS: Final = 7 * 86_400_000 - 1
_WRONG_CLOCK: Final = "10002"
_NO_SUCH_ORDER: Final = frozenset({"110001", "170213"})
_KINDS: Final[tuple[InstrumentKind, ...]] = ("spot", "perp")

T = TypeVar("T")


class BybitTrading:
    """One account of one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        pairs: Iterable[PairSpec],
        *,
        rate_limit_ms: int | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Orders are allowed in the instruments of `pairs`; `add_pairs` allows more."""
        self._endpoint = endpoint
        self._credentials = credentials
        self._multipliers = Multipliers(pairs)
        self._orders = RestClient(endpoint, credentials, rate_limit_ms=rate_limit_ms, sleep=sleep)
        self._reports = RestClient(endpoint, credentials, rate_limit_ms=rate_limit_ms, sleep=sleep)

    def add_pairs(self, pairs: Iterable[PairSpec]) -> None:
        """Allow orders in the instruments of these pairs."""
        self._multipliers.add(pairs)

    async def permissions(self) -> KeyPermissions:
        """The rights of the key. Trading needs both the spot and the contract permission."""
        result = (await self._reports.get("private_get_v5_user_query_api", {}, "the API key")).result
        given = result.get("permissions")
        granted = {name: set(map(str, rights or ())) for name, rights in given.items()} if _is_table(given) else {}
        read_only = text_of(result, "readOnly") != "0"
        contracts = granted.get("ContractTrade", set()) >= {"Order"} or bool(granted.get("Derivatives"))
        trade = not read_only and contracts and "SpotTrade" in granted.get("Spot", set())
        # Any permission that has the word in it: to misread one as harmless would be the worst mistake.
        withdraw = any("withdraw" in right.lower() for rights in granted.values() for right in rights)
        return KeyPermissions(trade, withdraw, read_only)

    async def fees(self, pair: PairSpec) -> FeeRates:
        """The account's own taker fees; those in instrument lists are not of the account."""
        long, short = pair.pair
        return FeeRates(await self._taker_fee(long.symbol, "spot"), await self._taker_fee(short.symbol, "perp"))

    async def place(self, order: OrderRequest) -> PlaceOutcome:
        """Send an order, once. Raises VenueError where no order can work, because of the key or the instrument."""
        assert _CLIENT_ID.fullmatch(order.client_id), "the venue does not take this client id"
        times = self._multipliers.of(order.symbol, order.kind)
        params = self._named(order.client_id, order.symbol, order.kind) | {
            "side": "Buy" if order.side == "buy" else "Sell",
            "orderType": "Limit",
            "qty": plain(order.qty / times),
            "price": plain(order.limit_price * times),
            "timeInForce": "IOC",
        }
        params |= {"isLeverage": 0} if order.kind == "spot" else {"reduceOnly": order.reduce_only, "positionIdx": 0}
        return await self._act("private_post_v5_order_create", params)

    async def cancel(self, order: OrderRequest) -> PlaceOutcome:
        """Ask for an order to be cancelled; Rejected: nothing was left to cancel."""
        return await self._act("private_post_v5_order_cancel", self._named(order.client_id, order.symbol, order.kind))

    async def query(self, client_id: str, symbol: str, kind: InstrumentKind) -> QueryOutcome:
        """NotFound only after the venue answered three times in turn: no such open order, no such closed order, no
        execution of one."""
        params = self._named(client_id, symbol, kind)
        for method in ("private_get_v5_order_realtime", "private_get_v5_order_history"):
            rows = await self._query(method, params)
            if isinstance(rows, (Unknown, Retry)):
                return rows
            for row in rows:
                if text_of(row, "orderLinkId") == client_id:
                    return self._readable(self._order_of(kind), row)
        rows = await self._query("private_get_v5_execution_list", params)
        if isinstance(rows, (Unknown, Retry)):
            return rows
        return self._of_executions([row for row in rows if text_of(row, "orderLinkId") == client_id], kind)

    async def open_orders(self) -> Sequence[OrderReport]:
        """All open orders of the account, whoever placed them."""
        found: list[OrderReport] = []
        for kind in _KINDS:
            params = {"category": CATEGORY[kind], "limit": 50} | ({"settleCoin": QUOTE} if kind == "perp" else {})
            rows = await self._pages("private_get_v5_order_realtime", params, "open orders")
            reports = [_read(self._order_of(kind), row, "orders") for row in rows]
            found += [report for report in reports if report.open]
        return found

    async def fills_since(self, event_at: int) -> Sequence[FillReport]:
        """Every execution, oldest first. The venue keeps two years of them."""
        found: dict[str, FillReport] = {}
        for kind in _KINDS:
            for row in await self._executions(kind, event_at, {}):
                report = _read(self._execution_of(kind), row, "executions")
                if isinstance(report, FillReport) and report.event_at >= event_at:
                    found[report.fill_id] = report
        return sorted(found.values(), key=lambda one: (one.event_at, one.fill_id))

    async def funding_since(self, event_at: int) -> Sequence[FundingReport]:
        """Oldest first."""
        found: dict[str, FundingReport] = {}
        for row in await self._executions("perp", event_at, {"execType": FUNDING}):
            report = _read(self._execution_of("perp"), row, "funding")
            if isinstance(report, FundingReport) and report.settled_at >= event_at:
                found[report.venue_id] = report
        return sorted(found.values(), key=lambda one: (one.settled_at, one.symbol))

    async def interest_since(self, event_at: int) -> Sequence[InterestReport]:
        """Oldest first."""
        now_ms = await self._reports.server_time_ms()
        found: dict[str, InterestReport] = {}
        for start, end in _windows(event_at // NS_PER_MS, now_ms + 1_000):
            params = {
                "accountType": "UNIFIED", "currency": QUOTE, "type": "INTEREST", "startTime": start, "endTime": end,
                "limit": 50,
            }  # fmt: skip
            for row in await self._pages("private_get_v5_account_transaction_log", params, "interest"):
                report = _read(_interest, row, "interest")
                if report.charged_at >= event_at:
                    found[report.venue_id] = report
        return sorted(found.values(), key=lambda one: (one.charged_at, one.venue_id))

    async def positions(self) -> Sequence[PositionReport]:
        """The positions that are not flat."""
        params = {"category": "linear", "settleCoin": QUOTE, "limit": 200}
        rows = await self._pages("private_get_v5_position_list", params, "positions")
        found = [_read(lambda row: position_report(row, self._multipliers), row, "positions") for row in rows]
        return [position for position in found if position.qty]

    async def account(self) -> AccountReport:
        """The holdings of the unified account, borrowed coins subtracted."""
        subject = "the wallet"
        params = {"accountType": "UNIFIED"}
        rows = (await self._reports.get("private_get_v5_account_wallet_balance", params, subject)).rows()
        if not rows or not _is_table(rows[0]):
            raise VenueError("bybit has no unified account for this key: it may belong to a classic one")
        return _read(_account, rows[0], subject)

    def stream(self) -> AsyncIterator[PrivateReport]:
        """See private.py."""
        from carryfold.adapters.bybit.private import PrivateStream

        return PrivateStream(self._endpoint, self._credentials, self._multipliers).reports()

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(self._orders.close(), self._reports.close())

    async def _taker_fee(self, symbol: str, kind: InstrumentKind) -> Decimal:
        subject = f"the fees of {symbol}"
        params = {"category": CATEGORY[kind], "symbol": symbol}
        answer = await self._reports.get("private_get_v5_account_fee_rate", params, subject)
        rows = [row for row in answer.rows() if _is_table(row) and text_of(row, "symbol") in ("", symbol)]
        if not rows:
            raise VenueError(f"bybit does not tell {subject}")
        return _read(lambda row: exact(row, "takerFeeRate"), rows[0], subject)

    def _named(self, client_id: str, symbol: str, kind: InstrumentKind) -> dict[str, Any]:
        """The fields that name an order. Raises VenueError for an instrument in which orders are not allowed."""
        self._multipliers.check(symbol, kind)
        return {"category": CATEGORY[kind], "symbol": symbol, "orderLinkId": client_id}

    def _order_of(self, kind: InstrumentKind) -> Callable[[dict[str, Any]], OrderReport]:
        return lambda row: order_report(row, kind, self._multipliers)

    def _execution_of(self, kind: InstrumentKind) -> Callable[[dict[str, Any]], FillReport | FundingReport | None]:
        return lambda row: execution_report(row, kind, self._multipliers)

    async def _act(self, method: str, params: dict[str, Any]) -> PlaceOutcome:
        try:
            response = await self._orders.send(method, params)
        except self._orders.errors as error:
            outcome = place_outcome(error)
            if classify(error).code == _WRONG_CLOCK:
                await self._follow_clock()
            return outcome
        result = response.get("result") if _is_table(response) else None
        if not _is_table(result) or text_of(response, "retCode") != "0":
            return Unknown("the answer is not what the venue documents")
        return Accepted(text_of(result, "orderId"))

    async def _follow_clock(self) -> None:
        """Read the venue's clock. Failing to is no error here, because the refused order may be sent again all the
        same."""
        try:
            await self._orders.follow_clock()
        except self._orders.errors as error:
            if classify(error).kind is ErrorKind.FATAL:
                raise VenueError(f"bybit refuses to tell its time: {classify(error).reason}") from None

    async def _query(self, method: str, params: dict[str, Any]) -> list[dict[str, Any]] | Unknown | Retry:
        """One query, sent once: its rows, or the reason why there are none."""
        try:
            response = await self._reports.send(method, params)
        except self._reports.errors as error:
            if classify(error).code in _NO_SUCH_ORDER:
                return []
            outcome = place_outcome(error)
            return outcome if isinstance(outcome, Retry) else Unknown(classify(error).reason)
        result = response.get("result") if _is_table(response) else None
        rows = result.get("list") if _is_table(result) else None
        if not isinstance(rows, list) or not all(map(_is_table, rows)):
            return Unknown("the answer is not what the venue documents")
        return rows

    def _readable(self, read: Callable[[dict[str, Any]], OrderReport], row: dict[str, Any]) -> OrderReport | Unknown:
        try:
            return read(row)
        except RowRefused as refused:
            return Unknown(f"the venue's order cannot be read: {refused}")

    def _of_executions(self, rows: list[dict[str, Any]], kind: InstrumentKind) -> OrderReport | NotFound | Unknown:
        """An order of which only executions are left. Its original quantity is not known any more."""
        try:
            fills = [execution_report(row, kind, self._multipliers) for row in rows]
        except RowRefused as refused:
            return Unknown(f"the venue's execution cannot be read: {refused}")
        own = {fill.fill_id: fill for fill in fills if isinstance(fill, FillReport)}
        if not own:
            return NotFound()
        first = next(iter(own.values()))
        filled = sum((fill.qty for fill in own.values()), Decimal(0))
        return OrderReport(
            first.client_id, first.venue_id, first.symbol, kind, first.side, filled, filled, open=False,
            reason="known by its executions alone",
        )  # fmt: skip

    async def _executions(self, kind: InstrumentKind, event_at: int, extra: dict[str, Any]) -> list[dict[str, Any]]:
        """Executions since a time, window by window: the venue gives at most seven days at once."""
        now_ms = await self._reports.server_time_ms()
        found: list[dict[str, Any]] = []
        for start, end in _windows(event_at // NS_PER_MS, now_ms + 1_000):
            params = {"category": CATEGORY[kind], "startTime": start, "endTime": end, "limit": 100, **extra}
            found += await self._pages("private_get_v5_execution_list", params, "executions")
        return found

    async def _pages(self, method: str, params: dict[str, Any], subject: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            answer = await self._reports.get(method, params | ({"cursor": cursor} if cursor else {}), subject)
            rows = [row for row in answer.rows() if _is_table(row)]
            found += rows
            cursor = text_of(answer.result, "nextPageCursor")
            if not rows or not cursor:
                return found
        raise VenueError(f"bybit has more than {MAX_PAGES} pages of {subject}: ask for a later time")


def _windows(since_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    while since_ms <= until_ms:
        end = min(since_ms + WINDOW_MS, until_ms)
        yield since_ms, end
        since_ms = end + 1


def _account(fields: dict[str, Any]) -> AccountReport:
    coins: dict[str, Decimal] = {}
    rows = fields.get("coin")
    for row in rows if isinstance(rows, list) else []:
        if not _is_table(row):
            raise RowRefused("coin is not an object")
        held = exact(row, "walletBalance", "0") - exact(row, "spotBorrow", "0")
        if held:
            coins[text_of(row, "coin")] = held
    cash = coins.pop(QUOTE, Decimal(0))
    maintenance = exact(fields, "totalMaintenanceMargin", "0")
    health = float(exact(fields, "totalMarginBalance", "0") / maintenance) if maintenance > 0 else 0.0
    return AccountReport(coins, cash, health)


def _interest(fields: dict[str, Any]) -> InterestReport:
    """A charge of interest; the venue's `change` is the change of the balance."""
    charge_id = text_of(fields, "id")
    if not charge_id:
        raise RowRefused("id is empty")
    return InterestReport(venue_time(fields, "transactionTime"), -exact(fields, "change"), charge_id)


def _read(read: Callable[[dict[str, Any]], T], row: dict[str, Any], subject: str) -> T:
    """A row that must not be left out, because half a list of positions is worse than none. Raises VenueError."""
    try:
        return read(row)
    except RowRefused as refused:
        raise VenueError(f"bybit's answer about {subject} cannot be read: {refused}") from None


def _is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
