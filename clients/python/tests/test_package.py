# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The README and pyproject.toml agree with the code."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import tomllib

from mlflow_gcp_auth import settings

PACKAGE = Path(__file__).parents[1]


def test_the_readme_describes_all_variables() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (PACKAGE / "README.md").read_text(), re.MULTILINE)
    read = {
        settings.AUDIENCE,
        settings.IMPERSONATE,
        settings.HEADER,
        settings.CLIENT_ID_FILE,
        settings.CREDENTIALS_FILE,
    }
    assert sorted(rows) == sorted({"MLFLOW_TRACKING_AUTH"} | read)
    mentioned = re.findall(r"MLFLOW_GCP_AUTH_[A-Z_]+", (PACKAGE / "README.md").read_text())
    assert set(mentioned) <= read


def test_the_dependencies_are_the_imports() -> None:
    imported = {"google" if name == "google-auth" else name for name in names()}
    for file in (PACKAGE / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                root = module.partition(".")[0]
                assert root in imported | {"mlflow_gcp_auth"} | sys.stdlib_module_names, f"{file.name}: {module}"


def names() -> list[str]:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    return [re.split(r"[<>=]", dependency)[0] for dependency in project["dependencies"]]
