# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Each security setting of the shipped MLflow has a decision, and the role implements the decision."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation.mlflow import OWN_ENVIRONMENT

from tests.unit.roles import evaluated

PAGE = Path(__file__).parents[3] / "docs" / "decisions" / "0019-security-settings-of-mlflow.md"
LAUNCHER = evaluated.ROLES / "mlflowctl" / "files" / "mlflowctl" / "launch.py"
NAME = re.compile(r"_?MLFLOW_[A-Z0-9_]+")
WORDS = re.compile(
    "KEY|SECRET|PASS|TOKEN|CREDENTIAL|KEK|CRYPT|SALT|AUTH|INSECURE|TLS|SSL|CERT|TRUST|PICKLE|ALLOW|PRIVATE|CORS|ORIGIN"
    "|HOSTS|FRAME|SECURITY|MIDDLEWARE|SANDBOX|ASSISTANT|TELEMETRY|CUSTOM|RESOLVE|PERMISSION|RBAC|REDIRECT|PROXY|SIGN"
    "|PUBLIC|ADMIN|SAFE|VERIFY|CSRF|COOKIE|GRAPHQL|EXPOSE|FILE_STORE|JOB_EXECUTION$|WORKSPACES$|ENABLE_AI_GATEWAY|CATALOG"
)
SETTINGS = {"mlflow_hostnames": ["mlflow.example.com"], "mlflow_version": "3.17.2"}


@cache
def of_mlflow() -> frozenset[str]:
    """Return the names of all security variables in the source of the installed release."""
    names: set[str] = set()
    for path in Path(mlflow.__file__).parent.rglob("*.py"):
        if "protos" in path.parts or "skills" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                names.add(node.value)
    return frozenset(name for name in names if WORDS.search(name))


def decisions() -> dict[str, str]:
    """Return the decision for each variable: Set, Preset, Refused or Default."""
    rows = re.findall(r"^\| `(_?MLFLOW_\w+)` \|[^|]*\| (\w+)[^|]*\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a variable has two rows"
    return dict(rows)


def variables(name: str) -> Any:
    return evaluated.load("vars/main.yml", "mlflow")[name]


def test_the_installed_release_is_the_release_of_the_role() -> None:
    assert mlflow.__version__ == evaluated.load("defaults/main.yml", "mlflow")["mlflow_version"]


def test_every_security_setting_has_a_decision() -> None:
    """A new release has new settings, and the default of a key may be random or public."""
    missing = sorted(of_mlflow() - set(decisions()))
    assert missing == [], f"add a decision for each of these settings to {PAGE.name}"


def test_every_decision_is_about_a_setting_of_the_release() -> None:
    assert sorted(set(decisions()) - of_mlflow()) == []
    assert set(decisions().values()) == {"Set", "Preset", "Refused", "Default"}


def test_the_two_encryption_keys_are_found() -> None:
    assert {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE"} <= of_mlflow()


@pytest.mark.parametrize("name", sorted(decisions()))
def test_the_role_implements_the_decision(name: str) -> None:
    decision = decisions()[name]
    given = name in variables("__mlflow_environment")
    # The administrator's name and password go into MLflow's configuration file.
    launched = f'"{name}"' in LAUNCHER.read_text(encoding="utf-8") or name.startswith("MLFLOW_AUTH_ADMIN_")
    refused = name in OWN_ENVIRONMENT
    assert (given or launched) is (decision in {"Set", "Preset"})
    assert refused is (decision in {"Set", "Refused"})
