"""`carryfold simexchange`: the exchange in a box, until it is told to stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carryfold.adapters.cli.errors import UsageFailed

if TYPE_CHECKING:
    from carryfold.adapters.simexchange import SimConfig

__all__ = ["simexchange"]


def simexchange(
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1; 0: any free one.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Which market, and which faults.", min=0)] = 7,
    speed: Annotated[float, typer.Option(metavar="X", help="Venue seconds in a second.", min=0.0)] = 1.0,
    pairs: Annotated[
        int | None, typer.Option(metavar="N", help="How many pairs.  [default: 8, or all that were recorded]", min=1)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="HOME", help="Play the history in this home's log instead of a made market.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What goes wrong: JSON or TOML, see docs/simexchange.md.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Venue time at the start. RFC 3339 or a date.  [default: now]")
    ] = None,
    history_days: Annotated[
        int, typer.Option(metavar="N", help="Days of made history before the start.", min=2, max=4000)
    ] = 420,
    balance: Annotated[float, typer.Option(metavar="USDT", help="What the account has.", min=0.0)] = 100_000.0,
) -> None:
    """A Bybit-compatible exchange on this machine, to test bots against.

    Prints one line of JSON when it is ready: where it listens, and the API key that it knows. Serves until it is
    interrupted.
    """
    from decimal import Decimal

    from carryfold.adapters.simexchange import SimConfig
    from carryfold.projections.cursor import parse_time

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

    from carryfold.adapters.simexchange import SimExchange
    from carryfold.projections.cursor import format_time

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        try:
            started = await SimExchange.start(config)
        except ValueError as error:  # faults or a record that cannot be used
            raise UsageFailed(str(error)) from None
        async with started as venue:
            ready = {
                **msgspec.structs.asdict(venue.endpoints),
                "seed": config.seed,
                "start": format_time(venue.clock.start_ms * 1_000_000),
                "speed": config.speed,
                "symbols": [one.symbol for one in venue.exchange.market.instruments],
            }
            waiting = asyncio.ensure_future(venue.wait())
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, waiting.cancel)
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.result()  # the streams ended by themselves: that is a bug, and shows

    asyncio.run(serve())


def _read_faults(file: Path) -> tuple[dict[str, object], ...]:
    """`fault` in TOML or JSON: a list of tables. Raises UsageFailed or OSError."""
    import json
    import tomllib

    text = file.read_text(encoding="utf-8")
    try:
        read = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise UsageFailed(f"{file} cannot be read ({error})") from None
    listed = read.get("fault") if isinstance(read, dict) else read
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "name" in one for one in listed):
        raise UsageFailed(f"{file} has no list of faults with names: see docs/simexchange.md")
    return tuple(listed)
