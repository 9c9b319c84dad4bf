"""Options that several commands share, each with one meaning and one help text."""

from typing import Annotated

import typer

__all__ = [
    "AsOf", "CarryAcross", "Json", "LegsName", "PairList", "Reason", "Settings", "Since", "StrategyName", "Universe",
    "Until", "UptoSeq", "Venue",
]  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
StrategyName = Annotated[
    str | None,
    typer.Option(
        "--strategy", metavar="NAME", help="simple, composite, hold, or a file: ./mine.py.  [default: simple]"
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter; may be given many times. See docs/config.md."),
]
LegsName = Annotated[
    str | None,
    typer.Option(
        "--legs",
        metavar="LEGS",
        help="carry (spot and perpetual), spread (perpetuals of two venues), or both.  [default: carry]",
    ),
]
CarryAcross = Annotated[bool, typer.Option("--carry-across", help="Also carry pairs with their legs at two venues.")]
PairList = Annotated[
    str | None,
    typer.Option("--pairs", metavar="A,B,...", help="Only these pairs or symbols.  [default: all that are listed]"),
]
Universe = Annotated[
    str | None,
    typer.Option(
        "--universe",
        metavar="top:N",
        help="Enter only the N perpetuals with the most turnover in the 30 days before each month.",
    ),
]
Venue = Annotated[str | None, typer.Option("--venue", metavar="NAME", help="Only pairs of this venue.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Start here; earlier data only warms up signals. RFC 3339 or a date."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="End before this time. RFC 3339 or a date.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Use only what was known at this time. RFC 3339 or a date."),
]
UptoSeq = Annotated[
    str | None, typer.Option("--upto-seq", metavar="SEQ", help="Use only what was recorded up to this sequence number.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the log with the command.")]
