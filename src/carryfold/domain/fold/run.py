"""The fold for Python callers: states, `fold`, `simulate`, `simulate_many`.

All three run the one compiled `advance`; they differ in who answers orders and in how many parameter sets they carry.
Rows come as whole instants in known order; the states are changed in place.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold._compile import CODE_DIGEST
from carryfold.domain.fold.codes import FOREVER, HEALTHY
from carryfold.domain.fold.dispatch import compile_own
from carryfold.domain.fold.state import (
    ACCOUNT,
    BOOK,
    BY_RATE,
    DAY,
    DECISION,
    FILL,
    HELD,
    INSTRUMENT,
    NEVER,
    NUMBERS,
    PAIR,
    TALLY,
    VIEW,
)
from carryfold.domain.fold.step import OUTPUT_PER_PAIR, OUTPUT_PER_ROW, advance, advance_many
from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Rows, in_canonical_order

__all__ = ["Output", "SizeOutOfRange", "State", "Sweep", "fold", "simulate", "simulate_many"]

Array = npt.NDArray[np.void]
Indices = npt.NDArray[np.int64]

_OUTPUT_MIN: Final = 4096
_TOGETHER: Final = 128  # runs that share their views: more save little, and their pairs leave the cache
_NEVER_YET: Final = (
    "settled_at", "set_at", "set_for", "market_known_at", "predicted_at", "newest_at", "price_at", "price_known_at",
    "suspect_at", "mark_until", "mark_at", "vol_hour_end", "turnover_until", "turnover_at", "turnover_entered_at",
    "activity_at", "delisted_known_at",
)  # fmt: skip
_NEVER_SEEN: Final = (
    "seen_at", "seen_for", "view_known_at", "view_at", "tried_at", "ar_end", "basis_hour_end", "hourly_at",
)  # fmt: skip


class SizeOutOfRange(ValueError):
    """A quantity or an amount is so large that doubles and int64 of 1e-8 no longer hold it exactly (2**53)."""


class Output(NamedTuple):
    """What a call brought out, in order: arrays of state.DECISION, state.FILL and state.DAY."""

    decisions: Array
    fills: Array
    days: Array


class State:
    """One run's state.

    `instruments` are those of the log by their id, `pairs` the run's in the order of ties; `market` (state.INSTRUMENT)
    is indexed by the former, `view` and `pair` (state.VIEW, state.PAIR) by the latter, `account` (state.ACCOUNT) by
    `venues`; `book` (state.BOOK) is one record.
    """

    def __init__(
        self,
        params: Parameters,
        instruments: Sequence[Instrument],
        pairs: Sequence[Pair],
        *,
        start: int = 0,
        simulated: bool = True,
    ) -> None:
        """A state before any row; decisions begin at the first instant not before `start` (ns). Raises ParameterError
        for a split of the capital over other venues than the run's, CompileFailed for a user's strategy."""
        compile_own()
        self.params = params
        self.simulated = simulated
        self.record = params.record()
        self.instruments = list(instruments)
        self.pairs = sorted(pairs, key=lambda pair: pair.order)
        self.venues = sorted({venue for pair in self.pairs for venue in pair.venues}, key=str.encode) or [""]
        self.market = _new_market(self.instruments)
        self.view = _new_views(self.instruments, self.pairs, self.venues)
        self.pair = _new_pairs(params, self.pairs)
        self.account = _new_accounts(params, self.venues)
        self.book = _new_book(params, self.pairs, start, simulated=simulated)
        self.links = _links(self.view, len(self.instruments))
        counts = np.append(np.diff(self.links[: len(self.instruments) + 1]), 0)  # an assumed leg is of no other pair
        self.view["shares_legs"] = (counts[self.view["long"]] > 1) | (counts[self.view["short"]] > 1)
        self._buffers = _buffers(0)
        self._scratch = Scratch(len(self.instruments), len(self.pairs))

    def copy(self) -> "State":
        """An independent state with the same contents."""
        twin = State.__new__(State)
        twin.__dict__.update(self.__dict__)
        for name in ("record", "market", "view", "pair", "account", "book"):
            setattr(twin, name, getattr(self, name).copy())
        twin._buffers = _buffers(0)
        twin._scratch = Scratch(len(self.instruments), len(self.pairs))
        return twin

    def buffers(self, size: int) -> Output:
        """Output buffers of at least `size` records, kept for the next call."""
        if len(self._buffers.days) < size:
            self._buffers = _buffers(size)
        return self._buffers

    def scratch(self, rows: int) -> tuple[Any, ...]:
        """What the kernel works with, for so many rows."""
        return self._scratch.arrays(rows)

    def hash(self) -> str:
        """BLAKE2b-128 of the run's listed pairs in order with their instruments, of the accounts and the book;
        comparable within one code version."""
        digest = hashlib.blake2b(CODE_DIGEST.encode(), digest_size=16)
        indices = ("long", "short", "long_venue", "short_venue")  # they depend on what else a log holds
        for number, pair in enumerate(self.pairs):
            view = self.view[number : number + 1].copy()
            legs = [int(view["long"][0]), int(view["short"][0])]
            if not self.market["listed"][legs[1]]:
                continue
            for name in indices:
                view[name] = 0
            digest.update(pair.name.encode() + b"\0" + view.tobytes() + self.pair[number].tobytes())
            for index in legs:
                if index >= 0:
                    digest.update(self.market[index].tobytes())
        digest.update(self.account.tobytes() + self.book.tobytes())
        return digest.hexdigest()

    def dump(self) -> bytes:
        """The snapshot: everything but the code, which `load` insists on."""
        arrays = {name: getattr(self, name).tobytes() for name in _ARRAYS}
        saved = {
            "code": CODE_DIGEST,
            "simulated": self.simulated,
            "params": msgspec.to_builtins(self.params),
            "instruments": self.instruments,
            "pairs": self.pairs,
        }
        return msgspec.msgpack.encode(saved | arrays)

    @classmethod
    def load(cls, data: bytes) -> "State":
        """The state of a `dump`. Raises ValueError if it was made by other code."""
        saved = msgspec.msgpack.decode(data)
        if saved["code"] != CODE_DIGEST:
            raise ValueError("the snapshot was made by another version of the fold")
        state = cls(
            msgspec.convert(saved["params"], Parameters),
            msgspec.convert(saved["instruments"], list[Instrument]),
            msgspec.convert(saved["pairs"], list[Pair]),
            simulated=saved["simulated"],
        )
        for name, dtype in _ARRAYS.items():
            setattr(state, name, np.frombuffer(saved[name], dtype).copy())
        return state


class Scratch:
    """Arrays that the kernel works with, made once: what is in them follows from the state. Few and wide, because each
    array that is passed costs a live row a fifth of a microsecond."""

    def __init__(self, instruments: int, pairs: int, runs: int = 1) -> None:
        width = max(instruments, pairs, runs)
        self.tallies = np.zeros(1, TALLY)
        self.numbers = np.zeros((NUMBERS, width))
        self.integers = np.full((HELD + runs, width), NEVER)
        self.integers[BY_RATE] = np.arange(width)
        self.fresh = np.zeros(0, np.int8)

    def arrays(self, rows: int) -> tuple[Any, ...]:
        """All of them, large enough for so many rows at once."""
        if len(self.fresh) < rows:
            self.fresh = np.zeros(rows, np.int8)
        return self.tallies, self.numbers, self.integers, self.fresh


_ARRAYS: Final = {"market": INSTRUMENT, "view": VIEW, "pair": PAIR, "account": ACCOUNT, "book": BOOK}


def _new_market(instruments: Sequence[Instrument]) -> Array:
    market = np.zeros(len(instruments), INSTRUMENT)
    for name in _NEVER_YET:
        market[name] = NEVER
    market["multiplier"] = 1.0
    market["perp"] = [one.kind == "perp" for one in instruments]
    return market


def _new_views(instruments: Sequence[Instrument], pairs: Sequence[Pair], venues: Sequence[str]) -> Array:
    index = {instrument: number for number, instrument in enumerate(instruments)}
    views = np.zeros(len(pairs), VIEW)
    for name in _NEVER_SEEN:
        views[name] = NEVER
    views["basis_score"] = views["volume_score"] = -1.0
    for number, pair in enumerate(pairs):
        view: Any = views[number]
        view["long"] = -1 if pair.long.is_assumed else index[pair.long]
        view["short"] = index[pair.short]
        view["carry"], view["one_venue"] = pair.is_carry, pair.is_one_venue
        view["long_venue"], view["short_venue"] = venues.index(pair.long.venue), venues.index(pair.short.venue)
        view["priced"] = not (pair.is_carry and pair.is_one_venue)  # that of a carry pair is listed first
        view["tag"] = _tag(pair)
        before = views[:number]
        view["waits"] = ((before["short"] == view["short"]) & (before["priced"] == 0)).any() and not view["priced"]
    return views


def _new_pairs(params: Parameters, pairs: Sequence[Pair]) -> Array:
    held = np.zeros(len(pairs), PAIR)
    held["refused_at"] = held["closed_until"] = NEVER
    held["due_at"] = FOREVER
    for leg in ("long", "short"):
        held[f"{leg}_bp"] = [params.taker_bp(getattr(pair, leg).venue, getattr(pair, leg).kind) for pair in pairs]
    return held


def _new_accounts(params: Parameters, venues: Sequence[str]) -> Array:
    accounts = np.zeros(len(venues), ACCOUNT)
    for name in ("capital", "cash", "min_free"):
        accounts[name] = params.shares(venues)
    accounts["min_health"] = HEALTHY
    return accounts


def _new_book(params: Parameters, pairs: Sequence[Pair], start: int, *, simulated: bool) -> Array:
    made = np.zeros(1, BOOK)
    book: Any = made[0]
    book["simulated"] = simulated
    book["start"] = start
    book["across"] = any(not pair.is_one_venue for pair in pairs)
    for name in ("due_at", "now", "data_since"):
        book[name] = NEVER
    for name in ("capital", "day_start_equity", "peak", "peak_equity"):
        book[name] = round(params.capital * 1e8)
    book["throttle"] = 1.0
    return made


def _links(views: Array, instruments: int) -> Indices:
    """The pairs of each instrument, in order: `links[links[i] : links[i + 1]]`."""
    found: list[list[int]] = [[] for _ in range(instruments)]
    for number, (long, short) in enumerate(zip(views["long"].tolist(), views["short"].tolist(), strict=True)):
        found[short].append(number)
        if long >= 0:
            found[long].append(number)
    starts = instruments + 1 + np.cumsum([0, *(len(one) for one in found)])
    return np.array([*starts.tolist(), *(number for one in found for number in one)], np.int64)


def _tag(pair: Pair) -> int:
    name = pair.short.symbol if pair.is_carry and pair.is_one_venue else pair.name
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _buffers(size: int) -> Output:
    return Output(np.zeros(size, DECISION), np.zeros(size, FILL), np.zeros(size, DAY))


_NOTHING: Final = _buffers(0)


def _advance(state: State, rows: Rows) -> Output:
    """Run rows through `advance` until all are consumed, with buffers large enough for any instant."""
    assert rows.dtype == ROW, "rows must be rows.ROW records"
    parts: list[Output] = []
    size = _OUTPUT_MIN
    while True:
        decisions, fills, days = state.buffers(size)
        try:
            consumed, dn, fn, yn, in_order = advance(
                state.market, state.view, state.links, state.pair, state.book, state.account,
                state.record, rows, decisions, fills, days, *state.scratch(len(rows)),
            )  # fmt: skip
        except OverflowError as error:
            raise SizeOutOfRange(
                f"size out of range: a quantity or amount reaches 2^53 at {_where(state, rows)}"
            ) from error
        parts.append(_taken(decisions, dn, fills, fn, days, yn))
        if consumed == len(rows):
            break
        rows = rows[consumed:]
        if not in_order:
            rows = in_canonical_order(rows)
        elif consumed == 0:  # one instant brings out more than the buffers hold
            size = 2 * size + OUTPUT_PER_PAIR * len(state.view) + OUTPUT_PER_ROW * len(rows)
    if len(parts) == 1:
        return parts[0]
    return Output(*(_joined(column) for column in zip(*parts, strict=True)))


def _taken(decisions: Array, dn: int, fills: Array, fn: int, days: Array, yn: int) -> Output:
    """Copies of what was written; copying nothing from records takes numpy 5 us, so nothing is not copied."""
    return Output(
        _copied(decisions[:dn]) if dn else _NOTHING.decisions,
        _copied(fills[:fn]) if fn else _NOTHING.fills,
        _copied(days[:yn]) if yn else _NOTHING.days,
    )


def _where(state: State, rows: Rows) -> str:
    return f"an instant after {int(state.book[0]['now'])} ns and not after {int(rows[-1]['known_at'])} ns"


def fold(state: State, rows: Rows) -> Output:
    """Fold live rows: observe, decide; what became of the orders comes back as rows. `state` must be made with
    simulated=False. Raises SizeOutOfRange."""
    assert not state.simulated, "fold wants a live state"
    return _advance(state, rows)


def simulate(state: State, rows: Rows) -> Output:
    """Fold rows with the simulated venue answering the orders. Raises SizeOutOfRange."""
    assert state.simulated, "simulate wants a simulated state"
    return _advance(state, rows)


def simulate_many(states: Sequence[State], rows: Rows, *, threads: int = 1) -> None:
    """Fold the same rows through many simulated states of the same pairs, one parameter set each, on `threads` threads,
    keeping no detail: read the results from the states. Bit-equal to `simulate` of each. Raises SizeOutOfRange."""
    sweep = Sweep(states, threads=threads)
    sweep.fold(rows)
    sweep.finish()


class Sweep:
    """`simulate_many` for rows that come block by block: what the states hold is taken out of them once, folded by
    `fold`, and put back by `finish`. In between the states are those of before."""

    def __init__(self, states: Sequence[State], *, threads: int = 1) -> None:
        assert all(state.simulated for state in states), "a sweep wants simulated states"
        groups: list[list[State]] = []
        for state in states:
            for group in groups:
                if _see_alike(group[0], state):
                    group.append(state)
                    break
            else:
                groups.append([state])
        self._threads = threads
        self._shares = [_Share(share) for group in groups for share in _shares(group, threads)]

    def fold(self, rows: Rows) -> None:
        """Fold whole instants in known order. Raises SizeOutOfRange."""
        with ThreadPoolExecutor(self._threads) as pool:
            for done in [pool.submit(share.fold, rows) for share in self._shares]:
                done.result()

    def finish(self) -> None:
        """Put the results into the states."""
        for share in self._shares:
            share.finish()


def _see_alike(a: State, b: State) -> bool:
    """True if two states have seen the same and will see the same in the same rows."""
    return (
        a.params.view_parameters == b.params.view_parameters
        and a.pairs == b.pairs
        and np.array_equal(_words(a.market), _words(b.market))
        and np.array_equal(_words(a.view), _words(b.view))
    )


def _shares(group: list[State], threads: int) -> list[list[State]]:
    """Equal parts of states with the same views, at least one for each thread."""
    count = max(-(-len(group) // _TOGETHER), min(threads, len(group)))
    return [group[k::count] for k in range(count)]


class _Share:
    """Runs with the same views: one observation of each row for all of them."""

    def __init__(self, states: Sequence[State]) -> None:
        first = states[0]
        self._states = states
        self._market, self._views = _copied(first.market), _copied(first.view)
        self._pairs = _stacked([state.pair for state in states])
        self._accounts = _stacked([state.account for state in states])
        self._books = _joined([state.book for state in states])
        self._records = _joined([state.record for state in states])
        self._buffers = _buffers(1)
        self._scratch = Scratch(len(first.market), len(first.pairs), len(states))

    def fold(self, rows: Rows) -> None:
        first = self._states[0]
        try:
            while True:
                consumed = advance_many(
                    self._market, self._views, first.links, self._pairs, self._books,
                    self._accounts, self._records, rows, *self._buffers, *self._scratch.arrays(len(rows)),
                )  # fmt: skip
                if consumed == len(rows):
                    break
                rows = in_canonical_order(rows[consumed:])
        except OverflowError as error:
            sets = f"one of {len(self._states)} sets, the first: {first.params}"
            raise SizeOutOfRange(f"size out of range in {sets}") from error

    def finish(self) -> None:
        for k, state in enumerate(self._states):
            for into, done in (
                (state.market, self._market), (state.view, self._views), (state.pair, self._pairs[k]),
                (state.account, self._accounts[k]), (state.book, self._books[k : k + 1]),
            ):  # fmt: skip
                _words(into)[:] = _words(done)


def _words(records: Array) -> Indices:
    """Records as plain words: numpy copies records of many fields one field after the other."""
    words: Indices = records.view(np.int64)
    return words


def _copied(records: Array) -> Array:
    copied: Array = _words(records).copy().view(records.dtype)
    return copied


def _joined(arrays: Sequence[Array]) -> Array:
    joined: Array = np.concatenate([_words(one) for one in arrays]).view(arrays[0].dtype)
    return joined


def _stacked(arrays: Sequence[Array]) -> Array:
    stacked: Array = np.stack([_words(one) for one in arrays]).view(arrays[0].dtype)
    return stacked
