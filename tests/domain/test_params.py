"""Parameters: sizes as shares of the capital, and the documentation of all defaults and bounds."""

import re
from pathlib import Path

import msgspec
import pytest

from carryfold.domain.params import SIZES, ParameterError, Parameters, parse_settings

CONFIG = Path(__file__).parents[2] / "docs" / "config.md"
CHOSEN_BY_OTHERS = {"split", "fees", "own"}
"""Parameters whose default is described in words."""


def documented() -> dict[str, tuple[str, str]]:
    """(default, allowed) of each parameter, as the tables of the page have them."""
    text = CONFIG.read_text().split("## Parameters")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| ([^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    return {name: (default.strip(), allowed.strip()) for name, default, allowed in rows if name != "name"}


def test_defaults_are_those_of_the_documentation() -> None:
    found = documented()
    params = Parameters()

    for name in Parameters.__struct_fields__:
        if name not in CHOSEN_BY_OTHERS:
            assert parse_settings([f"{name}={found[name][0]}"]) == params, name


def test_bounds_are_those_of_the_documentation() -> None:
    """The ends of each range that the page has are allowed, and what lies beyond them is not."""
    checked = 0
    for name, (_, allowed) in documented().items():
        if name in CHOSEN_BY_OTHERS or " to " not in allowed:
            continue
        low, high = (float(end) for end in allowed.split(" or ")[0].split(" to "))
        # an exit above these would be refused, and so would a tenth of the smallest capital
        kept = {"exit": ["enter=1", "level_full=10"], "capital": ["notional=1"]}.get(name, [])
        for value, beyond in ((low, low - max(1, abs(low))), (high, high + max(1, abs(high)))):
            try:
                parse_settings([*kept, f"{name}={value!r}"])
            except ParameterError as error:
                assert "out of range" not in str(error), f"{name} = {value}"
            with pytest.raises(ParameterError, match="out of range"):
                parse_settings([f"{name}={beyond!r}"])
        checked += 1
    assert checked > 30


def test_a_size_may_be_a_share_of_the_capital_and_follows_it() -> None:
    params = parse_settings(["notional=12.5%", "capital=20000"])

    assert params.notional == "12.5%"
    assert params.in_quote("notional") == 2500.0
    assert params.changed({"capital": 8000.0}).in_quote("notional") == 1000.0
    assert params.record()["notional"][0] == 2500.0


def test_a_size_may_be_an_amount_and_does_not_follow_the_capital() -> None:
    params = parse_settings(["notional=750", "capital=20000"])

    assert params.notional == params.in_quote("notional") == params.record()["notional"][0] == 750.0


@pytest.mark.parametrize("name", SIZES)
def test_every_size_is_packed_in_quote_for_the_fold(name: str) -> None:
    params = parse_settings([f"{name}=3%", "capital=7000"])

    assert params.record()[name][0] == 210.0


def test_one_share_has_one_text() -> None:
    texts = ["notional=10%", "notional=10.0%", "notional=1e1 %", "notional=010%"]

    assert {parse_settings([text]).notional for text in texts} == {"10%"}


def test_parameters_of_a_recorded_run_come_back_as_they_were_written() -> None:
    for params in (Parameters(), parse_settings(["notional=750", "book_cap=40%"])):
        assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(params)), Parameters) == params


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("notional=10x", "'10x' is not a decimal number"),
        ("notional=x%", "neither an amount nor a share of the capital such as 10%"),
        ("notional=%", "neither an amount nor a share"),
        ("notional=nan%", "neither an amount nor a share"),
        ("notional=-5%", "neither an amount nor a share"),
        ("notional=1e999999999%", "neither an amount nor a share"),
        ("notional=0%", "notional = 0 is out of range"),
        ("enter=1%", "'1%' is not a decimal number"),
    ],
)
def test_a_size_that_is_neither_is_refused_with_one_line(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)) as refused:
        parse_settings([text])

    assert "\n" not in str(refused.value)
