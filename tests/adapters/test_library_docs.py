"""The page about the Python library names every question, and its examples run."""

import re
from pathlib import Path

import pytest

from carryfold.projections.queries import QUESTIONS
from tests.projections.run_logs import paper_run

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("library")
    paper_run(made / ".carryfold")
    return made


def test_every_question_is_documented() -> None:
    assert re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)[1:] == [question.__name__ for question in QUESTIONS]


@pytest.mark.parametrize("number", range(PAGE.count("```python")))
def test_the_examples_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    monkeypatch.chdir(folder)
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[number]

    exec(compile(example, "library.md", "exec"), {})

    assert capsys.readouterr().out
