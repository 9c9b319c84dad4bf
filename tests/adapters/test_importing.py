"""History files become events: what each format means, and that neither order, splitting nor repetition matters."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise, permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from carryfold.adapters.importing import ImportRefused, ImportReport, import_paths
from carryfold.domain import events as ev
from carryfold.domain.codec import BATCH_DECODER
from carryfold.eventlog import Clock, EventLog, LogReader

HOUR = 3_600_000
MIDNIGHT = 1_700_006_400_000  # 2023-11-15, in ms
NOW = 1_750_000_000_000  # when all imports of these tests happen, in ms

FUNDING_HEADER = "symbol,settled_at_ms,rate,interval_hours"
BARS_HEADER = "symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt,open_interest_coin"

Stamped = tuple[ev.Event, int]


@contextmanager
def opened(home: Path) -> Iterator[EventLog]:
    """A log whose clock stands near NOW."""
    ticks = count()
    with EventLog.open(home, clock=Clock(wall=lambda: NOW * 10**6, monotonic=lambda: next(ticks))) as log:
        yield log


def load(log: EventLog, *paths: Path, **options: Any) -> ImportReport:
    """Import at NOW."""
    return import_paths(log, paths, now=lambda: NOW * 10**6, **options)


def stamped(home: Path) -> list[Stamped]:
    """(event, known_at) of everything in a log, in the order of the log."""
    with LogReader.open(home) as reader:
        return [(event, at) for batch in reader.read() for at, event in BATCH_DECODER.decode(batch.payload)]


def imported(home: Path, *calls: Sequence[Path], **options: Any) -> set[Stamped]:
    """The set of (event, known_at) in a new log after some import calls; it holds nothing twice."""
    with opened(home) as log:
        for paths in calls:
            report = load(log, *paths, **options)
            assert report.rejected == report.conflicts == 0
            assert not report.errors
    found = stamped(home)
    assert len(set(found)) == len(found)
    return set(found)


def write(path: Path, *lines: str) -> Path:
    """A text file, packed when its name says so."""
    data = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def response(rows: Sequence[Any], *, time: int = NOW, **result: str) -> str:
    """A Bybit v5 response on one line."""
    body = {"retCode": 0, "retMsg": "OK", "result": {**result, "list": list(rows)}, "retExtInfo": {}, "time": time}
    return json.dumps(body)


def kline(at: int, close: str, turnover: str | None = None) -> list[str]:
    """One row of a kline response; without a turnover that of a mark kline."""
    row = [str(at), close, close, close, close]
    return row if turnover is None else [*row, "1", turnover]


def perpetual(symbol: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    """One linear instrument."""
    return {
        "symbol": symbol, "contractType": "LinearPerpetual", "status": "Trading", "settleCoin": "USDT",
        "launchTime": "1585526400000", "deliveryTime": "0", "fundingInterval": 480,
        "lotSizeFilter": {"qtyStep": "0.001", "minNotionalValue": "5"},
        "upperFundingRate": "0.00375", "lowerFundingRate": "-0.00375", **fields,
    }  # fmt: skip


def listed(symbol: str, venue: str = "bybit") -> Stamped:
    """What an import assumes about a pair of which it has no instrument."""
    return ev.PairListed(venue, symbol, 1, 0, 1e-6, 5.0), 0


def priced(symbol: str) -> Stamped:
    """What an import says about a pair at its first spot close."""
    return ev.PairChanged("bybit", symbol, 1, 0, priced=True), 0


def settled(symbol: str, at_ms: int, rate: float, hours: float, venue: str = "bybit", delay_s: int = 60) -> Stamped:
    """A settlement in the log."""
    at = at_ms * 10**6
    return ev.FundingSettled(venue, symbol, 1, at, rate, hours), at + delay_s * 10**9


def test_a_funding_row_is_a_settlement_known_a_minute_later(tmp_path: Path) -> None:
    file = write(
        tmp_path / "f.csv", FUNDING_HEADER, f"BTCUSDT,{MIDNIGHT},0.0001,8", "", f'"ETHUSDT",{MIDNIGHT}.0,-1.5e-4,1'
    )
    assert imported(tmp_path / "home", [file]) == {
        listed("BTCUSDT"), settled("BTCUSDT", MIDNIGHT, 0.0001, 8.0),
        listed("ETHUSDT"), settled("ETHUSDT", MIDNIGHT, -0.00015, 1.0),
    }  # fmt: skip


def test_columns_come_in_any_order_and_without_interval(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", "\ufeffRate, note ,SYMBOL,settled_at_ms", f"0.0002,x,BTC_PERP,{MIDNIGHT}\r")
    assert imported(tmp_path / "home", [file], venue="other", settlement_delay_s=5.0) == {
        listed("BTC_PERP", "other"), settled("BTC_PERP", MIDNIGHT, 0.0002, 0.0, "other", 5)
    }  # fmt: skip


def test_a_bar_is_at_its_close_and_known_a_second_later(tmp_path: Path) -> None:
    later = MIDNIGHT + 8 * HOUR
    file = write(
        tmp_path / "b.csv", BARS_HEADER, f"BTCUSDT,{MIDNIGHT},,35000.5,35001,,", f"BTCUSDT,{later},36000,,36010,1e9,5.5"
    )
    first, second = later * 10**6, (later + 8 * HOUR) * 10**6
    assert imported(tmp_path / "home", [file]) == {
        listed("BTCUSDT"), priced("BTCUSDT"),
        (ev.BarClosed("bybit", "BTCUSDT", 1, first, 480, 0.0, 35001.0, 35000.5, -1.0), first + 10**9),
        (ev.BarClosed("bybit", "BTCUSDT", 1, second, 480, 36000.0, 36010.0, 0.0, 1e9), second + 10**9),
        (ev.ActivityObserved("bybit", "BTCUSDT", 1, second, 480, -1.0, -1.0, 5.5), second + 10**9),
    }  # fmt: skip


def test_a_volume_in_coins_is_turnover_at_the_close(tmp_path: Path) -> None:
    file = write(tmp_path / "b.csv", "symbol,open_at_ms,perp_close,perp_volume_coin", f"ABC,{MIDNIGHT},2.5,40")
    events = imported(tmp_path / "home", [file], bar_minutes=15, bar_delay_s=0.0)
    at = (MIDNIGHT + 15 * 60_000) * 10**6
    assert events == {listed("ABC"), (ev.BarClosed("bybit", "ABC", 1, at, 15, 0.0, 2.5, 0.0, 100.0), at)}


def test_a_binance_archive_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "ETHUSDT-fundingRate-2023-11.csv", "calc_time,funding_interval_hours,last_funding_rate",
        f"{MIDNIGHT + 7},8,0.00010000", f"{MIDNIGHT + 8 * HOUR},4,-0.00002",
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(file, file.name)
    expected = {
        listed("ETHUSDT", "binance"), settled("ETHUSDT", MIDNIGHT, 0.0001, 8.0, "binance"),
        settled("ETHUSDT", MIDNIGHT + 8 * HOUR, -0.00002, 4.0, "binance"),
    }  # fmt: skip
    assert imported(tmp_path / "plain", [file]) == expected
    assert imported(tmp_path / "packed", [tmp_path / "archive.zip"]) == expected


def test_bybit_funding_history_one_response_a_line_or_one_over_many(tmp_path: Path) -> None:
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(MIDNIGHT + 8 * HOUR)},
        {"symbol": "BTCUSDT", "fundingRate": "-0.0002", "fundingRateTimestamp": str(MIDNIGHT)},
    ]
    lines = write(tmp_path / "lines.json", *(response([row], category="linear") for row in rows))
    text = json.dumps(json.loads(response(rows, category="linear")), indent=2)
    spread = write(tmp_path / "spread.json.gz", "\ufeff" + text)
    expected = {
        listed("BTCUSDT"), settled("BTCUSDT", MIDNIGHT, -0.0002, 0.0),
        settled("BTCUSDT", MIDNIGHT + 8 * HOUR, 0.0001, 0.0),
    }  # fmt: skip
    assert imported(tmp_path / "one", [lines]) == imported(tmp_path / "two", [spread]) == expected


def bybit_klines(folder: Path) -> list[Path]:
    """Three hours of spot, perpetual and mark klines; a fourth perpetual kline was not closed when it was asked for."""
    opens = [MIDNIGHT + hour * HOUR for hour in (3, 2, 1, 0)]
    asked = opens[0] + 1_000
    spot = [kline(at, f"{100 + place}", "30") for place, at in enumerate(opens)]
    perp = [kline(at, f"{101 + place}", "70") for place, at in enumerate(opens)]
    mark = [kline(at, f"{102 + place}") for place, at in enumerate(opens[1:])]
    return [
        write(folder / "spot.json", response(spot, time=asked, category="spot", symbol="BTCUSDT")),
        write(folder / "linear.json", response(perp, time=asked, category="linear", symbol="BTCUSDT")),
        write(folder / "mark.json", response(mark, time=asked, category="linear", symbol="BTCUSDT")),
    ]


def test_bybit_klines_are_joined_to_bars_in_any_order_of_files(tmp_path: Path) -> None:
    files = bybit_klines(tmp_path)
    found = []
    for number, order in enumerate(permutations(files)):
        with opened(tmp_path / f"home{number}") as log:
            report = load(log, *order)
            assert report.rejected == 2
            assert {rejection.reason for file in report.files for rejection in file.samples} == {
                "bar is not closed yet"
            }
            again = load(log, *order)
            assert again.appended == 0
        found.append({one for one in stamped(tmp_path / f"home{number}") if not isinstance(one[0], ev.DataRejected)})
    closes = [(MIDNIGHT + hour * HOUR) * 10**6 for hour in (3, 2, 1)]
    bars = {
        (ev.BarClosed("bybit", "BTCUSDT", 1, at, 60, 101.0 + n, 102.0 + n, 102.0 + n, 70.0), at + 10**9)
        for n, at in enumerate(closes)
    }
    activity = {(ev.ActivityObserved("bybit", "BTCUSDT", 1, at, 60, 30.0, -1.0, -1.0), at + 10**9) for at in closes}
    assert found == [bars | activity | {listed("BTCUSDT"), priced("BTCUSDT")}] * len(found)


def test_klines_of_a_thousand_coins_are_priced_per_coin(tmp_path: Path) -> None:
    opens = [MIDNIGHT, MIDNIGHT + HOUR]
    perp = response([kline(at, "12", "70") for at in opens], category="linear", symbol="1000PEPEUSDT")
    spot = response([kline(at, "0.011", "30") for at in opens], category="spot", symbol="PEPEUSDT")
    events = imported(tmp_path / "home", [write(tmp_path / "both.json", perp, spot)])
    bars = [event for event, _ in events if isinstance(event, ev.BarClosed)]
    assert {(bar.symbol, bar.spot_close, bar.perp_close) for bar in bars} == {("1000PEPEUSDT", 0.011, 0.012)}
    assert len(bars) == 2


def test_instruments_list_pairs_and_confirm_high_rates(tmp_path: Path) -> None:
    spot = {"symbol": "BTCUSDT", "lotSizeFilter": {"basePrecision": "0.0004", "minOrderAmt": "7"}}
    perps = [
        perpetual(upperFundingRate="0.06", lotSizeFilter={"qtyStep": "0.0006", "minNotionalValue": "5"}),
        perpetual("OLDUSDT", status="Closed", deliveryTime=str(MIDNIGHT)),
        perpetual("BTCPERP", settleCoin="USDC"),
    ]
    files = [
        write(tmp_path / "zz.json", response(perps, time=MIDNIGHT + HOUR, category="linear")),
        write(tmp_path / "spots.json", response([spot], category="spot")),
        write(tmp_path / "f.csv", FUNDING_HEADER, f"BTCUSDT,{MIDNIGHT},0.06,8"),
    ]
    launch, seen = 1585526400 * 10**9, (MIDNIGHT + HOUR) * 10**6
    with opened(tmp_path / "home") as log:
        report = load(log, *files)
        assert (report.rows, report.appended, report.rejected, report.ignored) == (5, 5, 0, 1)
        assert report.notes == [
            "1 instruments have no spot instrument in this import: their lot is the perpetual's own step"
        ]
        assert load(log, *files).appended == 0
    events = {event for event, _ in stamped(tmp_path / "home")}
    assert (
        ev.PairListed("bybit", "BTCUSDT", 1, launch, 0.0012, 7.0, 1_000_000, priced=True, spot_symbol="BTCUSDT")
        in events
    )
    assert ev.PairChanged(
        "bybit", "BTCUSDT", 1, seen, lot=0.0012, min_notional=7.0, delist_at=0, interval_hours=8.0, rate_cap=0.06
    ) in events  # fmt: skip
    assert ev.PairDelisted("bybit", "OLDUSDT", 1, MIDNIGHT * 10**6, reason="delisted by the venue") in events
    assert settled("BTCUSDT", MIDNIGHT, 0.06, 8.0)[0] in events


def test_freqtrade_json(tmp_path: Path) -> None:
    opens = [MIDNIGHT, MIDNIGHT + HOUR]
    samples = {"BTC_USDT_USDT-1h-futures": 101.0, "BTC_USDT_USDT-1h-mark": 102.0, "BTC_USDT-1h": 100.0}
    files = [
        write(tmp_path / f"{name}.json", json.dumps([[at, 1, 1, 1, close, 2.0] for at in opens]))
        for name, close in samples.items()
    ]
    rates = [[at, rate, 0, 0, 0, 0] for at, rate in zip(opens, (0.0001, -3e-5), strict=True)]
    files.append(write(tmp_path / "BTC_USDT_USDT-8h-funding_rate.json.gz", json.dumps(rates)))
    expected = {listed("BTCUSDT"), priced("BTCUSDT")}
    for at, rate in zip(opens, (0.0001, -3e-5), strict=True):
        close = (at + HOUR) * 10**6
        expected |= {
            settled("BTCUSDT", at, rate, 0.0),
            (ev.BarClosed("bybit", "BTCUSDT", 1, close, 60, 100.0, 101.0, 102.0, 202.0), close + 10**9),
            (ev.ActivityObserved("bybit", "BTCUSDT", 1, close, 60, 200.0, -1.0, -1.0), close + 10**9),
        }
    assert imported(tmp_path / "home", files) == imported(tmp_path / "back", files[::-1]) == expected


def small_market(folder: Path) -> tuple[list[str], list[str]]:
    """Rows of funding and of bars: three pairs with gaps, lengths and intervals of their own."""
    random = Random(5)
    rates, bars = [], []
    for symbol, hours, minutes in (("AAA", 8, 60), ("BBB", 1, 60), ("CCC", 4, 480)):
        rates += [f"{symbol},{MIDNIGHT + n * hours * HOUR},{random.gauss(0, 1e-4):.8f},{hours}" for n in range(40)]
        for n in range(40):
            spot = "" if n < 5 or symbol == "CCC" else f"{100 + random.random():.4f}"
            held = f"{random.random() * 1e6:.1f}" if n % 3 else ""
            bars.append(f"{symbol},{MIDNIGHT + n * minutes * 60_000},{spot},,{100 + random.random():.4f},1e6,{held}")
    return rates, bars


def dealt(folder: Path, random: Random, name: str, header: str, rows: Sequence[str], parts: int) -> list[Path]:
    """The rows in some files, in any order, a tenth of them in two."""
    dealt: list[list[str]] = [[] for _ in range(parts)]
    for row in random.sample(rows, len(rows)):
        for part in random.sample(dealt, min(parts, 1 + (random.random() < 0.1))):
            part.append(row)
    packing = [random.choice(["", ".gz"]) for _ in dealt]
    return [
        write(folder / f"{random.random()}{name}.csv{packed}", header, *part)
        for packed, part in zip(packing, dealt, strict=True)
    ]


def bar_rows(random: Random, symbols: Sequence[str], hours: int) -> list[str]:
    """Two hundred bars of each pair; the spot comes later than the perpetual, open interest is not always told."""
    return [
        f"{symbol},{MIDNIGHT + n * hours * HOUR},{'' if n < 5 else 100 + random.random()},,{90 + n},1e6,{n % 3 or ''}"
        for symbol in symbols
        for n in range(200)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_order_and_splitting_of_files_do_not_matter(tmp_path: Path, seed: int) -> None:
    rates, _ = small_market(tmp_path)
    random = Random(seed)
    hourly, daily = bar_rows(random, ("AAA", "BBB"), 1), bar_rows(random, ("CCC",), 24)
    kinds = (("f", FUNDING_HEADER, rates), ("h", BARS_HEADER, hourly), ("d", BARS_HEADER, daily))
    originals = [write(tmp_path / f"{kind}.csv", header, *rows) for kind, header, rows in kinds]
    whole = imported(tmp_path / "whole", originals)
    assert Counter(type(event).__name__ for event, _ in whole) == {
        "PairListed": 3, "PairChanged": 3, "FundingSettled": 120, "BarClosed": 600, "ActivityObserved": 399
    }  # fmt: skip
    files = [
        file
        for kind, header, rows in kinds
        for file in dealt(tmp_path, random, kind, header, rows, random.randint(1, 3))
    ]
    random.shuffle(files)
    assert imported(tmp_path / "together", files) == whole
    # In a call of its own a part full of holes cannot tell the length of its bars; an unbroken one can.
    apart = [[file] for file in files if "d.csv" not in file.name]
    expected = {one for one in whole if getattr(one[0], "symbol", "") in ("AAA", "BBB")}
    found = imported(tmp_path / "apart", *apart, bar_minutes=60)
    assert {one for one in found if getattr(one[0], "symbol", "") in ("AAA", "BBB")} == expected
    cuts = [0, *sorted(random.sample(range(3, 195, 3), 3)), 200]
    calls = [[write(tmp_path / f"piece{first}.csv", BARS_HEADER, *daily[first:end])] for first, end in pairwise(cuts)]
    random.shuffle(calls)
    assert imported(tmp_path / "years", *calls, originals[:2]) == whole


def test_importing_twice_adds_nothing_not_even_rejections(tmp_path: Path) -> None:
    rates, bars = small_market(tmp_path)
    files = [
        write(tmp_path / "f.csv", FUNDING_HEADER, *rates, "AAA,1,2,3", "AAA,,,"),
        write(tmp_path / "b.csv", BARS_HEADER, *bars, "x"),
    ]
    with opened(tmp_path / "home") as log:
        first = load(log, *files)
        seq = log.last.seq
        second = load(log, *files, *files)
        third = load(log, files[1])
        assert log.last.seq == seq
    assert (first.appended, first.duplicates, first.rejected) == (318, 0, 3)
    assert (second.appended, second.duplicates, second.conflicts, second.rejected) == (0, 318, 0, 3)
    assert (third.appended, third.duplicates, third.rejected) == (0, 198, 1)
    assert first.pairs == second.pairs == 3


def test_another_value_is_kept_beside_the_first_once(tmp_path: Path) -> None:
    later = MIDNIGHT + HOUR
    files = [
        write(tmp_path / "f1.csv", FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0001,8"),
        write(tmp_path / "b1.csv", BARS_HEADER, f"AAA,{MIDNIGHT},,,10,,", f"AAA,{later},,,11,,"),
        write(tmp_path / "f2.csv", FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0002,8"),
        write(tmp_path / "b2.csv", BARS_HEADER, f"AAA,{MIDNIGHT},,,10,,", f"AAA,{later},9,,12,3,"),
        write(tmp_path / "f3.csv", "symbol,settled_at_ms,rate", f"AAA,{MIDNIGHT},0.0001"),
    ]
    with opened(tmp_path / "home") as log:
        assert load(log, *files[:2]).appended == 3
        report = load(log, *files[2:])
        assert (report.appended, report.duplicates, report.conflicts) == (0, 2, 2)
        seq = log.last.seq
        assert load(log, *files[2:]).conflicts == 2
        assert log.last.seq == seq
    events = [event for event, _ in stamped(tmp_path / "home")]
    assert ev.FundingRevised("bybit", "AAA", 1, MIDNIGHT * 10**6, 0.0002, 0.0001, 8.0) in events
    at = (later + HOUR) * 10**6
    first = next(seq for seq, event in enumerate(events, 1) if isinstance(event, ev.BarClosed) and event.event_at == at)
    corrected = ev.ObservationCorrected(
        "bybit", "AAA", 1, at, "BarClosed", (60.0, 9.0, 12.0, 0.0, 3.0), first
    )  # fmt: skip
    assert corrected in events


@pytest.mark.parametrize("other", [{"bar_delay_s": 2.0}, {"settlement_delay_s": 0.0}])
def test_other_delays_than_those_of_the_log_are_refused(tmp_path: Path, other: dict[str, float]) -> None:
    first = write(tmp_path / "a.csv", FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0001,8")
    second = write(tmp_path / "b.csv", FUNDING_HEADER, f"BBB,{MIDNIGHT},0.0001,8")
    with opened(tmp_path / "home") as log:
        load(log, first)
        seq = log.last.seq
        with pytest.raises(ImportRefused, match="begun with a bar delay of 1 s and a settlement delay of 60 s, not"):
            load(log, second, **other)
        assert log.last.seq == seq
        assert load(log, second).appended == 1
    with opened(tmp_path / "other") as log, pytest.raises(ImportRefused, match="is outside 0 to 86400 s"):
        load(log, second, bar_delay_s=float("nan"))


def test_the_length_of_bars_is_that_of_their_pair(tmp_path: Path) -> None:
    hourly = [f"AAA,{MIDNIGHT + n * HOUR},,,10,," for n in range(20)]
    daily = [f"BBB,{MIDNIGHT + n * 24 * HOUR},,,10,," for n in range(20)]
    events = imported(tmp_path / "home", [write(tmp_path / "b.csv", BARS_HEADER, *hourly, *daily)])
    bars = Counter((event.symbol, event.minutes) for event, _ in events if isinstance(event, ev.BarClosed))
    assert bars == {("AAA", 60): 20, ("BBB", 1_440): 20}


def test_even_and_odd_hours_in_two_files_are_hourly_bars(tmp_path: Path) -> None:
    rows = [f"AAA,{MIDNIGHT + n * HOUR},,,10,," for n in range(40)]
    files = [write(tmp_path / f"b{odd}.csv", BARS_HEADER, *rows[odd::2]) for odd in (0, 1)]
    events = imported(tmp_path / "home", files)
    assert {event.minutes for event, _ in events if isinstance(event, ev.BarClosed)} == {60}


def test_progress_is_told(tmp_path: Path) -> None:
    rates, _ = small_market(tmp_path)
    told: list[tuple[str, int]] = []
    with opened(tmp_path / "home") as log:
        load(log, write(tmp_path / "f.csv", FUNDING_HEADER, *rates), progress=lambda *what: told.append(what))
    assert told == [("f.csv", 120)]
