"""`carryfold`: the commands, the global options, and how a command ends.

Exit codes: 0 good, 1 the check failed or the job could not finish, 2 wrong usage, 130 interrupted. What goes wrong in
the world is one line on stderr; a traceback is a bug. Only the command that is asked for is imported, and it imports
what it needs when it runs: `--help` and `--version` pay for none of it (a test holds this).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from carryfold.adapters.bootstrap import Place
from carryfold.adapters.cli.errors import describe_error
from carryfold.adapters.strategy_files import register_environment

__all__ = ["main"]

DEFAULT_HOME: Final = Path(".carryfold")
HOME_VARIABLE: Final = "CARRYFOLD_HOME"
_GLOBAL: Final = ("--home", "--config")

_COMMANDS: Final = {
    "demo": "demo.demo",
    "import": "data.import_files",
    "backfill": "backfill.backfill",
    "backtest": "research.backtest",
    "compare": "research.compare",
    "replay": "research.replay",
    "lookahead": "research.lookahead",
    "pairs": "data.pairs",
    "rates": "data.rates",
    "quality": "data.quality",
    "run": "run.run",
    "verify-run": "run.verify_run",
    "halt": "control.halt",
    "resume": "control.resume",
    "flatten": "control.flatten",
    "simexchange": "simexchange.simexchange",
    "log": "logs.app",
    "project": "project.app",
}
"""Every command and group of commands, in the order of the help: where its function, or its app, is."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"carryfold {version('carryfold')}\n")
        raise typer.Exit


def _root(
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
    register_environment()
    variable = os.environ.get(HOME_VARIABLE)
    chosen = home or (Path(variable) if variable else DEFAULT_HOME)
    context.obj = Place(chosen, config, given=home is not None or bool(variable))


def _app(names: Iterable[str]) -> typer.Typer:
    """The program with these commands."""
    app = typer.Typer(
        name="carryfold",
        help="Funding-rate arbitrage as one event-sourced fold. --home and --config may stand anywhere.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )
    app.callback()(_root)
    for name in names:
        module, _, member = _COMMANDS[name].partition(".")
        found = getattr(import_module(f"carryfold.adapters.cli.{module}"), member)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options, rest = _hoisted(sys.argv[1:] if arguments is None else list(arguments))
    app = _app(rest[:1] if rest and rest[0] in _COMMANDS else _COMMANDS)
    try:
        code = app([*options, *rest], standalone_mode=False, prog_name="carryfold")
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


def _hoisted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the global options, which are looked for in front; the other arguments)."""
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
    return front, rest


def _forget_stdout() -> None:
    """Whoever read our output has gone: nothing more may be written there, not even at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
