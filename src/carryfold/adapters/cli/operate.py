"""halt, resume, flatten: the operator's words reach the owner of the log, or the log itself where there is none."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from carryfold.adapters.bootstrap import open_log
from carryfold.adapters.cli.options import Json, place_of, terminal_of

__all__ = ["flatten", "halt", "resume"]

Reason = Annotated[str, typer.Option(help="Why; kept in the log.")]
EVERY_RUN: Final = 0


def halt(context: typer.Context, reason: Reason = "", as_json: Json = False) -> None:
    """Open nothing until resumed. Positions stay."""
    _command(context, "halt", reason, as_json)


def resume(context: typer.Context, reason: Reason = "", as_json: Json = False) -> None:
    """Allow entries again."""
    _command(context, "resume", reason, as_json)


def flatten(context: typer.Context, reason: Reason = "", as_json: Json = False) -> None:
    """Close everything and open nothing until resumed."""
    _command(context, "flatten", reason, as_json)


def _command(context: typer.Context, command: str, reason: str, as_json: bool) -> None:
    from carryfold.eventlog import NoOwner, send_command

    place, terminal = place_of(context), terminal_of(as_json)
    if not (place.home / "log").is_dir():
        from carryfold.eventlog import NoLog

        raise NoLog(place.home)
    try:
        seq, by = send_command(place.home, command, {"reason": reason}), "its owner"
    except NoOwner:
        seq, by = _append(context, command, reason), "this command, nobody owns the log"
    if as_json:
        terminal.emit({"command": command, "seq": seq})
    else:
        terminal.say(f"{command}: recorded as seq {seq} by {by}")


def _append(context: typer.Context, command: str, reason: str) -> int:
    """Record the command for every run, as its owner would; the next run obeys it before it arms."""
    from carryfold.domain import events
    from carryfold.domain.codec import encode

    kinds = {"halt": events.Halted, "resume": events.Resumed, "flatten": events.FlattenRequested}
    with open_log(place_of(context).home) as log:
        from carryfold.eventlog import Clock

        event = kinds[command](EVERY_RUN, Clock().now(), reason)
        return log.append([(encode(event), None, None)]).last_seq
