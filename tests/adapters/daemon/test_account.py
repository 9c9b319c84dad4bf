"""Snapshots of an account: orders without a known end are absent after the configured grace and answers only."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from carryfold.adapters.daemon.account import Account, AccountSnapshot
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.venues import PairSpec
from carryfold.domain.events import InstrumentListed, OrderIntended
from carryfold.domain.execution import ExecutionLimits
from carryfold.domain.execution.reports import AccountReport, NotFound
from carryfold.domain.params import Parameters
from carryfold.eventlog import Clock
from carryfold.projections.runs import RunInfo
from tests.domain.execution.facts import PAIR, RUN, SECOND, START

NAME = PAIR.name


class EmptyAccount:
    """A venue without orders, fills or positions."""

    async def _nothing(self, *_: object) -> Sequence[Any]:
        return ()

    positions = open_orders = fills_since = funding_since = interest_since = _nothing

    async def account(self) -> AccountReport:
        return AccountReport({}, Decimal(0), 0.0)

    async def query(self, *_: object) -> NotFound:
        return NotFound()


class Time:
    now = START


def account(time: Time, limits: ExecutionLimits) -> Account:
    """The books of a run with one order whose end is not known."""
    legs = PAIR.pair
    spot, perp = (InstrumentListed(*leg, 0, "AAA", "USDT", 0.01, 5.0) for leg in legs)
    info = RunInfo(RUN, START, "live", Parameters(), "", "", (legs,), RUN)
    clock = DaemonClock(Clock(lambda: time.now, lambda: time.now))
    ports: Any = {"bybit": EmptyAccount()}
    spec = PairSpec(spot, perp, PAIR.long, PAIR.short)
    made = Account(info, ports, [spec], {}, clock, QuoteCache(clock), limits)
    made.books.apply(OrderIntended(RUN, START, legs, "short", "t-42-7e-p1", "sell", Decimal(1), Decimal(100)), 8)
    return made


def answered(one: Account, *, busy: bool = False) -> AccountSnapshot:
    return asyncio.run(one.fetch([NAME] if busy else []))


def test_an_order_is_absent_after_the_configured_grace_and_number_of_answers() -> None:
    time = Time()
    one = account(time, ExecutionLimits(absent_grace_s=100.0, absent_answers=3))

    time.now = START + 99 * SECOND
    assert [answered(one).venues[0].answers for _ in range(5)] == [{}] * 5
    time.now = START + 101 * SECOND
    assert [len(answered(one).venues[0].answers) for _ in range(4)] == [0, 0, 1, 1]


def test_one_answer_without_a_grace_is_enough_where_it_is_configured_so() -> None:
    one = account(Time(), ExecutionLimits(absent_grace_s=0.0, absent_answers=1))
    assert len(answered(one).venues[0].answers) == 1


def test_an_order_of_a_running_process_is_left_to_the_process() -> None:
    one = account(Time(), ExecutionLimits(absent_grace_s=0.0, absent_answers=1))
    assert answered(one, busy=True).venues[0].answers == {}
