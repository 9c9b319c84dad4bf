"""Strategy files for tests: the example that ships and the one that the documentation has people write.

They are always named together, so that every test that needs one shares one compiled kernel: its cache is named by the
digest of all strategies of a process.
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
    """mine.py in a folder."""
    path = folder / "mine.py"
    path.write_text(MINE)
    return path


def naming_both(folder: Path) -> dict[str, str]:
    """The environment of a process that knows both files, mine.py written to `folder`."""
    return {"CARRYFOLD_STRATEGIES": os.pathsep.join((str(write_mine(folder)), str(PATIENT)))}
