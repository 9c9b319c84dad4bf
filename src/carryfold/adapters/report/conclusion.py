"""Whether a run beat hold and cash, in one plain statement. All returns compared include idle cash."""

from typing import Literal

import msgspec

from carryfold.adapters.report.formats import percent, plural
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.remarks import TRADES_MIN

__all__ = ["Conclusion", "conclude"]


class Conclusion(msgspec.Struct, frozen=True):
    """`kind`: edge, open (ahead, but not shown to be more than luck) or none."""

    kind: Literal["edge", "open", "none"]
    text: str


def conclude(figures: Figures, hold: Figures | None = None) -> Conclusion:
    """The comparison with cash and with `hold`, by default the figures of hold in `figures`."""
    if figures.rows == 0 or figures.since is None:
        return Conclusion("none", "Nothing to judge: the run saw no market rows.")
    if figures.trades == 0 and figures.open_positions == 0:
        gates = " The refusals by gate say why." if any(figures.refused.values()) else ""
        return Conclusion("none", f"No edge: the strategy never traded.{gates}")
    own = figures.return_with_idle_cash
    held = figures.hold_return_with_idle_cash if hold is None else hold.return_with_idle_cash
    rivals = [("cash", figures.cash_return_on_capital or 0.0)]
    if held is not None and figures.strategy != "hold":
        rivals.insert(0, ("hold", held))
    missing = "" if held is not None or figures.strategy == "hold" else " Hold was not run for comparison."
    better = _named([rival for rival in rivals if rival[1] >= own])
    earned = f"{percent(own)} with idle cash"
    if better:
        return Conclusion("none", f"No edge: {earned}, while {better} earned as much or more.{missing}")
    beaten = _named(rivals)
    if figures.strategy == "hold":
        return Conclusion("open", f"Hold is the benchmark: {earned}, against {beaten}.")
    if figures.trades < TRADES_MIN:
        trades = plural(figures.trades, "closed trade")
        text = f"No edge shown: {earned} is ahead of {beaten}, but {trades} cannot tell skill from luck.{missing}"
        return Conclusion("open", text)
    if missing:
        return Conclusion("open", f"Ahead of {beaten}: {earned}.{missing}")
    return Conclusion(
        "edge",
        f"Edge in this run: {earned} against {beaten}. It is one run on past data, and says nothing yet about other "
        "spans or parameters.",
    )


def _named(rivals: list[tuple[str, float]]) -> str:
    return " and ".join(f"{name} ({percent(value)})" for name, value in rivals)
