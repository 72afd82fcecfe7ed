# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of an own application that are refused before the first change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugin_utils._validation.test_mlflow import messages

LOCK = "own==1 \\\n    --hash=sha256:aa\n"


@pytest.fixture
def lock(tmp_path: Path) -> str:
    path = tmp_path / "own.txt"
    path.write_text(LOCK)
    return str(path)


def own(lock: str, **changed: Any) -> list[str]:
    given = {
        "mlflow_authentication": "application",
        "mlflow_app_name": "oidc-auth",
        "mlflow_extra_requirements_file": lock,
        "mlflow_application_database_variable": "OIDC_USERS_DB_URI",
        "mlflow_secret_environment": {"OIDC_CLIENT_SECRET": "my-client-secret"},
    }
    return messages(**given | changed)


def test_an_own_application_is_accepted(lock: str) -> None:
    assert own(lock) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mlflow_app_name": ""}, "mlflow_app_name is '', which is not the name of an own application"),
        ({"mlflow_app_name": "basic-auth"}, "With mlflow_authentication 'basic', this application is used."),
        ({"mlflow_app_name": "a b"}, "mlflow_app_name is 'a b'"),
        ({"mlflow_app_name": "--help"}, "mlflow_app_name is '--help'"),
        ({"mlflow_extra_requirements_file": ""}, "no package of the release has this application"),
        ({"mlflow_extra_requirements_file": "/no/x.txt"}, "mlflow_extra_requirements_file is '/no/x.txt', which is no"),
        ({"mlflow_application_database": "mlflow_auth"}, "mlflow_application_database is 'mlflow_auth'"),
        ({"mlflow_application_database": "a" * 54}, "mlflow_application_database is 'aaa"),
        (
            {"mlflow_application_database_variable": "PGPASSFILE"},
            "mlflow_application_database_variable is 'PGPASSFILE'",
        ),
        ({"mlflow_application_database_variable": "OIDC_CLIENT_SECRET"}, "is not in mlflow_environment or"),
        ({"mlflow_secret_environment": {"lower": "a"}}, "mlflow_secret_environment: lower is a name"),
        ({"mlflow_secret_environment": {"PYTHONPATH": "a"}}, "mlflow_secret_environment: PYTHONPATH is"),
        ({"mlflow_secret_environment": {"A": "projects/p/secrets/s"}}, "the value of A is not the ID of a secret"),
        (
            {"mlflow_environment": {"OIDC_CLIENT_SECRET": "x"}},
            "OIDC_CLIENT_SECRET is a name that is not upper case, is",
        ),
    ],
)
def test_a_refused_value_is_named(lock: str, change: dict[str, Any], told: str) -> None:
    (message,) = own(lock, **change)
    assert told in message


def test_a_value_that_is_no_secret_id_is_not_shown(lock: str) -> None:
    """The user may have given the value instead of the ID."""
    (message,) = own(lock, mlflow_secret_environment={"TOKEN": "hunter2!"})
    assert "hunter2" not in message


def test_a_file_that_is_no_lock_is_refused(lock: str) -> None:
    Path(lock).write_text("own\n")
    (message,) = own(lock)
    assert "not a pinned package with hashes (own)" in message
    assert "uv pip compile" in message


def test_the_variables_of_an_application_need_its_mode() -> None:
    (message,) = messages(mlflow_app_name="oidc-auth")
    assert "Set mlflow_authentication to application, or remove mlflow_app_name" in message
    (message,) = messages(mlflow_application_database_variable="OWN")
    assert "the deployment has no own application" in message
    assert messages(mlflow_secret_environment={"OPENAI_API_KEY": "my-key"}) == []
