"""`carryfold run` and `carryfold verify-run`: the daemon, and the comparison of its runs with a new fold of the log."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import Json, StrategyName
from carryfold.adapters.strategy_files import register_named
from carryfold.adapters.terminal import Terminal, count

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import Workspace
    from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
    from carryfold.projections.run_verification import Verification

__all__ = ["run", "verify_run"]

_MODES: Final = ("observe", "paper", "live")


def run(
    context: typer.Context,
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="observe, paper or live.")],
    pairs: Annotated[
        str | None,
        typer.Option("--pairs", metavar="PAIRS", help="top:N by turnover, symbols A,B,..., or all.  [default: top:20]"),
    ] = None,
    strategy: StrategyName = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be given several times.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--set-file", metavar="FILE", help="Parameters of one run, as TOML; several files: A/B."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="mainnet, testnet, demo, or an address.  [default: mainnet]")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Needed for --mode live, together with live = true.")] = False,
    speed: Annotated[
        float | None,
        typer.Option(metavar="X", help="Follow the clock of a simulated exchange that runs X times as fast."),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="Stop after so long, by the daemon's clock.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="N", help="Prometheus metrics on 127.0.0.1:N.", min=1, max=65535)
    ] = None,
    key_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="API key and secret, mode 0600.  [default: the environment]")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="More lines.")] = False,
) -> None:
    """Run on a venue's live streams until stopped.

    observe records, paper also decides and books simulated fills, live sends orders. Each notice is one line on stderr,
    in JSON unless that is a terminal. SIGTERM and Ctrl-C stop in order. The next start resumes the run.
    """
    given = {
        "pairs": pairs, "endpoint": endpoint, "speed": speed, "stop_after_s": duration, "metrics_port": metrics_port,
        "key_file": key_file,
    }  # fmt: skip
    named = [] if strategy is None else [f"strategy={strategy}"]
    chosen = _settings(context.obj, mode, given, register_named([*named, *(settings or [])]), files or [], live=live)
    import asyncio

    from carryfold.adapters.daemon.notices import Notices  # imports the fold: after strategies are registered
    from carryfold.adapters.daemon.service import run_daemon
    from carryfold.adapters.venues import VenueError
    from carryfold.projections.runs import RunError

    Notices.to_stderr(verbose=verbose)
    try:
        asyncio.run(run_daemon(context.obj.home, chosen))
    except (VenueError, RunError) as error:
        raise CheckFailed(str(error)) from None


def _settings(
    workspace: Workspace, mode: str, given: dict[str, Any], settings: list[str], files: list[Path], *, live: bool
) -> DaemonSettings:
    """The file's [daemon] and [execution], overridden by the command line. Raises ConfigError, UsageFailed."""
    from carryfold.adapters.daemon.settings import DaemonSettings

    if mode not in _MODES:
        raise UsageFailed(f"--mode {mode}: the modes are {', '.join(_MODES)}")
    duration = given["stop_after_s"]
    if duration is not None and not 0.0 < duration < math.inf:
        raise UsageFailed("--for takes seconds, more than 0")
    config = workspace.load_config()
    if (mode == "live") != live:
        raise UsageFailed("real orders need both --mode live and --live" if live else "--mode live also needs --live")
    if mode == "live" and not config.daemon.live:
        raise UsageFailed("real orders also need [daemon] live = true in the configuration")
    table = config.daemon
    merged: dict[str, Any] = {
        "pairs": table.pairs, "endpoint": table.endpoint, "metrics_port": table.metrics_port,
        "key_file": table.key_file,
    } | {name: value for name, value in given.items() if value is not None}  # fmt: skip
    return DaemonSettings(
        mode=mode,  # type: ignore[arg-type]
        sets=_sets(workspace, mode, settings, files),
        policy=config.recording,
        limits=config.execution,
        low_disk_mb=table.low_disk_mb,
        **merged,
    )


def _sets(workspace: Workspace, mode: str, settings: list[str], files: list[Path]) -> tuple[ParameterSet, ...]:
    """One run for each file, or one of the configuration and --set."""
    from carryfold.adapters.config import load_config
    from carryfold.adapters.daemon.settings import LIVE_STALE_S, ParameterSet
    from carryfold.domain.params import parse_settings

    if mode == "observe":
        if settings or files:
            raise UsageFailed(
                "--strategy, --set and --set-file have no effect with --mode observe, which decides nothing"
            )
        return ()
    if mode == "live" and len(files) > 1:
        raise UsageFailed("a live account runs one parameter set: compare several with --mode paper")
    base = workspace.load_config().parameters
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise UsageFailed(f"--set-file {missing[0]}: no such file")
    loaded = [(file, load_config(workspace.home, file)) for file in files]
    for file, config in loaded:
        if other := sorted({*config.tables} - {"parameters"}):
            raise UsageFailed(f"--set-file {file}: a parameter set has only [parameters], not [{other[0]}]")
    texts = [(file.stem, config.parameters) for file, config in loaded] or [("run", ())]
    sets = []
    for name, own in texts:
        stale = [f"stale_s={LIVE_STALE_S}"]
        sets.append(ParameterSet(name, parse_settings([*stale, *base, *own, *settings])))
    if any(one.parameters == other.parameters for one, other in combinations(sets, 2)):
        raise UsageFailed("two parameter sets are equal: an A/B comparison needs a difference")
    return tuple(sets)


def verify_run(
    context: typer.Context,
    run: Annotated[
        int | None, typer.Argument(metavar="RUN", help="Its number, the seq of its start.  [default: every run]")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--strategy", metavar="FILE", help="The file of a strategy that runs used; may be given several times."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fold a paper or live run again and compare.

    Every decision, every simulated fill and, after a stop in order, the final state must be equal to the last bit.
    Prints "identical", or the first difference with exit code 1.
    """
    register_named(f"strategy={file.absolute()}" for file in files or [])
    context.obj.load_config()  # registers the strategy that it names
    from carryfold.adapters.bootstrap import announce_compiling, open_reader, open_tape
    from carryfold.domain.fold import CODE_DIGEST
    from carryfold.projections.run_verification import verify_run as verify
    from carryfold.projections.runs import RunError, list_runs

    terminal = Terminal(json=json)
    try:
        with open_reader(context.obj.home) as reader:
            infos = [info for info in list_runs(reader) if run in (None, info.run)]
            if not infos:
                wanted = "runs" if run is None else f"run {run}"
                raise CheckFailed(f"the log in {context.obj.home} has no {wanted}")
            tape = open_tape(context.obj.home, reader, terminal)
            announce_compiling(terminal)
            found = [verify(reader, tape, info, CODE_DIGEST) for info in infos if info.mode != "observe"]
    except RunError as error:
        raise CheckFailed(str(error)) from None
    if json:
        terminal.emit({"identical": all(one.identical for one in found), "runs": found})
    else:
        for one in found:
            _show(terminal, one)
    if not all(one.identical for one in found):
        raise typer.Exit(1)


def _show(terminal: Terminal, one: Verification) -> None:
    what = f"run {one.run} ({one.mode}): {count(one.decisions)} decisions, {count(one.fills)} simulated bookings"
    if one.identical:
        state = "and the state " if one.recorded_state_hash else ""
        terminal.print(f"{what} {state}identical under upto_seq {one.upto_seq:,}")
    elif one.first_difference is None:
        terminal.print(f"{what} identical, but the state is {one.state_hash}, not {one.recorded_state_hash}")
    else:
        first = one.first_difference
        terminal.print(f"{what}: DIFFERENT from number {first.number} of its {first.stream} on")
        terminal.print(f"  recorded: {first.recorded}")
        terminal.print(f"  refolded: {first.refolded}")
    holding = f"holds {', '.join(one.held)}" if one.held else "holds nothing"
    terminal.print(f"  {holding}; equity {one.equity:,.2f}, funding {one.funding:,.2f}, fees {one.fees:,.2f}")
    if one.hindsight_decisions:
        terminal.print(
            f"  with observations recorded later, {one.hindsight_decisions} decisions would differ, the first at"
            f" {one.hindsight_first_at}: hindsight, not an error"
        )
