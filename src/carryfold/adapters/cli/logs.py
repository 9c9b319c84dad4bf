"""`carryfold log`: the event log itself. It is read beside a running owner and never changed here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.cli.log_tables import show_event, show_status
from carryfold.adapters.cli.options import Json
from carryfold.adapters.cli.questions import give, open_sources
from carryfold.adapters.terminal import Terminal

__all__ = ["app"]

SHOWN: Final = 50

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
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal) as sources:
        give(terminal, queries.log_status(sources), show_status)


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
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal) as sources:
        found = queries.events(sources, first_seq=first, last_seq=last, kinds=kind, name=pair)
        for number, event in enumerate(found):
            if limit and number == limit:
                terminal.note(f"{limit} events shown, there are more: --from {event.seq} goes on, --limit 0 shows all")
                return
            show_event(terminal, event)


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
    from carryfold.projections.queries import EventFilter

    terminal = Terminal(json=json)
    chosen = EventFilter(kind, pair)
    with open_reader(context.obj.home) as reader:
        start = max(reader.last.seq - lines, 0)
        try:
            for batch in reader.tail(start):
                for event in chosen.select(batch):
                    if event.seq > start:
                        show_event(terminal, event, flush=True)
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
        terminal.print(
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
        terminal.print(f"{report.events:,} events copied to {target} and verified, head {report.head_digest.hex()}")


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
        terminal.print(f"{head.seq:,} events written to {target}, head {head.digest.hex()}")


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
        terminal.print(f"{head.seq:,} events rebuilt in {context.obj.home} and verified, head {head.digest.hex()}")
