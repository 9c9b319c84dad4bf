"""The instruments and pairs of a question, by the names that people write."""

from collections.abc import Collection, Iterable, Mapping, Sized

from carryfold.domain.instruments import Instrument, Listing, Pair, labels
from carryfold.projections.queries.answers import QueryError
from carryfold.projections.queries.sources import Sources
from carryfold.projections.registry import listings_of

__all__ = ["Names", "pair_labels"]


class Names:
    """The instruments and pairs that were named, of one venue or of any. `named` None: all of them.

    A pair is named by its label or by both legs; an instrument by its symbol, its label (`bybit:BTCUSDT`), its coin, or
    ccxt's unified name (`BTC/USDT:USDT`).
    """

    def __init__(self, sources: Sources, named: Collection[str] | None = None, venue: str | None = None) -> None:
        self._named = None if named is None else frozenset(named)
        self._venue = venue
        self._spellings: Mapping[Instrument, frozenset[str]] = {}
        if named is not None:
            self._spellings = {one.instrument: _spellings(one) for one in listings_of(sources.instruments)}

    def match(self, *instruments: Instrument, label: str = "") -> bool:
        """True if one of these instruments was named, or the pair of them that is called `label`."""
        return any(
            (self._venue is None or one.venue == self._venue)
            and (
                self._named is None
                or not self._named.isdisjoint((label, one.symbol, one.label, *self._spellings.get(one, ())))
            )
            for one in instruments
        )

    def match_pair(self, pair: Pair | None, label: str) -> bool:
        """The same for a pair. None, for no pair, matches if nothing was named."""
        if pair is None:
            return self._named is None and self._venue is None
        return self.match(*pair, label=label) or (self._named is not None and pair.name in self._named)

    def require(self, found: Sized) -> None:
        """Raises QueryError if something was named and nothing was found."""
        if found or (self._named is None and self._venue is None):
            return
        names = None if self._named is None else ",".join(sorted(self._named))
        what = " ".join(one for one in (names, self._venue and f"of venue {self._venue}") if one)
        raise QueryError(f"no {what} in the log: `carryfold pairs` lists what there is")


def pair_labels(pairs: Iterable[Pair]) -> dict[Pair, str]:
    """The names of pairs of one run."""
    pairs = list(pairs)
    return labels(pairs, several_venues=len({venue for pair in pairs for venue in pair.venues}) > 1)


def _spellings(one: Listing) -> frozenset[str]:
    """The coin of an instrument, and ccxt's unified name."""
    unified = f"{one.base}/{one.quote}" + (f":{one.quote}" if one.instrument.kind == "perp" else "")
    return frozenset((one.base, unified))
