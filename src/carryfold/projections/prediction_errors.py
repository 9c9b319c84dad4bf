"""Errors of predicted funding rates, by the time before the settlement.

A settlement counts with the rate that came first, a prediction from the moment it was known. For each lead, the latest
prediction that was known so long before the settlement is compared with it; a settlement without one does not count for
that lead. Memory holds the predictions of settlements to come.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Instrument, nominal_settlement
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.cursor import MAX, SECOND_NS, Cursor
from carryfold.projections.tape import Tape

__all__ = ["LEADS_S", "LeadErrors", "PredictionErrors", "prediction_errors"]

LEADS_S: Final = (60, 300, 1800, 3600, 14_400)
"""Seconds before a settlement at which its prediction is judged."""

_MS_NS: Final = 1_000_000
_KINDS: Final = np.array([Kind.FUNDING_PREDICTED, Kind.FUNDING_SETTLED], np.int16)


class LeadErrors(msgspec.Struct, frozen=True):
    """Errors, predicted less settled rate, of `count` settlements at `lead_s` seconds before them. `bias` is their
    mean, `largest` the one farthest from 0."""

    lead_s: int
    count: int
    bias: float
    mean_absolute: float
    root_mean_square: float
    largest: float


class PredictionErrors(msgspec.Struct, frozen=True):
    """Errors of one perpetual by lead; `settlements` counts those that were predicted at any lead."""

    venue: str
    symbol: str
    listing: int
    settlements: int
    leads: list[LeadErrors]

    @property
    def instrument(self) -> Instrument:
        """The perpetual."""
        return Instrument(self.venue, self.symbol, "perp", self.listing)


class _Perpetual:
    """Predictions of settlements to come, and errors so far, of one perpetual."""

    def __init__(self, leads_s: Sequence[int]) -> None:
        self.errors: dict[int, list[float]] = {lead: [] for lead in leads_s}
        self.settlements = 0
        self._predicted: dict[int, list[tuple[int, float]]] = {}
        self._settled_at = -1

    def predict(self, known_at: int, next_at: int, rate: float) -> None:
        if next_at > self._settled_at:
            self._predicted.setdefault(next_at, []).append((known_at, rate))

    def settle(self, settled_at: int, rate: float, *, counts: bool) -> None:
        """Compare the predictions of this settlement, and drop those of it and of earlier ones."""
        predicted = self._predicted.pop(settled_at, [])
        if settled_at <= self._settled_at:
            return
        self._settled_at = settled_at
        self._predicted = {at: rates for at, rates in self._predicted.items() if at > settled_at}
        if not counts or not predicted:
            return
        found = False
        for lead_s, errors in self.errors.items():
            known = [guess for known_at, guess in predicted if known_at <= settled_at - lead_s * SECOND_NS]
            if known:
                errors.append(known[-1] - rate)
                found = True
        self.settlements += found


def prediction_errors(
    tape: Tape, cursor: Cursor, *, since: int = 0, until: int = MAX, leads_s: Sequence[int] = LEADS_S
) -> list[PredictionErrors]:
    """The errors of each perpetual with predictions, of settlements with since <= settled_at < until (ns), by venue,
    symbol and listing. Reads the tape once."""
    found: dict[int, _Perpetual] = {}
    for block in tape.blocks(cursor):
        rows = block.compress(np.isin(block["kind"], _KINDS))
        for subject, known_at, event_at, kind, rate, next_ms in _columns(rows):
            perpetual = found.setdefault(subject, _Perpetual(leads_s))
            if kind == Kind.FUNDING_PREDICTED:
                perpetual.predict(known_at, nominal_settlement(int(next_ms) * _MS_NS), rate)
            else:
                perpetual.settle(event_at, rate, counts=since <= event_at < until)
    named = {tape.instruments[subject].instrument: one for subject, one in found.items() if one.settlements}
    return [_summary(name, named[name]) for name in sorted(named)]


def _columns(rows: Rows) -> "zip[tuple[int, int, int, int, float, float]]":
    names = ("subject", "known_at", "event_at", "kind", "a", "c")
    return zip(*(rows[name].tolist() for name in names), strict=True)


def _summary(name: Instrument, one: _Perpetual) -> PredictionErrors:
    leads = [_lead(lead_s, np.array(errors)) for lead_s, errors in one.errors.items() if errors]
    return PredictionErrors(name.venue, name.symbol, name.listing, one.settlements, leads)


def _lead(lead_s: int, errors: npt.NDArray[np.float64]) -> LeadErrors:
    absolute = np.abs(errors)
    return LeadErrors(
        lead_s,
        len(errors),
        bias=math.fsum(errors.tolist()) / len(errors),
        mean_absolute=math.fsum(absolute.tolist()) / len(errors),
        root_mean_square=math.sqrt(math.fsum((errors**2).tolist()) / len(errors)),
        largest=float(errors[int(absolute.argmax())]),
    )
