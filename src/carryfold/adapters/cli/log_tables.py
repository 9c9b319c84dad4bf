"""The status of a log, and its events, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from carryfold.adapters.terminal import EMPTY, Terminal, count

if TYPE_CHECKING:
    from carryfold.projections.queries import LogEvent, LogStatus

__all__ = ["show_event", "show_status"]

MEGABYTE: Final = 1e6
MINUTE_NS: Final = 60e9
UNKNOWN: Final = "unknown"


def show_status(terminal: Terminal, found: LogStatus) -> None:
    """A line for each figure."""
    growth = "not known yet"
    if found.bytes_per_day:
        growth = (
            f"{found.events_per_day:,.0f} events and {found.bytes_per_day / MEGABYTE:,.1f} MB a day, by its last"
            f" {found.growth_span / MINUTE_NS:,.0f} minutes"
        )
    days = found.days_until_full
    full = "" if days is None else f", full in {days:,.0f} days at this rate"
    rows = [
        ["events", f"{found.events:,} in {found.batches:,} commits, {found.keys:,} with a key"],
        ["recorded", f"{found.first_recorded_at or EMPTY} to {found.last_recorded_at or EMPTY}"],
        ["size", f"{found.map_used / MEGABYTE:,.1f} MB of at most {found.map_size / MEGABYTE:,.0f} MB"],
        ["growth", growth],
        ["disk", f"{found.disk_free / MEGABYTE:,.0f} MB free{full}"],
        ["head", f"seq {found.head_seq:,}, {found.head_digest}"],
        ["availability", found.availability or "not set yet"],
        ["owner", "nobody" if found.owner_pid is None else f"process {found.owner_pid}"],
    ]
    terminal.table(["", ""], rows, left=(0, 1))


def show_event(terminal: Terminal, event: LogEvent, *, flush: bool = False) -> None:
    """One event: a line of text, or a line of JSON."""
    if terminal.json:
        terminal.emit(event.flat, flush=flush)
        return
    fields = {name: _text(value) for name, value in event.fields.items()}
    if "event_at" in fields:
        fields["event_at"] = fields["event_at"] or UNKNOWN
    told = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
    terminal.print(f"{count(event.seq):>10}  {event.known_at or UNKNOWN}  {event.kind:<20}  {told}")


def _text(value: Any) -> Any:
    """A value as text; pairs by their name."""
    if isinstance(value, dict) and value.keys() == {"long", "short"}:
        from carryfold.domain.instruments import Instrument, Pair

        return Pair(Instrument(**value["long"]), Instrument(**value["short"])).name
    return ",".join(str(_text(one)) for one in value) if isinstance(value, list) else value
