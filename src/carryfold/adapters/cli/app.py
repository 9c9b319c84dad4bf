"""`carryfold`: the commands, the global options, and how a command ends.

Exit codes: 0 good, 1 the check failed or the job could not finish, 2 wrong usage, 130 interrupted. What goes wrong in
the world is one line on stderr; a traceback is a bug. Commands import what they need when they run: `--help` and
`--version` pay for none of it (a test holds this).
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from carryfold.adapters.bootstrap import Place
from carryfold.adapters.cli import backfill, control, data, demo, logs, project, research, run, simexchange
from carryfold.adapters.cli.errors import describe_error

__all__ = ["app", "main"]

DEFAULT_HOME: Final = Path(".carryfold")
HOME_VARIABLE: Final = "CARRYFOLD_HOME"
_GLOBAL: Final = ("--home", "--config")

app = typer.Typer(
    name="carryfold",
    help="Funding-rate arbitrage as one event-sourced fold. --home and --config may stand anywhere.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"carryfold {version('carryfold')}\n")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help=f"Folder of the log.  [default: ${HOME_VARIABLE} or ./{DEFAULT_HOME}]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file.  [default: carryfold.toml in the home, if there is one]")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    variable = os.environ.get(HOME_VARIABLE)
    chosen = home or (Path(variable) if variable else DEFAULT_HOME)
    context.obj = Place(chosen, config, given=home is not None or bool(variable))


app.command("demo")(demo.demo)
app.command("import")(data.import_files)
app.command("backfill")(backfill.backfill)
app.command("backtest")(research.backtest)
app.command("compare")(research.compare)
app.command("replay")(research.replay)
app.command("lookahead")(research.lookahead)
app.command("pairs")(data.pairs)
app.command("rates")(data.rates)
app.command("quality")(data.quality)
app.command("run")(run.run)
app.command("verify-run")(run.verify_run)
app.command("halt")(control.halt)
app.command("resume")(control.resume)
app.command("flatten")(control.flatten)
app.command("simexchange")(simexchange.simexchange)
app.add_typer(logs.app, name="log")
app.add_typer(project.app, name="project")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(_hoisted(given), standalone_mode=False, prog_name="carryfold")
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            _forget_stdout()
            return 1
        described = describe_error(error)
        if described is None:
            raise
        code, text = described
        sys.stderr.write(text + "\n")
    return code if isinstance(code, int) else 0


def _hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options in front, where they are looked for."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument in _GLOBAL:
            front += [argument, *[value for value in [next(left, None)] if value is not None]]
        elif argument.startswith(tuple(name + "=" for name in _GLOBAL)):
            front.append(argument)
        else:
            rest.append(argument)
    return [*front, *rest]


def _forget_stdout() -> None:
    """Whoever read our output has gone: nothing more may be written there, not even at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
