"""`carryfold project`: what was derived from the log, how it stands, and making it anew."""

from __future__ import annotations

from typing import Annotated

import typer

from carryfold.adapters.cli.errors import UsageFailed
from carryfold.adapters.cli.options import Json
from carryfold.adapters.terminal import Terminal, count

__all__ = ["app"]

TAPE = "tape"

app = typer.Typer(
    help="What is derived from the log, and can be made again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """How far each projection has come, and whether it can be used."""
    from carryfold.adapters.bootstrap import open_projections, open_reader
    from carryfold.projections.tape_files import load_manifest, tape_dir

    terminal = Terminal(json=json)
    home = context.obj.home
    with open_reader(home) as reader, open_projections(home, reader, terminal, update=False) as projections:
        last_seq = reader.last.seq
        found = projections.status()
        manifest = load_manifest(tape_dir(home))
    tape = {
        "rows": 0 if manifest is None else manifest.rows,
        "position": 0 if manifest is None else manifest.head.seq,
        "instruments": 0 if manifest is None else len(manifest.listings),
    }
    if json:
        terminal.emit({"last_seq": last_seq, "tape": tape, "projections": found})
        return
    rows = [
        [TAPE, count(tape["position"]), count(last_seq - tape["position"]), f"{tape['rows']:,} rows",
         "not built yet" if manifest is None else "good"]
    ]  # fmt: skip
    rows += [
        [one.name, count(one.position), count(one.lag), f"{one.bytes / 1e3:,.1f} kB", "good" if one.ok else one.reason]
        for one in found
    ]
    terminal.table(["projection", "position", "behind", "size", "state"], rows, left=(0, 4))
    terminal.say(
        f"The log ends at seq {last_seq:,}. Whatever is behind is brought up to date when it is next asked for."
    )


@app.command()
def rebuild(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="tape, or a projection.  [default: all]")] = None,
    json: Json = False,
) -> None:
    """Throw a projection away and make it again."""
    from carryfold.adapters.bootstrap import open_projections, open_reader, open_tape
    from carryfold.projections.tape_files import MANIFEST_NAME, tape_dir

    terminal = Terminal(json=json)
    home = context.obj.home
    with open_reader(home) as reader, open_projections(home, reader, terminal, update=False) as projections:
        names = [TAPE, *(one.name for one in projections.status())]
        if name is not None and name not in names:
            raise UsageFailed(f"there is no projection '{name}'; known: {', '.join(names)}")
        chosen = names if name is None else [name]
        for one in chosen:
            if one == TAPE:
                (tape_dir(home) / MANIFEST_NAME).unlink(missing_ok=True)  # without it, all else is thrown away
                open_tape(home, reader, terminal)
            else:
                with terminal.progress(f"rebuilding {one}", 100) as advance:
                    projections.rebuild(one, lambda reached, end: advance(100 * reached // max(end, 1)))
    if json:
        terminal.emit({"rebuilt": chosen})
    else:
        terminal.say(f"rebuilt: {', '.join(chosen)}")
