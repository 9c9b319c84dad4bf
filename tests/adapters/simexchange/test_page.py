"""docs/simexchange.md says everything there is, and nothing that is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from carryfold.adapters.simexchange import Faults, SimConfig, SimExchange
from carryfold.adapters.simexchange.endpoints import PRIVATE, PUBLIC
from carryfold.adapters.simexchange.faults import NAMES, Fault
from tests.adapters.simexchange.venue import config, run, serving

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "simexchange.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The code block of a language that has some text in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


def named(section: str) -> set[str]:
    """What the first column of a section's tables names."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {name.strip() for row in rows for name in row.split(",")}


def test_every_fault_is_told_with_its_own_words() -> None:
    assert [name for name, (_, text) in NAMES.items() if f"| {name} | {text} |" not in PAGE] == []


def test_every_setting_and_every_field_of_a_fault_is_told() -> None:
    assert named("Settings") - {"setting", "---"} == set(SimConfig.__struct_fields__)
    assert named("Faults") - {"field", "fault", "---"} == {*Fault.__struct_fields__} - {"struck"} | set(NAMES)


def test_every_endpoint_is_told_and_no_other() -> None:
    section = PAGE.split("\n## Endpoints\n")[1].split("\n## ")[0]
    told = set(re.findall(r"`(/v5/[a-z/-]+)`", section))
    sockets = {"/v5/public/linear", "/v5/public/spot", "/v5/private", "/v5/trade"}

    assert told == {path for _, path in (*PUBLIC, *PRIVATE)} | sockets


def test_every_lever_is_there() -> None:
    levers = re.findall(r"`(\w+)\(", PAGE.split("| lever |")[1].split("\n## ")[0])
    assert len(levers) >= 8
    for lever in levers:
        assert lever in ("inject", "clear", "ban") or hasattr(SimExchange, lever), lever


def test_the_fault_file_of_the_page_is_one() -> None:
    listed = tomllib.loads(block("toml", "[[fault]]"))["fault"]
    faults = Faults(1)

    assert [faults.inject(**one).name for one in listed] == ["lose_response", "duplicate", "outage"]


def test_ccxt_is_pointed_at_the_exchange_as_the_page_says() -> None:
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


def test_defaults_of_the_page_are_the_real_ones() -> None:
    rows = dict(
        re.findall(r"^\| (\w+) \| ([\d.]+|true) \|", PAGE.split("\n## Settings\n")[1].split("\n## ")[0], re.MULTILINE)
    )
    defaults = SimConfig()

    assert len(rows) >= 12
    for name, told in rows.items():
        value = getattr(defaults, name)
        assert told == ("true" if value is True else f"{value:g}"), name
    assert config().seed == defaults.seed
