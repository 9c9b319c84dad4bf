"""The common checker of the fault cards: invariants that hold after every run, whatever went wrong in it.

The venue's own books are the truth. They are compared with what the run's log says, event by event, with sums of its
own: nothing here uses the code that made the log.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from carryfold.domain.events import (
    EntryDecided,
    ExitDecided,
    FundingCorrected,
    FundingPaid,
    HedgeEnded,
    HoldingAdopted,
    InstrumentListed,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    ReconciliationCorrected,
)
from carryfold.domain.execution import ExecutionLimits
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.instruments import LOT_UNITS, Instrument, Pair, common_lot
from carryfold.domain.rows import E8
from carryfold.eventlog import LogReader, verify
from carryfold.projections import queries
from carryfold.projections.cursor import Cursor
from carryfold.projections.run_verification import Verification, verify_run
from carryfold.projections.runs import list_runs
from carryfold.projections.tape import Tape
from carryfold.simexchange import SimExchange
from tests.adapters.daemon.live.session import LIMITS
from tests.adapters.daemon.world import events_of

ANSWER_S: Final = 25.0
"""The longest wait for an answer of the venue, by its clock, which runs ten times as fast as real time."""

_ZERO: Final = Decimal(0)
Logged = tuple[int, int, Any]


def bound_s(limits: ExecutionLimits = LIMITS) -> float:
    """How long one leg may be alone while the venue answers (docs/execution.md, Bounds)."""
    order_s = limits.absent_grace_s + 3 * ANSWER_S + limits.retry_wait_s
    return limits.deadline_s + (limits.unwind_retries + 2) * order_s


def ends_of(home: Path) -> list[str]:
    """The outcome of each decision, with its reason if there is one. Repairs have no decision."""
    ends = [event for _, _, event in events_of(home) if isinstance(event, HedgeEnded) and event.work != "repair"]
    return [f"{event.outcome}: {event.reason}" if event.reason else event.outcome for event in ends]


def check(
    home: Path,
    venue: SimExchange,
    *,
    output: str = "",
    adopted: bool = False,
    late: Iterable[str] = (),
    unhedged_s: float | None = None,
) -> None:
    """Everything, after a daemon has stopped. `adopted`: corrections of holdings were called for. `late`: orders that
    were held back until they were believed absent. `unhedged_s`: another bound than the usual one."""
    report = verify(home, in_child=False)
    assert report.ok, report.error
    check_replay(home)
    check_secrets(home, venue, output)
    events = events_of(home)
    own = [one for one in events if getattr(one[2], "run", 0)]
    check_orders(own, venue, frozenset(late))
    check_fills(own, venue)
    check_funding(own, venue)
    check_holdings(own, venue, lots_of(events))
    check_unhedged(own, bound_s() if unhedged_s is None else unhedged_s)
    check_causes(own)
    if not adopted:
        found = [event for _, _, event in own if isinstance(event, ReconciliationCorrected)]
        assert all("too few to sell" in event.reason for event in found), found


def check_replay(home: Path) -> None:
    """Folding the run again gives every record and the state, to the last byte."""
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        runs = [info for info in list_runs(reader) if info.mode == "live"]
        assert runs
        taken_over = {info.adopts for info in runs}
        for info in runs:
            found = verify_run(reader, tape, info, CODE_DIGEST)
            assert found.identical, found
            stopped = found.recorded_state_hash or info.run in taken_over
            assert stopped, "the run was not stopped in order"
            check_answers(home, found)


def check_answers(home: Path, found: Verification) -> None:
    """The questions about a run give the figures of its fold, to the last 1e-8. (A fold books corrected cash as fees,
    and values at the market what a correction brings in, or takes away of a perpetual.)"""
    with queries.open_home(home) as opened:
        now = opened.at(Cursor(upto_seq=found.upto_seq))
        ledger = queries.ledger(now, run=found.run)
        held = [one.pair for one in queries.positions(now, run=found.run).positions]
        fills = queries.fills(now, run=found.run).fills
        orders = queries.orders(now, run=found.run).orders
        (day,) = queries.equity(now, run=found.run).days[-1:]
        corrections = [one.fields for one in queries.events(now, kinds=["ReconciliationCorrected"])]
    total = ledger.total
    assert (e8(total.funding), e8(total.fees - total.corrected)) == (round(found.funding * E8), round(found.fees * E8))
    assert set(held) <= set(found.held), "a fold also holds a pair whose order is still pending"
    if not found.held and all(one["long_units"] <= 0 and one["short_units"] == 0 for one in corrections):
        assert e8(day.equity) == round(found.equity * E8), (day, found)
    filled: defaultdict[str, Decimal] = defaultdict(lambda: _ZERO)
    for fill in fills:
        filled[fill.client_id] += fill.qty
    assert all(order.filled == filled[order.client_id] for order in orders)


def e8(amount: Decimal) -> int:
    """A quote amount in 1e-8."""
    return int((amount * E8).to_integral_value())


def check_secrets(home: Path, venue: SimExchange, output: str) -> None:
    """Neither key nor secret is in any file of the home or in the output."""
    for secret in (venue.api_key, venue.api_secret):
        assert secret not in output
        for path in home.rglob("*"):
            if path.is_file() and path.suffix != ".toml":
                assert secret.encode() not in path.read_bytes(), path


def check_orders(own: Iterable[Logged], venue: SimExchange, late: frozenset[str]) -> None:
    """Orders at the venue and intents in the log, one to one; what has no order there was rejected or absent."""
    intents = {event.client_id: event for _, _, event in own if isinstance(event, OrderIntended)}
    refused = {event.client_id for _, _, event in own if isinstance(event, OrderRejected)}
    placed = Counter(order.link_id for order in venue.exchange.orders.all if order.link_id)
    assert not [name for name, count in placed.items() if count > 1]
    assert not placed.keys() - intents.keys(), "orders that nobody intended"
    missing = intents.keys() - placed.keys() - refused
    assert not missing, f"intents that never became an order and were not given up: {missing}"
    for order in venue.exchange.orders.all:
        if order.link_id in refused - late:
            assert not order.filled, f"{order.link_id} was taken for refused and has filled"


def check_fills(own: Iterable[Logged], venue: SimExchange) -> None:
    """Every execution of the run, once, as the venue booked it."""
    booked: dict[str, OrderFilled] = {}
    for _, _, event in own:
        if isinstance(event, OrderFilled):
            assert event.fill_id not in booked, f"{event.fill_id} is in the log twice"
            booked[event.fill_id] = event
    for fill in venue.exchange.fills.executions:
        if fill.kind == "Funding" or (fill.spot and not fill.link_id):
            continue
        event = booked.pop(fill.exec_id, None)
        assert event is not None, f"{fill.exec_id} ({fill.kind}, {fill.link_id}) is not in the log"
        times = Decimal(1) if fill.spot else Decimal(fill.pair.multiplier)
        assert (abs(event.qty), event.fee_qty) == (fill.qty * times, fill.fee)
        assert (event.qty > 0) == fill.buy
    # Sales of coins by hand are ours only where coins of ours are missing.
    by_hand = {fill.exec_id for fill in venue.exchange.fills.executions if fill.spot and not fill.link_id}
    assert booked.keys() <= by_hand, "fills that the venue does not know"


def check_funding(own: Iterable[Logged], venue: SimExchange) -> None:
    """Every settlement once, and with corrections the amount that the venue paid."""
    paid: defaultdict[tuple[str, int], Decimal] = defaultdict(lambda: _ZERO)
    seen: Counter[tuple[str, int]] = Counter()
    for _, _, event in own:
        if not isinstance(event, FundingPaid | FundingCorrected):
            continue
        key = event.pair.short.symbol, event.settled_at
        assert event.leg == "short"
        if isinstance(event, FundingPaid):
            seen[key] += 1
        else:
            assert event.booked == paid[key]
        paid[key] += event.amount
    assert all(count == 1 for count in seen.values()), seen
    theirs: defaultdict[tuple[str, int], Decimal] = defaultdict(lambda: _ZERO)
    for entry in venue.ledger.entries:
        if entry.kind == "SETTLEMENT":
            theirs[entry.symbol, entry.time_ms * 1_000_000] += entry.funding
    assert paid == theirs


def lots_of(events: Iterable[Logged]) -> dict[Pair, Decimal]:
    """The first lot of each pair that was ever traded, in coins."""
    listed: dict[Instrument, InstrumentListed] = {}
    lots: dict[Instrument, float] = {}
    traded: dict[Pair, None] = {}
    for _, _, event in events:
        if isinstance(event, InstrumentListed):
            listed[event.instrument] = event
            lots[event.instrument] = event.lot
        elif type(event).__name__ == "InstrumentChanged" and event.lot and not traded:
            lots[event.instrument] = event.lot  # what an import assumes of a spot instrument is not its lot
        elif isinstance(event, OrderIntended):
            traded[event.pair] = None
    return {
        pair: common_lot(
            lots[pair.long], listed[pair.long].multiplier, lots[pair.short], listed[pair.short].multiplier
        )
        for pair in traded
    }  # fmt: skip


def check_holdings(own: Iterable[Logged], venue: SimExchange, lots: dict[Pair, Decimal]) -> None:
    """The log adds up to the account's holdings; the legs of each pair match within a lot."""
    long: Counter[Pair] = Counter()
    short: Counter[Pair] = Counter()
    for _, _, event in own:
        if isinstance(event, OrderFilled):
            (long if event.leg == "long" else short)[event.pair] += event.units
        elif isinstance(event, ReconciliationCorrected) and event.pair is not None:
            long[event.pair] += event.long_units
            short[event.pair] -= event.short_units
    for pair, lot in lots.items():
        name, unit = pair.short.symbol, lot / LOT_UNITS
        one = venue.exchange.market.perps[name]
        position = venue.exchange.account.positions.get(name)
        held = position.size * one.multiplier if position is not None else _ZERO
        assert abs(short[pair] * unit - held) < unit, f"{name}: {short[pair] * unit} short, the venue has {held}"
        coins = venue.ledger.balance(one.spot_coin)
        assert coins - long[pair] * unit > -unit, f"{name}: {long[pair] * unit} coins, the venue has {coins}"
        assert abs(long[pair] + short[pair]) < LOT_UNITS, f"{name}: {long[pair]} and {short[pair]} units"


def check_unhedged(own: Iterable[Logged], most_s: float) -> None:
    """No pair had a leg larger by a lot or more for longer than the bound."""
    worst = longest_unhedged_s(own)
    assert all(seconds <= most_s for seconds in worst.values()), worst


def longest_unhedged_s(own: Iterable[Logged]) -> dict[str, float]:
    """The longest spell of each pair, from booking to booking; one that has not ended counts to the end of the log."""
    gap: Counter[str] = Counter()
    since: dict[str, int] = {}
    longest: dict[str, float] = {}
    last = 0
    for _, known_at, event in own:
        last = known_at
        if not isinstance(event, OrderFilled | ReconciliationCorrected) or event.pair is None:
            continue
        name = event.pair.short.symbol
        gap[name] += event.units if isinstance(event, OrderFilled) else event.long_units - event.short_units
        if abs(gap[name]) >= LOT_UNITS:
            since.setdefault(name, known_at)
        elif name in since:
            _longer(longest, name, known_at - since.pop(name))
    for name, began in since.items():
        _longer(longest, name, last - began)
    return longest


def check_causes(own: Iterable[Logged]) -> None:
    """Every event that has a cause names it."""
    decided: set[int] = set()
    intents: dict[str, int] = {}
    for seq, _, event in own:
        if isinstance(event, EntryDecided | ExitDecided):
            decided.add(seq)
        elif isinstance(event, OrderIntended):
            intents[event.client_id] = seq
            is_repair = event.client_id.rpartition("-")[0].endswith("r")
            assert event.caused_by == 0 if is_repair else event.caused_by in decided, event
        elif isinstance(event, HedgeEnded):
            assert event.caused_by == 0 if event.work == "repair" else event.caused_by in decided, event
        elif isinstance(event, OrderAccepted | OrderRejected | OrderUnknown | OrderCancelled | OrderFilled):
            assert event.caused_by == intents.get(event.client_id, 0), event
        elif isinstance(event, FundingCorrected):
            assert event.caused_by, event
        elif isinstance(event, HoldingAdopted):
            assert event.caused_by == event.run, event


def _longer(longest: dict[str, float], symbol: str, spell_ns: int) -> None:
    longest[symbol] = max(longest.get(symbol, 0.0), spell_ns / 1e9)
