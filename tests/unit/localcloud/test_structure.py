# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of the local cloud are layers, and only the services and Google's IAM name a service."""

from __future__ import annotations

import ast
import functools
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "localcloud"
# A package imports only itself and packages before it.
LAYERS = ("core", "engine", "metadata", "access", "framework", "services", "server", "commands", "__main__")
# These know no service. `access` is Google's IAM: its roles are lists of permissions of services.
WITHOUT_SERVICES = ("core", "metadata", "framework", "server")
# A VM or a database needs the SDK of Docker, and a command loads it only when it runs.
MAY_IMPORT_LATE = ("commands",)
SERVICES = sorted(path.parent for path in (PACKAGE / "services").glob("*/__init__.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


def imported(node: ast.AST) -> set[str]:
    """Return the modules of the local cloud that an import statement loads."""
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        names = {name if name in FILES else str(node.module) for name in names}
    else:
        return set()
    return names & FILES.keys()


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return the imports of each module, including imports in functions and for type checkers."""
    return {module: {name for node in ast.walk(tree(module)) for name in imported(node)} - {module} for module in FILES}


def layer(module: str) -> int:
    return LAYERS.index(module.split(".")[1]) if "." in module else 0


def test_there_is_no_circular_import() -> None:
    try:
        order = list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(error.args[1])}")
    assert len(order) == len(FILES) > 100


def test_a_module_imports_lower_layers_only() -> None:
    above = [f"{module} -> {name}" for module in FILES for name in graph()[module] if layer(name) > layer(module)]
    assert not above, "imports of a higher layer"


def test_the_layers_are_the_packages() -> None:
    assert {name.split(".")[1] for name in FILES if "." in name} == set(LAYERS)


def test_no_import_is_inside_a_function() -> None:
    late = [
        f"{module} -> {name}"
        for module in FILES
        if LAYERS[layer(module)] not in MAY_IMPORT_LATE
        for function in ast.walk(tree(module))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        for name in imported(node)
    ]
    assert not late, "imports inside a function"


def test_the_core_names_no_service() -> None:
    """Docstrings may give examples; names, strings and attributes may not. The Service object has the difference."""
    services = "|".join(path.name for path in SERVICES)
    named = {
        module: set(re.findall(rf"(?<![A-Za-z0-9_])(?:{services})(?![A-Za-z0-9_])", code(module)))
        for module in FILES
        if LAYERS[layer(module)] in WITHOUT_SERVICES
    }
    assert len(named) > 20
    assert {module: names for module, names in named.items() if names} == {}


def code(module: str) -> str:
    """Return a module's code without comments and docstrings."""
    source = ast.parse(FILES[module].read_text())
    for node in ast.walk(source):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not is_text(each)] or [ast.Pass()]
    return ast.unparse(source)


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.name)
def test_every_service_has_the_same_layout(folder: Path) -> None:
    names = {path.stem for path in folder.glob("*.py")}
    assert names > {"__init__", "api"}
    assert not {name for name in names - {"__init__"} if name.startswith("_")}
    # The package itself has no code: only its docstring.
    assert [is_text(node) for node in tree(f"localcloud.services.{folder.name}").body] == [True]
    assert not list(folder.parent.glob("[!_]*.py")), "a service is a package"
