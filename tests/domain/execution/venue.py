"""A venue of a pair's legs, or of one of them, that misbehaves on request: its orders are the truth, and its answers
may be late, lost or repeated."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from carryfold.domain.execution import TradedPair, parse_client_id
from carryfold.domain.execution.reports import (
    Accepted,
    FillReport,
    NotFound,
    OrderReport,
    OrderRequest,
    PlaceOutcome,
    QueryOutcome,
    Rejected,
    Retry,
    Unknown,
)
from carryfold.domain.instruments import Leg

__all__ = ["Behaviour", "Truth", "Venue", "leg_of"]


def leg_of(request: OrderRequest) -> Leg:
    """The leg in an order's client id."""
    name = parse_client_id(request.client_id)
    assert name is not None
    return name.leg


@dataclass(frozen=True)
class Behaviour:
    """What becomes of one request to place. `share` of the quantity fills, in `parts`; what the price forbids does
    not."""

    answer: Literal["accepted", "rejected", "unknown", "retry"] = "accepted"
    arrives: bool = True  # for unknown: whether the order got through
    share: Decimal = Decimal(1)
    parts: int = 1


@dataclass
class Truth:
    """One order as the venue has it."""

    request: OrderRequest
    fills: list[FillReport] = field(default_factory=list)
    open: bool = False

    @property
    def filled(self) -> Decimal:
        return sum((fill.qty for fill in self.fills), Decimal(0))

    def report(self) -> OrderReport:
        r = self.request
        return OrderReport(
            r.client_id, f"v-{r.client_id}", r.symbol, r.kind, r.side, r.qty, self.filled, self.open, "IOC"
        )


class Venue:
    """Takes limit immediate-or-cancel orders against `bid` and `ask`."""

    def __init__(self, pair: TradedPair, *, long_fee: Decimal = Decimal("0.001"), fee_coin: str = "") -> None:
        self.pair = pair
        self.long_fee = long_fee
        self.fee_coin = fee_coin or pair.coin
        self.bid = {"long": Decimal("99.99"), "short": Decimal("99.99")}
        self.ask = {"long": Decimal("100.01"), "short": Decimal("100.01")}
        self.orders: dict[str, Truth] = {}
        self.requests: list[OrderRequest] = []
        self.retried: set[str] = set()
        self.coins = {"long": Decimal(0), "short": Decimal(0)}
        self.cash = Decimal(0)
        self.small_perp_closes = True

    def place(self, request: OrderRequest, behaviour: Behaviour, now: int) -> PlaceOutcome:
        """Answers a request; asserts that it names an instrument of the pair, and that no intent is ever sent twice
        unless the venue asked for it."""
        assert (request.symbol, request.kind) == self.pair.pair.leg(leg_of(request))[1:3]
        first = request.client_id not in {r.client_id for r in self.requests}
        assert first or request.client_id in self.retried, f"{request.client_id} was sent twice"
        self.retried.discard(request.client_id)
        self.requests.append(request)
        if behaviour.answer == "retry":
            self.retried.add(request.client_id)
            return Retry("too many visits", 0.2)
        if behaviour.answer == "rejected":
            return Rejected("no")
        refusal = self._refusal(request)
        if refusal:
            return Rejected(refusal)
        if behaviour.answer == "accepted" or behaviour.arrives:
            self._trade(request, behaviour, now)
        return Accepted(f"v-{request.client_id}") if behaviour.answer == "accepted" else Unknown("timeout")

    def query(self, client_id: str) -> QueryOutcome:
        """The truth about one order."""
        return self.orders[client_id].report() if client_id in self.orders else NotFound()

    def fills(self) -> list[FillReport]:
        return [fill for truth in self.orders.values() for fill in truth.fills]

    def _refusal(self, request: OrderRequest) -> str:
        leg = leg_of(request)
        rules = self.pair.rules(leg)
        if request.qty < rules.qty_min or request.qty % rules.qty_step or request.qty > rules.qty_max:
            return "bad quantity"
        if request.limit_price % rules.tick:
            return "bad price"
        reducing = request.reduce_only and self.small_perp_closes
        if not reducing and request.qty * request.limit_price < rules.notional_min:
            return "below the minimum"
        if request.reduce_only and (self.coins[leg] >= 0) == (request.side == "buy"):
            return "nothing to reduce"
        if request.kind == "spot" and request.side == "sell" and request.qty > self.coins["long"]:
            return "not enough coins"
        return ""

    def _trade(self, request: OrderRequest, behaviour: Behaviour, now: int) -> None:
        truth = self.orders[request.client_id] = Truth(request)
        leg = leg_of(request)
        rules = self.pair.rules(leg)
        buys = request.side == "buy"
        price = self.ask[leg] if buys else self.bid[leg]
        if (price > request.limit_price) if buys else (price < request.limit_price):
            return
        left = rules.floor(request.qty * behaviour.share)
        if request.reduce_only:
            left = min(left, abs(self.coins[leg]))
        for part in range(behaviour.parts, 0, -1):
            qty = rules.floor(left / part)
            left -= qty
            if qty > 0:
                truth.fills.append(self._fill(request, qty, price, len(truth.fills), now))

    def _fill(self, request: OrderRequest, qty: Decimal, price: Decimal, number: int, now: int) -> FillReport:
        value = qty * price
        fee, fee_coin = value * Decimal("0.00055"), "USDT"
        sign = 1 if request.side == "buy" else -1
        self.coins[leg_of(request)] += sign * qty
        self.cash -= sign * value
        spot = request.kind == "spot"
        if spot and sign > 0 and self.fee_coin == self.pair.coin:
            fee, fee_coin = qty * self.long_fee, self.pair.coin
            self.coins["long"] -= fee
        elif spot and self.fee_coin not in (self.pair.coin, "USDT"):
            fee, fee_coin = Decimal("0.5"), self.fee_coin
        else:
            self.cash -= fee
        return FillReport(
            f"f-{request.client_id}-{number}", request.client_id, f"v-{request.client_id}", request.symbol,
            request.kind, request.side, qty, value, fee, fee_coin, now,
        )  # fmt: skip
