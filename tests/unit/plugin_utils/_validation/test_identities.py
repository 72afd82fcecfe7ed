# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rules for identities that are refused before the first change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _authentication
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import BASIC
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import _identities, mlflow

from tests.unit.plugin_utils._validation.context import CONTEXT, values

VALID = {
    "mlflow_hostnames": ["a.example"],
    "mlflow_artifacts_destination": "gs://my-bucket/path",
    "mlflow_database_max_connections": 100,
    "mlflow_authentication": "other",
    "mlflow_identity_domains": ["example.com", "Sub.Example.org"],
    "mlflow_identity_service_accounts": ["@team-1.iam.gserviceaccount.com", "@p-12345.my.org.iam.gserviceaccount.com"],
    "mlflow_identity_admins": ["Boss@example.com", "ci@team-1.iam.gserviceaccount.com"],
    "mlflow_identity_admin_groups": ["ML Admins", "admins@example.com"],
}


@pytest.fixture(autouse=True)
def single_sign_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a mode with single sign-on."""
    other = dataclasses.replace(BASIC, name="other", single_sign_on=True)
    monkeypatch.setattr(_authentication, "AUTHENTICATIONS", {"basic": BASIC, "other": other})


def messages(**changed: Any) -> list[str]:
    return mlflow.refusals(values("mlflow", **VALID | changed), CONTEXT)


def test_valid_rules() -> None:
    assert messages() == []
    assert messages(mlflow_identity_domains=[], mlflow_identity_admins=[]) == []


def domains(name: str) -> dict[str, Any]:
    return {"mlflow_identity_domains": ["example.com", name]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (domains("*"), "mlflow_identity_domains: '*' is not a domain such as example.com"),
        (domains("*.example.com"), "'*.example.com' is not a domain"),
        (domains("@example.com"), "'@example.com' is not a domain"),
        (domains("example"), "'example' is not a domain"),
        (domains(""), "'' is not a domain"),
        (domains("example.com."), "'example.com.' is not a domain"),
        (domains("Gmail.com"), "'Gmail.com' is a public mail domain, in which everybody can get an address"),
        (domains("googlemail.com"), "is a public mail domain"),
        (domains("yahoo.co.uk"), "is a public mail domain"),
        (domains("p-12345.iam.gserviceaccount.com"), "Name the service accounts in mlflow_identity_service_accounts"),
        ({"mlflow_identity_service_accounts": ["@iam.gserviceaccount.com"]}, "'@iam.gserviceaccount.com' is neither"),
        ({"mlflow_identity_service_accounts": ["@example.com"]}, "'@example.com' is neither an address nor @PROJECT"),
        ({"mlflow_identity_service_accounts": ["ci"]}, "mlflow_identity_service_accounts: 'ci' is neither"),
        ({"mlflow_identity_admins": ["boss"]}, "mlflow_identity_admins: 'boss' is not an e-mail address"),
        ({"mlflow_identity_admins": ["a@example.com b"]}, "'a@example.com b' is not an e-mail address"),
        ({"mlflow_identity_admins": ["boss@example.net"]}, "'boss@example.net' could not sign in. Add its domain to"),
        ({"mlflow_identity_admin_groups": ["a,b"]}, "mlflow_identity_admin_groups: 'a,b' is not the name of a group"),
        ({"mlflow_identity_admin_groups": [""]}, "mlflow_identity_admin_groups: '' is not"),
        (
            {"mlflow_version": "3.14.0", "mlflow_minimum_version": "3.0.0"},
            "mlflow_version: MLflow '3.14.0' does not support mlflow_authentication 'other'. Give 3.15.0 or newer",
        ),
    ],
)
def test_a_refused_entry_is_named(change: dict[str, Any], told: str) -> None:
    found = messages(**{"mlflow_identity_admins": []} | change)
    # Without its project, an administrator among the service accounts could not sign in either.
    assert [message for message in found if told in message], found
    assert len(found) == 1


def test_rules_that_admit_nobody() -> None:
    nobody: dict[str, Any] = {name: [] for name in VALID if name.startswith("mlflow_identity")}
    (message,) = messages(**nobody)
    assert message.startswith("mlflow_identity_domains is empty, so every person would be refused")
    assert messages(**nobody, mlflow_authentication="basic") == []


def test_public_domains_are_domains() -> None:
    assert all(_identities.DOMAIN.fullmatch(name) for name in _identities.PUBLIC)
