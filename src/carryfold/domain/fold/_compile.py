"""`compiled`: numba's njit with this package's options, and a cache that can never serve stale code.

numba's own cache looks at the file of the function that is called, not at the files of what it calls. So the cache
folder is named by a digest of every source the fold is compiled from, of the compiler's versions and of the CPU, and is
set before anything is compiled: an edit anywhere gives another folder.
"""

import ast
import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from carryfold.domain.strategies.registry import registered

__all__ = ["CODE_DIGEST", "cache_folder", "compile_module", "compiled", "index", "inlined", "is_compiled", "prefetch"]

_DOMAIN: Final = Path(__file__).parent.parent
_DECIDING: Final = (
    "codec",
    "events",
    "instruments",
    "legacy",
    "params",
    "records",
    "row_builder",
    "rows",
    "run_filter",
)
_SOURCES: Final = (
    *sorted(Path(__file__).parent.glob("*.py")),
    *sorted((_DOMAIN / "strategies").glob("*.py")),
    *(_DOMAIN / f"{name}.py" for name in _DECIDING),
)


_DIGEST_BYTES: Final = 16


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _base() -> Path:
    """Where everything is kept that is made from the sources."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carryfold"


def _kept_digest(sources: Sequence[tuple[str, bytes]]) -> str:
    """The digest of the logic of these sources, each with its name. Parsing them takes longer than all the rest of a
    start, so it is kept in a file that is named by their bytes."""
    whole = [part for name, source in sources for part in (name.encode(), source)]
    file = _base() / f"digest-{_digest(sys.version.encode(), *whole)}"
    try:
        kept = file.read_text()
    except (OSError, ValueError):
        kept = ""
    if len(kept) == 2 * _DIGEST_BYTES:
        return kept
    digest = _digest(*(_logic(name, source) for name, source in sources))
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(digest)
        partial.replace(file)
    return digest


def _logic(name: str, source: bytes) -> bytes:
    """A source as its syntax tree without docstrings: what it does, whatever its comments say and however it is laid
    out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return name.encode() + b"\0" + ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


_OWN: Final = [(f"{strategy.name}.py", strategy.source) for strategy in registered() if strategy.source]
CODE_DIGEST: Final = _kept_digest([*((path.name, path.read_bytes()) for path in _SOURCES), *_OWN])
"""Names what decides: the fold, what makes its rows and its records, and users' strategies. Part of every snapshot and
of RunStarted; comments and docstrings do not change it."""


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
        import tempfile

        folder = Path(tempfile.gettempdir()) / f"carryfold-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def cache_folder() -> Path:
    """Where compiled code of this very source is kept."""
    versions = numba.__version__ + llvmlite.__version__ + np.__version__ + sys.version
    return _base() / f"fold-{_digest(CODE_DIGEST.encode(), versions.encode(), _cpu().encode())}"


FOLDER: Final = _writable(cache_folder())
setattr(numba.config, "CACHE_DIR", str(FOLDER))  # noqa: B010 - numba ships no types, and its config is a module


_NJIT: Final[Any] = numba.njit  # its types know less than it does
_OPTIONS: Final[dict[str, Any]] = {
    "cache": True, "nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False,
}  # fmt: skip


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a fold function on its first call: no fastmath, no GIL, divisions as IEEE, cached on disk. It cannot make
    arrays, because numba then need not count who uses them: that took half of the time of a sweep."""
    return _NJIT(_nrt=False, **_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """`compiled` into its caller: for what runs once an instant and takes many arrays, of each of which a call would
    pass seven words (a third of the time of an instant with few rows)."""
    return _NJIT(_nrt=False, forceinline=True, **_OPTIONS)(function)


index: Final[Any] = np.uint64
"""Marks an index that is never negative: the compiler then does not ask whether it counts from the end, which took a
fifth of the time of a price row. Never add to one: with a signed number it makes a float."""


def _prefetch(_: Any, rows: Any, index: Any) -> Any:
    """Ask the memory for rows[index], which may lie beyond the end: a hint, which changes nothing but the time."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        offset = builder.mul(arguments[1], context.get_constant(types.intp, kind.dtype.size))
        flag = ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [start.type, flag, flag, flag])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [start.type], hint)
        builder.call(prefetch, [builder.gep(start, [offset]), flag(0), flag(3), flag(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.void(rows, index), generate


prefetch: Final[Any] = intrinsic(_prefetch)


_compiled: dict[FunctionType, Any] = {}


def compile_module(module: ModuleType) -> ModuleType:
    """Replace the plain functions that a module has, its own and imported ones, by compiled ones."""
    for name, value in list(vars(module).items()):
        if isinstance(value, FunctionType):
            if value not in _compiled:
                _compiled[value] = compiled(value)
            setattr(module, name, _compiled[value])
    return module


def is_compiled() -> bool:
    """True if the compiled fold of this source is on disk already."""
    return any(FOLDER.rglob("*.nbc"))
