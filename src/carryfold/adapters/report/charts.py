"""The geometry of line charts, which the template draws as inline SVG.

The lines are in a nested drawing that is stretched to the page's width, with strokes that are not; labels are outside
of it and keep their size.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.projections.cursor import DAY_NS, HOUR_NS

__all__ = ["POINTS_MAX", "Chart", "Line", "line_chart", "thin", "time_ticks", "value_ticks"]

POINTS_MAX: Final = 800
X_TICKS_MAX: Final = 7
Y_TICKS: Final = 5
WIDTH: Final = 1000

Floats = npt.NDArray[np.float64]


class Line(msgspec.Struct, frozen=True):
    """One line: its name, its CSS class, times in UTC ns (as floats, ascending) and values."""

    name: str
    style: str
    times: Floats
    values: Floats


class Tick(NamedTuple):
    """A position (y in pixels, x in percent of the width) and its label."""

    at: float
    label: str


class DrawnLine(NamedTuple):
    """A line in the coordinates of the drawing. `fill`: the polygon between it and the upper edge, or ""."""

    name: str
    style: str
    points: str
    fill: str


class Chart(NamedTuple):
    """All that the template needs. Sizes are pixels; the drawing is `width` units wide."""

    title: str
    width: int
    height: int
    values: list[Tick]
    times: list[Tick]
    lines: list[DrawnLine]


def line_chart(
    title: str, lines: Sequence[Line], label: Callable[[float, float], str], *, height: int = 260, filled: bool = False
) -> Chart | None:
    """The lines over time; None where the run is too short to draw. `label` writes a value, given the step between
    ticks. `filled`: shade the space between the first line and the upper edge."""
    drawn = [line for line in lines if len(line.times) >= 2]
    if not drawn or max(line.times[-1] for line in drawn) <= min(line.times[0] for line in drawn):
        return None
    first = float(min(line.times[0] for line in drawn))
    last = float(max(line.times[-1] for line in drawn))
    ticks, step = value_ticks(
        min(float(line.values.min()) for line in drawn), max(float(line.values.max()) for line in drawn)
    )
    low, high = ticks[0], ticks[-1]

    def y(value: float) -> float:
        return (high - value) / (high - low) * height

    def x(time: float) -> float:
        return (time - first) / (last - first)

    def draw(line: Line, *, fill: bool) -> DrawnLine:
        times, values = thin(line.times, line.values)
        points = " ".join(f"{x(t) * WIDTH:.1f},{y(v):.1f}" for t, v in zip(times, values, strict=True))
        start, end = x(times[0]) * WIDTH, x(times[-1]) * WIDTH
        return DrawnLine(line.name, line.style, points, f"{start:.1f},0 {points} {end:.1f},0" if fill else "")

    return Chart(
        title=title,
        width=WIDTH,
        height=height,
        values=[Tick(round(y(tick), 1), label(tick, step)) for tick in ticks],
        times=[Tick(round(x(time) * 100, 2), text) for time, text in time_ticks(first, last)],
        lines=[draw(line, fill=filled and number == 0) for number, line in enumerate(drawn)],
    )


def thin(times: Floats, values: Floats, points: int = POINTS_MAX) -> tuple[Floats, Floats]:
    """At most `points` of them: both ends, and of each stretch between its lowest and its highest, so that no trough
    gets lost."""
    if len(times) <= points:
        return times, values
    edges = np.linspace(1, len(times) - 1, (points - 2) // 2 + 1).astype(int)
    kept = {0, len(times) - 1}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[start:end]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    index = np.array(sorted(kept))
    return times[index], values[index]


def value_ticks(low: float, high: float) -> tuple[list[float], float]:
    """About Y_TICKS round values that enclose low and high, and their step: 1, 2 or 5 times a power of ten."""
    spread = high - low
    # a flat line gets an axis too, and differences that doubles cannot tell apart count as flat
    if spread <= 1e-9 * max(abs(low), abs(high)):
        spread = max(abs(high) * 0.01, 1e-6)
        low, high = low - spread / 2, high + spread / 2
    power = 10.0 ** math.floor(math.log10(spread / (Y_TICKS - 1)))
    step = next(power * m for m in (1, 2, 5, 10, 20) if power * m * (Y_TICKS - 1) >= spread * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(start, max(end, start + 1) + 1)], step


def time_ticks(first: float, last: float) -> list[tuple[float, str]]:
    """At most X_TICKS_MAX round times (ns) between the two, with their labels: years, months, days or hours."""
    span = last - first
    for hours in (1, 3, 6, 12):
        if span / (hours * HOUR_NS) <= X_TICKS_MAX - 1:
            return _multiples(first, last, hours * HOUR_NS, "%m-%d %H:%M")
    for days in (1, 2, 4, 7):
        if span / (days * DAY_NS) <= X_TICKS_MAX - 1:
            return _multiples(first, last, days * DAY_NS, "%m-%d")
    months = next(m for m in (1, 2, 3, 6, 12, 24, 60, 120, 600) if span / (m * 30.5 * DAY_NS) <= X_TICKS_MAX - 1)
    start, end = _date(first), _date(last)
    out = []
    for n in range(start.year * 12 + start.month - 1, end.year * 12 + end.month):
        if n % months == 0:
            at = datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC)
            time = at.timestamp() * 1e9
            if first <= time <= last:
                out.append((time, at.strftime("%Y" if months >= 12 else "%Y-%m")))
    return out[:X_TICKS_MAX]


def _multiples(first: float, last: float, step: int, pattern: str) -> list[tuple[float, str]]:
    numbers = range(math.ceil(first / step), math.floor(last / step) + 1)
    return [(float(n * step), _date(n * step).strftime(pattern)) for n in numbers]


def _date(time: float) -> datetime:
    return datetime.fromtimestamp(time / 1e9, tz=UTC)
