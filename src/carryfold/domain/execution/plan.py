"""What a process wants to do next, as a function of what it knows, the quotes and the time. It remembers nothing.

The order of things: where the legs are apart by a lot or more, bring them together; else open or close the next slice
of the thin leg; else sell what is left of the long leg; else end. The short is always matched to whole lots of the long
leg that is really held. An order on a leg waits for the leg's open one, and an unwind for both: what is not known to be
filled is never undone.
"""

from decimal import Decimal
from typing import Literal

from carryfold.domain.execution.ledger import Ledger
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.pair import other_leg
from carryfold.domain.execution.plans import NEVER, End, OrderWanted, Plan, Purpose, Wait
from carryfold.domain.execution.pricing import NoQuote, TooSmall, View, order_at
from carryfold.domain.execution.reports import Side
from carryfold.domain.execution.slices import next_slice
from carryfold.domain.instruments import Leg

__all__ = ["plan"]

Move = tuple[Leg, Side, Decimal, Purpose]


def plan(ledger: Ledger, view: View) -> Plan:
    """The next thing to do."""
    if abs(ledger.gap) >= ledger.spec.pair.lot_units:
        return _together(ledger, view)
    if _any_live(ledger):
        return Wait(NEVER, "an order is under way")
    return _further(ledger, view) or _rest(ledger, view) or _end(ledger, view)


def _any_live(ledger: Ledger) -> bool:
    return ledger.live("long") is not None or ledger.live("short") is not None


# --- bringing the legs together ---------------------------------------------------------------------------------------


def _together(ledger: Ledger, view: View) -> Plan:
    """The legs are apart: hedge while there is time, then unwind, each within its budget."""
    move = _hedge(ledger, view.now) or _unwind(ledger)
    if move is None:
        if _any_live(ledger):
            return Wait(NEVER, "an order is under way")
        return End("unhedged", _budgets(ledger))
    held_up = _held_up(ledger, move, view.now)
    if held_up is not None:
        return held_up
    order = order_at(ledger, view, *move)
    if isinstance(order, OrderWanted):
        return order
    if isinstance(order, NoQuote):
        return _without_quote(ledger, view)
    if _any_live(ledger):
        return Wait(NEVER, "an order is under way")
    return _too_small(ledger, view, move[3])


def _held_up(ledger: Ledger, move: Move, now: int) -> Wait | None:
    """What a move has to wait for: its leg's open order, the other leg's, a pause."""
    leg, _, _, purpose = move
    other = other_leg(leg)
    if ledger.live(leg) is not None or (purpose == "unwind" and ledger.live(other) is not None):
        deadline = _deadline(ledger)
        return Wait(deadline if now < deadline else NEVER, "an order is under way")
    settled_at = ledger.exposure.since + nanoseconds(ledger.spec.limits.settle_s)
    if ledger.live(other) is not None and now < settled_at:
        return Wait(settled_at, "the other leg's order is under way")
    return _pause(ledger, ("hedge", "unwind"), now)


def _without_quote(ledger: Ledger, view: View) -> Plan:
    """There never was a quote since the process began or was restored."""
    give_up_at = max(ledger.exposure.since, ledger.spec.started_at) + nanoseconds(ledger.spec.limits.give_up_s)
    if view.now < give_up_at:
        return Wait(give_up_at, "there is no quote")
    return Wait(NEVER, "an order is under way") if _any_live(ledger) else End("unhedged", "there is no quote")


def _too_small(ledger: Ledger, view: View, purpose: Purpose) -> Plan:
    """The difference is too small for the leg that should trade it: trade more of the first leg, or take it away."""
    if purpose == "hedge" or ledger.spec.kind == "exit":
        further, deadline = _further(ledger, view), _deadline(ledger)
        if isinstance(further, Wait) and view.now < deadline:
            return Wait(min(further.until, deadline), further.why)
        if further is not None:
            return further
    if purpose == "hedge" and ledger.spec.kind == "entry":
        unwind = _unwind(ledger)
        order = order_at(ledger, view, *unwind) if unwind is not None else None
        if isinstance(order, OrderWanted):
            return order
    return _rest(ledger, view) or _end(ledger, view)


def _deadline(ledger: Ledger) -> int:
    return ledger.exposure.since + nanoseconds(ledger.spec.limits.deadline_s)


def _hedge(ledger: Ledger, now: int) -> Move | None:
    """The order that hedges the excess, if there is time and budget for it. An entry adds to the leg that lags, never
    beyond its target; an exit and a repair only ever take away."""
    spec, gap = ledger.spec, ledger.gap
    spent = ledger.misses("hedge") > spec.limits.retries or ledger.misses("unwind") > 0
    if now >= _deadline(ledger) or spent or len(ledger.orders) >= spec.limits.orders_max:
        return None
    if spec.kind != "entry":
        return (*_reduction(ledger), "hedge")
    pair = spec.pair
    lagging: Leg = "short" if gap > 0 else "long"
    units = min(abs(gap), spec.lots * pair.lot_units - ledger.held(lagging))
    if units < pair.lot_units or ledger.intended("unwind"):
        return None
    if lagging == "short":
        return "short", "sell", pair.short.floor(pair.coins(pair.whole_lots(units))), "hedge"
    return "long", "buy", pair.gross(pair.coins(units)), "hedge"


def _unwind(ledger: Ledger) -> Move | None:
    """The order that takes the excess away, if there is budget for it."""
    limits = ledger.spec.limits
    if ledger.misses("unwind") > limits.unwind_retries or len(ledger.orders) >= limits.orders_max:
        return None
    return (*_reduction(ledger), "unwind")


def _reduction(ledger: Ledger) -> tuple[Leg, Side, Decimal]:
    """What takes the excess away: the long leg sold down to the short one, or the short one bought back to whole lots
    of the long one. A perpetual on the wrong side of zero has no business there and is brought back to it."""
    pair = ledger.spec.pair
    if ledger.short_coins > 0:
        return "short", "sell", pair.short.floor(ledger.short_coins)
    if ledger.long_coins < 0 and not pair.is_spot("long"):
        return "long", "buy", pair.long.floor(-ledger.long_coins)
    if ledger.gap > 0:
        return "long", "sell", pair.long.floor(max(ledger.long_coins + ledger.short_coins, Decimal(0)))
    wanted = pair.coins(pair.whole_lots(max(ledger.long_units, 0)))
    return "short", "buy", pair.short.floor(-ledger.short_coins - wanted)


# --- the thin leg, and the rest ---------------------------------------------------------------------------------------


def _further(ledger: Ledger, view: View) -> OrderWanted | Wait | None:
    """The next slice of the first leg, a wait for it, or None: the process makes do with what it has."""
    spec, limits, now = ledger.spec, ledger.spec.limits, view.now
    if spec.kind == "repair" or (spec.kind == "entry" and (ledger.intended("unwind") or not view.may_open)):
        return None
    purpose: Purpose = "open" if spec.kind == "entry" else "close"
    until = spec.started_at + nanoseconds(limits.work_s)
    if now >= until or ledger.misses(purpose) > limits.retries or len(ledger.orders) >= limits.orders_max:
        return None
    if not ledger.is_left(spec.thin) or _awaits_delivery(ledger):
        return None
    if not (view.fresh(limits, "long") and view.fresh(limits, "short")):
        return Wait(until, "no fresh quote of both legs")
    piece = next_slice(ledger, view.quotes)
    pause = _pause(ledger, (purpose,), now)
    if piece is None or pause is not None:
        return pause
    order = order_at(ledger, view, piece.leg, piece.side, piece.coins, purpose)
    return order if isinstance(order, OrderWanted) else None


def _awaits_delivery(ledger: Ledger) -> bool:
    """True while a perpetual is held that does not trade any more: its venue settles it, and until then the other leg
    is its hedge. Coins that do not trade any more are settled by nobody, and keep no short open."""
    pair = ledger.spec.pair
    legs: tuple[Leg, ...] = ("long", "short")
    return any(ledger.position(leg) and not pair.rules(leg).trading and not pair.is_spot(leg) for leg in legs)


def _rest(ledger: Ledger, view: View) -> OrderWanted | Wait | None:
    """The short leg is flat and something of the long one is left: sell it if the venue takes so little."""
    limits = ledger.spec.limits
    if ledger.short_units != 0 or ledger.long_units <= 0:
        return None
    if ledger.misses("unwind") > limits.unwind_retries or len(ledger.orders) >= limits.orders_max:
        return None
    order = order_at(ledger, view, "long", "sell", ledger.spec.pair.long.floor(ledger.long_coins), "unwind")
    if isinstance(order, NoQuote):
        until = ledger.spec.started_at + nanoseconds(limits.work_s)
        return Wait(until, "there is no quote") if view.now < until else None
    if isinstance(order, TooSmall):
        return None
    return _pause(ledger, ("unwind",), view.now) or order


def _pause(ledger: Ledger, purposes: tuple[str, ...], now: int) -> Wait | None:
    """A short wait after an order that ended incomplete."""
    missed = [o.done_at for o in ledger.orders.values() if o.missed and o.intent.purpose in purposes]
    until = max(missed, default=0) + nanoseconds(ledger.spec.limits.retry_wait_s)
    return Wait(until, "pause after an incomplete order") if missed and now < until else None


# --- the end ----------------------------------------------------------------------------------------------------------


def _budgets(ledger: Ledger) -> str:
    return f"{len(ledger.orders)} orders, {ledger.misses('hedge')} hedges and {ledger.misses('unwind')} unwinds failed"


def _end(ledger: Ledger, view: View) -> End:
    """Nothing more is to be had: say what was achieved, and write coins off that nobody can sell."""
    dust = _dust_units(ledger, view)
    if abs(ledger.gap) - dust < ledger.spec.pair.lot_units:
        return End(_achieved(ledger), "", dust)
    outcome = _apart(ledger, view)
    if outcome == "dust" and ledger.long_units > 0 and ledger.short_units > 0:
        return End(_achieved(ledger), "a difference below what the venue trades is left")
    return End(outcome, _obstacle(ledger))


def _obstacle(ledger: Ledger) -> str:
    """Why the difference between the legs cannot be traded."""
    larger: Leg = "long" if ledger.gap > 0 else "short"
    if ledger.spec.pair.rules(larger).trading:
        return "the difference cannot be traded"
    return f"{ledger.spec.pair.pair.leg(larger).label} does not trade any more"


def _dust_units(ledger: Ledger, view: View) -> int:
    """Units of coins beside a flat short leg that are below what the venue sells. Coins of a market that has closed are
    no dust: they may be worth something elsewhere."""
    pair = ledger.spec.pair
    if ledger.short_units != 0 or not pair.is_spot("long") or not pair.long.trading:
        return 0
    coins = pair.long.floor(max(ledger.long_coins, Decimal(0)))
    small = coins == 0 or isinstance(order_at(ledger, view, "long", "sell", coins, "unwind"), TooSmall)
    return ledger.booked_long if small else 0


def _apart(ledger: Ledger, view: View) -> Literal["dust", "unhedged"]:
    """A lot or more is on one leg alone, and no order can change it. Below the least notional it is dust."""
    pair = ledger.spec.pair
    quote = view.quotes.reference("long")
    least = max(pair.long.notional_min, pair.short.notional_min)
    value = pair.coins(abs(ledger.gap)) * (Decimal(repr(quote.bid)) if quote else ledger.price)
    small = value <= 2 * least or pair.coins(abs(ledger.gap)) <= max(pair.long.qty_min, pair.short.qty_min)
    return "dust" if small else "unhedged"


def _achieved(ledger: Ledger) -> Literal["nothing", "repaired", "unwound", "closed", "opened", "partial"]:
    """Both legs match."""
    spec = ledger.spec
    if not ledger.fill_ids:
        return "nothing"
    if spec.kind == "repair":
        return "repaired"
    if ledger.short_units == 0:
        return "unwound" if spec.kind == "entry" else "closed"
    if spec.kind == "entry" and not ledger.is_left(spec.thin):
        return "opened"
    return "partial"
