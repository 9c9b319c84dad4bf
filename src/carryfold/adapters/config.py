"""The configuration file: `carryfold.toml` in a home, or `--config FILE`.

    [parameters]            parameters of the strategies and of the simulated venue
    [data]                  options of `carryfold import`
    [daemon]                options of `carryfold run`
    [recording]             how much of a stream it records
    [execution]             limits of its two-leg orders

The file overrides the defaults, and the command line overrides the file. Numbers are read as exact decimals. Unknown
names are refused with one line: a misspelt setting must not be ignored.
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
    """The configuration file cannot be used. The text is one line with the place and the remedy."""


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `carryfold import`; None: its own default."""

    venue: str | None = None
    bar_delay_s: float = 1.0
    settlement_delay_s: float = 60.0
    bar_minutes: int | None = None


class Config(msgspec.Struct, frozen=True):
    """The content of a configuration file. `parameters` are texts name=value; `source` is None without a file."""

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
        """Checked on use, so that `carryfold backtest` does not load the daemon's modules."""
        assert self.source is not None or not self.tables
        return _converted(self.source, name, self.tables.get(name, {}), kind)

    def parse_parameters(self, settings: Iterable[str] = ()) -> "Parameters":
        """The defaults, overridden by this file, then by `settings` (texts name=value). Raises ParameterError."""
        from carryfold.domain.params import parse_settings

        return parse_settings([*self.parameters, *settings])


def load_config(home: Path, file: Path | None = None) -> Config:
    """Read the given file, or else the home's own file if it exists. Raises ConfigError; OSError if it is
    unreadable."""
    path = file if file is not None else home / FILE_NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if file is None:
            return Config()
        raise ConfigError(f"{path}: no such file: name an existing file with --config, or leave it out") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES >> 20} MiB: a configuration file is smaller")
    import tomllib

    try:
        tables = tomllib.loads(data.decode(), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    for name, table in tables.items():
        if name not in _TABLES:
            raise ConfigError(f"{path}: unknown name '{name}'; the tables are {_names()}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: '{name}' must be a table: write [{name}] and its settings on lines below")
    settings = _converted(path, "data", tables.get("data", {}), DataSettings)
    return Config(_parameters(path, tables.get("parameters", {})), settings, path, tables)


def _names() -> str:
    return ", ".join(f"[{name}]" for name in _TABLES)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that completes a message about an unknown name."""
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
            expected = "true or false" if is_switch else "a number or a word"
            raise ConfigError(f"{path}: [parameters]: {name} must be {expected}")
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
    """Convert a table to its struct. Raises ConfigError."""
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
