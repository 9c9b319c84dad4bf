"""Users' strategy files: named in the environment, in a configuration or on the command line.

They are read and registered here, before anything is folded, because they are compiled into the one kernel.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from carryfold.domain.strategies import Strategy

__all__ = ["VARIABLE", "register_environment", "register_file", "register_named"]

VARIABLE: Final = "CARRYFOLD_STRATEGIES"
"""Files that every process registers at its start, separated as in PATH. Runs of them can then be verified."""

_SETTING: Final = "strategy="


def register_environment() -> None:
    """Register the files of the environment. Raises StrategyError."""
    for file in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        register_file(Path(file))


def register_named(settings: Iterable[str], folder: Path | None = None) -> list[str]:
    """Register the strategy files among `settings` (texts name=value).

    Returns the settings with each file replaced by the name of its strategy. A relative path starts at `folder`, by
    default the current one. Raises StrategyError.
    """
    return [_registered(text, folder or Path()) if text.startswith(_SETTING) else text for text in settings]


def register_file(path: Path) -> "Strategy":
    """Read a file and register its strategy under the file's stem. Raises StrategyError."""
    from carryfold.domain.strategies import StrategyError, register

    path = path.resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror or error})") from None
    return register(path.stem, source, str(path))


def _registered(text: str, folder: Path) -> str:
    value = text.removeprefix(_SETTING)
    if not value.endswith(".py") and os.sep not in value:
        return text
    return _SETTING + register_file(folder / Path(value).expanduser()).name
