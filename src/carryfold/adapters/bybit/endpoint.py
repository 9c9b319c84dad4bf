"""The addresses of Bybit's servers, checked before anything is sent, and the names of the key's variables."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from carryfold.adapters.venues import VenueError

__all__ = ["DEMO", "ENDPOINTS", "KEY_VARIABLES", "MAINNET", "TESTNET", "Endpoint", "parse_endpoint"]

KEY_VARIABLE: Final = "CARRYFOLD_BYBIT_KEY"
SECRET_VARIABLE: Final = "CARRYFOLD_BYBIT_SECRET"  # noqa: S105 - the name of a variable
KEY_VARIABLES: Final = (KEY_VARIABLE, SECRET_VARIABLE)


class Endpoint(msgspec.Struct, frozen=True):
    """The addresses of one server: REST without a path, websockets with their paths."""

    name: str
    rest: str
    ws_linear: str
    ws_spot: str
    ws_private: str

    @property
    def is_loopback(self) -> bool:
        """True for a simulated exchange on this machine."""
        return _is_loopback(urlsplit(self.rest).hostname or "")

    @classmethod
    def at(cls, rest: str) -> Endpoint:
        """The endpoint on the host of `rest`, with websockets at the paths that Bybit documents. Raises VenueError for
        an address over which keys would travel unencrypted."""
        parts = urlsplit(rest)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise VenueError(f"the address {rest!r} is not of the form https://HOST or http://127.0.0.1:PORT")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise VenueError(f"the address {rest!r} is not encrypted: only a loopback address may use http")
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
"""Demo trading has its own REST server and private stream; its market is that of the mainnet."""

ENDPOINTS: Final = {endpoint.name: endpoint for endpoint in (MAINNET, TESTNET, DEMO)}


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint of a name (mainnet, testnet, demo) or of the address of its REST server. Raises VenueError."""
    known = ENDPOINTS.get(text)
    if known is not None:
        return known
    if "://" not in text:
        raise VenueError(f"there is no endpoint '{text}': mainnet, testnet, demo, or an address like https://HOST")
    return Endpoint.at(text)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
