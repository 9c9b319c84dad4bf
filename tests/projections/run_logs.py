"""Logs of runs for tests: a paper run as the daemon records it, and a live run that is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.codec import encode, event_key
from carryfold.domain.fold import CODE_DIGEST, State
from carryfold.domain.fold.run import Output
from carryfold.domain.instruments import Pair, carry_pair
from carryfold.domain.params import parse_settings
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.runs import list_runs, refold
from carryfold.projections.tape import Tape

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
T0 = 480_000 * HOUR  # a midnight in UTC
A, B = (carry_pair("v", f"{coin}USDT", spot_symbol=f"{coin}USDT") for coin in "AB")
EASY = ("enter=0.0001", "exit=0.00005", "cadence_s=60", "stale_s=600", "latency_ms=0", "notional=500")


def append(home: Path, at: int, *events: ev.Event) -> int:
    """One live commit at `at`; the seq of its first event."""
    with EventLog.open(home, clock=Clock(lambda: at, lambda: 0)) as log:
        return log.append([(encode(event), event_key(event), None) for event in events]).first_seq


def begin_market(home: Path) -> None:
    """Two coins with spot markets and perpetuals, and a rate that pays well."""
    legs = [leg for pair in (A, B) for leg in pair]
    append(home, T0, *(ev.InstrumentListed(*leg, 0, leg.symbol[0], "USDT", 0.001, 1.0) for leg in legs))
    append(home, T0 + 1, *(ev.FundingSettled("v", pair.short.symbol, 1, T0, 5e-4, 8.0) for pair in (A, B)))


def begin_run(home: Path, at: int, mode: str, *settings: str, pairs: Sequence[Pair] = (A, B)) -> int:
    """A run that starts with easy parameters; its number."""
    parameters = msgspec.to_builtins(parse_settings([*EASY, *settings]))
    return append(home, at, ev.RunStarted(at, mode, parameters, CODE_DIGEST, "easy", tuple(pairs)))


def quote_for(home: Path, start: int, hours: int) -> None:
    """Quotes each ten minutes, slowly rising; settlements of which the fourth is poor, each predicted before."""
    for step in range(hours * 6):
        at = start + (step + 1) * 600 * SECOND
        rise = 1 + step / 1000
        events: list[ev.Event] = []
        for pair in (A, B):
            events += [ev.Quoted(*pair.long, at, 100.0 * rise, 100.1 * rise)]
            events += [ev.Quoted(*pair.short, at, 100.2 * rise, 100.3 * rise)]
        for hour, rate in ((8, 4e-4), (16, 3e-4), (24, 3e-4), (32, 1e-5)):
            due = T0 + hour * HOUR
            symbols = [pair.short.symbol for pair in (A, B)]
            if at == due - HOUR // 2:
                events += [ev.FundingPredicted("v", symbol, 1, at, rate + 1e-5, due) for symbol in symbols]
            if at == due + 600 * SECOND:
                events += [ev.FundingSettled("v", symbol, 1, due, rate, 8.0) for symbol in symbols]
        append(home, at, *events)


def record_outputs(home: Path, number: int, at: int) -> tuple[State, list[Output]]:
    """Record what a paper run decided and booked, as a daemon does; its state and outputs."""
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        info = list_runs(reader)[number]
        state, outputs = refold(tape, info, tape.last_seq)
        made = list(outputs)
    for output in made:
        records = [
            *decisions_recorded(info.run, state, output.decisions),
            *fills_recorded(info.run, state, output.fills),
        ]
        if records:
            append(home, at, *records)
    return state, made


def paper_run(home: Path) -> tuple[int, State, list[Output]]:
    """A paper run of 34 hours that entered, was paid three times and left; its number, state and outputs."""
    begin_market(home)
    run = begin_run(home, T0 + HOUR, "paper")
    append(home, T0 + HOUR, ev.RunArmed(run, T0 + HOUR), ev.FeedConnected(T0 + HOUR, "public"))
    quote_for(home, T0 + HOUR, 34)
    state, outputs = record_outputs(home, 0, T0 + 35 * HOUR + 600 * SECOND)
    return run, state, outputs


def live_run(home: Path) -> int:
    """A live run that bought A in two fills, sold its perpetual, was paid, charged and corrected, and sold half of it
    again; its number."""
    begin_market(home)
    at = T0 + HOUR
    run = begin_run(home, at, "live", pairs=(A,))
    append(home, at, ev.RunArmed(run, at), ev.FeedConnected(at, "public"))
    quote_for(home, at, 2)
    at = T0 + 4 * HOUR
    decided = append(home, at, ev.EntryDecided(run, at, A, 2, Decimal(200), {"mid": 100.05}))
    buy, sell, unwind = "t-1-l-1", "t-1-s-1", "t-2-s-1"
    append(home, at, ev.OrderIntended(run, at, A, "long", buy, "buy", Decimal(2), Decimal(101), caused_by=decided))
    append(
        home, at + SECOND,
        ev.OrderAccepted(run, at + SECOND, A, "long", buy, "v1"),
        _fill(run, at + SECOND, "long", buy, "f1", "1", "100", "0.1"),
        _fill(run, at + SECOND, "long", buy, "f2", "1", "102", "0.1"),
        _fill(run, at + SECOND, "long", buy, "f2", "1", "102", "0.1"),  # told twice
        ev.OrderIntended(run, at + SECOND, A, "short", sell, "sell", Decimal(2), caused_by=decided),
    )  # fmt: skip
    append(
        home, at + 2 * SECOND,
        ev.OrderUnknown(run, at + 2 * SECOND, A, "short", sell, "timeout"),
        _fill(run, at + 2 * SECOND, "short", sell, "f3", "-2", "205", "0.2"),
        ev.HedgeEnded(run, at + 2 * SECOND, A, "t-1", "entry", "opened", "", 2, Decimal("0.4"), caused_by=decided),
    )  # fmt: skip
    append(home, at + HOUR, ev.FeedLost(at + HOUR, "public", "closed by peer"))
    append(home, at + HOUR + 30 * SECOND, ev.FeedConnected(at + HOUR + 30 * SECOND, "public"))
    at = T0 + 9 * HOUR
    append(
        home, at,
        ev.FundingPaid(run, at, A, "short", T0 + 8 * HOUR, Decimal("0.08")),
        ev.FundingCorrected(run, at, A, "short", T0 + 8 * HOUR, Decimal("0.01"), Decimal("0.08")),
        ev.BorrowCharged(run, at, Decimal("0.02")),
        ev.MarginObserved(run, at, 9.0),
        ev.ReconciliationCorrected(run, at, None, 0, 0, Decimal("0.005"), "cash differs"),
        ev.OrderIntended(run, at, A, "short", unwind, "buy", Decimal(1), purpose="close"),
        ev.OrderRejected(run, at, A, "short", unwind, "too small"),
    )  # fmt: skip
    append(home, at + SECOND, _fill(run, at + SECOND, "short", "t-3-s-1", "f4", "1", "99", "0.1"))
    append(home, at + 2 * SECOND, ev.Halted(0, at + 2 * SECOND, "asked"))
    quote_for(home, T0 + 26 * HOUR, 1)
    return run


def _fill(run: int, at: int, leg: str, order: str, fill: str, qty: str, value: str, fee: str) -> ev.OrderFilled:
    """Units of a millionth of a lot of 0.001 coins; `qty` > 0 was bought."""
    coins = Decimal(qty)
    return ev.OrderFilled(
        run, at, A, leg, order, fill, int(coins * 10**9), Decimal(value), Decimal(fee), "USDT", coins, Decimal(fee)  # type: ignore[arg-type]
    )  # fmt: skip
