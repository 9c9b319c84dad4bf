"""Malformed rows and files: each is refused with file, line and reason, counted, and the rest is imported."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.importing import ImportRefused, ImportReport, Rejection, spacing
from carryfold.adapters.marketdata.writer import REJECTED_KEY
from carryfold.domain import events as ev
from carryfold.domain.codec import event_key
from carryfold.eventlog import LogReader
from carryfold.projections.tape import Tape
from tests.domain.make_golden import CLASSES, full

from .test_importing import (
    BARS_HEADER,
    FUNDING_HEADER,
    HOUR,
    MIDNIGHT,
    NOW,
    kline,
    load,
    opened,
    perpetual,
    response,
    stamped,
    write,
)

NUMBERS = [
    ("", "is empty"),
    ("NaN", "is not finite"),
    ("inf", "is not finite"),
    ("-Infinity", "is not finite"),
    ("1e400", "is not finite"),
    ("1" * 5_000, "is not finite"),
    ("text", "is not a number"),
    ("1_000", "is not a number"),
    ("0x10", "is not a number"),
    ("1" * 60_000 + "x", "is not a number"),
]
TIMES = [
    *NUMBERS,
    (str(MIDNIGHT // 1_000), "looks like seconds, milliseconds are expected"),
    (f"{MIDNIGHT}000", "looks like microseconds, milliseconds are expected"),
    (f"{MIDNIGHT}000000", "looks like nanoseconds, milliseconds are expected"),
    (f"{MIDNIGHT}.5", "is not a whole number of milliseconds"),
    ("0", "is before 2009"),
    (f"-{MIDNIGHT}", "is before 2009"),
    (str(NOW + 1_001), "is in the future"),
]
RATES = [
    *NUMBERS,
    ("0.040001", "is beyond 0.04 and no cap of the venue confirms it"),
    ("-1", "is beyond 0.04 and no cap of the venue confirms it"),
]
HOURS = [*NUMBERS, *((text, "is not a whole number of hours from 1 to 24") for text in ("0", "-8", "25", "1.5"))]
PRICES = [
    *NUMBERS,
    ("0", "is not positive"),
    ("-0.0", "is not positive"),
    ("-5", "is not positive"),
    ("1e-13", "is outside 1e-12 to 1e+12"),
    ("1e13", "is outside 1e-12 to 1e+12"),
]
AMOUNTS = [*NUMBERS, ("-1", "is negative"), ("1e19", "is beyond 1e+18")]
NO_SYMBOL = "symbol has characters that no symbol has, or is longer than 40"
SYMBOLS = [
    ("", "symbol is empty"),
    (" ", "symbol is empty"),
    *((text, NO_SYMBOL) for text in ("BTC USDT", "-BTC", "../x", "BTC$", "B" * 41, "B\x1b[31m", "'; drop")),
    ("BTC\0", "line holds binary data"),
    ("BTC\u00dcSDT", "line holds bytes that are not ASCII text"),
    ("BTC\udcff", "line holds bytes that are not ASCII text"),
]
LINES = [
    ("AAA", "columns are missing, the header has {width}"),
    ("," * 30, "columns are too many, the header has {width}"),
    ("HEADER", "header comes again"),
    ('"AAA', "quotes are not closed"),
    ("x" * 65_537, "line is longer than 65536 bytes"),
    ("x" * 10_000_000, "line is longer than 65536 bytes"),
    ("\x01\x02\0\x03", "line holds binary data"),
]

WHOLE = (
    "symbol",
    "line",
    "bar is",
    "closes",
    "perp_volume_coin is a turnover",
    "perp_volume_coin stands",
)  # reasons that are whole sentences

FUNDING_ROW = {"symbol": "AAA", "settled_at_ms": str(MIDNIGHT), "rate": "0.0001", "interval_hours": "8"}
BINANCE_ROW = {"calc_time": str(MIDNIGHT), "funding_interval_hours": "8", "last_funding_rate": "0.0001"}
BAR_ROW = {
    "symbol": "AAA", "open_at_ms": str(MIDNIGHT), "spot_close": "10", "mark_close": "10", "perp_close": "10",
    "perp_turnover_usdt": "5", "open_interest_coin": "7",
}  # fmt: skip
VOLUME_ROW = {"symbol": "AAA", "open_at_ms": str(MIDNIGHT), "perp_close": "10", "perp_volume_coin": "7"}
MARK_ROW = {**VOLUME_ROW, "mark_close": "10"}
BOTH_ROW = {**VOLUME_ROW, "perp_turnover_usdt": "70"}
CSV = [
    ("f.csv", FUNDING_ROW, {"symbol": SYMBOLS, "settled_at_ms": TIMES, "rate": RATES, "interval_hours": HOURS}),
    (
        "BTCUSDT-fundingRate-2023-11.csv",
        BINANCE_ROW,
        {"calc_time": TIMES, "last_funding_rate": RATES, "funding_interval_hours": HOURS},
    ),
    (
        "b.csv",
        BAR_ROW,
        {
            "symbol": SYMBOLS,
            "open_at_ms": [*TIMES, (str(NOW - HOUR + 1_001), "bar is not closed yet")],
            "perp_close": PRICES[1:],  # empty: not observed
            "spot_close": PRICES[1:],
            "mark_close": PRICES[1:],
            "perp_turnover_usdt": AMOUNTS[1:],
            "open_interest_coin": AMOUNTS[1:],
        },
    ),
    (
        "v.csv",
        VOLUME_ROW,
        {
            "perp_close": [("", "closes are all empty")],
            "perp_volume_coin": [*AMOUNTS[1:], ("2e17", "perp_volume_coin is a turnover beyond 1e+18")],
        },
    ),
    ("m.csv", MARK_ROW, {"perp_close": [("", "perp_volume_coin stands beside no perp_close")]}),
    ("w.csv", BOTH_ROW, {"perp_volume_coin": AMOUNTS[1:], "perp_turnover_usdt": AMOUNTS[1:]}),  # both are looked at
]


def csv_cases() -> list[Any]:
    """(file, good row, [(bad line, reason)]) for each column, and for lines that are wrong as a whole."""
    cases = []
    for file, row, columns in CSV:
        for column, faults in columns.items():
            bad = [
                (",".join({**row, column: text}.values()), why if why.startswith(WHOLE) else f"{column} {why}")
                for text, why in faults
            ]
            cases.append(pytest.param(file, row, bad, id=f"{file[0]}-{column}"))
        header = ",".join(row)
        whole = [(header if line == "HEADER" else line, why.format(width=len(row))) for line, why in LINES]
        cases.append(pytest.param(file, row, whole, id=f"{file[0]}-lines"))
    return cases


def rejections(report: ImportReport) -> list[Rejection]:
    """The first rejected rows of all files, without their text."""
    return [Rejection(one.file, one.line, one.reason) for file in report.files for one in file.samples]


def check_in_log(home: Path, report: ImportReport) -> None:
    """Rejections are in the log once a reason, with file, first line and count."""
    kept = {
        (event.source, event.line, event.reason, event.count)
        for event, _ in stamped(home)
        if isinstance(event, ev.DataRejected)
    }
    expected = set()
    for file in report.files:
        first: dict[str, int] = {}
        for one in file.samples:
            first.setdefault(one.reason, one.line)
        expected |= {(file.file, first[why], why, count) for why, count in file.rejected_by_reason.items()}
    assert kept == expected


@pytest.mark.parametrize(("file", "row", "bad"), csv_cases())
def test_each_malformed_csv_row(tmp_path: Path, file: str, row: dict[str, str], bad: list[tuple[str, str]]) -> None:
    time = "calc_time" if "calc_time" in row else "settled_at_ms" if "settled_at_ms" in row else "open_at_ms"
    good = [",".join({**row, time: str(MIDNIGHT + n * HOUR)}.values()) for n in range(1, len(bad) + 1)]
    lines = [line for pair in zip(good, (line for line, _ in bad), strict=True) for line in pair]
    path = write(tmp_path / file, ",".join(row), *lines)
    home = tmp_path / "home"
    with opened(home) as log:
        report = load(log, path, bar_minutes=60)
        assert report.rows == 2 * len(bad)
        assert report.rejected == sum(report.files[0].rejected_by_reason.values()) == len(bad)
        assert rejections(report) == [Rejection(file, 3 + 2 * n, why) for n, (_, why) in enumerate(bad)][:20]
        assert report.appended == len(good) * (3 if file == "b.csv" else 1)
        assert all(len(one.text) < 400 and one.text.isprintable() for one in report.files[0].samples)
        assert load(log, path, bar_minutes=60).appended == 0
    check_in_log(home, report)


def test_at_the_bounds_rows_are_good(tmp_path: Path) -> None:
    rows = [f"AAA,{NOW + 1_000},0.04,1", f"AAA,{MIDNIGHT},-0.04,24", f"{'B' * 40},1230768000000,0,8"]
    long = f"AAA,{MIDNIGHT + HOUR},0.{'0' * 65_513}1,8"  # as long as a line may be
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "f.csv", FUNDING_HEADER, *rows, long))
    assert (report.appended, report.rejected, len(long)) == (4, 0, 65_536)


JSON_NUMBERS: list[tuple[Any, str]] = [
    (None, "is empty"),
    ("NaN", "is not finite"),
    ("1e400", "is not finite"),
    ("x", "is not a number"),
    (True, "is not a number"),
    ([], "is not a number"),
    ({"a": 1}, "is not a number"),
]


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        *(("symbol", text, "symbol is empty") for text in ("", None)),
        *(("symbol", text, NO_SYMBOL) for text in ("BTC USDT", "B\0", "B\u00dc", "\ud83d\ude00", "B" * 41, ["B"])),
        *(("fundingRate", text, f"fundingRate {why}") for text, why in [*JSON_NUMBERS, *RATES]),
        *(("fundingRateTimestamp", text, f"fundingRateTimestamp {why}") for text, why in [*JSON_NUMBERS, *TIMES]),
    ],
)
def test_each_malformed_bybit_settlement(tmp_path: Path, column: str, text: Any, reason: str) -> None:
    row = {"symbol": "AAA", "fundingRate": "0.0001", "fundingRateTimestamp": str(MIDNIGHT)}
    rows = [row, {**row, column: text}, {**row, "fundingRateTimestamp": MIDNIGHT + HOUR}]
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "f.json", response(rows, category="linear")))
    assert (report.rows, report.appended, report.rejected) == (3, 2, 1)
    assert rejections(report) == [Rejection("f.json", 2, reason)]
    check_in_log(tmp_path / "home", report)


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        *((0, text, f"startTime {why}") for text, why in [*JSON_NUMBERS[1:4], *TIMES]),
        *((4, text, f"close {why}") for text, why in [*JSON_NUMBERS[1:4], *PRICES]),
        *((6, text, f"turnover {why}") for text, why in [*JSON_NUMBERS[1:4], *AMOUNTS]),
        (None, None, "kline has another number of columns than the first"),
    ],
)
def test_each_malformed_bybit_kline(tmp_path: Path, place: int | None, text: Any, reason: str) -> None:
    rows: list[Any] = [kline(MIDNIGHT + n * HOUR, "10", "5") for n in range(4)]
    if place is None:
        rows[3] = rows[3][:5]
    else:
        rows[3][place] = text
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "k.json", response(rows, category="linear", symbol="AAA")))
    assert (report.rows, report.appended, report.rejected) == (4, 3, 1)
    assert rejections(report) == [Rejection("k.json", 4, reason)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"symbol": "B\u00dc"}, NO_SYMBOL),
        ({"launchTime": "1585526400"}, "launchTime looks like seconds, milliseconds are expected"),
        ({"launchTime": str(NOW + HOUR)}, "launchTime is in the future"),
        ({"deliveryTime": "1585526400000"}, "deliveryTime is not after launchTime"),
        ({"deliveryTime": "1e300"}, "deliveryTime is outside 2009 to 2099"),
        ({"deliveryTime": "x"}, "deliveryTime is not a number"),
        ({"status": "Closed"}, "deliveryTime is missing though the instrument is closed"),
        (
            {"status": "Closed", "deliveryTime": str(NOW + HOUR)},
            "deliveryTime is in the future though the instrument is closed",
        ),
        ({"upperFundingRate": "2"}, "upperFundingRate or lowerFundingRate is beyond 1"),
        ({"lowerFundingRate": "nan"}, "lowerFundingRate is not finite"),
        ({"fundingInterval": "x"}, "fundingInterval is not a number"),
        ({"lotSizeFilter": []}, "instrument has no lotSizeFilter"),
        ({"lotSizeFilter": {}}, "qtyStep is empty"),
        *(
            ({"lotSizeFilter": {"qtyStep": text}}, f"qtyStep {why}")
            for text, why in [
                ("0", "is not positive"),
                ("1e-999999999", "is not positive"),
                ("-1", "is outside 1e-12 to 1e+18"),
                ("1e-13", "is outside 1e-12 to 1e+18"),
                ("1e400", "is not finite"),
                ("0.1" + "0" * 5_000 + "1", "has more than 40 digits"),
            ]
        ),
        (
            {"lotSizeFilter": {"qtyStep": "1", "minNotionalValue": "-5"}},
            "minNotionalValue is outside 1e-12 to 1e+18",
        ),
    ],
)
def test_each_malformed_instrument(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    rows = [perpetual("AAA"), perpetual(**fields), perpetual("CCC")]
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "i.json", response(rows, category="linear")))
    assert (report.rows, report.appended, report.rejected) == (3, 4, 1)
    assert rejections(report) == [Rejection("i.json", 2, reason)]


@pytest.mark.parametrize("time", [NOW + 10**6, 10**30, -5, True, "x", None])
def test_the_time_of_a_response_is_not_believed_blindly(tmp_path: Path, time: Any) -> None:
    klines = response([kline(MIDNIGHT + n * HOUR, "10", "5") for n in range(4)], category="linear", symbol="AAA")
    lines = [response([perpetual("AAA")], category="linear"), klines]
    path = write(tmp_path / "all.json", *(json.dumps({**json.loads(line), "time": time}) for line in lines))
    with opened(tmp_path / "home") as log:
        report = load(log, path)
    late = time == NOW + 10**6
    assert rejections(report) == ([Rejection("all.json", 1, "time of the response is in the future")] if late else [])
    assert report.appended == 4 + (not late)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"retCode": 0', "document is not JSON, or is cut short"),
        ('{"retCode": 0, "result": {"list": [{"fundingRate": NaN}]}}', "document is not JSON, or is cut short"),
        ('{"a":' * 100_000, "document is not JSON, or is cut short"),
        ('{"a": "\udcff"}', "document is not JSON, or is cut short"),
        (f'{{"a": {"1" * 10_000}}}', "document is not JSON, or is cut short"),
        ("{}", "document is not a Bybit v5 response"),
        ("17", "document is not a Bybit v5 response"),
        ('{"retCode": 10001}', "venue answered with error 10001"),
        ('{"retCode": 0}', "response holds no result.list"),
        ('{"retCode": 0, "result": {"list": [5]}}', "response is not funding history, klines or instruments"),
        (
            response([kline(MIDNIGHT, "1")], category="linear", symbol="AAA"),
            "kline kind cannot be told: put mark, index or premium into the file's name",
        ),
        (response([kline(MIDNIGHT, "1", "2")], symbol="AAA"), "category is missing: it tells spot from linear klines"),
        (response([["1", "2"]], symbol="AAA"), "kline has neither 5 nor 7 columns"),
        (
            response([kline(MIDNIGHT, "1", "2")], category="spot", symbol="AAA"),
            "length of a lone kline cannot be told: give the length of its bars with --bar-minutes",
        ),
    ],
)
def test_each_malformed_bybit_response(tmp_path: Path, line: str, reason: str) -> None:
    row = {"symbol": "AAA", "fundingRate": "0.0001", "fundingRateTimestamp": str(MIDNIGHT)}
    good = [response([{**row, "fundingRateTimestamp": MIDNIGHT + n * HOUR}], category="linear") for n in range(2)]
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "f.json", good[0], line, good[1]))
        assert (report.rows, report.appended, report.rejected) == (3, 2, 1)
    assert [(one.file, one.reason) for one in rejections(report)] == [("f.json", reason)]
    assert rejections(report)[0].line == 2
    check_in_log(tmp_path / "home", report)


@pytest.mark.parametrize(
    ("name", "place", "faults"),
    [
        ("BTC_USDT_USDT-8h-funding_rate.json", 0, [("date", TIMES)]),
        ("BTC_USDT_USDT-8h-funding_rate.json", 1, [("open", [*RATES, (None, "is empty")])]),
        ("BTC_USDT_USDT-1h-futures.json", 0, [("date", TIMES)]),
        ("BTC_USDT_USDT-1h-futures.json", 4, [("close", [*PRICES, (None, "is empty")])]),
        ("BTC_USDT_USDT-1h-futures.json", 5, [("volume", [*AMOUNTS, (None, "is empty")])]),
    ],
)
def test_each_malformed_freqtrade_row(
    tmp_path: Path, name: str, place: int, faults: list[tuple[str, list[tuple[Any, str]]]]
) -> None:
    rows: list[Any] = []
    expected = []
    for column, of_column in faults:
        for text, why in of_column:
            bad: list[Any] = [MIDNIGHT, 0.0001, 1, 1, 10, 5]
            bad[place] = text
            rows += [[MIDNIGHT + len(rows) * HOUR, 0.0001, 1, 1, 10, 5], bad]
            expected.append(Rejection(name, len(rows), f"{column} {why}"))
    rows.append([1, 2])
    expected.append(Rejection(name, len(rows), "row is not [date, open, high, low, close, volume]"))
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / name, json.dumps(rows)))
    assert (report.rows, report.rejected, report.appended) == (len(rows), len(expected), len(expected) - 1)
    assert rejections(report) == expected[:20]


def test_a_kline_without_its_partner_is_a_bar_of_its_own(tmp_path: Path) -> None:
    perp = response([kline(MIDNIGHT + n * HOUR, "10", "5") for n in range(3)], category="linear", symbol="AAA")
    spot = response([kline(MIDNIGHT + n * HOUR, "10", "5") for n in range(1, 5)], category="spot", symbol="AAA")
    with opened(tmp_path / "home") as log:
        alone = load(log, write(tmp_path / "perp.json", perp))
        assert (alone.appended, alone.rejected) == (3, 0)
        both = load(log, write(tmp_path / "perp.json", perp), write(tmp_path / "spot.json", spot))
        assert (both.rows, both.appended, both.duplicates, both.rejected) == (7, 4, 3, 0)


INVERSE = "symbol is an inverse contract: only spot and linear perpetuals are traded here"
DATED = "symbol is a dated contract: only spot and linear perpetuals are traded here"
OTHER_CONTRACTS = [
    ("BTCUSD", "bybit", INVERSE),
    ("BTCUSD_PERP", "binance", INVERSE),
    ("BTC/USD:BTC", "other", INVERSE),
    ("BTCUSDT-26DEC25", "bybit", DATED),
    ("BTC-6JUN25", "bybit", DATED),
    ("BTC-26DEC25-100000-C", "bybit", DATED),
    ("BTCUSDZ25", "bybit", DATED),
    ("BTCUSDT_250627", "binance", DATED),
    ("BTCUSD_250627", "binance", DATED),
    ("BTC/USDT:USDT-250627", "other", DATED),
]


@pytest.mark.parametrize(("symbol", "venue", "reason"), OTHER_CONTRACTS)
def test_contracts_that_are_no_linear_perpetuals_are_refused_by_name(
    tmp_path: Path, symbol: str, venue: str, reason: str
) -> None:
    klines = [response([kline(MIDNIGHT + n * HOUR, "10", "5") for n in range(3)], category="linear", symbol=symbol)]
    klines.append(response([perpetual(symbol)], category="linear"))
    files = [
        write(tmp_path / "f.csv", FUNDING_HEADER, f"{symbol},{MIDNIGHT},0.0001,8", f"AAA,{MIDNIGHT},0.0001,8"),
        write(tmp_path / "b.csv", BARS_HEADER, f"{symbol},{MIDNIGHT},10,,10,,", f"AAA,{MIDNIGHT},,,10,,"),
        write(tmp_path / "k.json", *klines),
    ]
    with opened(tmp_path / "home") as log:
        report = load(log, *files, venue=venue, bar_minutes=60)
        assert (report.appended, report.rejected, report.pairs) == (2, 6, 1)
    assert {one.reason for one in rejections(report)} == {reason}
    check_in_log(tmp_path / "home", report)


def test_an_archive_or_candles_of_an_inverse_contract_are_refused_by_their_name(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "BTCUSD_PERP-fundingRate-2023-11.csv", "calc_time,last_funding_rate", f"{MIDNIGHT},0.0001"),
        write(tmp_path / "BTC_USD_BTC-1h-futures.json", json.dumps([[MIDNIGHT, 1, 1, 1, 10, 5]])),
        write(tmp_path / "ETH_USDT_USDT-1h-futures.json", json.dumps([[MIDNIGHT, 1, 1, 1, 10, 5]])),
    ]
    with opened(tmp_path / "home") as log:
        report = load(log, *files)
    assert (report.appended, report.rejected, report.pairs) == (1, 2, 1)
    assert {one.reason for one in rejections(report)} == {INVERSE}


UTF16 = f"{FUNDING_HEADER}\nAAA,{MIDNIGHT},1,8\n".encode("utf-16")
ONE_BAR = f"{BARS_HEADER}\nAAA,{MIDNIGHT},,,10,,\n".encode()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("f.csv", b"", "f.csv is empty"),
        ("f.csv", b" \n\n ", "f.csv is empty"),
        ("f.csv", b"date;price\n1;2\n", "f.csv: format not known, its first line is 'date;price': known are CSV"),
        ("f.csv", b"symbol,settled_at_ms\nAAA,1\n", "format not known, its first line is 'symbol,settled_at_ms'"),
        ("f.csv", b"symbol,rate,settled_at_ms,rate\n", "f.csv: column rate comes twice in the header"),
        ("f.csv", b'"symbol\n', "f.csv: quotes are not closed in the header"),
        ("f.csv", b"symbol" * 100_000, "the first line alone is longer than 65536 bytes"),
        ("f.csv", UTF16, "f.csv is UTF-16 text: save it as UTF-8"),
        ("f.csv", UTF16[2:], "f.csv is a binary file: known are"),
        ("f.csv", b"\x7fELF\0\0\1" * 50, "f.csv is a binary file: known are"),
        ("f.csv", "sÿmbol,x\n".encode("latin-1"), "f.csv is not UTF-8 text: known are"),
        ("f.csv.gz", b"\x1f\x8b\x08garbage", "f.csv.gz: cannot be read"),
        ("f.zip", b"PK\x03\x04garbage", "f.zip is not a whole zip archive"),
        ("b.csv", ONE_BAR, "rows of AAA are not regular enough to tell their spacing: give the length of its bars"),
        ("b.csv", ONE_BAR * 2, "rows of AAA are not regular enough to tell their spacing: give the length of its bars"),
        ("b.csv", BARS_HEADER.encode() + f"\nA,{MIDNIGHT},,,1,,\nA,{MIDNIGHT + 90_000},,,1,,".encode(), "90 s apart"),
        ("b.csv", BARS_HEADER.encode() + f"\nA,{MIDNIGHT},,,1,,\nA,{MIDNIGHT + 9**10},,,1,,".encode(), "s apart"),
        ("x.csv", b"calc_time,last_funding_rate\n", "the name must begin with SYMBOL-fundingRate-"),
        ("x.json", b"[[1,2,3,4,5,6]]", "are recognised by freqtrade's file names"),
        ("x.json", b"{}", "x.json: document is not a Bybit v5 response"),
        ("x.json", b"{" * 9, "x.json: document is not JSON, or is cut short"),
        ("x.json", b'{"a":' * 100_000, "x.json: document is not JSON, or is cut short"),
        ("x.json", response([kline(MIDNIGHT, "1")]).encode(), "x.json: kline kind cannot be told"),
        ("x.feather", b"ARROW1\0\0", "are recognised by freqtrade's file names"),
    ],
)
def test_a_file_that_cannot_be_imported_stops_all(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    good = write(tmp_path / "good.csv", FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0001,8")
    bad = tmp_path / name
    bad.write_bytes(data)
    with opened(tmp_path / "home") as log:
        with pytest.raises(ImportRefused) as refused:
            load(log, good, bad)
        assert reason in str(refused.value)
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)
        assert log.last.seq == 0
        assert log.get_meta("availability") is None
        assert load(log, good).appended == 1


def test_paths_and_options_that_make_no_sense(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0001,8")
    with opened(tmp_path / "home") as log:
        for paths, options, reason in (
            ([tmp_path / "no.csv"], {}, "no.csv: no such file"),
            ([good, tmp_path], {}, "is a folder: name the files in it"),
            ([good / "x"], {}, "cannot be read"),
            ([], {}, "no file to import"),
            ([good], {"venue": "a b"}, "the venue must be 1 to 40 letters"),
            ([good], {"bar_minutes": 0}, "bars of 0 minutes: 1 to 10080 are possible"),
            ([good], {"bar_delay_s": -1.0}, "the bar delay of -1.0 s is outside"),
        ):
            with pytest.raises(ImportRefused, match=reason):
                load(log, *paths, **options)
        assert log.last.seq == 0


def test_a_gzip_cut_short_keeps_the_whole_lines_before_the_cut(tmp_path: Path) -> None:
    lines = [f"AAA,{MIDNIGHT + n * HOUR},{n / 10**6:.6f},8" for n in range(5_000)]
    path = write(tmp_path / "f.csv.gz", FUNDING_HEADER, *lines)
    packed = path.read_bytes()
    for size in (len(packed) // 2, len(packed) - 20, len(packed) - 4):
        path.write_bytes(packed[:size])
        home = tmp_path / f"home{size}"
        with opened(home) as log:
            report = load(log, path)
        events = [event for event, _ in stamped(home) if isinstance(event, ev.FundingSettled)]
        assert [event.rate for event in events] == [n / 10**6 for n in range(len(events))]
        assert 1_000 < len(events) == report.appended == report.rows <= 5_000
        assert report.rejected == 0
        assert len(report.errors) == 1
        assert report.errors[0].startswith("f.csv.gz: cannot be read to its end (the packed data is cut short)")
    path.write_bytes(packed + b"rubbish")
    with opened(tmp_path / "rubbish") as log:
        report = load(log, path)
        assert (report.appended, len(report.errors)) == (5_000, 1)
    path.write_bytes(packed + gzip.compress(f"AAA,{MIDNIGHT - HOUR},0,8\n".encode()) + bytes(512))
    with opened(tmp_path / "members") as log:
        report = load(log, path)
        assert (report.appended, report.errors) == (5_001, [])


def test_a_damaged_member_of_a_zip_is_told(tmp_path: Path) -> None:
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", f"{FUNDING_HEADER}\nAAA,{MIDNIGHT},0.0001,8\n")
    path.write_bytes(path.read_bytes().replace(b"0.0001", b"0.0002"))
    with opened(tmp_path / "home") as log, pytest.raises(ImportRefused, match=r"f\.zip:a\.csv: cannot be read"):
        load(log, path)


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.csv")
    try:
        write(path, FUNDING_HEADER, f"AAA,{MIDNIGHT},0.0001,8", "x")
    except OSError:
        pytest.skip("this file system wants names that are text")
    with opened(tmp_path / "home") as log:
        report = load(log, path)
    assert (report.appended, report.rejected) == (1, 1)
    assert report.files[0].file == "\\udcff.csv"
    check_in_log(tmp_path / "home", report)


# --- bars longer than a row has room for ------------------------------------------------------------------------------

MONTHS = [MIDNIGHT + month * 31 * 24 * HOUR for month in range(9)]  # 44,640 minutes apart


def test_candles_of_months_by_their_file_name_are_refused_one_by_one(tmp_path: Path) -> None:
    month = write(tmp_path / "BTC_USDT_USDT-4w-futures.json", json.dumps([[at, 1, 1, 1, 10, 5] for at in MONTHS[:2]]))
    hour = write(tmp_path / "ETH_USDT_USDT-1h-futures.json", json.dumps([[MIDNIGHT, 1, 1, 1, 10, 5]]))
    with opened(tmp_path / "home") as log:
        report = load(log, month, hour)
    why = "candles of 40320 minutes: 1 to 10080 are possible"
    assert rejections(report) == [Rejection(month.name, 1, why), Rejection(month.name, 2, why)]
    assert (report.appended, report.pairs) == (1, 1)
    check_in_log(tmp_path / "home", report)


def test_klines_of_months_are_refused_with_file_and_line(tmp_path: Path) -> None:
    linear = response([kline(at, "10", "5") for at in MONTHS], category="linear", symbol="AAAUSDT")
    with opened(tmp_path / "home") as log:
        report = load(log, write(tmp_path / "k.json", linear))
    assert (report.appended, report.rejected) == (0, len(MONTHS))
    assert {(one.file, one.line) for one in rejections(report)} == {
        ("k.json", row) for row in range(1, len(MONTHS) + 1)
    }


def test_bars_of_months_stop_the_import_before_anything_is_appended(tmp_path: Path) -> None:
    path = write(tmp_path / "b.csv", "symbol,open_at_ms,perp_close", *(f"AAA,{at},10" for at in MONTHS))
    with opened(tmp_path / "home") as log:
        with pytest.raises(ImportRefused, match=r"b\.csv: rows of AAA are .* s apart: give the length"):
            load(log, path)
        with pytest.raises(ImportRefused, match="bars of 44640 minutes: 1 to 10080 are possible"):
            load(log, path, bar_minutes=44_640)
        assert log.last.seq == 0


def test_the_longest_bar_the_door_lets_in_fits_a_row_of_the_tape(tmp_path: Path) -> None:
    assert spacing.MAX_MINUTES <= 2**15 - 1
    with opened(tmp_path / "home") as log:
        report = load(
            log,
            write(tmp_path / "b.csv", "symbol,open_at_ms,perp_close", f"AAA,{MIDNIGHT},10"),
            bar_minutes=spacing.MAX_MINUTES,
        )
    assert report.appended == 1
    with LogReader.open(tmp_path / "home") as reader:
        (rows,) = Tape.open(tmp_path / "home", reader).blocks()
    assert rows["slot"].tolist() == [0, spacing.MAX_MINUTES]


def test_the_kind_of_key_that_rejections_have_is_nobody_elses() -> None:
    kinds = {key[:1] for cls in CLASSES if (key := event_key(full(cls))) is not None}
    assert len(kinds) > 10
    assert REJECTED_KEY not in kinds
