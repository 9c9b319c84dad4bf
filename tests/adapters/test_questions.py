"""Every question of the room, asked by command line and by library, has the same answer."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.cli import app
from carryfold.adapters.terminal import to_json
from carryfold.projections import queries
from carryfold.projections.cursor import Cursor, format_time
from carryfold.projections.queries import QUESTIONS, LogEvent, LogStatus
from tests.adapters.shell import Shell, write_files
from tests.projections.run_logs import HOUR, T0, live_run, paper_run

SPAN = ("--since", format_time(T0 + HOUR), "--until", format_time(T0 + 20 * HOUR))
SPAN_OF_LIBRARY = {"since": T0 + HOUR, "until": T0 + 20 * HOUR}
NAMED = (*SPAN, "--pairs", "A,BUSDT", "--venue", "v")
NAMED_IN_LIBRARY = {**SPAN_OF_LIBRARY, "names": ["A", "BUSDT"], "venue": "v"}

COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "instruments": (("pairs", "--instruments", "--pairs", "A"), {"names": ["A"]}),
    "pairs": (("pairs", "--legs", "both", "--carry-across"), {"legs": "both", "carry_across": True}),
    "rates": (("rates", *NAMED), NAMED_IN_LIBRARY),
    "settlements": (("rates", "--list", "--pairs", "A"), {"names": ["A"]}),
    "predictions": (("predictions", *SPAN), SPAN_OF_LIBRARY),
    "quality": (("quality", *SPAN), SPAN_OF_LIBRARY),
    "runs": (("runs",), {}),
    "decisions": (("decisions", *NAMED), NAMED_IN_LIBRARY),
    "orders": (("orders", *NAMED), NAMED_IN_LIBRARY),
    "fills": (("fills", *NAMED), NAMED_IN_LIBRARY),
    "positions": (("positions", "--run", "7", "--pairs", "A"), {"run": 7, "names": ["A"]}),
    "ledger": (("ledger", *NAMED), NAMED_IN_LIBRARY),
    "equity": (("equity", "--run", "7"), {"run": 7}),
    "feeds": (("feeds",), {}),
    "log_status": (("log", "stat"), {}),
    "derived_status": (("project", "status"), {}),
    "events": (("log", "show", "--from", "5", "--limit", "0"), {"first_seq": 5}),
}
"""By the name of a question: the command that asks it, with some options, and the same for the library."""

UNDER_NO_CURSOR = ("log_status", "derived_status", "events")
FOR_OTHER_QUESTIONS = ("run_start", "fills_of_run")
"""Functions of the room that are no questions: others are answered with them."""


@pytest.fixture(scope="module", params=["live", "paper", "imported"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a live run, one with a paper run, and one with imported history alone."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "live":
        live_run(folder)
    elif request.param == "paper":
        paper_run(folder)
    else:
        assert app.main(["--home", str(folder), "import", *map(str, write_files(folder))]) == 0
    return folder


def test_every_question_has_a_command() -> None:
    """A new question belongs into the table above, and its command into the program."""
    assert [question.__name__ for question in QUESTIONS] == list(COMMANDS)
    assert {arguments[0] for arguments, _ in COMMANDS.values()} <= set(app._COMMANDS)


def test_every_function_of_the_room_that_reads_sources_is_a_question() -> None:
    found = set()
    for info in pkgutil.iter_modules(queries.__path__, f"{queries.__name__}."):
        module = importlib.import_module(info.name)
        for name in module.__all__:
            one = getattr(module, name)
            if inspect.isfunction(one) and next(iter(inspect.signature(one).parameters)) == "sources":
                found.add(name)

    assert found - set(FOR_OTHER_QUESTIONS) == {question.__name__ for question in QUESTIONS}
    assert all(getattr(queries, question.__name__) is question for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_the_command_and_the_library_give_the_same_answer(
    shell: Shell, home: Path, question: Callable[..., Any]
) -> None:
    arguments, options = COMMANDS[question.__name__]
    done = shell.run(*arguments, "--json", home=home)
    with queries.open_home(home) as opened:
        try:
            found = question(opened.at(), **options)
            answered = list(map(_as_json, _each(found)))
        except queries.QueryError as error:
            assert (done.code, done.out, done.err) == (1, "", f"carryfold: {error}\n")
            return

    assert done.code == 0, done.err
    assert [_comparable(json.loads(line)) for line in done.out.splitlines()] == list(map(_comparable, answered))


@pytest.mark.parametrize(
    "question",
    [one for one in QUESTIONS if one.__name__ not in UNDER_NO_CURSOR],
    ids=lambda question: question.__name__,
)
def test_both_take_a_cursor(shell: Shell, home: Path, question: Callable[..., Any]) -> None:
    (command, *_), _ = COMMANDS[question.__name__]
    listed = {"instruments": ("--instruments",), "settlements": ("--list",)}.get(question.__name__, ())
    done = shell.run(command, *listed, "--as-of", "2024-10-04T08:00:00Z", "--upto-seq", "90", "--json", home=home)
    with queries.open_home(home) as opened:
        try:
            found = question(opened.at(Cursor(T0 + 8 * HOUR, 90)))
        except queries.QueryError as error:
            assert (done.code, done.err) == (1, f"carryfold: {error}\n")
            return

    assert (found.as_of, found.upto_seq) == ("2024-10-04T08:00:00Z", 90)
    assert json.loads(done.out) == _as_json(found)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_every_answer_is_shown_to_people_too(shell: Shell, home: Path, question: Callable[..., Any]) -> None:
    arguments, _ = COMMANDS[question.__name__]
    done = shell.run(*arguments, home=home)

    assert done.code == 0 or done.err.startswith("carryfold: "), done.err
    assert "1970" not in done.out, "0 is no time"


@pytest.mark.parametrize("strategy", ["simple", "composite", "hold"])
def test_an_unknown_time_is_never_shown_as_1970(shell: Shell, tmp_path: Path, strategy: str) -> None:
    """Imported listings have no time and are known from 0 on; so a decision may be at 0."""
    folder = tmp_path / "home"
    assert shell.run("import", str(write_files(tmp_path)[0]), home=folder).code == 0
    text = shell.run("backtest", "--strategy", strategy, "--decisions", "--trades", home=folder)
    data = shell.json("backtest", "--strategy", strategy, "--decisions", "--trades", home=folder)

    assert "1970" not in text.out + json.dumps(data)
    if strategy == "hold":
        assert "unknown" in text.out
        assert data["decision_list"][0]["at"] is None


def _each(answer: Any) -> list[Any]:
    """The lines of JSON that an answer is printed as."""
    return [event.flat for event in answer if isinstance(event, LogEvent)] if isinstance(answer, Iterator) else [answer]


def _as_json(answer: Any) -> Any:
    return json.loads(to_json(answer))


def _comparable(answer: Any) -> Any:
    """An answer without what changes from one moment to the next: the room on the disk, and its readers."""
    changing = ("disk_free", "days_until_full", "readers")
    if isinstance(answer, dict) and set(answer) == set(LogStatus.__struct_fields__):
        return {name: value for name, value in answer.items() if name not in changing}
    return answer
