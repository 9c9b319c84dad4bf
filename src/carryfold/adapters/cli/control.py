"""`halt`, `resume`, `flatten`: sent to the owner of the log, or appended to a log without an owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from carryfold.adapters.cli.options import Json, Reason
from carryfold.adapters.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from carryfold.adapters.bootstrap import Workspace

__all__ = ["flatten", "halt", "resume"]

_EVERY_RUN: Final = 0


def halt(context: typer.Context, reason: Reason = "", json: Json = False) -> None:
    """Open no position until `resume`; open ones stay."""
    _command(context.obj, "halt", reason, json=json)


def resume(context: typer.Context, reason: Reason = "", json: Json = False) -> None:
    """Allow entries again after `halt` or `flatten`."""
    _command(context.obj, "resume", reason, json=json)


def flatten(context: typer.Context, reason: Reason = "", json: Json = False) -> None:
    """Close every position, and open none until `resume`."""
    _command(context.obj, "flatten", reason, json=json)


def _command(workspace: Workspace, command: str, reason: str, *, json: bool) -> None:
    from carryfold.adapters.bootstrap import open_reader
    from carryfold.eventlog import NoOwner, send_command

    terminal = Terminal(json=json)
    open_reader(workspace.home).close()  # a misspelt home must not become a new log
    try:
        seq = send_command(workspace.home, command, {"reason": reason})
        by = "owner"
    except NoOwner:
        seq = _append(workspace.home, command, reason)
        by = "command line"
    if json:
        terminal.emit({"command": command, "seq": seq, "recorded_by": by})
        return
    terminal.print(f"{command}: recorded as event {seq} of {workspace.home}, by the {by}")
    if by != "owner":
        terminal.print("no run is active on this log; the next one carries the command out first")


def _append(home: Path, command: str, reason: str) -> int:
    from carryfold.adapters.bootstrap import open_log
    from carryfold.domain import events as ev
    from carryfold.domain.codec import encode

    event = {"halt": ev.Halted, "resume": ev.Resumed, "flatten": ev.FlattenRequested}[command]
    with open_log(home) as log:
        return log.append([(encode(event(_EVERY_RUN, log.clock.now(), reason)), None, None)]).last_seq
