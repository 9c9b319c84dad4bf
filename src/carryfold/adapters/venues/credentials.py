"""API keys: kept out of every text, read from a private file or from the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from carryfold.adapters.venues.errors import VenueError

__all__ = ["Credentials", "Secret", "load_credentials"]

MAX_FILE_BYTES: Final = 4_096


class Secret:
    """Text that is shown by `reveal` alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the signer alone."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


class Credentials:
    """An API key with its secret."""

    __slots__ = ("key", "secret")

    def __init__(self, key: str, secret: str) -> None:
        self.key = Secret(key)
        self.secret = Secret(secret)

    def __repr__(self) -> str:
        return "Credentials(***)"


def load_credentials(
    file: Path | None, variables: tuple[str, str], environment: Mapping[str, str] | None = None
) -> Credentials | None:
    """The key from a TOML file with `key` and `secret` that only its owner can read; without a file, from the
    environment variables of these names (key, secret); None where there is neither. Raises VenueError for half a key,
    and for a file that others can read or that has another form."""
    if file is not None:
        return _from_file(file)
    found = os.environ if environment is None else environment
    key, secret = (found.get(name, "").strip() for name in variables)
    if key and secret:
        return Credentials(key, secret)
    if key or secret:
        missing = variables[1 if key else 0]
        raise VenueError(f"{missing} is not set: the key and its secret come together")
    return None


def _from_file(file: Path) -> Credentials:
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise VenueError(f"{file}: {os.strerror(error.errno or 0).lower()}: name the file with the API key") from None
    if mode & 0o077:
        raise VenueError(f"{file} can be read by others: chmod 600 it, and make a new key if it was ever shared")
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # the text of these errors may quote the file
        table = {}
    key, secret = table.get("key"), table.get("secret")
    if len(data) > MAX_FILE_BYTES or not (isinstance(key, str) and isinstance(secret, str) and key and secret):
        raise VenueError(f'{file} must hold two lines of TOML: key = "..." and secret = "..."')
    return Credentials(key, secret)
