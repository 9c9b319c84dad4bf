"""The recorded history of seven major pairs as rows, for the oracle's own tests. Reads the csv files itself."""

import csv
import gzip
import os
from pathlib import Path

from carryfold.domain.instruments import Instrument, InstrumentKind, Listing
from carryfold.domain.rows import Kind

from .market_rows import HOUR, SECOND, RowTuple

__all__ = ["major_rows", "majors_folder"]

KINDS: tuple[InstrumentKind, InstrumentKind] = ("spot", "perp")


def majors_folder() -> Path | None:
    """The folder with the history, or None."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("CARRYFOLD_SHARED", beside)) / "data" / "bybit_majors"
    return folder if folder.is_dir() else None


def major_rows(folder: Path) -> tuple[list[RowTuple], list[Listing]]:
    """Bars known 1 s after their close, settlements 60 s after theirs, every instrument listed at time 0."""
    bars, rates = _lines(folder / "bars_1h.csv.gz"), _lines(folder / "funding.csv.gz")
    listings = [
        Listing(Instrument("bybit", symbol, kind), symbol.removesuffix("USDT"), "USDT")
        for symbol in sorted({line["symbol"] for line in bars})
        for kind in KINDS
    ]
    subject = {(one.instrument.symbol, one.instrument.kind): number for number, one in enumerate(listings)}
    rows: list[RowTuple] = [
        (0, 0, 0, each, int(Kind.INSTRUMENT_LISTED), 0, 1e-6, 5.0, 1.0) for each in subject.values()
    ]
    for line in bars:
        spot, perp = (subject[line["symbol"], kind] for kind in KINDS)
        close = int(line["open_at_ms"]) * 10**6 + HOUR
        prices = [float(line[name] or 0.0) for name in ("spot_close", "perp_close", "mark_close")]
        turnover = float(line["perp_turnover_usdt"] or -1.0)
        known, kind = close + SECOND, int(Kind.BAR_CLOSED)
        rows.append((known, close, 0, perp, kind, 60, prices[1], prices[2], turnover))
        if prices[0] > 0:
            rows.append((known, close, 0, spot, kind, 60, prices[0], 0.0, -1.0))
        if line["open_interest_coin"]:
            interest = float(line["open_interest_coin"])
            rows.append((known, close, 0, perp, int(Kind.ACTIVITY_OBSERVED), 60, -1.0, interest, 0.0))
    for line in rates:
        at, hours = int(line["settled_at_ms"]) * 10**6, float(line["interval_hours"] or 0.0)
        perp, kind = subject[line["symbol"], "perp"], int(Kind.FUNDING_SETTLED)
        rows.append((at + 60 * SECOND, at, 0, perp, kind, 0, float(line["rate"]), hours, 0.0))
    rows.sort(key=lambda row: row[0])
    return rows, listings


def _lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))
