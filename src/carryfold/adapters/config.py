"""`carryfold.toml`: what a home (or `--config FILE`) sets once, so that it need not be typed each time.

    [parameters]            any parameter of the strategies and of the simulated venue, by its name
    [data]                  how `carryfold import` reads files
    [daemon]                what `carryfold run` runs on
    [recording]             how much of a stream it records
    [execution]             what its two-leg orders may risk

Defaults are overruled by the file, the file by the command line. Numbers are read as the decimals they are written as.
Anything the program does not know is refused with one line: a setting that is misspelt must not be silently without
effect.
"""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from carryfold.adapters.strategy_files import register_named

if TYPE_CHECKING:
    from carryfold.adapters.daemon.conflation import RecordingPolicy
    from carryfold.adapters.daemon.settings import DaemonTable
    from carryfold.domain.execution import ExecutionLimits
    from carryfold.domain.params import Parameters

T = TypeVar("T")

__all__ = ["FILE_NAME", "Config", "ConfigError", "DataSettings", "load_config"]

FILE_NAME: Final = "carryfold.toml"
MAX_BYTES: Final = 1 << 20
_TABLES: Final = ("parameters", "data", "daemon", "recording", "execution")


class ConfigError(ValueError):
    """The configuration file cannot be used; the text is one line that says where and what to do."""


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How files of history are read; None: as `carryfold import` does by itself."""

    venue: str | None = None
    bar_delay_s: float = 1.0
    settlement_delay_s: float = 60.0
    bar_minutes: int | None = None


class Config(msgspec.Struct, frozen=True):
    """What one file says. `parameters` are texts of the form name=value; `source` None: there is no file."""

    parameters: tuple[str, ...] = ()
    data: DataSettings = DataSettings()
    source: Path | None = None
    tables: dict[str, dict[str, Any]] = {}

    @property
    def daemon(self) -> "DaemonTable":
        """The [daemon] table. Raises ConfigError."""
        from carryfold.adapters.daemon.settings import DaemonTable

        return self._table("daemon", DaemonTable)

    @property
    def recording(self) -> "RecordingPolicy":
        """The [recording] table. Raises ConfigError."""
        from carryfold.adapters.daemon.conflation import RecordingPolicy

        return self._table("recording", RecordingPolicy)

    @property
    def execution(self) -> "ExecutionLimits":
        """The [execution] table. Raises ConfigError."""
        from carryfold.domain.execution import ExecutionLimits

        return self._table("execution", ExecutionLimits)

    def _table(self, name: str, kind: type[T]) -> T:
        """Checked where it is used: `carryfold backtest` need not load what a daemon needs."""
        assert self.source is not None or not self.tables
        return _converted(self.source, name, self.tables.get(name, {}), kind)

    def parse_parameters(self, settings: Iterable[str] = ()) -> "Parameters":
        """Defaults, then this file, then `settings` (texts name=value). Raises ParameterError."""
        from carryfold.domain.params import parse_settings

        return parse_settings([*self.parameters, *settings])


def load_config(home: Path, file: Path | None = None) -> Config:
    """The given file, or the home's own if it has one. Raises ConfigError; OSError when it cannot be read."""
    path = file if file is not None else home / FILE_NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if file is None:
            return Config()
        raise ConfigError(f"{path}: no such file: name an existing file with --config, or leave it out") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES >> 20} MiB, this is not a configuration")
    import tomllib

    try:
        tables = tomllib.loads(data.decode(), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    for name, table in tables.items():
        if name not in _TABLES:
            raise ConfigError(f"{path}: unknown name '{name}'; there are the tables {_names()}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: '{name}' must be a table: write [{name}] and its settings on lines below")
    settings = _converted(path, "data", tables.get("data", {}), DataSettings)
    return Config(_parameters(path, tables.get("parameters", {})), settings, path, tables)


def _names() -> str:
    return ", ".join(f"[{name}]" for name in _TABLES)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"


def _parameters(path: Path, table: dict[str, Any]) -> tuple[str, ...]:
    from carryfold.domain.params import LIMITS_OF_EXECUTION, ParameterError, Parameters, parameter_names, parse_settings
    from carryfold.domain.strategies import StrategyError

    defaults = Parameters()
    for name, value in table.items():
        is_switch = isinstance(getattr(defaults, name, None), bool)
        if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool) != is_switch:
            wanted = "true or false" if is_switch else "a number or a word"
            raise ConfigError(f"{path}: [parameters]: {name} must be {wanted}")
    texts = (f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in table.items())
    try:
        settings = tuple(register_named(texts, path.parent))
        known = parameter_names()
        for name in table:
            if name not in known and name not in LIMITS_OF_EXECUTION:
                raise ConfigError(f"{path}: [parameters]: unknown parameter '{name}'{_did_you_mean(name, known)}")
        parse_settings(settings)
    except (ParameterError, StrategyError) as error:
        raise ConfigError(f"{path}: [parameters]: {error}") from None
    return settings


def _converted(path: Path | None, name: str, table: dict[str, Any], kind: type[T]) -> T:
    """A table as its struct. Raises ConfigError."""
    known = msgspec.structs.fields(kind)  # type: ignore[arg-type]
    for setting in table:
        if setting not in {field.name for field in known}:
            close = _did_you_mean(setting, [field.name for field in known])
            raise ConfigError(f"{path}: [{name}]: unknown setting '{setting}'{close}")
    plain = {setting: _plain(value) for setting, value in table.items()}
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: [{name}]: {str(error).replace(' - at `$.', ', at ').rstrip('`')}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value
