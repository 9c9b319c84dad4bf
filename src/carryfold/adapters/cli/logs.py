"""`carryfold log`: the event log itself. It is read beside a running owner and never changed here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.cli.log_events import Wanted, decoded, show_event
from carryfold.adapters.cli.options import Json
from carryfold.adapters.terminal import Terminal

__all__ = ["app"]

SHOWN: Final = 50
MEGABYTE: Final = 1e6
MINUTE_NS: Final = 60e9

app = typer.Typer(help="The event log: look at it, check it, copy it.", no_args_is_help=True, rich_markup_mode=None)

Kinds = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind of event; may be given many times.")
]
Name = Annotated[
    str | None, typer.Option("--pair", metavar="NAME", help="Only events of this symbol, or of a pair that has it.")
]


@app.command()
def stat(context: typer.Context, json: Json = False) -> None:
    """Size, growth a day, room left on the disk, head."""
    from carryfold.adapters.bootstrap import open_reader
    from carryfold.eventlog import owner_pid
    from carryfold.projections.cursor import format_optional_time

    terminal = Terminal(json=json)
    home: Path = context.obj.home
    with open_reader(home) as reader:
        found = reader.stat()
        head = reader.last
        availability = reader.get_meta("availability")
    free = shutil.disk_usage(home).free
    per_day = float(found["bytes_per_day"])
    stated: dict[str, Any] = {
        **found,
        "first_recorded_at": format_optional_time(int(found["first_recorded_at"]) or None),
        "last_recorded_at": format_optional_time(int(found["last_recorded_at"]) or None),
        "head_digest": head.digest.hex(),
        "disk_free": free,
        "days_until_full": free / per_day if per_day > 0 else None,
        "owner_pid": owner_pid(home),
    }
    if json:
        terminal.emit(stated)
        return
    days = stated["days_until_full"]
    rule = "not set yet" if availability is None else availability.decode()
    rows = [
        ["events", f"{found['events']:,} in {found['batches']:,} commits, {found['keys']:,} with a key"],
        ["recorded", f"{stated['first_recorded_at'] or '-'} to {stated['last_recorded_at'] or '-'}"],
        ["size", f"{found['map_used'] / MEGABYTE:,.1f} MB of at most {found['map_size'] / MEGABYTE:,.0f} MB"],
        [
            "growth",
            f"{found['events_per_day']:,.0f} events and {per_day / MEGABYTE:,.1f} MB a day, by its last"
            f" {found['growth_span'] / MINUTE_NS:,.0f} minutes"
            if per_day
            else "not known yet",
        ],
        [
            "disk",
            f"{free / MEGABYTE:,.0f} MB free" + ("" if days is None else f", full in {days:,.0f} days at this rate"),
        ],
        ["head", f"seq {head.seq:,}, {head.digest.hex()}"],
        ["availability", rule],
        ["owner", "nobody" if stated["owner_pid"] is None else f"process {stated['owner_pid']}"],
    ]
    terminal.table(["", ""], rows, left=(0, 1))


@app.command()
def show(
    context: typer.Context,
    first: Annotated[int, typer.Option("--from", metavar="SEQ", help="First sequence number.", min=1)] = 1,
    last: Annotated[int | None, typer.Option("--to", metavar="SEQ", help="Last one.  [default: the end]")] = None,
    kind: Kinds = None,
    pair: Name = None,
    limit: Annotated[
        int, typer.Option(metavar="N", help="Show at most this many events; 0: all of them.", min=0)
    ] = SHOWN,
    json: Json = False,
) -> None:
    """Events by sequence number, for people or as JSON lines."""
    from carryfold.adapters.bootstrap import open_reader

    terminal = Terminal(json=json)
    wanted = Wanted(kind, pair)
    shown = 0
    with open_reader(context.obj.home) as reader:
        for batch in reader.read(first - 1):
            for seq, known_at, event in decoded(batch.first_seq, batch.payload):
                if seq < first or not wanted.matches(event):
                    continue
                if last is not None and seq > last:
                    return
                if limit and shown == limit:
                    terminal.note(f"{limit} events shown, there are more: --from {seq} goes on, --limit 0 shows all")
                    return
                show_event(terminal, seq, known_at, batch.recorded_at, event)
                shown += 1
            if last is not None and batch.last_seq >= last:
                return


@app.command()
def tail(
    context: typer.Context,
    lines: Annotated[int, typer.Option(metavar="N", help="Begin with the last N events.", min=0)] = 10,
    kind: Kinds = None,
    pair: Name = None,
    json: Json = False,
) -> None:
    """Events as they are recorded, until Ctrl-C."""
    from carryfold.adapters.bootstrap import open_reader

    terminal = Terminal(json=json)
    wanted = Wanted(kind, pair)
    with open_reader(context.obj.home) as reader:
        start = max(reader.last.seq - lines, 0)
        try:
            for batch in reader.tail(start):
                for seq, known_at, event in decoded(batch.first_seq, batch.payload):
                    if seq > start and wanted.matches(event):
                        show_event(terminal, seq, known_at, batch.recorded_at, event, flush=True)
        except KeyboardInterrupt:
            return


@app.command()
def verify(context: typer.Context, json: Json = False) -> None:
    """Check every byte of the log. Exit code 1 when it is damaged."""
    from carryfold.eventlog import verify as verify_log

    terminal = Terminal(json=json)
    home: Path = context.obj.home
    with terminal.progress("checking every event"):
        report = verify_log(home)
    if json:
        terminal.emit(
            {"ok": report.ok, "events": report.events, "batches": report.batches, "head_seq": report.head_seq,
             "head_digest": report.head_digest.hex(), "error": report.error, "bad_seq": report.bad_seq}
        )  # fmt: skip
    if not report.ok:
        raise CheckFailed(report.error or "the log is damaged")
    if not json:
        terminal.say(
            f"whole: {report.events:,} events in {report.batches:,} commits, head seq {report.head_seq:,}"
            f" {report.head_digest.hex()}"
        )
        if not report.has_outside_head:
            terminal.note("there was no log.head beside it: whether events are missing at its end cannot be told")


@app.command()
def backup(
    context: typer.Context,
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="A folder that is not there yet.")
    ],
    json: Json = False,
) -> None:
    """Copy the log into a new folder, and verify the copy.

    Works beside a running owner. The copy is a home of its own: restoring is using it.
    """
    from carryfold.eventlog import backup as backup_log

    terminal = Terminal(json=json)
    with terminal.progress("copying and checking the copy"):
        report = backup_log(context.obj.home, target)
    if json:
        terminal.emit(
            {"folder": str(target), "events": report.events, "head_seq": report.head_seq,
             "head_digest": report.head_digest.hex()}
        )  # fmt: skip
    else:
        terminal.say(f"{report.events:,} events copied to {target} and verified, head {report.head_digest.hex()}")


@app.command()
def export(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="JSON lines; .gz compresses.")],
    json: Json = False,
) -> None:
    """Write the whole log as JSON lines."""
    from carryfold.eventlog import export_jsonl

    terminal = Terminal(json=json)
    with terminal.progress("writing JSON lines"):
        head = export_jsonl(context.obj.home, target)
    if json:
        terminal.emit({"file": str(target), "events": head.seq, "head_digest": head.digest.hex()})
    else:
        terminal.say(f"{head.seq:,} events written to {target}, head {head.digest.hex()}")


@app.command("import")
def import_log(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="What `log export` wrote.")],
    json: Json = False,
) -> None:
    """Rebuild an exported log in an empty home, digest by digest."""
    from carryfold.eventlog import import_jsonl

    terminal = Terminal(json=json)
    with terminal.progress("rebuilding the log"):
        head = import_jsonl(source, context.obj.home)
    if json:
        terminal.emit({"home": str(context.obj.home), "events": head.seq, "head_digest": head.digest.hex()})
    else:
        terminal.say(f"{head.seq:,} events rebuilt in {context.obj.home} and verified, head {head.digest.hex()}")
