# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._advice import advice, login
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._auth import AuthOptions
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import GoogleError


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Create a key file; return its path."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"client_email": "deployer@p.iam.gserviceaccount.com", "private_key": "hidden"}))
    return str(path)


def test_a_key_in_the_environment_goes_before_a_login(key: str) -> None:
    said = login(AuthOptions(), {"GOOGLE_APPLICATION_CREDENTIALS": key})
    assert f"GOOGLE_APPLICATION_CREDENTIALS '{key}' (account deployer@p.iam.gserviceaccount.com)" in said
    assert "unset the variable and log in with `gcloud auth application-default login`" in said
    assert "hidden" not in said


def test_a_key_in_the_settings(key: str) -> None:
    said = login(AuthOptions("service_account_file", key), {"GOOGLE_APPLICATION_CREDENTIALS": "/another.json"})
    assert f"service_account_file '{key}' (account deployer@p.iam.gserviceaccount.com)" in said
    assert "/another.json" not in said


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "\ud800"])
def test_a_file_that_is_no_key_has_no_account(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogatepass"))
    assert f"'{path}'. Export" in login(AuthOptions(), {"GOOGLE_APPLICATION_CREDENTIALS": str(path)})


def test_a_token_is_not_told() -> None:
    said = login(AuthOptions("access_token", access_token="ya29.x"), {})
    assert "CLOUDSDK_AUTH_ACCESS_TOKEN" in said
    assert "ya29.x" not in said


def test_the_acting_principal_is_named() -> None:
    said = login(AuthOptions(impersonate_service_account="target@p.iam.gserviceaccount.com"), {})
    assert "Log in with `gcloud auth application-default login`" in said
    assert "act as target@p.iam.gserviceaccount.com (impersonate_service_account)" in said


def refused(code: int, reason: str, service: str, consumer: str) -> GoogleError:
    metadata = {"service": service, "consumer": f"projects/{consumer}"}
    return GoogleError(code, reason, "no", [{"reason": "SERVICE_DISABLED", "metadata": metadata}], api="iam")


def test_impersonation_needs_an_enabled_api_first() -> None:
    error = refused(401, "credentials", "iamcredentials.googleapis.com", "my-project")
    said = advice(error, "my-project", AuthOptions(impersonate_service_account="x@y.iam.gserviceaccount.com"))
    assert "`gcloud services enable iamcredentials.googleapis.com --project=my-project`" in said
    assert "log in" not in said.lower()
    # No user can enable an API in the default quota project of gcloud.
    error = refused(401, "credentials", "iamcredentials.googleapis.com", "764086051850")
    said = advice(error, "my-project")
    assert "set-quota-project my-project" in said
    assert "--project=my-project" in said


def test_the_remedy_for_another_quota_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_QUOTA_PROJECT", raising=False)
    error = refused(0, "quotaProject", "iam.googleapis.com", "7")
    assert "`gcloud auth application-default set-quota-project my-project`" in advice(error, "my-project")
    said = advice(error, "my-project", AuthOptions(impersonate_service_account="x@y.iam.gserviceaccount.com"))
    assert "`gcloud services enable iam.googleapis.com --project=7`" in said
    assert "set-quota-project" not in said
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "other")
    said = advice(error, "my-project")
    assert said == "GOOGLE_CLOUD_QUOTA_PROJECT is other: unset it, or set it to my-project."


def test_the_role_that_may_use_a_quota_project() -> None:
    error = refused(403, "USER_PROJECT_DENIED", "iam.googleapis.com", "other")
    said = advice(error, "my-project")
    assert "add-iam-policy-binding other --member=… --role=roles/serviceusage.serviceUsageConsumer" in said


def test_too_many_operations_at_once_need_no_larger_quota() -> None:
    error = GoogleError(403, "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", "Rate Limit Exceeded", api="compute")
    assert "run again later" in advice(error, "my-project")


def test_an_api_that_the_organisation_forbids_is_no_missing_permission() -> None:
    message = (
        "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint for 'projects/1' "
        "attempting to use service 'sqladmin.googleapis.com'."
    )
    said = advice(GoogleError(403, "RESOURCE_USAGE_RESTRICTION_VIOLATED", message, api="sql"), "my-project")
    assert said.startswith("An organisation policy forbids this API.")
    assert "--role" not in said


def test_a_policy_that_stands_in_the_details_only() -> None:
    details = [{"violations": [{"type": "constraints/iam.disableServiceAccountKeyCreation"}]}]
    error = GoogleError(400, "FAILED_PRECONDITION", "Key creation is not allowed on this service account.", details)
    assert "workload identity federation" in advice(error, "my-project")
