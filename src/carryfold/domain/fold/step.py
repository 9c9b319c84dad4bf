"""The kernels that run rows through an instant's phases, for one run and for many. (docs/semantics.md 4.)

`advance` is the compiled entry point: live, paper and backtest differ in `book.simulated` alone.
"""

from typing import Any

from carryfold.domain.fold._compile import compiled, index
from carryfold.domain.fold.codes import (
    SETTLED,
)
from carryfold.domain.fold.decide import (
    order_by_rate,
)
from carryfold.domain.fold.instant import MONEY, OUTCOME, observe_instant
from carryfold.domain.fold.ordering import ordered_end
from carryfold.domain.fold.phases import act
from carryfold.domain.fold.rates import (
    pair_rate,
)
from carryfold.domain.fold.state import BY_RATE, NEVER, RATES
from carryfold.domain.strategies.library import NOT_WANTED

# rows the kernel may add to an output buffer in one instant, for each pair and for each row of it
OUTPUT_PER_PAIR = 6
OUTPUT_PER_ROW = 5


@compiled
def _is_due(books: Any, t: int) -> bool:
    """True if any of the runs decides at `t`."""
    for k in range(len(books)):
        if t >= books[k].due_at and t >= books[k].start:
            return True
    return False


@compiled
def _estimate_rates(market: Any, views: Any, params: Any, t: int, rates: Any) -> None:
    """Fill `rates` with the rate of every pair, NOT_WANTED where none is known yet."""
    for j in range(index(len(views))):
        rates[j] = pair_rate(market, views[j], params, t) if views[j].rate_count > 0 else NOT_WANTED


@compiled
def advance(
    market: Any,
    views: Any,
    links: Any,
    pairs: Any,
    books: Any,
    accounts: Any,
    parameters: Any,
    rows: Any,
    decisions: Any,
    fills: Any,
    days: Any,
    tallies: Any,
    numbers: Any,
    integers: Any,
    fresh: Any,
) -> tuple[int, int, int, int, bool]:
    """Run `rows` (whole instants in known order, each in canonical order) through one run: `market[I]`, `views[M]`,
    the pairs of each instrument `links[links[i] : links[i + 1]]`, `pairs[M]`, `books[1]`, `accounts[V]`,
    `parameters[1]`.

    The arrays from `tallies` on are run.Scratch. Gives (rows consumed, decisions, fills, days written, True). Stops
    early, at an instant boundary, when an output buffer is nearly full, or, with False at the end, before an instant
    whose rows are not in canonical order.
    """
    dn = 0
    fn = 0
    yn = 0
    rates = numbers[RATES]
    params = parameters[0]
    if tallies[0].ready == 0:
        tallies[0].ready = 1
        for i in range(len(market)):
            tallies[0].shared = max(tallies[0].shared, links[i + 1] - links[i])
        _estimate_rates(market, views, params, NEVER, rates)
    first = 0
    while first < len(rows):
        end = ordered_end(rows, first)
        if end < 0:
            return first, dn, fn, yn, False
        output = OUTPUT_PER_PAIR * len(views) + OUTPUT_PER_ROW * tallies[0].shared * (end - first)
        if dn + output > len(decisions) or fn + output > len(fills) or yn + 2 > len(days):
            break
        later = observe_instant(market, views, links, tallies[0], params, rows, first, end, fresh, rates)
        if params.rate_source != SETTLED and (later & OUTCOME or _is_due(books, rows[first].known_at)):
            _estimate_rates(market, views, params, rows[first].known_at, rates)
        dn, fn, yn = act(
            market, views, links, pairs, books[0], accounts, params, rows, first, end, later,
            tallies[0], numbers, integers, 0, False, decisions, dn, fills, fn, days, yn,
        )  # fmt: skip
        first = end
    return first, dn, fn, yn, True


@compiled
def advance_many(
    market: Any,
    views: Any,
    links: Any,
    pairs: Any,
    books: Any,
    accounts: Any,
    parameters: Any,
    rows: Any,
    decisions: Any,
    fills: Any,
    days: Any,
    tallies: Any,
    numbers: Any,
    integers: Any,
    fresh: Any,
) -> int:
    """`advance` for K runs that see the same market and views: `pairs[K, M]`, `books[K]`, `accounts[K, V]`,
    `parameters[K]` with equal view parameters. Gives the rows consumed: all, but for what follows an
    instant that is not in canonical order. The output buffers are scratch."""
    rates = numbers[RATES]
    params = parameters[0]
    _estimate_rates(market, views, params, NEVER, rates)
    ordered = False
    first = 0
    while first < len(rows):
        end = ordered_end(rows, first)
        if end < 0:
            break
        later = observe_instant(market, views, links, tallies[0], params, rows, first, end, fresh, rates)
        ordered = ordered and later & MONEY == 0 and params.rate_source == SETTLED
        if (not ordered or params.rate_source != SETTLED) and (later & OUTCOME or _is_due(books, rows[first].known_at)):
            if params.rate_source != SETTLED:
                _estimate_rates(market, views, params, rows[first].known_at, rates)
            order_by_rate(rates, integers[BY_RATE], len(views))
            ordered = True
        for k in range(len(books)):
            act(
                market, views, links, pairs[k], books[k], accounts[k], parameters[k], rows, first, end,
                later, tallies[0], numbers, integers, k, True, decisions, 0, fills, 0, days, 0,
            )  # fmt: skip
        first = end
    return first
