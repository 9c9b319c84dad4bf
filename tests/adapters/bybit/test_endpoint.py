"""Addresses and keys: what is accepted, and that a secret never shows."""

import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest

from carryfold.adapters.bybit.endpoint import (
    DEMO,
    KEY_VARIABLES,
    MAINNET,
    TESTNET,
    Endpoint,
    parse_endpoint,
)
from carryfold.adapters.venues import Credentials, VenueError
from carryfold.adapters.venues.credentials import load_credentials

KEY, SECRET = "a-key-of-a-test", "a-secret-of-a-test"


def test_the_three_bybits_have_the_addresses_of_the_documentation() -> None:
    assert parse_endpoint("mainnet") is MAINNET
    assert parse_endpoint("testnet").rest == TESTNET.rest == "https://api-testnet.bybit.com"
    assert MAINNET.ws_linear == "wss://stream.bybit.com/v5/public/linear"
    assert parse_endpoint("demo") is DEMO
    assert DEMO.ws_spot == MAINNET.ws_spot, "the market of demo trading is the real one"
    assert DEMO.ws_private == "wss://stream-demo.bybit.com/v5/private"


def test_another_address_has_its_streams_where_bybit_has_them() -> None:
    found = parse_endpoint("https://api.bytick.example/")

    assert found.rest == "https://api.bytick.example"
    assert found.ws_private == "wss://api.bytick.example/v5/private"
    assert Endpoint.at("http://127.0.0.1:8080").ws_spot == "ws://127.0.0.1:8080/v5/public/spot"


@pytest.mark.parametrize(
    "text",
    ["", "Mainnet", "api.bybit.com", "http://api.bybit.com", "ftp://x", "https://", "https://x/path", "https://x?q"],
)
def test_other_addresses_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(VenueError) as raised:
        parse_endpoint(text)

    assert "\n" not in str(raised.value)


def test_keys_are_never_sent_unencrypted_beyond_this_machine() -> None:
    with pytest.raises(VenueError, match="not encrypted"):
        Endpoint.at("http://192.168.1.2:8080")


def test_the_key_comes_from_the_file_that_is_named_and_else_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key.toml"
    file.write_text('key = "other"\nsecret = "other"\n')
    file.chmod(0o600)

    environment = {"CARRYFOLD_BYBIT_KEY": KEY, "CARRYFOLD_BYBIT_SECRET": SECRET}
    found = load_credentials(None, KEY_VARIABLES, environment)
    from_file = load_credentials(file, KEY_VARIABLES, environment)

    assert found is not None
    assert (found.key.reveal(), found.secret.reveal()) == (KEY, SECRET)
    assert from_file is not None
    assert from_file.key.reveal() == "other", "the wrong account would be traded on"
    assert load_credentials(None, KEY_VARIABLES, {}) is None


def test_half_a_key_is_refused() -> None:
    with pytest.raises(VenueError, match="CARRYFOLD_BYBIT_SECRET is not set"):
        load_credentials(None, KEY_VARIABLES, {"CARRYFOLD_BYBIT_KEY": KEY})


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        (f'key = "{KEY}"\nsecret = "{SECRET}"\n', 0o644, "can be read by others"),
        (f'key = "{KEY}"\n', 0o600, "two lines of TOML"),
        (f"{KEY}:{SECRET}\n", 0o600, "two lines of TOML"),
        ("key = 1\nsecret = 2\n", 0o600, "two lines of TOML"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_without_quoting_it(
    tmp_path: Path, text: str, mode: int, expected: str
) -> None:
    file = tmp_path / "key.toml"
    file.write_text(text)
    file.chmod(mode)

    with pytest.raises(VenueError, match=expected) as raised:
        load_credentials(file, KEY_VARIABLES, {})

    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_missing_key_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VenueError, match="no such file"):
        load_credentials(tmp_path / "nothing", KEY_VARIABLES, {})


def test_a_secret_shows_nowhere() -> None:
    credentials = Credentials(KEY, SECRET)

    for shown in (repr(credentials), str(credentials.secret), f"{credentials.key}", repr([credentials.secret])):
        assert KEY not in shown
        assert SECRET not in shown
    for write in (pickle.dumps, copy.copy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError):
            write(credentials.secret)
