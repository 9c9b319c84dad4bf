"""carryfold.toml: its settings, and what is refused."""

from pathlib import Path

import pytest

from carryfold.adapters.config import Config, ConfigError, DataSettings, load_config
from carryfold.domain.params import ParameterError, Parameters


def loaded(folder: Path, text: str) -> Config:
    (folder / "carryfold.toml").write_text(text)
    return load_config(folder)


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path)

    assert config == Config()
    assert config.parse_parameters() == Parameters()


def test_settings_are_read(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        '[parameters]\nstrategy = "composite"\ncapital = 20_000\nexit = 0.0001\n'
        '[data]\nvenue = "okx"\nbar_delay_s = 2\nsettlement_delay_s = 90.5\nbar_minutes = 60\n',
    )

    assert config.parse_parameters() == Parameters(strategy="composite", capital=20000.0, exit=0.0001)
    assert config.data == DataSettings(venue="okx", bar_delay_s=2.0, settlement_delay_s=90.5, bar_minutes=60)


def test_a_number_is_the_double_nearest_to_what_is_written(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[parameters]\nexit = 0.00010000000000000002\n").parse_parameters().exit > 0.0001
    assert loaded(tmp_path, "[parameters]\nexit = 1e-4\n").parse_parameters().exit == 0.0001


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[parameters]\ncarry_across = true\nlegs = "both"\n')

    assert config.parse_parameters() == Parameters(carry_across=True, legs="both")


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[parameters]\nenter = 0.0005\ncapital = 20000\n")

    assert config.parse_parameters(["enter=0.0004"]) == Parameters(enter=0.0004, capital=20000.0)
    with pytest.raises(ParameterError):
        config.parse_parameters(["enter=x"])


def test_a_named_file_is_used_instead_of_the_home_s(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[parameters]\ncapital = 1\n")
    loaded(tmp_path, "[parameters]\ncapital = 2\n")

    assert load_config(tmp_path, tmp_path / "other.toml").parse_parameters().capital == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[parameters]\nentre = 1\n", "unknown parameter 'entre'; did you mean 'enter'?"),
        ("[parameters]\nmax_unhedged_s = 1\n", "write deadline_s under [execution]"),
        ("[parameters]\nqqqq = 1\n", "known: strategy, enter"),
        ("[data]\nvenu = 1\n", "unknown setting 'venu'; did you mean 'venue'?"),
        ("[data]\nbar_minutes = 1.5\n", "[data]"),
        ("[data]\nvenue = 3\n", "[data]"),
        ("[parameter]\nenter = 1\n", "unknown name 'parameter'"),
        ("enter = 1\n", "unknown name 'enter'"),
        ("parameters = 1\n", "'parameters' must be a table"),
        ("[parameters]\nenter = true\n", "enter must be a number or a word"),
        ("[parameters]\nenter = [1]\n", "enter must be a number or a word"),
        ("[parameters]\nenter = 2024-01-01\n", "enter must be a number or a word"),
        ("[parameters]\nenter = 1e9\n", "enter = 1e+09 is out of range"),
        ("[parameters]\nenter = nan\n", "enter"),
        ("[parameters]\ncadence_s = 1.5\n", "cadence_s"),
        ('[parameters]\nstrategy = "best"\n', "no strategy 'best'; there are simple"),
        ("[parameters]\ncarry_across = 1\n", "carry_across must be true or false"),
        ("[parameters\n", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_invalid_settings_are_refused_with_one_line_that_names_the_file(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "carryfold.toml").write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path)

    assert expected in str(refused.value)
    assert str(tmp_path / "carryfold.toml") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path, tmp_path / "missing.toml")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger"):
        loaded(tmp_path, "#" * (2 << 20))
