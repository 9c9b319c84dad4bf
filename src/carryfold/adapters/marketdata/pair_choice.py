"""Which of a venue's pairs are meant by `top:20`, `all` or `BTCUSDT,ETHUSDT`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.domain.instruments import Instrument

__all__ = ["choose_pairs", "needs_turnover"]

_FORMS = "write top:20, all, or symbols with commas between them"


def needs_turnover(text: str) -> bool:
    """A choice by turnover, which has to be asked for first."""
    return text.startswith("top:")


def choose_pairs(
    text: str,
    pairs: Sequence[PairSpec],
    turnover: Mapping[Instrument, float],
    exclusion_reason: Callable[[str], str] = lambda _: "",
) -> list[PairSpec]:
    """The pairs of `top:N` (the trading ones with the greatest turnover of the perpetual in the last 24 hours), `all`
    (closed ones too) or `A,B,...`. `exclusion_reason` tells why a symbol is no pair. Raises VenueError for a text of
    another form and for a symbol that is no pair."""
    if text == "all":
        return list(pairs)
    if needs_turnover(text):
        number = text.removeprefix("top:")
        if not number.isdecimal() or int(number) == 0:
            raise VenueError(f"--pairs {text}: {_FORMS}")
        trading = [pair for pair in pairs if pair.status == "Trading"]
        trading.sort(key=lambda pair: (-turnover.get(pair.perp.instrument, 0.0), pair.symbol))
        return trading[: int(number)]
    wanted = list(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))
    if not wanted:
        raise VenueError(f"--pairs names no symbol: {_FORMS}")
    known = {pair.symbol for pair in pairs}
    for name in wanted:
        if name not in known:
            raise VenueError(_unknown(name, known, exclusion_reason(name)))
    return [pair for pair in pairs if pair.symbol in wanted]


def _unknown(name: str, known: set[str], reason: str) -> str:
    if reason:
        return f"{name} is not traded here: it {reason}"
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"the venue has no pair {name} with a spot and a perpetual leg{hint}"
