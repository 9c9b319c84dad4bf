"""Names of processes and of their orders: pure functions of the decision, so that a restart finds the same names.

A process is `TAG-RUN-DECISIONk`, where k is e (entry), x (exit) or r (repair). Its orders are `PROCESS-s1`,
`PROCESS-p1`, `PROCESS-s2`, ... by leg and attempt: s is the long leg, p the short one. The tag tells logs apart:
sequence numbers begin anew in each log, and a venue remembers the ids of an account for longer than most logs live.
"""

import re
from typing import Final, Literal, NamedTuple

from carryfold.domain.instruments import Leg

__all__ = ["CLIENT_ID_MAX", "Kind", "OrderName", "client_id", "parse_client_id", "process_id", "run_tag"]

Kind = Literal["entry", "exit", "repair"]

CLIENT_ID_MAX: Final = 36

_LETTERS: Final[dict[Kind, str]] = {"entry": "e", "exit": "x", "repair": "r"}
_KINDS: Final[dict[str, Kind]] = {letter: kind for kind, letter in _LETTERS.items()}
_LEG_LETTERS: Final[dict[Leg, str]] = {"long": "s", "short": "p"}
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME: Final = re.compile(r"([0-9a-z]+)-(\d+)-(\d+)([exr])-([sp])(\d+)")


class OrderName(NamedTuple):
    """The parts of a client id."""

    process: str
    tag: str
    run: int
    decision_seq: int
    kind: Kind
    leg: Leg
    attempt: int


def run_tag(started_at: int) -> str:
    """The tag of a run that started at `started_at` (UTC ns, from its RunStarted): the second, in base 36."""
    number, tag = started_at // 1_000_000_000, ""
    assert number > 0
    while number:
        number, digit = divmod(number, 36)
        tag = _DIGITS[digit] + tag
    return tag


def process_id(tag: str, run: int, decision_seq: int, kind: Kind) -> str:
    """The name of the process that carries out the decision at `decision_seq`."""
    assert tag, "without a tag two logs would use the same ids"
    return f"{tag}-{run}-{decision_seq}{_LETTERS[kind]}"


def client_id(process: str, leg: Leg, attempt: int) -> str:
    """The name of an order of a process; `attempt` counts from 1 on each leg."""
    name = f"{process}-{_LEG_LETTERS[leg]}{attempt}"
    assert len(name) <= CLIENT_ID_MAX, name
    return name


def parse_client_id(name: str) -> OrderName | None:
    """The parts of a client id; None for a name that is not of this form."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    tag, run, seq, kind, leg, attempt = found.groups()
    process = name[: name.rindex("-")]
    return OrderName(process, tag, int(run), int(seq), _KINDS[kind], "long" if leg == "s" else "short", int(attempt))
