"""`carryfold project`: the state of the tape and the projections, and rebuilding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from carryfold.adapters.cli.errors import UsageFailed
from carryfold.adapters.cli.options import Json
from carryfold.adapters.cli.questions import give, open_sources
from carryfold.adapters.terminal import Terminal, count

if TYPE_CHECKING:
    from carryfold.projections.queries import DerivedStatus

__all__ = ["app"]

TAPE = "tape"

app = typer.Typer(
    help="What is derived from the log, and can be built again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Position, size and state of the tape and each projection."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    with open_sources(context, terminal) as sources:
        give(terminal, queries.derived_status(sources), _show)


@app.command()
def rebuild(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="tape, or a projection.  [default: all]")] = None,
    json: Json = False,
) -> None:
    """Discard a projection and build it again."""
    from carryfold.adapters.bootstrap import open_queries
    from carryfold.projections.catalogue import ALL_PROJECTIONS
    from carryfold.projections.tape_files import MANIFEST_NAME, tape_dir

    terminal = Terminal(json=json)
    names = [TAPE, *(one.name for one in ALL_PROJECTIONS)]
    if name is not None and name not in names:
        raise UsageFailed(f"there is no projection '{name}'; known: {', '.join(names)}")
    chosen = names if name is None else [name]
    with open_queries(context.obj.home, terminal) as home:
        for one in chosen:
            if one == TAPE:
                (tape_dir(home.home) / MANIFEST_NAME).unlink(missing_ok=True)  # without it, every part is discarded
                _ = home.tape
            else:
                with terminal.progress(f"rebuilding {one}", 100) as advance:
                    home.stored.rebuild(one, lambda reached, end: advance(100 * reached // max(end, 1)))
    if json:
        terminal.emit({"rebuilt": chosen})
    else:
        terminal.print(f"rebuilt: {', '.join(chosen)}")


def _show(terminal: Terminal, found: DerivedStatus) -> None:
    tape, last_seq = found.tape, found.last_seq
    rows = [
        [TAPE, count(tape.position), count(last_seq - tape.position), f"{tape.rows:,} rows",
         "good" if tape.position or not last_seq else "not built yet"],
        *(
            [one.name, count(one.position), count(one.lag), f"{one.bytes / 1e3:,.1f} kB",
             "good" if one.ok else one.reason]
            for one in found.projections
        ),
    ]  # fmt: skip
    terminal.table(["projection", "position", "behind", "size", "state"], rows, left=(0, 4))
    terminal.print(
        f"The log ends at seq {last_seq:,}. A projection that is behind is brought up to date by the next question."
    )
