"""Strategy files for tests: the example of the package and the one of the documentation.

They are always named together, because the cache of a kernel is named by the digest of all strategies of a process. So
all tests with user strategies share one compiled kernel.
"""

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["MINE", "PATIENT", "naming_both", "write_mine"]

ROOT: Final = Path(__file__).resolve().parents[1]
PATIENT: Final = ROOT / "examples" / "patient.py"
MINE: Final = next(
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "strategies.md").read_text(), re.DOTALL)
    if block.startswith('"""mine: ')
)
"""The source of mine.py in docs/strategies.md."""


def write_mine(folder: Path) -> Path:
    """Write mine.py to a folder."""
    path = folder / "mine.py"
    path.write_text(MINE)
    return path


def naming_both(folder: Path) -> dict[str, str]:
    """The environment variables that name both files; writes mine.py to `folder`."""
    return {"CARRYFOLD_STRATEGIES": os.pathsep.join((str(write_mine(folder)), str(PATIENT)))}
