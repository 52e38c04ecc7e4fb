"""Archive in, ledger and letters.zip out, nothing lost. Stands alone: no other room, no TensorFlow, no pandas."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

# As in the other rooms, names are loaded when they are first used; here with the standard library alone.
_STUB = ast.walk(ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")))
_HOME = {one.name: node.module for node in _STUB if isinstance(node, ast.ImportFrom) for one in node.names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
