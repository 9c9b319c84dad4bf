"""log stat, show, tail, verify, backup, export, import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carryfold.adapters.bootstrap import open_reader
from carryfold.adapters.cli.options import Json, place_of, terminal_of
from carryfold.adapters.terminal import Terminal, count

if TYPE_CHECKING:
    from carryfold.eventlog import Batch

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Kind = Annotated[str | None, typer.Option(help="Only events of this kind, such as FundingSettled.")]
Pair = Annotated[str | None, typer.Option(help="Only events of this symbol.")]


@app.command()
def stat(context: typer.Context, as_json: Json = False) -> None:
    """Size, span and growth of the log, and the disk that is left."""
    import shutil

    from carryfold.projections.cursor import format_time

    place, terminal = place_of(context), terminal_of(as_json)
    with open_reader(place.home) as reader:
        found: dict[str, Any] = dict(reader.stat())
        head = reader.last
    found |= {"head_seq": head.seq, "head_digest": head.digest.hex(), "disk_free": shutil.disk_usage(place.home).free}
    if as_json:
        terminal.emit(found)
        return
    rows = [
        (
            name,
            format_time(int(value))
            if name.endswith("_at") and value
            else count(value)
            if isinstance(value, int)
            else str(value),
        )
        for name, value in found.items()
    ]
    terminal.table(("", ""), rows, left=(0, 1))


def _events(batches: Iterable[Batch], first: int, kind: str | None, pair: str | None) -> Iterator[dict[str, Any]]:
    """The events of batches from `first` on, as plain values."""
    import msgspec

    from carryfold.domain.codec import BATCH_DECODER
    from carryfold.projections.cursor import format_time

    for batch in batches:
        for seq, (known_at, event) in enumerate(BATCH_DECODER.decode(batch.payload), batch.first_seq):
            name = type(event).__name__
            if seq < first or (kind is not None and name != kind):
                continue
            if pair is not None and getattr(event, "symbol", None) != pair:
                continue
            fields = {n: msgspec.to_builtins(getattr(event, n)) for n in event.__struct_fields__}
            yield {"seq": seq, "known_at": format_time(known_at), "kind": name} | fields


def _print(terminal: Terminal, event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.emit(event)
        return
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("seq", "known_at", "kind"))
    terminal.say(f"{event['seq']:>10}  {event['known_at']}  {event['kind']}  {rest}")


def _check_kind(kind: str | None) -> None:
    from carryfold.domain import events

    if kind is not None and kind not in events.__all__:
        raise typer.BadParameter(f"no kind of event '{kind}'; docs/events.md lists them")


@app.command()
def show(
    context: typer.Context,
    first: Annotated[int, typer.Option("--from", min=1, help="First sequence number.")] = 1,
    limit: Annotated[int, typer.Option(min=1, help="How many events.")] = 20,
    kind: Kind = None,
    pair: Pair = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print events."""
    from itertools import islice

    _check_kind(kind)
    place, terminal = place_of(context), terminal_of(as_json)
    with open_reader(place.home) as reader:
        for event in islice(_events(reader.read(first - 1), first, kind, pair), limit):
            _print(terminal, event, as_json)


@app.command()
def tail(
    context: typer.Context,
    kind: Kind = None,
    pair: Pair = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many events. Default: never.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Begin with so many of the newest events.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow the log as it grows, until interrupted."""
    from itertools import islice

    _check_kind(kind)
    place, terminal = place_of(context), terminal_of(as_json)
    with open_reader(place.home) as reader:
        after = max(0, reader.last.seq - last)
        try:
            for event in islice(_events(reader.tail(after), after + 1, kind, pair), limit):
                _print(terminal, event, as_json)
        except KeyboardInterrupt:
            terminal.note("")


@app.command()
def verify(context: typer.Context, as_json: Json = False) -> None:
    """Check every byte of the log: digests, order, keys, and the head kept outside."""
    from carryfold.eventlog import verify as verify_log

    place, terminal = place_of(context), terminal_of(as_json)
    with terminal.progress("verifying"):
        report = verify_log(place.home)
    if as_json:
        terminal.emit(
            {
                "ok": report.ok,
                "events": report.events,
                "batches": report.batches,
                "head_seq": report.head_seq,
                "head_digest": report.head_digest.hex(),
                "error": report.error,
                "bad_seq": report.bad_seq,
            }
        )
    elif report.ok:
        terminal.say(
            f"ok: {count(report.events)} events in {count(report.batches)} batches, head {report.head_digest.hex()}"
        )
    if not report.ok:
        terminal.note(f"carryfold: {report.error}")
        raise typer.Exit(1)


@app.command()
def backup(
    context: typer.Context, target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")]
) -> None:
    """A verified copy of the log (and of research), beside a live owner if need be."""
    from carryfold.eventlog import backup as backup_log

    place, terminal = place_of(context), terminal_of(False)
    with terminal.progress("copying and verifying"):
        report = backup_log(place.home, target)
    terminal.say(f"{count(report.events)} events copied to {target} and verified")


@app.command("export")
def export_log(
    context: typer.Context, target: Annotated[Path, typer.Argument(help="A file; .gz is compressed.")]
) -> None:
    """The whole log as JSON lines: sequence, times, batch bounds and keys."""
    from carryfold.eventlog import export_jsonl

    place, terminal = place_of(context), terminal_of(False)
    with terminal.progress("exporting"):
        head = export_jsonl(place.home, target)
    terminal.say(f"{count(head.seq)} events exported to {target}, head {head.digest.hex()}")


@app.command("import")
def import_log(
    context: typer.Context, source: Annotated[Path, typer.Argument(help="A file that `log export` wrote.")]
) -> None:
    """An exported log into an empty home; the head digest is the same."""
    from carryfold.eventlog import import_jsonl

    place, terminal = place_of(context), terminal_of(False)
    with terminal.progress("importing"):
        head = import_jsonl(source, place.home)
    terminal.say(f"{count(head.seq)} events, head {head.digest.hex()}")
