"""The recorded history of seven major pairs as rows, for the oracle's own tests. Reads the csv files itself."""

import csv
import gzip
import os
from pathlib import Path

from carryfold.domain.rows import Kind

from .market_rows import HOUR, SECOND, RowTuple

__all__ = ["major_rows", "majors_folder"]


def majors_folder() -> Path | None:
    """The folder with the history, None where this machine has none."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("CARRYFOLD_SHARED", beside)) / "data" / "bybit_majors"
    return folder if folder.is_dir() else None


def major_rows(folder: Path) -> tuple[list[RowTuple], list[bytes]]:
    """Bars known 1 s after their close, settlements 60 s after theirs, every pair listed at time 0."""
    bars, rates = _lines(folder / "bars_1h.csv.gz"), _lines(folder / "funding.csv.gz")
    symbols = sorted({line["symbol"] for line in bars})
    pair_of = {symbol: pair for pair, symbol in enumerate(symbols)}
    rows: list[RowTuple] = [(0, 0, 0, pair, int(Kind.PAIR_LISTED), 0, 1e-6, 5.0, 1.0, 1.0) for pair in pair_of.values()]
    for line in bars:
        pair, close = pair_of[line["symbol"]], int(line["open_at_ms"]) * 10**6 + HOUR
        prices = [float(line[name] or 0.0) for name in ("spot_close", "perp_close", "mark_close")]
        turnover = float(line["perp_turnover_usdt"] or -1.0)
        rows.append(
            (close + SECOND, close, 0, pair, int(Kind.BAR_CLOSED), 60, prices[0], prices[1], prices[2], turnover)
        )
        if line["open_interest_coin"]:
            interest = float(line["open_interest_coin"])
            kind = int(Kind.ACTIVITY_OBSERVED)
            rows.append((close + SECOND, close, 0, pair, kind, 60, -1.0, -1.0, interest, 0.0))
    for line in rates:
        at, hours = int(line["settled_at_ms"]) * 10**6, float(line["interval_hours"] or 0.0)
        known, kind = at + 60 * SECOND, int(Kind.FUNDING_SETTLED)
        rows.append((known, at, 0, pair_of[line["symbol"]], kind, 0, float(line["rate"]), hours, 0.0, 0.0))
    rows.sort(key=lambda row: row[0])
    return rows, [symbol.encode() for symbol in symbols]


def _lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))
