"""Which Bybit is talked to, and with which key. Addresses and secrets are checked here, before anything is sent."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from carryfold.adapters.venue import VenueError

__all__ = ["DEMO", "MAINNET", "TESTNET", "Credentials", "Endpoint", "Secret", "load_credentials", "parse_endpoint"]

KEY_VARIABLE: Final = "CARRYFOLD_BYBIT_KEY"
SECRET_VARIABLE: Final = "CARRYFOLD_BYBIT_SECRET"  # noqa: S105 - the name of a variable
MAX_FILE_BYTES: Final = 4_096


class Endpoint(msgspec.Struct, frozen=True):
    """The addresses of one Bybit: REST without a path, websockets with theirs."""

    name: str
    rest: str
    ws_linear: str
    ws_spot: str
    ws_private: str

    @property
    def is_loopback(self) -> bool:
        """True for an exchange in a box on this machine."""
        return _is_loopback(urlsplit(self.rest).hostname or "")

    @classmethod
    def at(cls, rest: str) -> Endpoint:
        """The endpoint whose websockets are at the paths that Bybit documents, on the host of `rest`. Raises VenueError
        for an address that would carry keys over an open network."""
        parts = urlsplit(rest)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise VenueError(f"the address {rest!r} is not of the form https://HOST or http://127.0.0.1:PORT")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise VenueError(f"the address {rest!r} is not encrypted: only a loopback address may do without https")
        ws = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/v5"
        return cls(parts.netloc, rest.rstrip("/"), f"{ws}/public/linear", f"{ws}/public/spot", f"{ws}/private")


def _of_bybit(name: str, rest: str, public: str, private: str) -> Endpoint:
    public, private = (f"wss://{host}.bybit.com/v5" for host in (public, private))
    return Endpoint(
        name, f"https://{rest}.bybit.com", f"{public}/public/linear", f"{public}/public/spot", f"{private}/private"
    )


MAINNET: Final = _of_bybit("mainnet", "api", "stream", "stream")
TESTNET: Final = _of_bybit("testnet", "api-testnet", "stream-testnet", "stream-testnet")
DEMO: Final = _of_bybit("demo", "api-demo", "stream", "stream-demo")
"""Demo trading has its own REST and private stream; its market is that of the mainnet."""

_BY_NAME: Final = {endpoint.name: endpoint for endpoint in (MAINNET, TESTNET, DEMO)}


def parse_endpoint(text: str) -> Endpoint:
    """mainnet, testnet, demo, or the REST address of another one. Raises VenueError."""
    known = _BY_NAME.get(text)
    if known is not None:
        return known
    if "://" not in text:
        raise VenueError(f"there is no endpoint '{text}': mainnet, testnet, demo, or an address like https://HOST")
    return Endpoint.at(text)


class Secret:
    """Text that shows itself only when it is asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the signer, for nobody else."""
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


def load_credentials(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Credentials | None:
    """The key from a TOML file with `key` and `secret` that only its owner can read; where none is named, from the
    environment; None where there is neither. Raises VenueError for half a key, an open file or one that is not of that
    form."""
    if file is not None:
        return _from_file(file)
    given = os.environ if environment is None else environment
    key, secret = given.get(KEY_VARIABLE, "").strip(), given.get(SECRET_VARIABLE, "").strip()
    if key and secret:
        return Credentials(key, secret)
    if key or secret:
        missing = SECRET_VARIABLE if key else KEY_VARIABLE
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # whose texts may quote the file
        table = {}
    key, secret = table.get("key"), table.get("secret")
    if len(data) > MAX_FILE_BYTES or not (isinstance(key, str) and isinstance(secret, str) and key and secret):
        raise VenueError(f'{file} must hold two lines of TOML: key = "..." and secret = "..."')
    return Credentials(key, secret)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
