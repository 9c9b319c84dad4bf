"""How do the fold's rows a second compare with NautilusTrader's events a second?

NautilusTrader (where a Python that has it is named with `--peer-python`) takes funding updates of 100 perpetuals
through its backtest engine into a strategy that compares each with a threshold and trades nothing; the fold takes bars
and settlements of 100 pairs with fills, fees and funding accounted for.
"""

import argparse
import subprocess

from fold_speed import measure
from market import make_rows

PEER = """
import time
from decimal import Decimal
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import FundingRateUpdate
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import ClientId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

instrument = TestInstrumentProvider.btcusdt_perp_binance()
class Threshold(Strategy):
    def on_start(self):
        self.hits = 0
        self.subscribe_funding_rates(instrument.id)
    def on_funding_rate(self, update):
        if update.rate > Decimal("0.0003"):
            self.hits += 1
N = 200_000
data = [FundingRateUpdate(instrument.id, Decimal(k % 7) / 10000, k * 10**9, k * 10**9) for k in range(N)]
times = []
for _ in range(3):
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(10000, USDT)])
    engine.add_instrument(instrument)
    engine.add_data(data, client_id=ClientId("BINANCE"))
    engine.add_strategy(Threshold())
    started = time.perf_counter(); engine.run(); times.append(time.perf_counter() - started)
    engine.dispose()
print(N / sorted(times)[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="a Python that has nautilus_trader")
    peer: str | None = parser.parse_args().peer_python
    speed, _ = measure(*make_rows(100, 3000))
    print("| tool | events/s, median | ratio |\n|---|---:|---:|")
    print(f"| carryfold simulate, simple | {speed / 1e6:.1f} M | 1 |")
    if peer is None:
        print("| NautilusTrader | not installed (name a Python that has it with --peer-python) | |")
        return
    done = subprocess.run([peer, "-c", PEER], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        print(f"| NautilusTrader | did not run: {lines[-1] if lines else 'no message'} | |")
        return
    other = float(done.stdout.split()[-1])
    print(f"| NautilusTrader, funding updates | {other / 1e6:.3f} M | {speed / other:.0f} x |")


if __name__ == "__main__":
    main()
