# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Playbooks, role variables and make targets that the documents name exist."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("localcloud/*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/operations/*.md"),
        *ROOT.glob("roles/*/README.md"),
    ]
)
ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
PLAYBOOK = re.compile(
    r"(?:(?<!localcloud/)\bplaybooks/|\b(?:ansible-playbook .*|import_playbook: )mlops\.mlflow_gcp\.)(\w+)"
)
VARIABLE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(ROLES)})_[a-z]\w*\b(?!\.yml|[/(-])")
# Databases, users, packages and groups whose names begin like a role variable.
OTHER_NAMES = {
    *("mlflow_alternate", "mlflow_application", "mlflow_auth", "mlflow_auth_failed", "mlflow_failed", "mlflow_owner"),
    *("mlflow_gcp", "mlflow_gcp_server", "mlflow_release", "mlflow_deployment"),
}
TARGET = re.compile(r"(?:`|^|\()make (?:-\w+ )*(?:[A-Z]+=\S+ )*([a-z][a-z0-9-]*)", re.MULTILINE)


@functools.cache
def options() -> set[str]:
    """Return the names of all role variables."""
    found: set[str] = set()
    for role in ROLES:
        document: Any = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        for entry_point in document["argument_specs"].values():
            found |= set(entry_point.get("options") or {})
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert set(PLAYBOOK.findall(text)) - {path.stem for path in ROOT.glob("playbooks/*.yml")} == set()
    assert set(VARIABLE.findall(text)) - options() - OTHER_NAMES == set()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*)(?= |:)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(text)) - targets == set()
