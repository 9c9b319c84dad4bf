"""Small pieces of HTML and how numbers are written in them.

Whatever is not `Html` is escaped on its way into the page, so a pair's name can never become markup.
"""

import html
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

__all__ = ["ABSENT", "Html", "amount", "escape", "join", "notes", "percent", "price", "ratio", "section", "table"]

ABSENT: Final = "n/a"
"""How a figure that cannot be said is written."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Any value as markup: text escaped, characters that UTF-8 cannot write replaced, `Html` as it is."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(str(value).encode("utf-8", "replace").decode("utf-8")))


def join(parts: Iterable[object]) -> Html:
    """All parts one after the other."""
    return Html("".join(escape(part) for part in parts))


def section(title: str, *parts: object) -> Html:
    """A titled part of the page."""
    return Html(f"<section><h2>{escape(title)}</h2>{join(parts)}</section>")


def notes(texts: Iterable[object], kind: str = "") -> Html:
    """A list of sentences."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return Html(f'<ul class="notes {escape(kind)}">{items}</ul>')


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1, last_is_sum: bool = False) -> Html:
    """A table that scrolls sideways where the screen is narrow. The first `words` columns are text, the others numbers;
    the last row may be a sum."""
    lines = list(rows)
    out = ['<div class="scroll"><table><thead><tr>']
    out += [f'<th scope="col"{_aligned(i, words)}>{escape(name)}</th>' for i, name in enumerate(head)]
    out.append("</tr></thead><tbody>")
    for n, row in enumerate(lines):
        out.append('<tr class="sum">' if last_is_sum and n == len(lines) - 1 else "<tr>")
        out += [f"<td{_aligned(i, words)}>{escape(cell)}</td>" for i, cell in enumerate(row)]
        out.append("</tr>")
    out.append("</tbody></table></div>")
    return Html("".join(out))


def _aligned(column: int, words: int) -> str:
    return "" if column < words else ' class="n"'


def percent(fraction: float | None, *, signed: bool = True) -> str:
    """A fraction in percent, two decimals."""
    if fraction is None:
        return ABSENT
    text = f"{fraction:+.2%}" if signed else f"{fraction:.2%}"
    return "0.00%" if text in ("+0.00%", "-0.00%") else text


def amount(value: Decimal, *, signed: bool = False) -> str:
    """An amount in quote, two decimals; more below one hundredth, so that nothing is printed as zero which is not."""
    digits = 8 if value and abs(value) < Decimal("0.01") else 2
    if not value:
        return "0.00"
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def price(value: float | None) -> str:
    """A price with at most eight significant digits, never in powers of ten."""
    if value is None:
        return ABSENT
    text = f"{Decimal(f'{value:.8g}'):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(value: float | None) -> str:
    """A plain ratio, two decimals."""
    return ABSENT if value is None else f"{value:,.2f}"
