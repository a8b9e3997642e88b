"""Digests: of JSON values, of files, and of code without its comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from videocap.pipeline.same_results import SAME_RESULTS


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


def code_digest(module: str) -> str:
    """Digest of a module's code and of all that it imports of this project, or of its own package if that is another.

    A tree: the digest of a module is that of its code, in which each module that it imports is called by that one's
    digest instead of its name. So neither where modules lie nor what they are called counts, and a helper's change
    is not missed. Comments, docstrings, layout and the order of imports do not count; nothing is imported. A module
    `config` doesn't count: what its sections hold is in keys by value, and a new field of one stage must not make
    others run.
    """
    found, _ = _code_digest(module, ())
    return SAME_RESULTS.get(found, found)


_digests: dict[str, str] = {}


def _code_digest(name: str, above: tuple[str, ...]) -> tuple[str, int]:
    """A module's digest, and how far up the outermost module lies that is imported in a circle below it.

    A module that is imported in a circle is called by the number of steps back to it. So what a module of a circle is
    called depends on where one enters that: only the digests of others are kept.
    """
    if name in above:
        return f"{len(above) - above.index(name)} back", above.index(name)
    if name in _digests:
        return _digests[name], _NO_CIRCLE
    highest = _NO_CIRCLE

    def called(other: str) -> str:
        nonlocal highest
        found, height = _code_digest(other, (*above, name))
        highest = min(highest, height)
        return found

    found = digest(_Shape(name, called).of(ast.parse(_source(name).read_text(encoding="utf-8"))))
    if highest > len(above):
        _digests[name] = found
    return found, highest


_NO_CIRCLE = 1 << 30


class _Shape:
    """The shape of a module's code as JSON, the same under all versions of Python that read it alike.

    Args:
        called: gives what a module of this project is called in it.
    """

    def __init__(self, name: str, called: Callable[[str], str]):
        self.name, self.called = name, called
        # what is local: this project, and the package of the module, which may be a user's own
        self.tops = {name.split(".")[0], __name__.split(".")[0]}
        self.modules: dict[str, str] = {}
        """What the names of imported modules of this project stand for, of those that stand for nothing else."""

    def of(self, tree: ast.Module) -> Any:
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        bound = Counter(name for node in ast.walk(tree) for name in _bound(node))
        found: dict[str, set[str]] = {}
        for node in imports:
            for name, module, attribute in self._imported(node):
                if attribute is None and "." not in name and bound[name] == 0 and self._is_local(module):
                    found.setdefault(name, set()).add(module)
                else:
                    found.setdefault(name, set()).add("")  # stands for something else, too
        for name, modules in found.items():
            if "" not in modules and len(modules) == 1:
                self.modules[name] = self._called(*modules)
        return self._shape(tree)

    def _shape(self, node: Any) -> Any:
        if isinstance(node, list):
            return self._block(node)
        if isinstance(node, ast.Name) and node.id in self.modules:
            return ["module", self.modules[node.id]]
        if isinstance(node, ast.Constant):
            return ["Constant", type(node.value).__name__, ascii(node.value)]
        if isinstance(node, ast.AST):
            parts = [[name, self._shape(value)] for name, value in ast.iter_fields(node) if name not in LEFT_OUT]
            return [type(node).__name__, *(part for part in parts if part[1] not in (None, []))]
        return node if isinstance(node, str | int | None) else repr(node)

    def _block(self, nodes: list) -> list:
        """The shapes of statements, or of other parts in a row; imports that follow each other are sorted.

        But not where one of them may hide another: then their order matters.
        """
        shapes: list = []
        for are_imports, some in groupby(nodes, lambda node: isinstance(node, ast.Import | ast.ImportFrom)):
            if are_imports:
                found = [one for node in some for one in self._imported(node)]
                names = [name for name, _, _ in found]
                imports = [self._import(*one) for one in found]
                hides = "*" in names or len(set(names)) < len(names)
                shapes += imports if hides else sorted(imports, key=canonical)
            else:
                shapes += [self._shape(node) for node in some if not _is_text(node)]
        return shapes

    def _import(self, name: str, module: str, attribute: str | None) -> list:
        """The shape of a name that is imported."""
        known = attribute is None and name in self.modules
        return ["import", self._called(module), attribute, *([] if known else [name])]

    def _called(self, module: str) -> str:
        if not self._is_local(module):
            return module
        return "config" if module.rpartition(".")[2] == "config" else self.called(module)

    def _is_local(self, module: str) -> bool:
        return module.split(".")[0] in self.tops and _source(module) is not None

    def _imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str, str | None]]:
        """The name that each import binds, the module, and what of it; None for the module itself."""
        if isinstance(node, ast.Import):
            return [(alias.asname or alias.name, alias.name, None) for alias in node.names]
        module = node.module or ""
        if node.level:
            here = self.name.split(".") + ["__init__"] * (_source(self.name).name == "__init__.py")
            module = ".".join([*here[: -node.level], *filter(None, [module])])
        found = []
        for alias in node.names:
            # `from model import fusion` names a module, `from model.fusion import Fusion` a class of one
            whole, name = f"{module}.{alias.name}", alias.asname or alias.name
            if not self._is_local(whole):
                found.append((name, module, alias.name))
            elif self._is_local(module) and alias.name in _defined(module):  # the package hides its module, or shows it
                found += [(name, module, alias.name), (name, whole, None)]
            else:
                found.append((name, whole, None))
        return found


LEFT_OUT = ("ctx", "kind", "type_comment")  # of a node: follows from where it is, or says nothing
_BINDING = {"arg": ("arg",), "ExceptHandler": ("name",), "MatchAs": ("name",), "MatchStar": ("name",)}
_BINDING |= {"MatchMapping": ("rest",), "FunctionDef": ("name",), "AsyncFunctionDef": ("name",), "ClassDef": ("name",)}


def _bound(node: ast.AST) -> list[str]:
    """The names that a node binds, but for imports."""
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, ast.Global | ast.Nonlocal):
        return node.names
    return [name for field in _BINDING.get(type(node).__name__, ()) if (name := getattr(node, field))]


def _is_text(node: Any) -> bool:
    """Whether a statement is a string that stands alone and does nothing: a docstring, or one behind an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _defined(name: str) -> set[str]:
    """The names that a module binds, anywhere in it."""
    nodes = list(ast.walk(ast.parse(_source(name).read_text(encoding="utf-8"))))
    imports = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return {name for node in nodes for name in _bound(node)} | {alias.asname or alias.name for alias in imports}


@cache
def _source(name: str) -> Path | None:
    """The file of a module, found without importing its parents (`find_spec` would); None if there is none."""
    top, *rest = name.split(".")
    spec = find_spec(top)
    if not rest:
        return Path(spec.origin) if spec and spec.origin else None
    path = Path(spec.submodule_search_locations[0], *rest) if spec.submodule_search_locations else Path(top)
    places = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((place for place in places if place.is_file()), None)
