"""The next step of a process, as a pure function of its state, the quotes and the time.

If the legs differ by a lot or more, match them. Otherwise open or close the next child order of the thin leg; otherwise
sell the residual of the long leg; otherwise end. The short leg is always matched to whole lots of the coins that are
really held. An order on a leg waits for the open one on that leg, and an unwind waits for both legs, so that nothing is
undone before its fill is certain.
"""

from decimal import Decimal
from typing import Final, Literal

from carryfold.domain.execution.actions import NEVER, End, Plan, ProposedOrder, Purpose, Wait
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.pricing import MarketView, NoQuote, TooSmall, next_child_order, priced_order
from carryfold.domain.execution.process_state import ProcessState
from carryfold.domain.execution.reports import Side
from carryfold.domain.execution.traded_pair import other_leg
from carryfold.domain.instruments import Leg

__all__ = ["plan"]

LegTrade = tuple[Leg, Side, Decimal, Purpose]

_UNDER_WAY: Final = "an order is under way"
_NO_QUOTE: Final = "there is no quote"


def plan(state: ProcessState, view: MarketView) -> Plan:
    """The next thing to do."""
    if abs(state.gap) >= state.spec.pair.lot_units:
        return _match_legs(state, view)
    if _any_live(state):
        return Wait(NEVER, _UNDER_WAY)
    return _trade_thin_leg(state, view) or _sell_residual(state, view) or _end(state, view)


def _any_live(state: ProcessState) -> bool:
    return state.live("long") is not None or state.live("short") is not None


# --- matching the legs ------------------------------------------------------------------------------------------------


def _match_legs(state: ProcessState, view: MarketView) -> Plan:
    """Hedge while there is time, then unwind, each within its budget of orders."""
    trade = _hedge(state, view.now) or _unwind(state)
    if trade is None:
        if _any_live(state):
            return Wait(NEVER, _UNDER_WAY)
        return End("unhedged", _budgets(state))
    wait = _wait_before(state, trade, view.now)
    if wait is not None:
        return wait
    order = priced_order(state, view, *trade)
    if isinstance(order, ProposedOrder):
        return order
    if isinstance(order, NoQuote):
        return _without_quote(state, view)
    if _any_live(state):
        return Wait(NEVER, _UNDER_WAY)
    return _too_small(state, view, trade[3])


def _wait_before(state: ProcessState, trade: LegTrade, now: int) -> Wait | None:
    """What the trade has to wait for: an open order on its leg or on the other, or a pause."""
    leg, _, _, purpose = trade
    other = other_leg(leg)
    if state.live(leg) is not None or (purpose == "unwind" and state.live(other) is not None):
        deadline = _deadline(state)
        return Wait(deadline if now < deadline else NEVER, _UNDER_WAY)
    settled_at = state.exposure.since + nanoseconds(state.spec.limits.settle_s)
    if state.live(other) is not None and now < settled_at:
        return Wait(settled_at, "the other leg's order is under way")
    return _pause(state, ("hedge", "unwind"), now)


def _without_quote(state: ProcessState, view: MarketView) -> Plan:
    """Wait for a quote, but not for ever."""
    give_up_at = max(state.exposure.since, state.spec.started_at) + nanoseconds(state.spec.limits.give_up_s)
    if view.now < give_up_at:
        return Wait(give_up_at, _NO_QUOTE)
    return Wait(NEVER, _UNDER_WAY) if _any_live(state) else End("unhedged", _NO_QUOTE)


def _too_small(state: ProcessState, view: MarketView, purpose: Purpose) -> Plan:
    """The venue does not trade the difference: trade more of the first leg, or unwind the difference."""
    if purpose == "hedge" or state.spec.kind == "exit":
        further, deadline = _trade_thin_leg(state, view), _deadline(state)
        if isinstance(further, Wait) and view.now < deadline:
            return Wait(min(further.until, deadline), further.why)
        if further is not None:
            return further
    if purpose == "hedge" and state.spec.kind == "entry":
        unwind = _unwind(state)
        order = priced_order(state, view, *unwind) if unwind is not None else None
        if isinstance(order, ProposedOrder):
            return order
    return _sell_residual(state, view) or _end(state, view)


def _deadline(state: ProcessState) -> int:
    return state.exposure.since + nanoseconds(state.spec.limits.deadline_s)


def _hedge(state: ProcessState, now: int) -> LegTrade | None:
    """The order that hedges the excess, if time and budget allow. An entry adds to the smaller leg, up to its target;
    an exit and a repair only reduce."""
    spec, gap = state.spec, state.gap
    spent = state.incomplete_count("hedge") > spec.limits.retries or state.incomplete_count("unwind") > 0
    if now >= _deadline(state) or spent or len(state.orders) >= spec.limits.orders_max:
        return None
    if spec.kind != "entry":
        return (*_reduction(state), "hedge")
    pair = spec.pair
    smaller: Leg = "short" if gap > 0 else "long"
    units = min(abs(gap), spec.lots * pair.lot_units - state.held(smaller))
    if units < pair.lot_units or state.intended("unwind"):
        return None
    if smaller == "short":
        return "short", "sell", pair.short.floor(pair.coins(pair.whole_lots(units))), "hedge"
    return "long", "buy", pair.gross(pair.coins(units)), "hedge"


def _unwind(state: ProcessState) -> LegTrade | None:
    """The order that reduces the larger leg, if the budget allows."""
    limits = state.spec.limits
    if state.incomplete_count("unwind") > limits.unwind_retries or len(state.orders) >= limits.orders_max:
        return None
    return (*_reduction(state), "unwind")


def _reduction(state: ProcessState) -> tuple[Leg, Side, Decimal]:
    """How to reduce the excess: sell the long leg down to the short one, or buy the short leg back to whole lots of the
    long one. A perpetual on the wrong side of zero is first brought back to zero."""
    pair = state.spec.pair
    if state.short_coins > 0:
        return "short", "sell", pair.short.floor(state.short_coins)
    if state.long_coins < 0 and not pair.is_spot("long"):
        return "long", "buy", pair.long.floor(-state.long_coins)
    if state.gap > 0:
        return "long", "sell", pair.long.floor(max(state.long_coins + state.short_coins, Decimal(0)))
    wanted = pair.coins(pair.whole_lots(max(state.long_units, 0)))
    return "short", "buy", pair.short.floor(-state.short_coins - wanted)


# --- the thin leg, and the residual -----------------------------------------------------------------------------------


def _trade_thin_leg(state: ProcessState, view: MarketView) -> ProposedOrder | Wait | None:
    """The next child order of the thin leg, or a wait for it; None: the process settles for what it has."""
    spec, limits, now = state.spec, state.spec.limits, view.now
    if spec.kind == "repair" or (spec.kind == "entry" and (state.intended("unwind") or not view.may_open)):
        return None
    purpose: Purpose = "open" if spec.kind == "entry" else "close"
    until = spec.started_at + nanoseconds(limits.work_s)
    if now >= until or state.incomplete_count(purpose) > limits.retries or len(state.orders) >= limits.orders_max:
        return None
    if not state.is_incomplete(spec.thin) or _awaits_delivery(state):
        return None
    if not (view.fresh(limits, "long") and view.fresh(limits, "short")):
        return Wait(until, "no fresh quote of both legs")
    piece = next_child_order(state, view.quotes)
    pause = _pause(state, (purpose,), now)
    if piece is None or pause is not None:
        return pause
    order = priced_order(state, view, piece.leg, piece.side, piece.coins, purpose)
    return order if isinstance(order, ProposedOrder) else None


def _awaits_delivery(state: ProcessState) -> bool:
    """True while the pair holds a perpetual whose market is closed: the venue settles it, and until then the other leg
    hedges it. Coins whose market is closed are never settled, so they keep no short open."""
    pair = state.spec.pair
    legs: tuple[Leg, ...] = ("long", "short")
    return any(state.position(leg) and not pair.rules(leg).trading and not pair.is_spot(leg) for leg in legs)


def _sell_residual(state: ProcessState, view: MarketView) -> ProposedOrder | Wait | None:
    """Sell what is left of the long leg beside a flat short leg, if the venue trades so little."""
    limits = state.spec.limits
    if state.short_units != 0 or state.long_units <= 0:
        return None
    if state.incomplete_count("unwind") > limits.unwind_retries or len(state.orders) >= limits.orders_max:
        return None
    order = priced_order(state, view, "long", "sell", state.spec.pair.long.floor(state.long_coins), "unwind")
    if isinstance(order, NoQuote):
        until = state.spec.started_at + nanoseconds(limits.work_s)
        return Wait(until, _NO_QUOTE) if view.now < until else None
    if isinstance(order, TooSmall):
        return None
    return _pause(state, ("unwind",), view.now) or order


def _pause(state: ProcessState, purposes: tuple[str, ...], now: int) -> Wait | None:
    """A short wait after an incomplete order."""
    incomplete = [o.done_at for o in state.orders.values() if o.incomplete and o.intent.purpose in purposes]
    until = max(incomplete, default=0) + nanoseconds(state.spec.limits.retry_wait_s)
    return Wait(until, "pause after an incomplete order") if incomplete and now < until else None


# --- the end ----------------------------------------------------------------------------------------------------------


def _budgets(state: ProcessState) -> str:
    hedges, unwinds = state.incomplete_count("hedge"), state.incomplete_count("unwind")
    return f"{len(state.orders)} orders, {hedges} hedges and {unwinds} unwinds failed"


def _end(state: ProcessState, view: MarketView) -> End:
    """The process is over: report what it achieved, and write off coins that cannot be sold."""
    dust = _dust_units(state, view)
    if abs(state.gap) - dust < state.spec.pair.lot_units:
        return End(_achieved(state), "", dust)
    outcome = _unmatched_outcome(state, view)
    if outcome == "dust" and state.long_units > 0 and state.short_units > 0:
        return End(_achieved(state), "a difference below what the venue trades is left")
    return End(outcome, _obstacle(state))


def _obstacle(state: ProcessState) -> str:
    """Why the difference between the legs cannot be traded away."""
    larger: Leg = "long" if state.gap > 0 else "short"
    if state.spec.pair.rules(larger).trading:
        return "the difference cannot be traded"
    return f"{state.spec.pair.pair.leg(larger).label} does not trade any more"


def _dust_units(state: ProcessState, view: MarketView) -> int:
    """Units of coins beside a flat short leg that are too few to sell. Coins whose market is closed are not dust: they
    may be sold elsewhere."""
    pair = state.spec.pair
    if state.short_units != 0 or not pair.is_spot("long") or not pair.long.trading:
        return 0
    coins = pair.long.floor(max(state.long_coins, Decimal(0)))
    small = coins == 0 or isinstance(priced_order(state, view, "long", "sell", coins, "unwind"), TooSmall)
    return state.booked("long")[1] if small else 0


def _unmatched_outcome(state: ProcessState, view: MarketView) -> Literal["dust", "unhedged"]:
    """One leg is larger by a lot or more, and no order can change that. Near the least notional it is dust."""
    pair = state.spec.pair
    quote = view.quotes.reference("long")
    least = max(pair.long.notional_min, pair.short.notional_min)
    value = pair.coins(abs(state.gap)) * (Decimal(repr(quote.bid)) if quote else state.price)
    small = value <= 2 * least or pair.coins(abs(state.gap)) <= max(pair.long.qty_min, pair.short.qty_min)
    return "dust" if small else "unhedged"


def _achieved(state: ProcessState) -> Literal["nothing", "repaired", "unwound", "closed", "opened", "partial"]:
    """The outcome where both legs match."""
    spec = state.spec
    if not state.fill_ids:
        return "nothing"
    if spec.kind == "repair":
        return "repaired"
    if state.short_units == 0:
        return "unwound" if spec.kind == "entry" else "closed"
    if spec.kind == "entry" and not state.is_incomplete(spec.thin):
        return "opened"
    return "partial"
