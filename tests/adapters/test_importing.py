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
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.domain.instruments import InstrumentKind
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
        return [(event, at) for batch in reader.read() for _, at, event in decode_batch(batch.payload, batch.first_seq)]


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


def listed(
    symbol: str, kind: InstrumentKind = "perp", venue: str = "bybit", *, base: str = "", quote: str = "", m: float = 1.0
) -> Stamped:
    """What an import assumes about an instrument of which it has no listing."""
    base = base or symbol.removesuffix("USDT")
    quote = quote or ("USDT" if symbol.endswith("USDT") else "USD")
    return ev.InstrumentListed(venue, symbol, kind, 1, 0, base, quote, 1e-6, 5.0, m), 0


def perp_bar(symbol: str, at_ms: int, minutes: int, close: float, mark: float = 0.0, turnover: float = -1.0) -> Stamped:
    """A perpetual's bar that closes at `at_ms`, as it is in the log."""
    at = at_ms * 10**6
    return ev.BarClosed("bybit", symbol, "perp", 1, at, minutes, close, mark, turnover), at + 10**9


def spot_bar(symbol: str, at_ms: int, minutes: int, close: float, turnover: float = -1.0) -> Stamped:
    """A spot bar that closes at `at_ms`, as it is in the log."""
    at = at_ms * 10**6
    return ev.BarClosed("bybit", symbol, "spot", 1, at, minutes, close, 0.0, turnover), at + 10**9


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
        listed("BTC_PERP", venue="other"), settled("BTC_PERP", MIDNIGHT, 0.0002, 0.0, "other", 5)
    }  # fmt: skip


def test_a_bar_is_at_its_close_and_known_a_second_later(tmp_path: Path) -> None:
    later = MIDNIGHT + 8 * HOUR
    file = write(
        tmp_path / "b.csv", BARS_HEADER, f"BTCUSDT,{MIDNIGHT},,35000.5,35001,,", f"BTCUSDT,{later},36000,,36010,1e9,5.5"
    )
    second = (later + 8 * HOUR) * 10**6
    assert imported(tmp_path / "home", [file]) == {
        listed("BTCUSDT"), listed("BTCUSDT", "spot"),
        perp_bar("BTCUSDT", later, 480, 35001.0, 35000.5),
        perp_bar("BTCUSDT", later + 8 * HOUR, 480, 36010.0, 0.0, 1e9),
        spot_bar("BTCUSDT", later + 8 * HOUR, 480, 36000.0),
        (ev.ActivityObserved("bybit", "BTCUSDT", "perp", 1, second, 480, -1.0, 5.5), second + 10**9),
    }  # fmt: skip


def test_a_volume_in_coins_is_turnover_at_the_close(tmp_path: Path) -> None:
    file = write(tmp_path / "b.csv", "symbol,open_at_ms,perp_close,perp_volume_coin", f"ABC,{MIDNIGHT},2.5,40")
    events = imported(tmp_path / "home", [file], bar_minutes=15, bar_delay_s=0.0)
    at = (MIDNIGHT + 15 * 60_000) * 10**6
    assert events == {listed("ABC"), (ev.BarClosed("bybit", "ABC", "perp", 1, at, 15, 2.5, 0.0, 100.0), at)}


def test_a_row_has_what_it_has(tmp_path: Path) -> None:
    """A spot close alone is a bar of the spot market, a mark alone one of the perpetual."""
    rows = [
        f"BTCUSDT,{MIDNIGHT},100,,,,",
        f"BTCUSDT,{MIDNIGHT + HOUR},,99,,,",
        f"BTCUSDT,{MIDNIGHT + 2 * HOUR},,99,,7,3",
    ]
    file = write(tmp_path / "b.csv", BARS_HEADER, *rows)
    spots = write(tmp_path / "spot.csv", "symbol,open_at_ms,spot_close", f"ETHUSDT,{MIDNIGHT},50")
    third = (MIDNIGHT + 3 * HOUR) * 10**6
    assert imported(tmp_path / "home", [file, spots], bar_minutes=60) == {
        listed("BTCUSDT"), listed("BTCUSDT", "spot"), listed("ETHUSDT", "spot"),
        spot_bar("BTCUSDT", MIDNIGHT + HOUR, 60, 100.0), spot_bar("ETHUSDT", MIDNIGHT + HOUR, 60, 50.0),
        perp_bar("BTCUSDT", MIDNIGHT + 2 * HOUR, 60, 0.0, 99.0),
        perp_bar("BTCUSDT", MIDNIGHT + 3 * HOUR, 60, 0.0, 99.0, 7.0),
        (ev.ActivityObserved("bybit", "BTCUSDT", "perp", 1, third, 60, -1.0, 3.0), third + 10**9),
    }  # fmt: skip


def test_prices_of_a_perpetual_on_a_thousand_coins_are_its_own(tmp_path: Path) -> None:
    row = f"1000PEPEUSDT,{MIDNIGHT},0.011,12.1,12,1e6,500"
    closed = MIDNIGHT + HOUR
    assert imported(tmp_path / "home", [write(tmp_path / "b.csv", BARS_HEADER, row)], bar_minutes=60) == {
        listed("1000PEPEUSDT", base="PEPE", m=1000.0), listed("PEPEUSDT", "spot"),
        perp_bar("1000PEPEUSDT", closed, 60, 12.0, 12.1, 1e6), spot_bar("PEPEUSDT", closed, 60, 0.011),
        (
            ev.ActivityObserved("bybit", "1000PEPEUSDT", "perp", 1, closed * 10**6, 60, -1.0, 500.0),
            closed * 10**6 + 10**9,
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "venue", "expected"),
    [
        ("BTCUSDT", "bybit", ("BTC", "USDT", 1.0)),
        ("1000PEPEUSDT", "bybit", ("PEPE", "USDT", 1000.0)),
        ("SHIB1000USDT", "bybit", ("SHIB", "USDT", 1000.0)),
        ("1INCHUSDT", "bybit", ("1INCH", "USDT", 1.0)),
        ("BTCPERP", "bybit", ("BTC", "USDC", 1.0)),
        ("1000PEPEPERP", "bybit", ("PEPE", "USDC", 1000.0)),
        ("BTC", "hyperliquid", ("BTC", "USD", 1.0)),
        ("kPEPE", "hyperliquid", ("PEPE", "USD", 1000.0)),
        ("kPEPE", "other", ("PEPE", "USD", 1000.0)),
        ("kX", "hyperliquid", ("X", "USD", 1000.0)),
        ("kX", "other", ("kX", "USD", 1.0)),
        ("BTC/USDT:USDT", "other", ("BTC", "USDT", 1.0)),
        ("1000PEPE/USDC:USDC", "other", ("PEPE", "USDC", 1000.0)),
        ("BTCUSD", "hyperliquid", ("BTC", "USD", 1.0)),
    ],
)
def test_the_coins_of_a_perpetual_are_in_its_name(
    tmp_path: Path, symbol: str, venue: str, expected: tuple[str, str, float]
) -> None:
    file = write(tmp_path / "f.csv", FUNDING_HEADER, f"{symbol},{MIDNIGHT},0.0001,8")
    base, quote, m = expected
    assert imported(tmp_path / "home", [file], venue=venue) == {
        listed(symbol, venue=venue, base=base, quote=quote, m=m), settled(symbol, MIDNIGHT, 0.0001, 8.0, venue)
    }  # fmt: skip


def test_a_binance_archive_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "ETHUSDT-fundingRate-2023-11.csv", "calc_time,funding_interval_hours,last_funding_rate",
        f"{MIDNIGHT + 7},8,0.00010000", f"{MIDNIGHT + 8 * HOUR},4,-0.00002",
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(file, file.name)
    expected = {
        listed("ETHUSDT", venue="binance"), settled("ETHUSDT", MIDNIGHT, 0.0001, 8.0, "binance"),
        settled("ETHUSDT", MIDNIGHT + 8 * HOUR, -0.00002, 4.0, "binance"),
    }  # fmt: skip
    assert imported(tmp_path / "plain", [file]) == expected
    assert imported(tmp_path / "packed", [tmp_path / "archive.zip"]) == expected


STAMPS = [1_700_006_400_007, 1_700_035_200_000, 1_700_064_000_003]  # MIDNIGHT and the two settlements after it


def test_stamps_of_one_settlement_are_one_whatever_the_source(tmp_path: Path) -> None:
    archive = write(
        tmp_path / "BTCUSDT-fundingRate-2023-11.csv", "calc_time,last_funding_rate", *(f"{at},0.0001" for at in STAMPS)
    )
    table = write(tmp_path / "f.csv", "symbol,settled_at_ms,rate", *(f"BTCUSDT,{at + 60_001},0.0001" for at in STAMPS))
    rows = [{"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(at - 299_000)} for at in STAMPS]
    answer = write(tmp_path / "bybit.json", response(rows, category="linear"))
    candles = write(
        tmp_path / "BTC_USDT_USDT-8h-funding_rate.json", json.dumps([[at + 2_000, 0.0001, 0, 0, 0, 0] for at in STAMPS])
    )
    expected = {settled("BTCUSDT", MIDNIGHT + 8 * n * HOUR, 0.0001, 0.0) for n in range(3)} | {listed("BTCUSDT")}
    files = [archive, table, answer, candles]
    for number, file in enumerate(files):
        assert imported(tmp_path / f"one{number}", [file], venue="bybit") == expected
    assert imported(tmp_path / "together", files, venue="bybit") == expected
    assert imported(tmp_path / "apart", *([file] for file in files[::-1]), venue="bybit") == expected


def test_another_rate_under_another_stamp_of_a_settlement_is_a_revision(tmp_path: Path) -> None:
    rows = [f"AAA,{MIDNIGHT + 7},0.0001,8", f"AAA,{MIDNIGHT + 90_000},0.0002,8", f"AAA,{MIDNIGHT - 10},0.0001,8"]
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "f.csv", FUNDING_HEADER, *rows))
        assert (report.appended, report.duplicates, report.conflicts) == (1, 1, 1)
    found = stamped(tmp_path / "home")
    assert settled("AAA", MIDNIGHT, 0.0001, 8.0) in found
    revised = next(event for event, _ in found if isinstance(event, ev.FundingRevised))
    assert (revised.event_at, revised.rate, revised.replaces) == (MIDNIGHT * 10**6, 0.0002, 0.0001)


def test_a_stamp_far_from_any_hour_keeps_its_minute(tmp_path: Path) -> None:
    stamp = MIDNIGHT + 30 * 60_000
    file = write(tmp_path / "f.csv", FUNDING_HEADER, f"AAA,{stamp + 59_999},0.0001,1")
    assert imported(tmp_path / "home", [file]) == {listed("AAA"), settled("AAA", stamp, 0.0001, 1.0)}


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
    expected = {listed("BTCUSDT"), listed("BTCUSDT", "spot")}
    for n, hour in enumerate((3, 2, 1)):
        expected.add(perp_bar("BTCUSDT", MIDNIGHT + hour * HOUR, 60, 102.0 + n, 102.0 + n, 70.0))
        expected.add(spot_bar("BTCUSDT", MIDNIGHT + hour * HOUR, 60, 101.0 + n, 30.0))
    assert found == [expected] * len(found)


def test_bars_of_a_perpetual_are_kept_where_spot_klines_end(tmp_path: Path) -> None:
    """Nothing is taken together with anything: the spot file covers a part of the time, the mark another one."""
    opens = [MIDNIGHT + n * HOUR for n in range(90)]
    perp = response([kline(at, "101", "70") for at in opens], category="linear", symbol="BTCUSDT")
    spot = response([kline(at, "100", "30") for at in opens[:30]], category="spot", symbol="BTCUSDT")
    mark = response([kline(at, "102") for at in opens[20:60]], category="linear", symbol="BTCUSDT")
    files = [write(tmp_path / f"{name}.json", text) for name, text in (("perp", perp), ("spot", spot), ("mark", mark))]
    expected = {listed("BTCUSDT"), listed("BTCUSDT", "spot")}
    expected |= {spot_bar("BTCUSDT", at + HOUR, 60, 100.0, 30.0) for at in opens[:30]}
    expected |= {
        perp_bar("BTCUSDT", at + HOUR, 60, 101.0, 102.0 if 20 <= n < 60 else 0.0, 70.0) for n, at in enumerate(opens)
    }
    assert imported(tmp_path / "home", files) == expected
    months = [
        write(tmp_path / f"b{first}.csv", BARS_HEADER, *(
            f"BTCUSDT,{at},{100 if n < 30 else ''},,101,," for n, at in enumerate(opens) if first <= n < first + 30
        ))
        for first in (0, 30, 60)
    ]  # fmt: skip
    bars = {listed("BTCUSDT"), listed("BTCUSDT", "spot")}
    bars |= {spot_bar("BTCUSDT", at + HOUR, 60, 100.0) for at in opens[:30]}
    bars |= {perp_bar("BTCUSDT", at + HOUR, 60, 101.0) for at in opens}
    assert imported(tmp_path / "csv", months) == bars


def test_klines_of_a_thousand_coins_have_their_own_prices(tmp_path: Path) -> None:
    opens = [MIDNIGHT, MIDNIGHT + HOUR]
    perp = response([kline(at, "12", "70") for at in opens], category="linear", symbol="1000PEPEUSDT")
    spot = response([kline(at, "0.011", "30") for at in opens], category="spot", symbol="PEPEUSDT")
    assert imported(tmp_path / "home", [write(tmp_path / "both.json", perp, spot)]) == {
        listed("1000PEPEUSDT", base="PEPE", m=1000.0), listed("PEPEUSDT", "spot"),
        *(perp_bar("1000PEPEUSDT", at + HOUR, 60, 12.0, 0.0, 70.0) for at in opens),
        *(spot_bar("PEPEUSDT", at + HOUR, 60, 0.011, 30.0) for at in opens),
    }  # fmt: skip


def test_instruments_are_listed_at_launch_have_rules_from_the_snapshot_on_and_confirm_high_rates(
    tmp_path: Path,
) -> None:
    spot = {
        "symbol": "BTCUSDT", "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.01"},
        "lotSizeFilter": {"basePrecision": "0.0004", "minOrderAmt": "7"},
    }  # fmt: skip
    lots = {"qtyStep": "0.0006", "minNotionalValue": "5"}
    perps = [
        perpetual(upperFundingRate="0.06", lotSizeFilter=lots, priceFilter={"tickSize": "0.10"}),
        perpetual("1000PEPEUSDT", status="Closed", deliveryTime=str(MIDNIGHT)),
        perpetual("BTCPERP", settleCoin="USDC"),
    ]
    others = {**spot, "symbol": "ETHBTC", "quoteCoin": "BTC"}
    files = [
        write(tmp_path / "zz.json", response(perps, time=MIDNIGHT + HOUR, category="linear")),
        write(tmp_path / "spots.json", response([spot, others], category="spot")),
        write(tmp_path / "f.csv", FUNDING_HEADER, f"BTCUSDT,{MIDNIGHT},0.06,8"),
    ]
    launch, seen, later = 1585526400 * 10**9, (MIDNIGHT + HOUR) * 10**6, NOW * 10**6
    with opened(tmp_path / "home") as log:
        report = load(log, *files)
        assert (report.rows, report.appended, report.rejected, report.ignored) == (6, 6, 0, 2)
        assert load(log, *files).appended == 0
    assert {(event, at) for event, at in stamped(tmp_path / "home") if event.event_at == 0 or at != later} == {
        listed("BTCUSDT"), listed("BTCUSDT", "spot"),
        (ev.InstrumentListed("bybit", "BTCUSDT", "perp", 1, launch, "BTC", "USDT", 1e-6, 5.0), launch),
        (
            ev.InstrumentChanged(
                "bybit", "BTCUSDT", "perp", 1, seen, 0.0006, 5.0, 0.1, delist_at=0, interval_hours=8.0, rate_cap=0.06
            ),
            seen,
        ),
        (ev.InstrumentListed("bybit", "1000PEPEUSDT", "perp", 1, launch, "PEPE", "USDT", 1e-6, 5.0, 1000.0), launch),
        (
            ev.InstrumentDelisted("bybit", "1000PEPEUSDT", "perp", 1, MIDNIGHT * 10**6, "delisted by the venue"),
            MIDNIGHT * 10**6,
        ),
        settled("BTCUSDT", MIDNIGHT, 0.06, 8.0),
    }  # fmt: skip
    assert (ev.InstrumentChanged("bybit", "BTCUSDT", "spot", 1, later, 0.0004, 7.0, 0.01), later) in stamped(
        tmp_path / "home"
    )


def test_a_spot_listing_is_the_same_whichever_file_comes_first(tmp_path: Path) -> None:
    spot = {"symbol": "AAAUSDT", "lotSizeFilter": {"basePrecision": "0.01", "minOrderAmt": "1"}}
    files = [
        write(tmp_path / "spots.json", response([spot], time=MIDNIGHT, category="spot")),
        write(tmp_path / "b.csv", BARS_HEADER, f"AAAUSDT,{MIDNIGHT},10,,10,,", f"AAAUSDT,{MIDNIGHT + HOUR},10,,10,,"),
    ]
    one = imported(tmp_path / "one", [files[0]], [files[1]])
    assert one == imported(tmp_path / "two", [files[1]], [files[0]]) == imported(tmp_path / "three", files)
    assert listed("AAAUSDT", "spot") in one


def test_freqtrade_json(tmp_path: Path) -> None:
    opens = [MIDNIGHT, MIDNIGHT + HOUR]
    samples = {"BTC_USDT_USDT-1h-futures": 101.0, "BTC_USDT_USDT-1h-mark": 102.0, "BTC_USDT-1h": 100.0}
    files = [
        write(tmp_path / f"{name}.json", json.dumps([[at, 1, 1, 1, close, 2.0] for at in opens]))
        for name, close in samples.items()
    ]
    rates = [[at, rate, 0, 0, 0, 0] for at, rate in zip(opens, (0.0001, -3e-5), strict=True)]
    files.append(write(tmp_path / "BTC_USDT_USDT-8h-funding_rate.json.gz", json.dumps(rates)))
    expected = {listed("BTCUSDT"), listed("BTCUSDT", "spot")}
    for at, rate in zip(opens, (0.0001, -3e-5), strict=True):
        expected |= {
            settled("BTCUSDT", at, rate, 0.0),
            perp_bar("BTCUSDT", at + HOUR, 60, 101.0, 102.0, 202.0), spot_bar("BTCUSDT", at + HOUR, 60, 100.0, 200.0),
        }  # fmt: skip
    assert imported(tmp_path / "home", files) == imported(tmp_path / "back", files[::-1]) == expected


def small_market(folder: Path) -> tuple[list[str], list[str]]:
    """Rows of funding and of bars: three perpetuals with gaps, lengths and intervals of their own."""
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
    """Two hundred bars of each symbol; the spot comes later than the perpetual, open interest is often missing."""
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
        "InstrumentListed": 6, "FundingSettled": 120, "BarClosed": 1_185, "ActivityObserved": 399
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
    assert (first.appended, first.duplicates, first.rejected) == (388, 0, 3)  # 70 spot bars among them
    assert (second.appended, second.duplicates, second.conflicts, second.rejected) == (0, 388, 0, 3)
    assert (third.appended, third.duplicates, third.rejected) == (0, 268, 1)
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
        assert (report.appended, report.duplicates, report.conflicts) == (1, 2, 2)  # the spot bar is new
        seq = log.last.seq
        assert load(log, *files[2:]).conflicts == 2
        assert log.last.seq == seq
    events = [event for event, _ in stamped(tmp_path / "home")]
    first = events.index(settled("AAA", MIDNIGHT, 0.0001, 8.0)[0]) + 1
    assert ev.FundingRevised("bybit", "AAA", 1, MIDNIGHT * 10**6, 0.0002, 0.0001, 8.0, first) in events
    first = events.index(perp_bar("AAA", later + HOUR, 60, 11.0)[0]) + 1
    at = (later + HOUR) * 10**6
    corrected = ev.ObservationCorrected("bybit", "AAA", "perp", 1, at, "BarClosed", (60.0, 12.0, 0.0, 3.0), first)
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


def test_the_length_of_bars_is_that_of_their_symbol(tmp_path: Path) -> None:
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
    progress: list[tuple[str, int]] = []
    with opened(tmp_path / "home") as log:
        load(log, write(tmp_path / "f.csv", FUNDING_HEADER, *rates), progress=lambda *what: progress.append(what))
    assert progress == [("f.csv", 120)]


def test_a_listing_with_rules_of_an_older_version_is_not_contradicted(tmp_path: Path) -> None:
    """It was known since the launch with the rules of its snapshot. Importing that snapshot again changes nothing."""
    file = write(tmp_path / "i.json", response([perpetual()], time=MIDNIGHT + HOUR, category="linear"))
    launch = 1585526400 * 10**9
    with opened(tmp_path / "home") as log:
        old = ev.InstrumentListed("bybit", "BTCUSDT", "perp", 1, launch, "BTC", "USDT", 0.001, 5.0, 1.0, 0.1)
        log.append([(encode(old), event_key(old), launch)])
        report = load(log, file)

        assert (report.conflicts, report.duplicates, report.appended) == (0, 1, 1)
        assert load(log, file).conflicts == 0


def test_a_snapshot_without_a_time_says_no_rules(tmp_path: Path) -> None:
    """Nobody can tell since when they were known."""
    spot = {"symbol": "BTCUSDT", "lotSizeFilter": {"basePrecision": "0.01", "minOrderAmt": "1"}}
    files = [
        write(tmp_path / "perps.json", response([perpetual()], time=0, category="linear")),
        write(tmp_path / "spots.json", response([spot], time=0, category="spot")),
    ]
    with opened(tmp_path / "home") as log:
        report = load(log, *files)

    assert (report.rows, report.ignored, report.rejected) == (2, 1, 0)
    assert {type(event).__name__ for event, _ in stamped(tmp_path / "home")} == {"InstrumentListed"}
