"""Digests: of JSON values, of files, and of code without its comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks. Raises for NaN and for what JSON does not know."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{value!r} can't be part of a key")


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_digest(*modules: str) -> str:
    """Digest of the given modules and of all that they import from the packages that lie beside their own.

    Comments, docstrings and layout do not count; nothing is imported. Imports are followed, so that a helper's
    change is not missed. A module `config` doesn't count: what its sections hold is in keys by value, and a new field
    of one stage must not make others run.
    """
    beside = {_root(name) for name in modules}
    seen: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen[name], imports = _code(name)
            local = [other for other in imports if _root(other) in beside and _source(other)]
            todo += [other for other in local if other.rpartition(".")[2] != "config"]
    return digest(seen)


@cache
def _code(name: str) -> tuple[str, list[str]]:
    """A module's code without comments and docstrings, and what it may import."""
    tree = ast.parse(_source(name).read_text(encoding="utf-8"))
    imports = _imports(tree)
    return ast.unparse(_WithoutDocstrings().visit(tree)), imports


def _imports(tree: ast.Module) -> list[str]:
    """What a module imports, wherever in it; some are names in modules, not modules."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from model import fusion` names a module, `from model.fusion import Fusion` a class of one
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@cache
def _root(name: str) -> Path | None:
    """The folder in which a module's package lies; for an installed one the package itself. None if there is none."""
    spec = find_spec(name.split(".")[0])
    if spec is None or not spec.origin or not spec.submodule_search_locations:
        return None
    package = Path(spec.origin).parent
    return package if package.parent.name == "site-packages" else package.parent


@cache
def _source(name: str) -> Path | None:
    """The file of a module, found without importing its parents (`find_spec` would); None if there is none."""
    top, *rest = name.split(".")
    spec = find_spec(top)
    if not rest:
        return Path(spec.origin)
    path = Path(spec.submodule_search_locations[0], *rest) if spec.submodule_search_locations else Path(top)
    places = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((place for place in places if place.is_file()), None)


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        # a string that stands alone does nothing: a docstring, or one behind an attribute
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
