"""Questions about runs: a live run with known figures, and a paper run compared with its own fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.projections.run_logs import HOUR, SECOND, T0, A, append, begin_run, live_run, paper_run

from carryfold.domain import events as ev
from carryfold.domain.fold import Output, State
from carryfold.domain.fold.codes import BOOKINGS
from carryfold.domain.fold.money import equity as equity_e8
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections import queries
from carryfold.projections.cursor import Cursor, format_day
from carryfold.projections.queries import OpenHome, QueryError, open_home

D = Decimal
_BATCH = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
OF_RUNS: tuple[Callable[..., Any], ...] = (
    queries.runs, queries.decisions, queries.orders, queries.fills, queries.positions, queries.ledger, queries.equity,
    queries.feeds,
)  # fmt: skip


@pytest.fixture(scope="module")
def live_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    live_run(folder)
    return folder


@pytest.fixture
def live(live_home: Path) -> Iterator[OpenHome]:
    with open_home(live_home) as home:
        yield home


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State, list[Output]]:
    folder = tmp_path_factory.mktemp("paper")
    _, state, outputs = paper_run(folder)
    return folder, state, outputs


def test_a_run_is_listed_with_its_status_and_what_it_did(live: OpenHome) -> None:
    (run,) = queries.runs(live.at()).runs

    assert (run.mode, run.strategy, run.group, run.status, run.pairs) == ("live", "simple", "easy", "halted", ["AUSDT"])
    assert (run.decisions, run.orders, run.fills) == (1, 3, 4)
    assert (run.started_at, run.armed_at, run.stopped_at) == (
        "2024-10-04T01:00:00Z",
        "2024-10-04T01:00:00.000000001Z",
        None,
    )


def test_a_stop_a_restart_and_commands_to_all_runs_change_the_status(tmp_path: Path) -> None:
    run = begin_run(tmp_path, T0, "paper")
    commands: list[ev.Event] = [
        ev.RunArmed(run, T0), ev.Halted(0, T0), ev.FlattenRequested(run, T0), ev.Halted(0, T0), ev.Resumed(0, T0),
        ev.RunStopped(run, T0 + 9, "asked", "abc"), ev.Halted(0, T0), ev.RunArmed(run, T0),
    ]  # fmt: skip
    shown = []
    for number, event in enumerate(commands):
        append(tmp_path, T0 + number + 1, event)
        with open_home(tmp_path) as home:
            (one,) = queries.runs(home.at()).runs
        shown.append((one.status, one.stop_reason))

    assert shown == [
        ("armed", ""), ("halted", ""), ("flattening", ""), ("flattening", ""), ("armed", ""), ("stopped", "asked"),
        ("stopped", "asked"), ("halted", ""),
    ]  # fmt: skip


def test_orders_show_what_became_of_them_and_their_processes(live: OpenHome) -> None:
    found = queries.orders(live.at())
    buy, sell, unwind = found.orders

    assert (buy.status, buy.filled, buy.value, buy.average_price, buy.fees) == ("filled", D(2), D(202), 101.0, D("0.2"))
    assert (buy.venue_id, buy.instrument, buy.limit_price) == ("v1", "v:spot:AUSDT", D(101))
    assert (sell.status, sell.reason, sell.average_price) == ("filled", "timeout", 102.5)
    assert (unwind.status, unwind.reason, unwind.filled) == ("rejected", "too small", D(0))
    assert [(one.process, one.outcome, one.fees) for one in found.processes] == [("t-1", "opened", D("0.4"))]
    assert found.processes[0].caused_by == buy.caused_by == queries.decisions(live.at()).decisions[0].seq


def test_a_partly_filled_order_that_is_cancelled_stays_cancelled(tmp_path: Path) -> None:
    run = begin_run(tmp_path, T0, "live", pairs=(A,))
    append(
        tmp_path, T0 + 1,
        ev.OrderIntended(run, T0, A, "long", "c", "buy", D(2)),
        ev.OrderFilled(run, T0, A, "long", "c", "f", 1_000, D(100), D(0), qty=D(1)),
        ev.OrderCancelled(run, T0, A, "long", "c", "immediate or cancel"),
    )  # fmt: skip
    with open_home(tmp_path) as home:
        (order,) = queries.orders(home.at()).orders

    assert (order.status, order.filled, order.reason) == ("cancelled", D(1), "immediate or cancel")


def test_fills_show_price_fee_and_what_they_realised(live: OpenHome) -> None:
    found = queries.fills(live.at())

    assert not found.is_simulated
    assert [(one.leg, one.side, one.coins, one.price, one.fee, one.pnl) for one in found.fills] == [
        ("long", "buy", D(1), 100.0, D("0.1"), D(0)), ("long", "buy", D(1), 102.0, D("0.1"), D(0)),
        ("short", "sell", D(2), 102.5, D("0.2"), D(0)), ("short", "buy", D(1), 99.0, D("0.1"), D("3.5")),
    ]  # fmt: skip


def test_positions_stand_at_the_last_prices(live: OpenHome) -> None:
    found = queries.positions(live.at())
    (one,) = found.positions

    assert (one.pair, one.opened_at, found.at_cost) == ("AUSDT", "2024-10-04T04:00:01Z", [])
    assert (one.long.coins, one.long.cost, one.long.entry_price) == (D(2), D(202), 101.0)
    assert (one.short.coins, one.short.cost, one.short.entry_price) == (D(1), D("102.5"), 102.5)
    last = 1 + 5 / 1000
    assert one.long.price == pytest.approx(100.05 * last)
    assert one.short.price == pytest.approx(100.25 * last)
    assert one.unrealised == one.long.value - one.long.cost + one.short.cost - one.short.value
    assert one.net == one.realised + one.unrealised + one.funding - one.fees


def test_the_ledger_names_every_movement_and_adds_up(live: OpenHome) -> None:
    found = queries.ledger(live.at())

    assert [(one.kind, one.leg, one.net) for one in found.entries] == [
        ("fill", "long", D("-0.1")), ("fill", "long", D("-0.1")), ("fill", "short", D("-0.2")),
        ("funding", "short", D("0.08")), ("funding corrected", "short", D("0.01")), ("borrow", None, D("-0.02")),
        ("reconciled", None, D("0.005")), ("fill", "short", D("3.4")),
    ]  # fmt: skip
    assert found.total.net == D("3.075")
    assert [(one.pair, one.entries, one.sums.net) for one in found.by_pair] == [
        (None, 2, D("-0.015")),
        ("AUSDT", 6, D("3.09")),
    ]


def test_equity_is_capital_and_every_part_exactly(live: OpenHome) -> None:
    found = queries.equity(live.at())
    (position,) = queries.positions(live.at()).positions
    last = found.days[-1]

    assert [one.day for one in found.days] == ["2024-10-04", "2024-10-05"]
    for one in found.days:
        parts = one.funding + one.long_pnl + one.short_pnl - one.fees - one.borrow + one.corrected
        assert one.equity - found.capital == one.net == parts
    assert last.net == position.net - last.borrow + D("0.005")
    assert (last.held, last.long_value) == (1, position.long.value)


def test_a_leg_without_a_price_is_worth_its_cost_and_named(tmp_path: Path) -> None:
    run = begin_run(tmp_path, T0, "live", pairs=(A,))
    append(tmp_path, T0 + 1, ev.OrderFilled(run, T0, A, "long", "c", "f", 10**9, D(100), D(1), qty=D(1)))
    with open_home(tmp_path) as home:
        found = queries.positions(home.at())
        (day,) = queries.equity(home.at()).days

    assert found.at_cost == day.at_cost == ["AUSDT"]
    assert (found.positions[0].long.price, found.positions[0].long.value, day.net) == (None, D(100), D(-1))


def test_feeds_tell_losses_and_how_long_they_were_down(live: OpenHome) -> None:
    found = queries.feeds(live.at())
    (feed,) = found.feeds

    assert (feed.feed, feed.up, feed.connections, feed.losses, feed.down_s) == ("public", True, 2, 1, 30.0)
    assert (feed.last_lost_at, feed.last_loss_reason) == ("2024-10-04T05:00:00Z", "closed by peer")
    with open_home(live.home) as home:
        down = queries.feeds(home.at(Cursor(as_of=T0 + 5 * HOUR + SECOND))).feeds[0]
    assert (down.up, down.since, down.down_s) == (False, "2024-10-04T05:00:00Z", 0.0)


def test_steps_of_the_clock_are_counted_until_the_clocks_agree(tmp_path: Path) -> None:
    append(tmp_path, T0, ev.ClockStepped(T0, 2 * SECOND), ev.ClockStepped(T0, 3 * SECOND))
    with open_home(tmp_path) as home:
        found = queries.feeds(home.at())
    assert (found.clock_steps, found.clock_step_s) == (2, 3.0)
    append(tmp_path, T0 + 1, ev.ClockStepped(T0, 0))
    with open_home(tmp_path) as home:
        assert (queries.feeds(home.at()).clock_steps, queries.feeds(home.at()).clock_step_s) == (2, 0.0)


def test_a_paper_run_adds_up_to_what_its_fold_has(paper: tuple[Path, State, list[Output]]) -> None:
    folder, state, _ = paper
    book = state.book[0]
    with open_home(folder) as home:
        total = queries.ledger(home.at()).total
        last = queries.equity(home.at()).days[-1]

    e8 = {name: D(int(book[name])).scaleb(-8) for name in ("funding", "long_realised", "short_realised", "fees")}
    assert total.funding == e8["funding"] > 0
    assert (total.long_pnl, total.short_pnl, total.fees) == (e8["long_realised"], e8["short_realised"], e8["fees"])
    assert last.equity == D(int(equity_e8(book))).scaleb(-8)


def test_a_paper_run_has_the_equity_of_its_fold_at_each_day_s_close(paper: tuple[Path, State, list[Output]]) -> None:
    folder, _, outputs = paper
    closes = [close for output in outputs for close in output.days if int(close["equity"])]
    with open_home(folder) as home:
        found = {one.day: one for one in queries.equity(home.at()).days}

    held = [close for close in closes if close["held"]]
    assert held, "a day ends while pairs are held"
    for close in closes:
        one = found[format_day(int(close["day"]) - 1)]
        for name in ("equity", "funding", "long_pnl", "short_pnl", "fees"):
            assert getattr(one, name) == D(int(close[name])).scaleb(-8), name
        assert one.held == close["held"]


def test_a_paper_run_shows_both_legs_of_each_booking(paper: tuple[Path, State, list[Output]]) -> None:
    folder, _, outputs = paper
    booked = [fill for output in outputs for fill in output.fills if BOOKINGS[fill["action"]] != "funding"]
    with open_home(folder) as home:
        found = queries.fills(home.at())
        (run,) = queries.runs(home.at()).runs

    assert found.is_simulated
    assert [(one.kind, one.leg, one.side) for one in found.fills[:2]] == [
        ("enter", "long", "buy"),
        ("enter", "short", "sell"),
    ]
    assert (len(found.fills), run.fills) == (2 * len(booked), len(booked))
    assert sum((one.fee for one in found.fills), D(0)) == D(
        sum(int(f["long_fee"] + f["short_fee"]) for f in booked)
    ).scaleb(-8)


def test_decisions_carry_their_full_working(paper: tuple[Path, State, list[Output]]) -> None:
    with open_home(paper[0]) as home:
        found = queries.decisions(home.at())

    assert [one.action for one in found.decisions] == ["enter", "enter", "exit", "exit"]
    assert found.decisions[0].size == D("500.0")
    assert found.decisions[2].reason == "rate below exit"
    assert "listed" in found.decisions[0].working["passed"]


@pytest.mark.parametrize("question", OF_RUNS, ids=lambda question: question.__name__)
def test_an_answer_under_a_cursor_is_the_one_that_was_given_then(
    live_home: Path, tmp_path: Path, question: Callable[..., Any]
) -> None:
    """A log that is written again, commit by commit, is asked at each end, and the whole one under that cursor."""
    with LogReader.open(live_home) as reader, open_home(live_home) as whole:
        for batch in reader.read():
            with EventLog.open(tmp_path, clock=_clock(batch.recorded_at)) as log:
                log.append([(raw, None, known_at) for known_at, raw in _raw(batch.payload)])
            with open_home(tmp_path) as home:
                assert _asked(question, home, Cursor()) == _asked(question, whole, Cursor(upto_seq=batch.last_seq))


def test_what_was_not_known_yet_is_hidden_by_as_of(live: OpenHome) -> None:
    before = live.at(Cursor(as_of=T0 + 4 * HOUR))

    assert len(queries.decisions(before).decisions) == 1
    assert queries.ledger(before).entries == []
    assert queries.positions(before).as_of == "2024-10-04T04:00:00Z"


def test_answers_stay_about_the_same_log_until_it_is_refreshed(tmp_path: Path) -> None:
    run = begin_run(tmp_path, T0, "paper")
    with open_home(tmp_path) as home:
        append(tmp_path, T0 + 1, ev.ExitDecided(run, T0, A, 1, "rate"))
        assert queries.decisions(home.at()).decisions == []
        home.refresh()
        assert len(queries.decisions(home.at()).decisions) == 1


def test_names_spans_and_venues_choose(live: OpenHome) -> None:
    now = live.at()

    assert len(queries.fills(now, names=["A"]).fills) == 4
    assert len(queries.fills(now, names=["v:spot:AUSDT"]).fills) == 2
    assert queries.fills(now, names=["BUSDT"]).fills == queries.fills(now, venue="w").fills == []
    assert len(queries.ledger(now, since=T0 + 8 * HOUR, until=T0 + 9 * HOUR + 1).entries) == 4
    assert queries.orders(now, until=T0 + 4 * HOUR).orders == []


def test_a_run_that_does_not_exist_is_one_line(live: OpenHome, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="the log has no run 1: `carryfold runs`"):
        queries.ledger(live.at(), run=1)
    append(tmp_path, T0, ev.ClockTicked(T0))
    with open_home(tmp_path) as home, pytest.raises(QueryError, match="the log has no run: `carryfold run`"):
        queries.positions(home.at())


def test_the_latest_run_is_the_one_that_is_asked_for_without_a_number(tmp_path: Path) -> None:
    first, second = begin_run(tmp_path, T0, "paper"), begin_run(tmp_path, T0 + 1, "live")
    with open_home(tmp_path) as home:
        assert queries.decisions(home.at()).run == second
        assert queries.decisions(home.at(Cursor(upto_seq=first))).run == first
        assert queries.decisions(home.at(), run=first).mode == "paper"


def _clock(wall: int) -> Clock:
    return Clock(lambda: wall, lambda: 0)


def _raw(payload: bytes) -> list[tuple[int, bytes]]:
    return [(known_at, bytes(raw)) for known_at, raw in _BATCH.decode(payload)]


def _asked(question: Callable[..., Any], home: OpenHome, cursor: Cursor) -> Any:
    try:
        return question(home.at(cursor))
    except QueryError as error:
        return str(error)
