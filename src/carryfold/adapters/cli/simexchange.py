"""`carryfold simexchange`: serve a simulated exchange until interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carryfold.adapters.cli.errors import UsageFailed

if TYPE_CHECKING:
    from carryfold.simexchange import SimConfig

__all__ = ["simexchange"]


def simexchange(
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1; 0: any free one.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the generated market and of the faults.", min=0)] = 7,
    speed: Annotated[float, typer.Option(metavar="X", help="Venue seconds per real second.", min=0.0)] = 1.0,
    pairs: Annotated[
        int | None, typer.Option(metavar="N", help="Number of pairs.  [default: 8, or all recorded ones]", min=1)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="HOME", help="Replay the log of this home instead of a generated market.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Faults to inject: JSON or TOML, see docs/simexchange.md.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Venue time at the start. RFC 3339 or a date.  [default: now]")
    ] = None,
    history_days: Annotated[
        int, typer.Option(metavar="N", help="Days of generated history before the start.", min=2, max=4000)
    ] = 420,
    balance: Annotated[
        float, typer.Option(metavar="USDT", help="Starting balance of the account.", min=0.0)
    ] = 100_000.0,
) -> None:
    """Run a Bybit-compatible exchange on this machine to test bots.

    Prints one line of JSON with its addresses and API key when it is ready. Serves until interrupted.
    """
    from decimal import Decimal

    from carryfold.projections.cursor import parse_time
    from carryfold.simexchange import SimConfig

    try:
        config = SimConfig(
            port=port,
            seed=seed,
            speed=speed,
            pairs=pairs or 0,
            replay=replay,
            history_days=history_days,
            start_ms=0 if start is None else parse_time(start) // 1_000_000,
            balances={"USDT": Decimal(str(balance))},
            faults=() if faults is None else _read_faults(faults),
        )
    except ValueError as error:
        raise UsageFailed(str(error)) from None
    _serve(config)


def _serve(config: SimConfig) -> None:
    import asyncio
    import signal

    import msgspec

    from carryfold.projections.cursor import format_time
    from carryfold.simexchange import SimExchange

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        try:
            started = await SimExchange.start(config)
        except ValueError as error:  # invalid faults or an unusable replay
            raise UsageFailed(str(error)) from None
        async with started as venue:
            ready = {
                **msgspec.structs.asdict(venue.endpoints),
                "seed": config.seed,
                "start": format_time(venue.clock.start_ms * 1_000_000),
                "speed": config.speed,
                "symbols": [pair.symbol for pair in venue.exchange.market.pairs],
            }
            waiting = asyncio.ensure_future(venue.wait())
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, waiting.cancel)
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.result()  # raises the error that ended the streams

    asyncio.run(serve())


def _read_faults(file: Path) -> tuple[dict[str, object], ...]:
    """The faults in a TOML or JSON file: a list of tables. Raises UsageFailed or OSError."""
    import json
    import tomllib

    text = file.read_text(encoding="utf-8")
    try:
        read = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise UsageFailed(f"{file} cannot be read ({error})") from None
    listed = read.get("fault") if isinstance(read, dict) else read
    if not isinstance(listed, list) or not all(isinstance(item, dict) and "name" in item for item in listed):
        raise UsageFailed(f"{file} has no list of named faults: see docs/simexchange.md")
    return tuple(listed)
