"""NautilusTrader's side of `nautilus_speed.py`, run by a Python with nautilus_trader 2 and driven over its pipes.

`python nautilus_peer.py MARKET` reads the market file that nautilus_speed.py wrote, makes NautilusTrader's data objects
once (not timed), prints its version as a line of JSON, and then answers each workload named on a line of standard input
with a line of JSON: CPU seconds of `BacktestEngine.run`, the engine's count of data events, and what the run traded.
"""

import json
import sys
import time
from array import array
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader import __version__
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import CacheConfig, LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    ClientId,
    CryptoPerpetual,
    Currency,
    CurrencyPair,
    CurrencyType,
    FundingRateUpdate,
    InstrumentId,
    Money,
    OmsType,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    Symbol,
    Venue,
)
from nautilus_trader.trading import Strategy, StrategyConfig

SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_640_995_200 * SECOND
SETTLE_MINUTES = 480
UPDATES = 200_000
USDT = Currency.from_str("USDT")
VENUE = Venue("SIM")
NOTIONAL, SLOTS, ENTER, EXIT = 1000.0, 5, Decimal("0.0003"), Decimal("0.0001")
SPOT_FEE, PERP_FEE, HALF_SPREAD = Decimal("0.001"), Decimal("0.00055"), 0.0001


class Carry(Strategy):
    """`simple`: after each settlement leave what pays less than EXIT, then enter the best that pay ENTER or more, spot
    bought and perpetual sold, in whatever slots are free. It wakes for funding rates and once a settlement."""

    def prepare(self, market: "Market") -> None:
        """Set its inputs; the constructor only takes the engine's configuration."""
        self.market = market
        self.rates: dict[int, Decimal] = {}
        self.held: set[int] = set()
        self.index = {perp.id: k for k, perp in enumerate(market.perps)}
        self.trades, self.fees, self.seen = 0, 0.0, 0

    def on_start(self) -> None:
        for perp in self.market.perps:
            self.subscribe_funding_rates(perp.id)
        every = SETTLE_MINUTES * MINUTE
        # Just after the first quote that is younger than the settlement: the row on which the fold's orders fill.
        self.clock.set_timer_ns("decide", every, START + MINUTE + SECOND + 1)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        self.rates[self.index[update.instrument_id]] = update.rate

    def on_time_event(self, _event: Any) -> None:
        for k in [k for k in self.held if self.rates[k] < EXIT]:
            self.held.remove(k)
            for leg in (self.market.spots[k], self.market.perps[k]):
                self.close_position(self.cache.positions_open(None, leg.id)[0])
        wanted = sorted((-rate, k) for k, rate in self.rates.items() if rate >= ENTER and k not in self.held)
        for _, k in wanted[: SLOTS - len(self.held)]:
            self.held.add(k)
            self.trades += 1
            self.enter(self.market.spots[k].id, self.market.perps[k].id)

    def enter(self, spot: InstrumentId, perp: InstrumentId) -> None:
        """Buy one, sell the other, at the market."""
        quote, make = self.cache.quote(spot), self.order_factory.market
        quantity = Quantity(2 * NOTIONAL / (quote.bid_price.as_double() + quote.ask_price.as_double()), 6)
        self.submit_order(make(spot, OrderSide.BUY, quantity))
        self.submit_order(make(perp, OrderSide.SELL, quantity))

    def on_order_filled(self, event: Any) -> None:
        self.fees += event.commission.as_double()


class CarrySeeingQuotes(Carry):
    """The same, and it looks at each quote as well, as the fold looks at each bar: the newest price is kept."""

    def on_start(self) -> None:
        super().on_start()
        self.newest: dict[InstrumentId, Price] = {}
        for instrument in self.market.spots + self.market.perps:
            self.subscribe_quotes(instrument.id)

    def on_quote(self, quote: QuoteTick) -> None:
        self.seen += 1
        self.newest[quote.instrument_id] = quote.bid_price


class Threshold(Strategy):
    """Compares each funding rate with a threshold and trades nothing."""

    def prepare(self, market: "Market") -> None:
        """Set its inputs and the counters of the report."""
        self.market = market
        self.trades, self.fees, self.seen = 0, 0.0, 0

    def on_start(self) -> None:
        for perp in self.market.perps:
            self.subscribe_funding_rates(perp.id)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        if update.rate > ENTER:
            self.seen += 1


class Market:
    """The market file as NautilusTrader's objects."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            shape, values = array("q"), array("d")
            shape.fromfile(file, 2)
            pairs, minutes = shape
            values.fromfile(file, 2 * pairs * minutes + pairs * (minutes // SETTLE_MINUTES))
        self.spots, self.perps = make_instruments(pairs)
        self.quotes = self.make_quotes(values, pairs, minutes)
        rates = values[2 * pairs * minutes :]
        self.fundings = [
            self.make_funding(k, rates[step * pairs + k], START + (step + 1) * SETTLE_MINUTES * MINUTE)
            for step in range(minutes // SETTLE_MINUTES)
            for k in range(pairs)
        ]
        self.updates = [
            FundingRateUpdate(self.perps[n % pairs].id, Decimal(n % 7) / 10_000, START + n, START + n)
            for n in range(UPDATES)
        ]

    def make_quotes(self, values: "array[float]", pairs: int, minutes: int) -> list[QuoteTick]:
        """A quote of each leg each minute, known a second after the minute's end, half the spread on either side."""
        size = Quantity(1e6, 6)
        quotes = []
        for minute in range(minutes):
            at = START + (minute + 1) * MINUTE + SECOND
            for k in range(pairs):
                for leg, instrument in enumerate((self.spots[k], self.perps[k])):
                    mid = values[(leg * minutes + minute) * pairs + k]
                    bid, ask = Price(mid * (1 - HALF_SPREAD), 6), Price(mid * (1 + HALF_SPREAD), 6)
                    quotes.append(QuoteTick(instrument.id, bid, ask, size, size, at, at))
        return quotes

    def make_funding(self, k: int, rate: float, at: int) -> FundingRateUpdate:
        """The rate that the venue settles at `at`; the strategy acts on it only afterwards."""
        exact = Decimal(repr(rate))
        return FundingRateUpdate(self.perps[k].id, exact, at - SECOND, at - SECOND, SETTLE_MINUTES, at)


def make_instruments(pairs: int) -> tuple[list[CurrencyPair], list[CryptoPerpetual]]:
    """Spot and perpetual of each pair; without initial margin, as no order of this benchmark is refused for it."""
    spots, perps = [], []
    terms: dict[str, Any] = {
        "price_precision": 6,
        "size_precision": 6,
        "price_increment": Price(1e-6, 6),
        "size_increment": Quantity(1e-6, 6),
        "ts_event": 0,
        "ts_init": 0,
    }
    for k in range(pairs):
        base, name = Currency(f"P{k:04d}", 8, 0, f"P{k:04d}", CurrencyType.CRYPTO), f"P{k:04d}USDT"
        spots.append(CurrencyPair(InstrumentId.from_str(f"{name}.SIM"), Symbol(name), base, USDT, **terms))
        perp = InstrumentId.from_str(f"{name}-PERP.SIM")
        perps.append(CryptoPerpetual(perp, Symbol(f"{name}-PERP"), base, USDT, USDT, False, **terms))
    return spots, perps


WORKLOADS: dict[str, type[Any]] = {"carry": Carry, "carry-quotes": CarrySeeingQuotes, "funding": Threshold}


def run(market: Market, workload: str) -> dict[str, Any]:
    """One backtest in a fresh engine; only `run` is timed: `seconds` of its thread's CPU, `wall` seconds."""
    quiet = LoggerConfig(bypass_logging=True)
    small = CacheConfig(tick_capacity=1)  # the default, 10,000 quotes an instrument, is a third slower
    engine = BacktestEngine(BacktestEngineConfig(bypass_logging=True, run_analysis=False, logging=quiet, cache=small))
    fees = MakerTakerFeeModel(SPOT_FEE, SPOT_FEE, {perp.id: (PERP_FEE, PERP_FEE) for perp in market.perps})
    balance = [Money(10_000.0, USDT)]
    engine.add_venue(VENUE, OmsType.HEDGING, AccountType.MARGIN, balance, default_leverage=Decimal(10), fee_model=fees)
    for instrument in market.spots + market.perps:
        engine.add_instrument(instrument)
    if workload == "funding":
        engine.add_data(market.updates, client_id=ClientId("SIM"))
    else:
        engine.add_data(market.quotes, sort=False)
        engine.add_data(market.fundings, client_id=ClientId("SIM"))
    strategy = WORKLOADS[workload](StrategyConfig(log_events=False, log_commands=False))
    strategy.prepare(market)
    engine.add_strategy(strategy)
    started, wall = time.thread_time(), time.perf_counter()
    engine.run()
    seconds, wall = time.thread_time() - started, time.perf_counter() - wall
    result = {
        "seconds": seconds,
        "wall": wall,
        "events": engine.iteration,
        "trades": strategy.trades,
        "fees": strategy.fees,
    }
    payments = [change.pnl_change.as_double() for held in engine.cache.positions() for change in held.adjustments()]
    result |= {"funding": sum(payments), "payments": len(payments), "seen": strategy.seen}
    engine.dispose()
    return result


def main() -> None:
    market = Market(Path(sys.argv[1]))
    print(json.dumps({"version": __version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(market, line.strip())), flush=True)


if __name__ == "__main__":
    main()
