# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The table of the authentication modes, and the fact for a mode with secrets of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _authentication, _rotation, _validation
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import ADMIN_PASSWORD, BASIC, Secret
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._choice import UnknownChoiceError

from tests.unit.roles.evaluated import described, evaluated

COOKIE = Secret("cookie_secret", "cookie secret", rotation_role="authentication_other", unit="proxy", length=32)
CLIENT = Secret("client_secret", "client secret", rotation_role="authentication_other", unit="proxy", length=0)
OTHER = dataclasses.replace(
    BASIC,
    name="other",
    role="authentication_other",
    secrets=(ADMIN_PASSWORD, COOKIE, CLIENT),
    app_name="other-app",
    single_sign_on=True,
    # A variable with a text, until a mode has an issuer.
    issuer_variable="deployment_hostname",
)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the fact of a deployment with another mode."""
    monkeypatch.setattr(_authentication, "AUTHENTICATIONS", {"basic": BASIC, "other": OTHER})
    return described(mlflow_authentication="other")


def test_the_secrets_of_a_mode_are_secrets_of_the_deployment(other: dict[str, Any]) -> None:
    assert other["secrets"]["cookie_secret"] == "mlflow-cookie-secret"
    assert {"mlflow-admin-password", "mlflow-cookie-secret", "mlflow-client-secret"} <= set(other["vm_secrets"])
    assert {"name": "proxy.cookie-secret", "secret": "mlflow-cookie-secret"} in other["credential_items"]
    assert "cookie_secret" not in described()["secrets"]


def test_the_length_of_generated_secrets_is_given(other: dict[str, Any]) -> None:
    lengths = {secret["name"]: secret["length"] for secret in other["authentication"]["secrets"]}
    assert lengths == {"admin_password": 40, "cookie_secret": 32, "client_secret": 0}


def test_mlflow_loads_only_its_own_credentials(other: dict[str, Any]) -> None:
    assert other["authentication"]["credentials"] == ["mlflow.admin-password"]
    assert other["authentication"]["app_name"] == "other-app"


def test_a_shared_secret_is_rotated_by_the_same_role_in_each_mode(other: dict[str, Any]) -> None:
    roles = {each["name"]: each["role"] for each in other["rotations"]}
    assert roles["admin_password"] == "mlops.mlflow_gcp.authentication_basic"
    assert roles["cookie_secret"] == "mlops.mlflow_gcp.authentication_other"
    assert roles["database_password"] == ""
    names = [each["name"] for each in described()["rotations"]]
    assert names == [
        "database_password",
        "admin_password",
        *(rotation.name for rotation in _rotation.OTHERS),
    ]


def test_the_doctor_sends_requests_as_the_administrator() -> None:
    fact = described(mlflow_admin_username="ada", deployment_name="team")
    assert fact["authentication"]["identity"] == {"username": "ada", "secret": "team-admin-password"}


def test_the_rules_for_identities_are_in_the_fact(other: dict[str, Any]) -> None:
    assert other["authentication"]["identity_rules"] == {
        "admins": [],
        "admin_groups": [],
        "domains": [],
        "service_accounts": [],
        "require_hosted_domain": True,
    }
    given = {"mlflow_identity_domains": ["example.com"], "mlflow_identity_admins": ["boss@example.com"]}
    rules = described(mlflow_authentication="other", **given)["authentication"]["identity_rules"]
    assert (rules["domains"], rules["admins"]) == (["example.com"], ["boss@example.com"])
    assert described(**given)["authentication"]["identity_rules"] is None


@pytest.mark.parametrize(
    ("issuer", "required"), [("https://accounts.google.com", True), ("https://id.example.com", False)]
)
@pytest.mark.usefixtures("other")
def test_only_google_has_hosted_domains(issuer: str, required: bool) -> None:
    fact = described(mlflow_authentication="other", deployment_hostname=issuer)
    assert fact["authentication"]["issuer"] == issuer
    assert fact["authentication"]["identity_rules"]["require_hosted_domain"] is required
    given = described(
        mlflow_authentication="other", deployment_hostname=issuer, mlflow_identity_require_hosted_domain=not required
    )
    assert given["authentication"]["identity_rules"]["require_hosted_domain"] is not required


@pytest.mark.usefixtures("other")
def test_the_server_gets_the_rules_of_a_mode_with_single_sign_on() -> None:
    given = {
        "mlflow_hostnames": ["mlflow.example.com"],
        "mlflow_artifacts_destination": "gs://bucket",
        "mlflow_identity_domains": ["example.com"],
    }
    settings = evaluated("{{ __mlflow_server }}", "mlflow", **given)
    assert settings["identity"] is None
    assert settings["audit_log"] is True
    settings = evaluated("{{ __mlflow_server }}", "mlflow", **given, mlflow_authentication="other")
    assert settings["identity"]["domains"] == ["example.com"]
    assert settings["identity"]["require_hosted_domain"] is True


@pytest.mark.parametrize("variable", ["mlflow_authentication", "deployment_runtime"])
def test_another_value_is_refused_with_the_possible_values(variable: str) -> None:
    with pytest.raises(UnknownChoiceError, match=f"{variable} is 'saml'. Set {variable} to one of: "):
        described(**{variable: "saml"})


def test_the_role_variables_of_each_mode_are_checked_before_the_first_change() -> None:
    assert {mode.role for mode in _authentication.AUTHENTICATIONS.values()} <= set(_validation.CHECKS)


def test_single_sign_on_has_its_own_unit_and_a_credential_of_the_vm() -> None:
    fact = described(mlflow_authentication="oauth2_proxy", deployment_name="team")
    assert fact["authentication"]["credentials"] == ["mlflow.admin-password", "mlflow.front-end-secret"]
    names = {item["name"]: item["secret"] for item in fact["credential_items"]}
    assert names["oauth2-proxy.oauth2-proxy-client-secret"] == "team-oauth2-proxy-client-secret"
    lengths = {secret["name"]: secret["length"] for secret in fact["authentication"]["secrets"]}
    assert lengths == {"admin_password": 40, "oauth2_proxy_client_secret": 0, "oauth2_proxy_cookie_secret": 32}
    # No item for it: the VM creates it.
    assert "mlflow.front-end-secret" not in names


def test_a_change_of_the_mode_is_reversible_and_cleans_the_vm() -> None:
    basic, single_sign_on = (described(mlflow_authentication=name) for name in ("basic", "oauth2_proxy"))
    assert basic["authentication"]["former_roles"] == ["mlops.mlflow_gcp.authentication_oauth2_proxy"]
    assert single_sign_on["authentication"]["former_roles"] == []
    # playbooks/destroy.yml deletes them too.
    assert basic["former_secrets"][:2] == ["mlflow-oauth2-proxy-client-secret", "mlflow-oauth2-proxy-cookie-secret"]
    assert basic["former_secrets"][2:] == single_sign_on["former_secrets"]
    assert not set(basic["former_secrets"]) & set(basic["vm_secrets"])


def test_an_own_application_has_a_database_and_no_administrator() -> None:
    secrets = {"OIDC_CLIENT_SECRET": "my-secret", "SECRET_KEY": "my-key"}
    fact = described(mlflow_authentication="application", mlflow_secret_environment=secrets)
    assert fact["database"]["application_name"] == "mlflow_application"
    assert described()["database"]["application_name"] == ""
    assert fact["authentication"]["identity"] == {"username": "", "secret": ""}
    assert "admin_password" not in [each["name"] for each in fact["rotations"]]


def test_the_secrets_of_the_user_are_read_by_the_vm_and_never_created_or_deleted() -> None:
    secrets = {"OIDC_CLIENT_SECRET": "my-secret", "SECRET_KEY": "my-secret"}
    fact = described(mlflow_secret_environment=secrets)
    assert fact["given_secrets"] == ["my-secret"]
    assert "my-secret" not in fact["vm_secrets"]
    assert {"name": "mlflow.environment-oidc-client-secret", "secret": "my-secret"} in fact["credential_items"]
    assert {"name": "mlflow.environment-secret-key", "secret": "my-secret"} in fact["credential_items"]
