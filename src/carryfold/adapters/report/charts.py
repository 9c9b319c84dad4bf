"""Line charts as inline SVG: the lines stretch with the page, the lettering keeps its size.

The drawing has a left margin in CSS and lets labels hang out of it; the lines are in a nested drawing that is stretched
to the width, with strokes that are not.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.adapters.report.markup import Html, escape
from carryfold.projections.cursor import DAY_NS, HOUR_NS

__all__ = ["POINTS_MAX", "Line", "line_chart", "thin", "time_ticks", "value_ticks"]

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


def line_chart(
    title: str, lines: Sequence[Line], label: Callable[[float, float], str], *, height: int = 260, filled: bool = False
) -> Html:
    """The lines over time with axes, ticks and legend. `label` writes a value, given the step between ticks too.
    `filled`: the space between the first line and the upper edge is shaded."""
    drawn = [line for line in lines if len(line.times) >= 2]
    if not drawn or max(line.times[-1] for line in drawn) <= min(line.times[0] for line in drawn):
        return Html('<p class="dim">Too short a run to draw.</p>')
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

    out = [f'<figure><figcaption>{escape(title)}</figcaption>{_legend(drawn)}<svg class="chart" role="img" ']
    out.append(f'aria-label="{escape(title)}" height="{height}">')
    for tick in ticks:
        out.append(f'<line class="grid" x1="0" x2="100%" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        out.append(f'<text class="y" x="-8" y="{y(tick) + 4:.1f}">{escape(label(tick, step))}</text>')
    for i, (time, text) in enumerate(time_ticks(first, last)):
        at = f"{x(time) * 100:.2f}%"
        out.append(f'<line class="tick" x1="{at}" x2="{at}" y1="{height}" y2="{height + 5}"/>')
        out.append(f'<text class="x{" odd" if i % 2 else ""}" x="{at}" y="{height + 19}">{escape(text)}</text>')
    out.append(f'<line class="axis" x1="0" x2="100%" y1="{height}" y2="{height}"/>')
    out.append('<line class="axis" x1="0" x2="0" y1="0" y2="100%"/>')
    out.append(f'<svg width="100%" height="{height}" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none">')
    for n, line in enumerate(drawn):
        times, values = thin(line.times, line.values)
        points = " ".join(f"{x(t) * WIDTH:.1f},{y(v):.1f}" for t, v in zip(times, values, strict=True))
        if filled and n == 0:
            start, end = x(times[0]) * WIDTH, x(times[-1]) * WIDTH
            out.append(f'<polygon class="fill {line.style}" points="{start:.1f},0 {points} {end:.1f},0"/>')
        out.append(f'<polyline class="line {line.style}" points="{points}"/>')
    out.append("</svg></svg></figure>")
    return Html("".join(out))


def _legend(lines: Sequence[Line]) -> str:
    if len(lines) < 2:
        return ""
    items = "".join(f'<span class="key {line.style}">{escape(line.name)}</span>' for line in lines)
    return f'<div class="legend">{items}</div>'


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
