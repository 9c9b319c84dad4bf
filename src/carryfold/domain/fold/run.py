"""The fold for Python callers: states, `fold`, `simulate`, `simulate_many`.

All three run the one compiled `advance`; they differ in who answers orders and in how many parameter sets they carry.
Rows come as whole instants in known order; the states are changed in place.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.fold._compile import CODE_DIGEST
from carryfold.domain.fold.codes import HEALTHY
from carryfold.domain.fold.fills import FOREVER
from carryfold.domain.fold.state import BOOK, DAY, DECISION, FILL, NEVER, ORDER, PAIR, VIEW
from carryfold.domain.fold.step import OUTPUT_PER_PAIR, OUTPUT_PER_ROW, advance, advance_many, in_canonical_order
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8, ROW, Rows

__all__ = ["Output", "SizeOutOfRange", "State", "fold", "simulate", "simulate_many"]

Array = npt.NDArray[np.void]

_OUTPUT_MIN: Final = 4096
_TOGETHER: Final = 32  # runs that share their views: more save little, and their pairs leave the cache
_NEVER_YET: Final = (
    "market_known_at", "price_at", "settled_at", "predicted_at", "activity_at", "view_at", "view_known_at",
    "delisted_known_at", "basis_hour_end", "ar_end", "mark_until", "vol_hour_end",
)  # fmt: skip


class SizeOutOfRange(ValueError):
    """A quantity or an amount is so large that doubles and int64 of 1e-8 no longer hold it exactly (2**53)."""


class Output(NamedTuple):
    """What a call brought out, in order: arrays of state.DECISION, state.FILL and state.DAY."""

    decisions: Array
    fills: Array
    days: Array


class State:
    """One run's state: `view` and `pair` (state.VIEW, state.PAIR), `book` (state.BOOK, one record), the simulated
    venue's `order` (state.ORDER), and the pairs in symbol order, `ranks`. Grows between instants as pairs are added."""

    def __init__(self, params: Parameters, *, start: int = 0, universe: int = 0, simulated: bool = True) -> None:
        self.params = params
        self.simulated = simulated
        self.record = params.record()
        self.symbols: list[bytes] = []
        self.view: Array = np.zeros(0, VIEW)
        self.pair: Array = np.zeros(0, PAIR)
        self.order: Array = np.zeros(0, ORDER)
        self.ranks: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.book: Array = np.zeros(1, BOOK)
        book: Any = self.book[0]
        book["simulated"] = simulated
        book["start"] = start
        book["universe"] = max(universe, 1)
        book["due_at"] = NEVER
        book["now"] = NEVER
        book["heard_since"] = NEVER
        capital = round(params.capital * E8)
        for name in ("capital", "day_start_equity", "peak", "peak_equity", "min_free"):
            book[name] = capital
        book["theta"] = 1.0
        book["min_health"] = HEALTHY
        self._buffers = _buffers(0)

    def add_pairs(self, symbols: Sequence[bytes], selected: Iterable[bool] | None = None) -> None:
        """Append pairs, in the order of their ids. `symbols` decide ties, by their bytes; equal ones by id."""
        views = np.zeros(len(symbols), VIEW)
        for name in _NEVER_YET:
            views[name] = NEVER
        views["spot_hourly"] = views["perp_hourly"] = -1.0
        views["lot_units"] = 1
        views["tag"] = [_tag(symbol) for symbol in symbols]
        pairs = np.zeros(len(symbols), PAIR)
        pairs["selected"] = 1 if selected is None else np.fromiter(selected, np.int64, len(symbols))
        pairs["refused_at"] = NEVER
        orders = np.zeros(len(symbols), ORDER)
        orders["due_at"] = FOREVER
        self.view = np.concatenate([self.view, views])
        self.pair = np.concatenate([self.pair, pairs])
        self.order = np.concatenate([self.order, orders])
        self.symbols += symbols
        self.ranks = np.array(sorted(range(len(self.symbols)), key=lambda i: (self.symbols[i], i)), np.int64)

    def copy(self) -> "State":
        """An independent state with the same contents."""
        twin = State.__new__(State)
        twin.simulated = self.simulated
        twin.params, twin.record, twin.symbols = self.params, self.record.copy(), list(self.symbols)
        twin.view, twin.pair = self.view.copy(), self.pair.copy()
        twin.order, twin.book = self.order.copy(), self.book.copy()
        twin.ranks = self.ranks
        twin._buffers = _buffers(0)
        return twin

    def buffers(self, size: int) -> Output:
        """Output buffers of at least `size` records, kept for the next call."""
        if len(self._buffers.days) < size:
            self._buffers = _buffers(size)
        return self._buffers

    def hash(self) -> str:
        """BLAKE2b-128 of the listed pairs in symbol order, the orders and the book; comparable within one code
        version."""
        digest = hashlib.blake2b(CODE_DIGEST.encode(), digest_size=16)
        for i in self.ranks:
            if self.view[i]["listed"]:
                digest.update(self.symbols[i] + b"\0" + self.view[i].tobytes())
                digest.update(self.pair[i].tobytes() + self.order[i].tobytes())
        digest.update(self.book.tobytes())
        return digest.hexdigest()

    def dump(self) -> bytes:
        """The snapshot: everything but the code, which `load` insists on."""
        return msgspec.msgpack.encode(
            {
                "code": CODE_DIGEST,
                "simulated": self.simulated,
                "params": msgspec.to_builtins(self.params),
                "symbols": self.symbols,
                "view": self.view.tobytes(),
                "pair": self.pair.tobytes(),
                "order": self.order.tobytes(),
                "book": self.book.tobytes(),
            }
        )

    @classmethod
    def load(cls, data: bytes) -> "State":
        """The state of a `dump`. Raises ValueError if it was made by other code."""
        saved = msgspec.msgpack.decode(data)
        if saved["code"] != CODE_DIGEST:
            raise ValueError("the snapshot was made by another version of the fold")
        state = cls(msgspec.convert(saved["params"], Parameters), simulated=saved["simulated"])
        state.add_pairs(saved["symbols"])
        state.view = np.frombuffer(saved["view"], VIEW).copy()
        state.pair = np.frombuffer(saved["pair"], PAIR).copy()
        state.order = np.frombuffer(saved["order"], ORDER).copy()
        state.book = np.frombuffer(saved["book"], BOOK).copy()
        return state


def _tag(symbol: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(symbol, digest_size=8).digest(), "little", signed=True)


def _buffers(size: int) -> Output:
    return Output(np.zeros(size, DECISION), np.zeros(size, FILL), np.zeros(size, DAY))


_NOTHING: Final = _buffers(0)


def _advance(state: State, rows: Rows) -> Output:
    """Run rows through `advance` until all are consumed, with buffers large enough for any instant."""
    assert rows.dtype == ROW, "rows must be rows.ROW records"
    rows = in_canonical_order(rows)
    parts: list[Output] = []
    size = _OUTPUT_MIN
    while True:
        decisions, fills, days = state.buffers(size)
        try:
            consumed, dn, fn, yn = advance(
                state.view, state.pair, state.book, state.order, state.record, state.ranks, rows,
                decisions, fills, days,
            )  # fmt: skip
        except OverflowError as error:
            raise SizeOutOfRange(
                f"size out of range: a quantity or amount reaches 2^53 at {_where(state, rows)}"
            ) from error
        parts.append(_taken(decisions, dn, fills, fn, days, yn))
        if consumed == len(rows):
            break
        if consumed == 0:
            size = 2 * size + OUTPUT_PER_PAIR * len(state.view) + OUTPUT_PER_ROW * len(rows)
        rows = rows[consumed:]
    if len(parts) == 1:
        return parts[0]
    return Output(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _taken(decisions: Array, dn: int, fills: Array, fn: int, days: Array, yn: int) -> Output:
    """Copies of what was written; copying nothing from records takes numpy 5 us, so nothing is not copied."""
    return Output(
        decisions[:dn].copy() if dn else _NOTHING.decisions,
        fills[:fn].copy() if fn else _NOTHING.fills,
        days[:yn].copy() if yn else _NOTHING.days,
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
    """Fold the same rows through many simulated states, one parameter set each, on `threads` threads, keeping no
    detail: read the results from the states. Bit-equal to `simulate` of each. Raises SizeOutOfRange."""
    assert all(state.simulated for state in states), "simulate_many wants simulated states"
    rows = in_canonical_order(rows)
    alike: dict[tuple[object, ...], list[State]] = {}
    for state in states:
        seen = (state.params.view_parameters, state.ranks.tobytes(), state.view.tobytes())
        alike.setdefault(seen, []).append(state)
    shares = [share for group in alike.values() for share in _shares(group, threads)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_simulate_share, share, rows) for share in shares]:
            done.result()


def _shares(group: list[State], threads: int) -> list[list[State]]:
    """Equal parts of states with the same views, at least one for each thread."""
    count = max(-(-len(group) // _TOGETHER), min(threads, len(group)))
    return [group[k::count] for k in range(count)]


def _simulate_share(states: Sequence[State], rows: Rows) -> None:
    """Runs with the same views, one observation of each row for all of them."""
    first = states[0]
    pairs = np.stack([state.pair for state in states])
    orders = np.stack([state.order for state in states])
    books = np.concatenate([state.book for state in states])
    records = np.concatenate([state.record for state in states])
    decisions, fills, days = _buffers(1)
    try:
        advance_many(first.view, pairs, books, orders, records, first.ranks, rows, decisions, fills, days)
    except OverflowError as error:
        raise SizeOutOfRange(f"size out of range in one of {len(states)} sets, the first: {first.params}") from error
    for k, state in enumerate(states):
        state.view[:] = first.view
        state.pair[:], state.order[:], state.book[:] = pairs[k], orders[k], books[k : k + 1]
