"""`carryfold`: the commands, the global options, and the exit codes.

Exit codes: 0 success, 1 the check failed or the job could not finish, 2 wrong usage, 130 interrupted. An error of the
environment is one line on stderr; a traceback is a bug. Only the requested command is imported, and it imports its
modules when it runs, so that `--help` and `--version` stay fast (tests check this).
"""

import gc
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from carryfold.adapters.bootstrap import Workspace
from carryfold.adapters.cli.errors import describe_error
from carryfold.adapters.strategy_files import register_environment

__all__ = ["main"]

DEFAULT_HOME: Final = Path(".carryfold")
HOME_VARIABLE: Final = "CARRYFOLD_HOME"
_GLOBAL: Final = ("--home", "--config")
_ALLOCATIONS_PER_COLLECTION: Final = 100_000
"""Loading the compiler makes many objects and no garbage. With Python's own 700, looking for some takes a tenth of a
small backtest."""

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
    "predictions": "data.predictions",
    "quality": "data.quality",
    "run": "run.run",
    "verify-run": "run.verify_run",
    "runs": "trading.runs",
    "decisions": "trading.decisions",
    "orders": "trading.orders",
    "fills": "trading.fills",
    "positions": "trading.positions",
    "ledger": "trading.ledger",
    "equity": "trading.equity",
    "feeds": "trading.feeds",
    "halt": "control.halt",
    "resume": "control.resume",
    "flatten": "control.flatten",
    "simexchange": "simexchange.simexchange",
    "log": "logs.app",
    "project": "project.app",
}
"""The function or the app of every command, as module.member, in the order of the help."""


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
    version: Annotated[  # noqa: ARG001 - its callback handles it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    register_environment()
    variable = os.environ.get(HOME_VARIABLE)
    chosen = home or (Path(variable) if variable else DEFAULT_HOME)
    context.obj = Workspace(chosen, config, home_given=home is not None or bool(variable))


def _app(names: Iterable[str]) -> typer.Typer:
    """The Typer app with these commands."""
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
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)
    global_options, others = _split_global_options(sys.argv[1:] if arguments is None else list(arguments))
    app = _app(others[:1] if others and others[0] in _COMMANDS else _COMMANDS)
    try:
        code = app([*global_options, *others], standalone_mode=False, prog_name="carryfold")
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            _discard_stdout()
            return 1
        described = describe_error(error)
        if described is None:
            raise
        code, text = described
        sys.stderr.write(text + "\n")
    return code if isinstance(code, int) else 0


def _split_global_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the global options, which the parser expects first; the other arguments)."""
    global_options: list[str] = []
    others: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            others += [argument, *remaining]
        elif argument in _GLOBAL:
            global_options += [argument, *[value for value in [next(remaining, None)] if value is not None]]
        elif argument.startswith(tuple(name + "=" for name in _GLOBAL)):
            global_options.append(argument)
        else:
            others.append(argument)
    return global_options, others


def _discard_stdout() -> None:
    """The reader of our output has gone. Python flushes stdout at exit, so point it elsewhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
