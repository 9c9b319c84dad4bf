"""`compiled`: numba's njit with this package's options, and a cache that can never serve stale code.

numba's own cache looks at the file of the function that is called, not at the files of what it calls. So the cache
folder is named by a digest of every source the fold is compiled from, of the compiler's versions and of the CPU, and is
set before anything is compiled: an edit anywhere gives another folder.
"""

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numba

__all__ = ["CODE_DIGEST", "cache_folder", "compiled", "inlined", "is_compiled"]

_SOURCES: Final = (
    *sorted(Path(__file__).parent.glob("*.py")),
    *(Path(__file__).parent.parent / n for n in ("params.py", "rows.py")),
)


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


CODE_DIGEST: Final = _digest(*(path.name.encode() + b"\0" + path.read_bytes() for path in _SOURCES))
"""Names the fold's code: part of every snapshot and of RunStarted."""


def _cpu() -> str:
    """What the compiler tunes for. /proc/cpuinfo lists the instruction sets; elsewhere the machine type must do."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.machine() + platform.processor()
    lines = info.read_text(errors="replace").splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}))


def _writable(folder: Path) -> Path:
    """`folder`, or one of the same name among the temporary files where the home folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"carryfold-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def cache_folder() -> Path:
    """Where compiled code of this very source is kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    versions = "".join(metadata.version(name) for name in ("numba", "llvmlite", "numpy")) + sys.version
    return base / "carryfold" / f"fold-{_digest(CODE_DIGEST.encode(), versions.encode(), _cpu().encode())}"


FOLDER: Final = _writable(cache_folder())
setattr(numba.config, "CACHE_DIR", str(FOLDER))  # noqa: B010 - numba ships no types, and its config is a module


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a fold function on its first call: no fastmath, no GIL, divisions as IEEE, cached on disk."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False, boundscheck=False)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """`compiled` into its caller: for what runs once an instant and takes many arrays, of each of which a call would
    pass seven words (a third of the time of an instant with few rows)."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False, boundscheck=False, forceinline=True)(
        function
    )


def is_compiled() -> bool:
    """True if the compiled fold of this source is on disk already."""
    return any(FOLDER.rglob("*.nbc"))
