"""Strategies in files of users: found in the environment, in a configuration or on the command line, and registered
before anything is folded, because they are compiled into the one kernel."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["VARIABLE", "register_environment", "register_named"]

VARIABLE: Final = "CARRYFOLD_STRATEGIES"
"""Files that every process registers at its start, separated like those of PATH: runs of them can be verified."""

_SETTING: Final = "strategy="


def register_environment() -> None:
    """Register the files of the environment. Raises StrategyError."""
    files = os.environ.get(VARIABLE, "")
    if files:
        from carryfold.domain.strategies import register

        for file in filter(None, files.split(os.pathsep)):
            register(Path(file))


def register_named(settings: Iterable[str], folder: Path | None = None) -> list[str]:
    """`settings` (texts name=value) with files as strategies registered, and named as they are called from then on.
    A relative file is looked for in `folder`, by default the current one. Raises StrategyError."""
    return [_registered(text, folder or Path()) if text.startswith(_SETTING) else text for text in settings]


def _registered(text: str, folder: Path) -> str:
    value = text.removeprefix(_SETTING)
    if not value.endswith(".py") and os.sep not in value:
        return text
    from carryfold.domain.strategies import register

    return _SETTING + register(folder / Path(value).expanduser()).name
