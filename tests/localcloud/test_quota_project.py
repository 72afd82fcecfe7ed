# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The consumer project of a call: a service account's project, the user's quota project, or gcloud's project."""

from __future__ import annotations

import json
import pathlib

import google.auth.transport.requests
import pytest
from google.auth import external_account_authorized_user
from google.auth.exceptions import RefreshError
from google.oauth2 import credentials as user_credentials

from localcloud.framework.consumer import CLIENT_PROJECT
from tests.localcloud.harness import Local, Session

EMAIL = "someone@example.com"
PROJECT = "/cloudresourcemanager/v1/projects/mlflow-local"
NETWORK = "projects/100000000001/global/networks/none"
CONNECTIONS = f"/servicenetworking/v1/services/servicenetworking.googleapis.com/connections?network={NETWORK}"
CLIENT_BASED = {PROJECT: 200, "/iam/v1/projects/mlflow-local/serviceAccounts": 200, CONNECTIONS: 404}
SERVICES = "/serviceusage/v1/projects/mlflow-local/services"


def owner(local: Local, quota_project: str | None) -> Session:
    """Return a user who owns the project."""
    return local.session_of(local.user(EMAIL, "roles/owner", quota_project=quota_project))


def test_calls_of_a_user_count_for_the_project_that_they_name(local: Local) -> None:
    user = owner(local, "mlflow-local")
    for path, code in CLIENT_BASED.items():
        user.call("GET", path, code)
    user.call("GET", f"{SERVICES}/iam.googleapis.com")


@pytest.mark.parametrize("path", CLIENT_BASED)
def test_apis_that_look_at_the_caller_must_be_enabled_in_another_quota_project(local: Local, path: str) -> None:
    local.grant(f"user:{EMAIL}", "roles/owner", project=local.other_project())
    user = owner(local, "other-project")
    details = user.call("GET", path, 403)["error"]["details"][0]
    assert (details["reason"], details["metadata"]["consumer"]) == ("SERVICE_DISABLED", "projects/100000000099")
    # Other APIs check the project of the resource.
    user.call("GET", "/compute/v1/projects/mlflow-local/zones")


@pytest.mark.parametrize("path", CLIENT_BASED)
def test_a_user_without_a_quota_project_counts_for_the_project_of_gcloud(local: Local, path: str) -> None:
    user = owner(local, None)
    told = user.call("GET", path, 403)["error"]
    assert told["details"][0]["metadata"]["consumer"] == f"projects/{CLIENT_PROJECT}"
    assert "requires a quota project" in told["message"]
    user.call("GET", f"{SERVICES}/iam.googleapis.com")
    local.enable("cloudresourcemanager", "iam", "servicenetworking", project=CLIENT_PROJECT)
    user.call("GET", path, CLIENT_BASED[path])


def test_a_quota_project_needs_a_permission(local: Local) -> None:
    local.other_project()
    for project in ("other-project", "no-such-project"):
        told = owner(local, project).call("GET", PROJECT, 403)["error"]
        assert told["details"][0]["reason"] == "USER_PROJECT_DENIED"
        assert f"Caller does not have required permission to use project {project}." in told["message"]
    local.grant(f"user:{EMAIL}", "roles/serviceusage.serviceUsageConsumer", project="other-project")
    told = owner(local, "other-project").call("GET", PROJECT, 403)["error"]
    assert told["details"][0]["reason"] == "SERVICE_DISABLED"


def test_service_usage_itself_may_be_disabled(local: Local) -> None:
    local.cloud.projects.disable("mlflow-local", "serviceusage.googleapis.com")
    path = f"{SERVICES}/iam.googleapis.com"
    told = owner(local, "mlflow-local").call("GET", path, 403)["error"]["details"][0]
    assert (told["reason"], told["metadata"]["service"]) == ("SERVICE_DISABLED", "serviceusage.googleapis.com")
    owner(local, None).call("GET", path)


def test_impersonation_counts_for_the_quota_project_of_the_user(local: Local) -> None:
    target = local.account("deployer")
    local.grant(f"user:{EMAIL}", "roles/owner", "roles/iam.serviceAccountTokenCreator")
    path = f"/iamcredentials/v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    body = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    user = local.session_of(local.cloud.logins.log_in(EMAIL, "mlflow-local"))
    user.call("POST", path, json=body)
    local.cloud.projects.disable("mlflow-local", "iamcredentials.googleapis.com")
    told = user.call("POST", path, 403, json=body)["error"]["details"][0]
    assert (told["reason"], told["metadata"]["service"]) == ("SERVICE_DISABLED", "iamcredentials.googleapis.com")


def test_the_file_is_for_any_client(local: Local, tmp_path: pathlib.Path) -> None:
    login = {"email": EMAIL, "quota_project_id": "mlflow-local"}
    asked = local.session().call("POST", "/localcloud/logins", json=login)
    path = tmp_path / "user.json"
    path.write_text(json.dumps(asked))
    found = external_account_authorized_user.Credentials.from_file(path)
    assert found.quota_project_id == "mlflow-local"
    request = google.auth.transport.requests.Request()  # type: ignore[no-untyped-call]
    found.refresh(request)
    # The file that gcloud writes has the same secrets, but no address of a token service.
    plain = {"client_id": asked["client_id"], "client_secret": "local", "refresh_token": asked["refresh_token"]}
    usual = user_credentials.Credentials(None, token_uri=asked["token_url"], **plain)  # type: ignore[no-untyped-call]
    usual.refresh(request)  # type: ignore[no-untyped-call]
    assert local.cloud.auth.authenticate(f"Bearer {usual.token}").member == f"user:{EMAIL}"
    unknown = user_credentials.Credentials(  # type: ignore[no-untyped-call]
        None, token_uri=asked["token_url"], **plain | {"refresh_token": "1//other"}
    )
    with pytest.raises(RefreshError, match="invalid_grant"):
        unknown.refresh(request)  # type: ignore[no-untyped-call]
    robot = {"email": "robot@mlflow-local.iam.gserviceaccount.com"}
    local.session().call("POST", "/localcloud/logins", 400, json=robot)
