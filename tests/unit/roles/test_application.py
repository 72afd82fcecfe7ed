# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The roles with an own application: configuration, unit, database, secrets and the directory of the release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, described, evaluated, load, render
from tests.unit.roles.validation import refusals

SHIPPED = ROLES / "mlflow" / "files" / "requirements-3.17.2.txt"
SECRETS = {"OIDC_CLIENT_SECRET": "my-secret"}
OWN: dict[str, Any] = {
    "mlflow_authentication": "application",
    "mlflow_app_name": "oidc-auth",
    "mlflow_application_database_variable": "OIDC_USERS_DB_URI",
    "mlflow_secret_environment": SECRETS,
}
VM = {
    "ansible_facts": {"processor_vcpus": 2},
    "mlflow_hostnames": ["mlflow.test"],
    "mlflow_artifacts_destination": "gs://b",
}


def server(**settings: Any) -> dict[str, Any]:
    """Return the content of server.json."""
    text = (ROLES / "mlflow" / "templates" / "server.json.j2").read_text(encoding="utf-8")
    found = evaluated(text.strip(), "mlflow", **VM | settings)
    return json.loads(found) if isinstance(found, str) else dict(found)


def test_the_server_runs_the_application_with_its_database() -> None:
    found = server(**OWN)
    assert (found["app_name"], found["administrator"]) == ("oidc-auth", False)
    assert (found["auth_database"], found["application_database"]) == ("mlflow_auth", "mlflow_application")
    assert found["application_database_variable"] == "OIDC_USERS_DB_URI"
    assert found["secret_environment"] == {"OIDC_CLIENT_SECRET": "mlflow.environment-oidc-client-secret"}
    assert "my-secret" not in str(found)


def test_a_server_with_the_authentication_of_mlflow_has_no_such_database() -> None:
    found = server()
    assert (found["app_name"], found["administrator"], found["application_database"]) == ("basic-auth", True, "")


def test_the_unit_loads_the_secrets_and_no_password_of_an_administrator() -> None:
    text = (ROLES / "mlflow" / "templates" / "mlflow@.service.j2").read_text(encoding="utf-8")
    unit = str(evaluated(text, "mlflow", ansible_managed="", **VM | OWN)).splitlines()
    assert "LoadCredential=mlflow.environment-oidc-client-secret" in unit
    assert "LoadCredential=mlflow.admin-password" not in unit


def test_the_database_of_the_application_is_created() -> None:
    (create, *_) = load("tasks/databases.yml", "infrastructure")
    names = [
        render(create["loop"], {"mlflow_deployment": described(mlflow_authentication=mode)})
        for mode in ("basic", "application")
    ]
    assert names == [["mlflow", "mlflow_auth"], ["mlflow", "mlflow_auth", "mlflow_application"]]


@pytest.mark.parametrize("version", [None, "3"])
def test_a_secret_without_a_value_is_refused_before_any_change(version: str | None) -> None:
    looked = {"results": [{"item": "my-secret", "version": version}, {"item": "other", "skipped": True}]}
    known = {"mlflow_deployment": described(), "__infrastructure_given_secrets": looked}
    said = refusals("infrastructure", tasks="validate", known=known)
    if version:
        assert said == []
        return
    assert said[0].startswith("mlflow_secret_environment names the secret my-secret, which has no value in project")
    assert "gcloud secrets create my-secret --project=my-project" in said[0]


def test_the_check_of_the_secrets_reads_no_value() -> None:
    """In check mode, and only whether a version exists."""
    (block,) = load("tasks/validate.yml", "infrastructure")
    (look,) = [task for task in block["block"] if "mlops.mlflow_gcp.gcp_secret" in task]
    assert look["check_mode"] is True
    assert look["mlops.mlflow_gcp.gcp_secret"]["payload_policy"] == "if_absent"
    assert "return_payload" not in look["mlops.mlflow_gcp.gcp_secret"]


@pytest.mark.parametrize("packages", ["", "own==1 \\\n    --hash=sha256:aa\n"])
def test_an_upgrade_and_site_yml_use_the_same_directory(tmp_path: Path, packages: str) -> None:
    """Otherwise an upgrade would deploy a release without the packages, or site.yml would replace its release."""
    extra = tmp_path / "extra.txt"
    extra.write_text(packages)
    given = {"mlflow_extra_requirements_file": str(extra) if packages else "", "mlflow_requirements_file": str(SHIPPED)}
    fact = described(**given)
    site = evaluated("{{ __mlflow_release_directory }}", "mlflow", mlflow_version="3.17.2", **given)
    selected = {"version": "3.17.2", "requirements_file": str(SHIPPED)}
    upgrade = evaluated("{{ __upgrade_target }}", "upgrade", mlflow_deployment=fact, __upgrade_release=selected)
    assert site == upgrade
    assert site.startswith("/opt/mlflow/releases/3.17.2-")
