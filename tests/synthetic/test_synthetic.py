"""The synthetic market: a pure function of its seed, causal, and as varied as real markets."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.importing import ImportRefused, import_paths
from carryfold.domain import events as ev
from carryfold.domain.availability import Availability, AvailabilityRefused, agree_on_availability
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.eventlog import EventLog, LogReader
from carryfold.synthetic import VENUE, SyntheticOptions, synthetic_events, write_synthetic

DAY = 86_400_000_000_000
HOUR = DAY // 24
SMALL: dict[str, Any] = {"pairs": 8, "days": 20, "bar_minutes": 60}
RICH: dict[str, Any] = {**SMALL, "pairs": 3, "days": 5, "quotes": True, "predictions": True}


def generated(seed: int = 7, **options: Any) -> list[tuple[bytes, int]]:
    """(encoded event, known_at) of each event."""
    return [(encode(event), known_at) for event, known_at in synthetic_events(seed, **options)]


@pytest.fixture(scope="module")
def long() -> list[tuple[ev.Event, int]]:
    """Half a year of eight pairs."""
    return list(synthetic_events(7, days=180, bar_minutes=240))


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert generated(**SMALL) == generated(**SMALL)
    assert generated(**RICH) == generated(**RICH)
    assert generated(**SMALL) != generated(8, **SMALL)


@pytest.mark.parametrize("options", [SMALL, RICH, {**SMALL, "bar_minutes": 1, "pairs": 2, "days": 3}])
@pytest.mark.parametrize("days", [0, 1, 16, 17])
def test_a_shorter_market_is_the_beginning_of_a_longer_one(options: dict[str, Any], days: int) -> None:
    more = generated(**{**options, "days": max(20 if options is SMALL else 0, options["days"])})
    fewer = generated(**{**options, "days": min(days, options["days"])})
    assert more[: len(fewer)] == fewer
    end = SyntheticOptions().start_ns + min(days, options["days"]) * DAY
    assert all(known_at < end for _, known_at in fewer)
    assert all(known_at >= end for _, known_at in more[len(fewer) :]) or days == 0 or days >= options["days"]


def test_pairs_do_not_change_when_there_are_more() -> None:
    few = generated(**{**SMALL, "pairs": 3})
    symbols = {"BTCUSDT", "ETHUSDT", "SYN02USDT"}
    many = [(event, known_at) for event, known_at in synthetic_events(7, **SMALL)]
    assert [(encode(event), known_at) for event, known_at in many if getattr(event, "symbol", "") in symbols] == few


@pytest.mark.parametrize("options", [SMALL, RICH])
def test_nothing_is_known_before_it_happens_and_events_are_ordered(options: dict[str, Any]) -> None:
    events = list(synthetic_events(7, **options))
    delays = defaultdict(set)
    for event, known_at in events:
        assert known_at >= event.event_at
        delays[type(event).__name__].add(known_at - event.event_at)
    assert all(before <= after for (_, before), (_, after) in pairwise(events))
    expected = {
        "InstrumentListed": 0, "InstrumentChanged": 0, "FundingSettled": 60 * 10**9, "BarClosed": 10**9,
        "ActivityObserved": 10**9, "FundingPredicted": 10**9, "Quoted": 2 * 10**8,
    }  # fmt: skip
    assert delays == {name: {expected[name]} for name in delays}
    assert ("Quoted" in delays) == ("FundingPredicted" in delays) == (options is RICH)


def test_keys_are_unique(long: list[tuple[ev.Event, int]]) -> None:
    keys = [event_key(event) for event, _ in long]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_intervals_of_all_lengths_are_reported_correctly(long: list[tuple[ev.Event, int]]) -> None:
    settled = defaultdict(list)
    for event, _ in long:
        if isinstance(event, ev.FundingSettled):
            settled[event.symbol].append(event)
    assert {event.interval_hours for of_pair in settled.values() for event in of_pair} == {1.0, 2.0, 4.0, 8.0}
    assert any(len({event.interval_hours for event in of_pair}) > 1 for of_pair in settled.values())
    for of_pair in settled.values():
        for before, after in pairwise(of_pair):
            assert after.event_at - before.event_at == after.interval_hours * HOUR
    switches = [
        event for event, _ in long if isinstance(event, ev.InstrumentChanged) and event.interval_hours is not None
    ]
    assert switches
    assert {switch.kind for switch in switches} == {"perp"}
    for switch in switches:
        following = next(event for event in settled[switch.symbol] if event.event_at > switch.event_at)
        assert following.interval_hours == switch.interval_hours


def test_rates_stay_within_the_caps_of_their_pairs(long: list[tuple[ev.Event, int]]) -> None:
    caps = {
        event.symbol: event.rate_cap
        for event, _ in long
        if isinstance(event, ev.InstrumentListed) and event.kind == "perp"
    }
    rates = defaultdict(list)
    for event, _ in long:
        if isinstance(event, ev.FundingSettled):
            rates[event.symbol].append(event.rate)
    assert set(rates) == set(caps)
    assert all(abs(rate) <= caps[symbol] for symbol, of_pair in rates.items() for rate in of_pair)
    assert all(min(of_pair) < 0.0 < max(of_pair) for of_pair in rates.values())
    usual = sum(rate == 0.0001 for rate in rates["BTCUSDT"]) / len(rates["BTCUSDT"])
    assert 0.2 < usual < 0.9


def test_pairs_are_listed_and_delisted(long: list[tuple[ev.Event, int]]) -> None:
    """The spot market of a perpetual is listed and delisted with it, and each has its own bars."""
    start = SyntheticOptions().start_ns
    for kind in ("perp", "spot"):
        events = [event for event, _ in long if getattr(event, "kind", "") == kind]
        listed = {event.symbol: event.event_at for event in events if isinstance(event, ev.InstrumentListed)}
        gone = {event.symbol: event.event_at for event in events if isinstance(event, ev.InstrumentDelisted)}
        announced = {
            event.symbol: (event.event_at, event.delist_at)
            for event in events
            if isinstance(event, ev.InstrumentChanged) and event.delist_at
        }
        last: dict[str, int] = {}
        first: dict[str, int] = {}
        for event in events:
            if isinstance(event, ev.BarClosed):
                first.setdefault(event.symbol, event.event_at)
                last[event.symbol] = event.event_at
        assert len(listed) == 8
        assert sum(at > start for at in listed.values()) == 1
        assert len(gone) == 1
        assert announced == {symbol: (at - 5 * DAY, at) for symbol, at in gone.items()}
        assert all(listed[symbol] < at for symbol, at in first.items())
        assert all(last[symbol] <= at for symbol, at in gone.items())
        end = start + 180 * DAY
        silent = {symbol for symbol, at in last.items() if at < end - 10 * DAY}
        assert silent > set(gone)
        assert len(silent) == 2


def test_listings_name_base_and_quote(long: list[tuple[ev.Event, int]]) -> None:
    listed = [event for event, _ in long if isinstance(event, ev.InstrumentListed)]
    assert all((event.base + event.quote, event.multiplier) == (event.symbol, 1.0) for event in listed)
    assert all((event.rate_cap > 0.0) == (event.interval_hours > 0.0) == (event.kind == "perp") for event in listed)


def test_prices_are_plausible_and_oddities_can_be_disabled() -> None:
    for oddities in (True, False):
        gaps = bars = 0
        last: dict[str, int] = {}
        spots: dict[tuple[str, int], float] = {}
        perps: dict[tuple[str, int], float] = {}
        for event, _ in synthetic_events(3, days=60, oddities=oddities, unpriced=2):
            if isinstance(event, ev.BarClosed):
                assert event.close > 0.0
                assert event.turnover > 0.0
                assert (event.mark > 0.0) == (event.kind == "perp")
                if event.kind == "spot":
                    spots[event.symbol, event.event_at] = event.close
                    continue
                perps[event.symbol, event.event_at] = event.close
                bars += 1
                gaps += event.event_at - last.get(event.symbol, event.event_at - HOUR) != HOUR
                last[event.symbol] = event.event_at
        assert set(spots) == {key for key in perps if key[0] not in ("SYN06USDT", "SYN07USDT")}
        wide = sum(abs(perps[key] / spot - 1.0) > 0.03 for key, spot in spots.items())
        assert bars > 10_000
        assert (gaps > 0) == (wide > 0) == oddities


def test_quotes_have_a_spread() -> None:
    quotes = [event for event, _ in synthetic_events(7, **RICH) if isinstance(event, ev.Quoted)]
    assert len(quotes) > 2 * 3 * 5 * 280
    assert {quote.kind for quote in quotes} == {"spot", "perp"}
    assert all(0.0 < quote.bid <= quote.ask for quote in quotes)


def test_a_pair_without_spot_quotes_only_its_perpetual() -> None:
    events = [event for event, _ in synthetic_events(7, **{**RICH, "unpriced": 3})]
    kinds = {event.kind for event in events if isinstance(event, (ev.Quoted, ev.BarClosed, ev.InstrumentListed))}
    assert kinds == {"perp"}


def test_the_last_prediction_is_near_the_settled_rate() -> None:
    events = [event for event, _ in synthetic_events(7, **RICH)]
    settled = {(event.symbol, event.event_at): event.rate for event in events if isinstance(event, ev.FundingSettled)}
    last = {}
    for event in events:
        if isinstance(event, ev.FundingPredicted):
            assert event.event_at < event.next_at
            last[event.symbol, event.next_at] = event.rate
    both = settled.keys() & last.keys()
    assert len(both) >= len(settled) - 3
    errors = sorted(abs(settled[key] - last[key]) for key in both)
    assert errors[len(errors) // 2] < 5e-5


@pytest.mark.parametrize(
    "options",
    [
        {"pairs": 0}, {"pairs": 1_001}, {"days": -1}, {"bar_minutes": 7}, {"bar_minutes": 0}, {"unpriced": 9},
        {"start": "soon"}, {"start": "1969-12-31"},
    ],
)  # fmt: skip
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        synthetic_events(7, **options)
    with pytest.raises(ValueError, match="seed"):
        synthetic_events(-1)


def test_a_market_is_written_into_a_log_once(tmp_path: Path) -> None:
    counts: list[int] = []
    with EventLog.open(tmp_path / "home") as log:
        written = write_synthetic(log, 7, progress=counts.append, **SMALL)
        seq = log.last.seq
        assert written == seq == counts[-1]
        assert write_synthetic(log, 7, **SMALL) == 0
        assert log.last.seq == seq
        assert write_synthetic(log, 7, **{**SMALL, "days": 25}) > 0
    with LogReader.open(tmp_path / "home") as reader:
        kept = [(event, at) for batch in reader.read() for _, at, event in decode_batch(batch.payload, batch.first_seq)]
    assert kept == list(synthetic_events(7, **{**SMALL, "days": 25}))
    assert {event.venue for event, _ in kept if isinstance(event, ev.BarClosed)} == {VENUE}


def test_a_log_with_other_delays_refuses_a_synthetic_market(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("symbol,settled_at_ms,rate\nAAA,1700006400000,0.0001\n")
    with EventLog.open(tmp_path / "home") as log:
        write_synthetic(log, 7, **{**SMALL, "days": 1})
        assert import_paths(log, [file]).appended == 1
        with pytest.raises(ImportRefused):
            import_paths(log, [file], settlement_delay_s=1.0)
    with EventLog.open(tmp_path / "other") as log:
        agree_on_availability(log, Availability(settlement_delay_s=1.0))
        with pytest.raises(AvailabilityRefused):
            write_synthetic(log, 7, **SMALL)
        assert log.last.seq == 0
