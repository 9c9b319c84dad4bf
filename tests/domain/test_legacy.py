"""A log of release 0.1.0 gives the same tape, decisions and amounts as a log of the same market in current events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from carryfold.domain import events as ev
from carryfold.domain import legacy
from carryfold.domain.codec import encode
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.fold.money import equity
from carryfold.domain.instruments import LOT_UNITS, Instrument, Pair, carry_pair
from carryfold.domain.params import Parameters, parse_settings
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.backtest import Backtest, run_backtest, select_pairs
from carryfold.projections.cursor import NOW
from carryfold.projections.runs import list_runs, refold
from carryfold.projections.tape import Tape
from tests.domain.build import HOUR, SECOND, at

Stamped = tuple[Any, int]


class Coin(NamedTuple):
    """A pair of 0.1.0 and its instruments: `multiplier` coins are one unit of its perpetual."""

    symbol: str
    spot: str
    base: str
    price: float
    multiplier: float = 1.0
    priced: bool = True

    @property
    def old(self) -> tuple[str, str, int]:
        return "bybit", self.symbol, 1

    @property
    def perp(self) -> Instrument:
        return Instrument("bybit", self.symbol, "perp")

    @property
    def long(self) -> Instrument:
        return Instrument("bybit", self.spot, "spot")


COINS = [
    Coin("BTCUSDT", "BTCUSDT", "BTC", 100.0),
    Coin("1000PEPEUSDT", "PEPEUSDT", "PEPE", 0.015625, 1000.0),
    Coin("SHIB1000USDT", "SHIBUSDT", "SHIB", 0.03125, 1000.0),
    Coin("XRPUSDT", "XRPUSDT", "XRP", 1.0, priced=False),
    Coin("ETHUSDT", "ETHUSDT", "ETH", 50.0, priced=False),  # its spot comes later
]
LATER = 30
HOURS = 120
LOT = 0.5


class Both:
    """The same market in both vocabularies."""

    def __init__(self) -> None:
        self.old: list[Stamped] = []
        self.new: list[Stamped] = []

    def add(self, old: Any, *new: Any, known_at: int) -> None:
        self.old.append((old, known_at))
        self.new += [(event, known_at) for event in new]


def listed(both: Both, coin: Coin) -> None:
    m = coin.multiplier
    perp = ev.InstrumentListed(*coin.perp, 0, coin.base, "USDT", 1000 * LOT / m, 5.0, m, interval_hours=8.0)
    old = legacy.PairListed(*coin.old, 0, 1000 * LOT, 5.0, LOT_UNITS, coin.priced, m, 8.0, coin.spot)
    spot = ev.InstrumentListed(*coin.long, 0, coin.base, "USDT", 1000 * LOT, 5.0)
    both.add(old, *([perp, spot] if coin.priced else [perp]), known_at=0)
    changed = legacy.PairChanged(*coin.old, at(0), lot=LOT, min_notional=7.0)
    legs = [ev.InstrumentChanged(*coin.perp, at(0), LOT / m, 7.0), ev.InstrumentChanged(*coin.long, at(0), LOT, 7.0)]
    both.add(changed, *legs, known_at=at(0))


def an_hour(both: Both, coin: Coin, hour: int, price: float, draw: Random) -> None:
    """A bar, now and then a quote, an activity, a prediction; a settlement with a stamp that came late."""
    m, t = coin.multiplier, at(hour)
    spot, perp = price, price * (1 + draw.gauss(0, 0.0005))
    priced = coin.priced or (coin.base == "ETH" and hour >= LATER)
    if coin.base == "ETH" and hour == LATER:
        spot_listed = ev.InstrumentListed(*coin.long, 0, coin.base, "USDT", 1e-6, 0.0)
        both.add(legacy.PairChanged(*coin.old, 0, priced=True), spot_listed, known_at=0)
    mark, turnover = draw.choice([0.0, perp * 1.0001]), draw.choice([-1.0, 1e6])
    bars: list[Any] = [ev.BarClosed(*coin.perp, t, 60, perp * m, mark * m, turnover)]
    if priced:
        bars.append(ev.BarClosed(*coin.long, t, 60, spot))
    old = legacy.PairBarClosed(*coin.old, t, 60, spot if priced else 0.0, perp, mark, turnover)
    both.add(old, *bars, known_at=t + SECOND)
    if draw.random() < 0.3:
        at_half = t + HOUR // 2
        bid, ask = (spot * 0.9999, spot * 1.0001) if priced else (0.0, 0.0)
        quotes: list[Any] = [ev.Quoted(*coin.perp, at_half, perp * 0.9998 * m, perp * m)]
        if priced:
            quotes.append(ev.Quoted(*coin.long, at_half, bid, ask))
        both.add(legacy.PairQuoted(*coin.old, at_half, bid, ask, perp * 0.9998, perp), *quotes, known_at=at_half)
    if draw.random() < 0.3:
        legs: list[Any] = [ev.ActivityObserved(*coin.perp, t, 60, 2e6, 5.0)]
        if priced:
            legs.append(ev.ActivityObserved(*coin.long, t, 60, 1e6))
        both.add(
            legacy.PairActivityObserved(*coin.old, t, 60, 1e6 if priced else -1.0, 2e6, 5.0 * m),
            *legs,
            known_at=t + SECOND,
        )
    if draw.random() < 0.5:  # late in an interval it counts, and its mark is the newest of the hour
        predicted_at, rate, soon = t - 60 * SECOND, draw.choice([0.0008, 0.0001]), at(-(-hour // 8) * 8)
        predicted_mark = perp * 1.0002
        both.add(
            legacy.PairFundingPredicted(*coin.old, predicted_at, rate, soon, 8.0, predicted_mark),
            ev.FundingPredicted(*coin.old, predicted_at, rate, soon, 8.0, predicted_mark * m),
            known_at=predicted_at + SECOND,
        )
    if hour % 8 == 0:
        rate = draw.choice([0.0006, 0.0006, 0.0004, 0.00001])
        stamp = t + draw.choice([0, 0, 3, 90]) * SECOND
        interval = () if draw.random() < 0.5 else (8.0,)
        event = ev.FundingSettled(*coin.old, stamp, rate, *interval)
        nominal = ev.FundingSettled(*coin.old, t, rate, *interval)
        both.add(event, nominal, known_at=stamp + 60 * SECOND)


def market() -> Both:
    both, draw = Both(), Random("a market of long ago")
    for coin in COINS:
        listed(both, coin)
    prices = {coin.symbol: coin.price for coin in COINS}
    for hour in range(1, HOURS):
        for coin in COINS:
            prices[coin.symbol] *= 1 + draw.gauss(0, 0.003)
            an_hour(both, coin, hour, prices[coin.symbol], draw)
    coin = COINS[0]
    both.add(
        legacy.PairChanged(*coin.old, at(HOURS), delist_at=at(HOURS + 5)),
        ev.InstrumentChanged(*coin.perp, at(HOURS), delist_at=at(HOURS + 5)),
        known_at=at(HOURS),
    )
    both.add(
        legacy.PairDelisted(*coin.old, at(HOURS + 5), "gone"),
        ev.InstrumentDelisted(*coin.perp, at(HOURS + 5), "gone"),
        known_at=at(HOURS + 5),
    )
    both.add(ev.ClockTicked(at(HOURS + 6)), ev.ClockTicked(at(HOURS + 6)), known_at=at(HOURS + 6))
    return both


@contextmanager
def written(home: Path, *commits: Sequence[tuple[Any, int | None]]) -> Iterator[tuple[LogReader, Tape]]:
    with EventLog.open(home, clock=Clock(lambda: at(1000), lambda: 0)) as log:
        for commit in commits:
            log.append([(encode(event), None, known_at) for event, known_at in commit])
    with LogReader.open(home) as reader:
        yield reader, Tape.open(home, reader)


def folded(home: Path, events: Sequence[Stamped], params: Parameters) -> tuple[Backtest, Tape]:
    with written(home, events) as (_, tape):
        return run_backtest(tape, params, select_pairs(tape, NOW)), tape


def test_the_tape_of_old_events_is_that_of_todays(tmp_path: Path) -> None:
    both, tapes = market(), []
    for name, events in (("old", both.old), ("new", both.new)):
        with written(tmp_path / name, events) as (_, tape):
            rows = np.concatenate(list(tape.blocks()))
            rows["seq"] = 0  # one event of then is several of today
            tapes.append((tape.instruments, rows.tolist()))

    assert tapes[0] == tapes[1]


@pytest.mark.parametrize("changes", ["strategy=simple", "rate_source=blend", "strategy=composite", "strategy=hold"])
def test_a_market_of_old_events_is_the_same_market(tmp_path: Path, changes: str) -> None:
    both = market()
    params = parse_settings([changes, "min_age_d=0", "exit=0.0002", "max_positions=10", "capital=50000"])

    old, old_tape = folded(tmp_path / "old", both.old, params)
    new, new_tape = folded(tmp_path / "new", both.new, params)

    assert set(old_tape.instruments) == set(new_tape.instruments)
    assert old.selection.pairs == new.selection.pairs
    assert old.state.hash() == new.state.hash()
    assert old.decisions_hash == new.decisions_hash
    for name in ("decisions", "fills", "days"):
        assert getattr(old, name).tobytes() == getattr(new, name).tobytes(), name
    assert old.funding == new.funding
    assert len(old.fills) > 5
    traded = {old.selection.pairs[f["pair"]].short.symbol for f in old.fills}
    assert traded == {coin.symbol for coin in COINS}
    held_unpriced = {p.short.symbol for p, v in zip(old.state.pairs, old.state.view, strict=True) if not v["priced"]}
    assert held_unpriced == {"XRPUSDT"}


def test_a_perpetual_on_many_coins_is_priced_per_coin_as_before(tmp_path: Path) -> None:
    """In 0.1.0 a lot was the pair's and prices were per coin of the spot market; so are those of the fold."""
    run, tape = folded(tmp_path, market().old, Parameters())

    known = {one.instrument: i for i, one in enumerate(tape.instruments)}
    pepe = run.state.pairs.index(Pair(COINS[1].long, COINS[1].perp))
    view = run.state.view[pepe]
    perp = run.state.market[known[COINS[1].perp]]
    assert (view["lot"], view["min_notional"], perp["multiplier"]) == (LOT, 7.0, 1000.0)
    assert 0.01 < view["short_price"] < 0.025
    assert perp["price"] == pytest.approx(1000 * view["short_price"])
    assert [one.base for one in tape.instruments if one.instrument in (COINS[1].long, COINS[1].perp)] == ["PEPE"] * 2


# --- what a run of long ago did ---------------------------------------------------------------------------------------

BTC = COINS[0]
PAIR = carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDT")
RUN = 5  # after two listings and two quotes
RUN_AT = at(1001)


def a_live_run() -> tuple[list[Any], list[Any]]:
    """An entry, a payment and its correction, half an exit, what reconciliation found: (old, new) events."""
    parameters = msgspec.to_builtins(parse_settings(["enter=0.001", "cadence_s=1"]))
    lot = LOT_UNITS
    of_old, of_new, t = (RUN, RUN_AT, *BTC.old), (RUN, RUN_AT, PAIR), RUN_AT
    value, fee = Decimal("100.25"), Decimal("0.05")
    old = [
        legacy.OldRunStarted(t, "live", parameters, CODE_DIGEST, "", ("bybit/BTCUSDT/1",)),
        legacy.OldEntryDecided(*of_old, 2, Decimal(100)),
        legacy.OldOrderIntended(*of_old, "cf5-7e-s1", "spot", "buy", Decimal(1)),
        legacy.OldOrderAccepted(*of_old, "cf5-7e-s1", "v1"),
        legacy.OldOrderFilled(*of_old, "cf5-7e-s1", "f1", "spot", 2 * lot, value, fee, qty=Decimal(1)),
        legacy.OldOrderFilled(*of_old, "cf5-7e-p1", "f2", "perp", -2 * lot, value, fee, ended=True),
        legacy.OldFundingPaid(*of_old, at(1000), Decimal("0.5"), "x1"),
        legacy.OldReconciliationCorrected(*of_old, 0, 0, Decimal("-0.125"), f"funding {at(1000)} is 0.375, not 0.5"),
        legacy.OldOrderFilled(*of_old, "cf5-9x-s1", "f3", "spot", -lot, value / 2, fee),
        legacy.OldOrderFilled(*of_old, "cf5-9x-p1", "f4", "perp", lot, value / 2, fee),
        legacy.OldOrderCancelled(*of_old, "cf5-9x", "nothing left", ended=True),
        legacy.OldReconciliationCorrected(*of_old, -10, 0, Decimal("0.25"), "coins are gone"),
        legacy.OldReconciliationCorrected(RUN, t, "bybit", "", 0, 0, 0, Decimal(2), "a deposit"),
        legacy.TradeClosed(*of_old, 1, "exit", Decimal(0), Decimal(0), Decimal(0), Decimal(0)),
    ]
    new = [
        ev.RunStarted(t, "live", parameters, CODE_DIGEST, "", (PAIR,)),
        ev.EntryDecided(*of_new, 2, Decimal(100)),
        ev.OrderIntended(*of_new, "long", "cf5-7e-s1", "buy", Decimal(1), caused_by=7),
        ev.OrderAccepted(*of_new, "long", "cf5-7e-s1", "v1"),
        ev.OrderFilled(*of_new, "long", "cf5-7e-s1", "f1", 2 * lot, value, fee, qty=Decimal(1)),
        ev.OrderFilled(*of_new, "short", "cf5-7e-p1", "f2", -2 * lot, value, fee),
        ev.HedgeEnded(*of_new, "cf5-7e", "entry", "", caused_by=7),
        ev.FundingPaid(*of_new, "short", at(1000), Decimal("0.5"), "x1"),
        ev.FundingCorrected(*of_new, "short", at(1000), Decimal("-0.125"), Decimal("0.5")),
        ev.OrderFilled(*of_new, "long", "cf5-9x-s1", "f3", -lot, value / 2, fee),
        ev.OrderFilled(*of_new, "short", "cf5-9x-p1", "f4", lot, value / 2, fee),
        ev.HedgeEnded(*of_new, "cf5-9x", "exit", "nothing left", caused_by=9),
        ev.ReconciliationCorrected(*of_new, -10, 0, Decimal("0.25"), "coins are gone"),
        ev.ReconciliationCorrected(RUN, t, None, 0, 0, Decimal(2), "a deposit"),
    ]
    return old, new


def test_a_live_run_of_old_events_is_the_same_run(tmp_path: Path) -> None:
    before: list[Sequence[tuple[Any, int | None]]] = [
        [(ev.InstrumentListed(*leg, 0, "BTC", "USDT", LOT, 5.0), 0) for leg in (BTC.perp, BTC.long)],
        [(ev.Quoted(*leg, at(999), 100.0, 100.5), at(999)) for leg in (BTC.perp, BTC.long)],
    ]
    states, summaries = [], []
    for name, events in zip(("old", "new"), a_live_run(), strict=True):
        commits: list[Sequence[tuple[Any, int | None]]] = [[(event, None)] for event in events]
        with written(tmp_path / name, *before, *commits) as (reader, tape):
            (info,) = list_runs(reader)
            state, outputs = refold(tape, info, tape.last_seq)
            for _ in outputs:
                pass
            states.append(state)
            summaries.append((info.run, info.mode, info.pairs, info.parameters, tape.pairs, tape.rows))

    assert summaries[0] == summaries[1]
    assert summaries[0][:3] == (RUN, "live", (PAIR,))
    old, new = states
    for name in ("account", "market", "view"):
        assert getattr(old, name).tobytes() == getattr(new, name).tobytes(), name
    for name in old.pair.dtype.names or ():
        assert name.endswith("_at") or (old.pair[name] == new.pair[name]).all(), name
    book, pair = old.book[0], old.pair[0]
    assert (book["funding"], book["fees"], book["payments"]) == (37_500_000, 4 * 5_000_000 - 225_000_000, 1)
    assert (pair["held"], pair["pending"], pair["long_units"], pair["short_units"]) == (1, 0, LOT_UNITS - 10, LOT_UNITS)
    assert equity(book) == equity(new.book[0])


def test_a_simulated_booking_of_old_has_the_figures_of_both_legs_and_names_a_single_one() -> None:
    old = {"units": 2, "unit": 0.5, "spot_value": 7, "perp_value": 8, "spot_fee": 1, "perp_pnl": -3}
    new = {"units": 2, "unit": 0.5, "long_value": 7, "short_value": 8, "long_fee": 1, "short_pnl": -3}
    legs = {"enter": None, "exit": None, "liquidated": "short", "spot sold": "long", "funding": "short"}

    for action, leg in legs.items():
        (event,) = legacy.upcast(legacy.OldFillSimulated(RUN, at(1), "bybit", "BTCUSDT", 1, action, 4, old))
        assert isinstance(event, ev.FillSimulated)
        assert event.action == ("leg closed" if action == "spot sold" else action)
        assert event.values == (new if leg is None else new | {"leg": leg})
