"""docs/simexchange.md is complete and correct."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from carryfold.simexchange import Faults, SimConfig, SimExchange
from carryfold.simexchange.endpoints import PRIVATE, PUBLIC
from carryfold.simexchange.faults import NAMES, Fault
from tests.simexchange.venue import config, run, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simexchange.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The code block of a language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


def named(section: str) -> set[str]:
    """The names in the first column of a section's tables."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {name.strip() for row in rows for name in row.split(",")}


def test_every_fault_is_documented_with_its_description() -> None:
    assert [name for name, (_, text) in NAMES.items() if f"| {name} | {text} |" not in PAGE] == []


def test_every_setting_and_every_field_of_a_fault_is_documented() -> None:
    assert named("Settings") - {"setting", "---"} == set(SimConfig.__struct_fields__)
    assert named("Faults") - {"field", "fault", "---"} == {*Fault.__struct_fields__} - {"triggered"} | set(NAMES)


def test_exactly_the_existing_endpoints_are_documented() -> None:
    section = PAGE.split("\n## Endpoints\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"`(/v5/[a-z/-]+)`", section))
    sockets = {"/v5/public/linear", "/v5/public/spot", "/v5/private", "/v5/trade"}

    assert documented == {path for _, path in (*PUBLIC, *PRIVATE)} | sockets


def test_every_documented_control_exists() -> None:
    controls = re.findall(r"`(\w+)\(", PAGE.split("| control |")[1].split("\n## ")[0])
    assert len(controls) >= 8
    for control in controls:
        assert control in ("inject", "clear", "ban") or hasattr(SimExchange, control), control


def test_the_documented_fault_file_is_valid() -> None:
    listed = tomllib.loads(block("toml", "[[fault]]"))["fault"]
    faults = Faults(1)

    assert [faults.inject(**fault).name for fault in listed] == ["lose_response", "duplicate", "outage"]


def test_the_documented_ccxt_set_up_works() -> None:
    lines = block("python", "import ccxt.pro").split("client = ")
    code = "client = " + lines[1]

    async def work() -> None:
        import ccxt.pro

        async with serving(pairs=2, history_days=3) as venue:
            at = {name: getattr(venue.endpoints, name) for name in venue.endpoints.__struct_fields__}
            names: dict[str, Any] = {"ccxt": ccxt, "at": at}
            exec(code, names)
            client = names["client"]
            try:
                assert (await client.fetch_balance())["USDT"]["total"] == 100_000
                assert (await client.watch_ticker("BTC/USDT:USDT"))["bid"] > 0
            finally:
                await client.close()

    run(work())


def test_documented_defaults_are_the_defaults() -> None:
    rows = dict(
        re.findall(r"^\| (\w+) \| ([\d.]+|true) \|", PAGE.split("\n## Settings\n")[1].split("\n## ")[0], re.MULTILINE)
    )
    defaults = SimConfig()

    assert len(rows) >= 12
    for name, documented in rows.items():
        value = getattr(defaults, name)
        assert documented == ("true" if value is True else f"{value:g}"), name
    assert config().seed == defaults.seed
