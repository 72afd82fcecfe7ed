# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Each kind of credentials: the requests that Google gets, and the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import google.auth.jwt
import pytest
import responses

from mlflow_gcp_auth import Settings
from mlflow_gcp_auth.fetch import fetch

AUDIENCE = "https://mlflow.example"
ROBOT = "robot@p.iam.gserviceaccount.com"
OTHER = "other@p.iam.gserviceaccount.com"
TOKEN = "https://oauth2.googleapis.com/token"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
METADATA = "http://metadata.google.internal/computeMetadata/v1/"

Issue = Callable[..., str]
Write = Callable[[dict[str, Any]], Path]


def form(call: responses.Call) -> dict[str, str]:
    body = call.request.body
    text = body.decode() if isinstance(body, bytes) else str(body)
    return {name: values[0] for name, values in parse_qs(text).items()}


def calls(http: responses.RequestsMock, url: str) -> list[responses.Call]:
    return [call for call in http.calls if str(call.request.url).startswith(url)]


def metadata_server(http: responses.RequestsMock, token: str) -> None:
    """Answer as the metadata server of a VM instance does."""
    flavor = {"Metadata-Flavor": "Google"}
    account = {"aliases": ["default"], "email": ROBOT, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    http.get("http://169.254.169.254", headers=flavor)
    http.get(METADATA + "project/project-id", body="project", headers=flavor)
    http.get(METADATA + "universe/universe-domain", status=404, headers=flavor)
    http.get(METADATA + "instance/service-accounts/default/", json=account, headers=flavor)
    access = {"access_token": "ya29.vm", "expires_in": 3599, "token_type": "Bearer"}
    for name in ("default", ROBOT):
        http.get(METADATA + f"instance/service-accounts/{name}/token", json=access, headers=flavor)
    http.get(METADATA + "instance/service-accounts/default/identity", body=token, headers=flavor)


def test_metadata_server(http: responses.RequestsMock, issue: Issue) -> None:
    """A VM instance, Cloud Run and Vertex AI. Only a token in the full format has an e-mail address."""
    metadata_server(http, issue(AUDIENCE))
    token = fetch(Settings(), AUDIENCE)
    assert (token.value, token.email) == (issue(AUDIENCE), ROBOT)
    (call,) = calls(http, METADATA + "instance/service-accounts/default/identity")
    assert call.request.params == {"audience": AUDIENCE, "format": "full"}
    assert call.request.headers["Metadata-Flavor"] == "Google"


def test_key_file(http: responses.RequestsMock, issue: Issue, credentials: Write, key: dict[str, Any]) -> None:
    credentials(key)
    http.post(TOKEN, json={"id_token": issue(AUDIENCE)})
    assert fetch(Settings(), AUDIENCE).email == ROBOT
    assertion = google.auth.jwt.decode(form(http.calls[0])["assertion"], verify=False)
    assert (assertion["target_audience"], assertion["iss"], assertion["aud"]) == (AUDIENCE, ROBOT, TOKEN)


def test_the_token_endpoint_of_the_key_file(
    http: responses.RequestsMock, issue: Issue, credentials: Write, key: dict[str, Any]
) -> None:
    credentials(key | {"token_uri": "https://token.example/token"})
    http.post("https://token.example/token", json={"id_token": issue(AUDIENCE)})
    assert fetch(Settings(), AUDIENCE).email == ROBOT


def test_the_well_known_credentials_file_of_gcloud(
    http: responses.RequestsMock, issue: Issue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: dict[str, Any]
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    # google-auth calls gcloud for the name of the project, which takes seconds.
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(key))
    http.post(TOKEN, json={"id_token": issue(AUDIENCE)})
    assert fetch(Settings(), AUDIENCE).email == ROBOT


def assert_generated(http: responses.RequestsMock, email: str, access_token: str) -> None:
    """Assert one call of generateIdToken with the e-mail address, and no other token."""
    (call,) = (call for call in calls(http, IAM) if ":generate" in str(call.request.url))
    assert call.request.url == f"{IAM}{email}:generateIdToken"
    assert call.request.headers["Authorization"] == f"Bearer {access_token}"
    body = json.loads(call.request.body or "")
    assert (body["audience"], body["includeEmail"]) == (AUDIENCE, True)


def test_impersonation_with_a_key(
    http: responses.RequestsMock, issue: Issue, credentials: Write, key: dict[str, Any]
) -> None:
    credentials(key)
    http.post(TOKEN, json={"access_token": "ya29.key", "expires_in": 3599})
    http.post(f"{IAM}{OTHER}:generateIdToken", json={"token": issue(AUDIENCE, email=OTHER)})
    assert fetch(Settings(service_account=OTHER), AUDIENCE).email == OTHER
    assert_generated(http, OTHER, "ya29.key")


def test_impersonation_on_a_vm(http: responses.RequestsMock, issue: Issue) -> None:
    metadata_server(http, issue(AUDIENCE))
    http.post(f"{IAM}{OTHER}:generateIdToken", json={"token": issue(AUDIENCE, email=OTHER)})
    assert fetch(Settings(service_account=OTHER), AUDIENCE).email == OTHER
    assert_generated(http, OTHER, "ya29.vm")


def test_impersonation_by_a_person(
    http: responses.RequestsMock, issue: Issue, credentials: Write, person: dict[str, Any]
) -> None:
    """The OAuth client of gcloud is good enough here: the token is the service account's."""
    credentials(person | {"client_id": "32555940559.apps.googleusercontent.com"})
    http.post(TOKEN, json={"access_token": "ya29.person", "expires_in": 3599})
    http.post(f"{IAM}{OTHER}:generateIdToken", json={"token": issue(AUDIENCE, email=OTHER)})
    assert fetch(Settings(service_account=OTHER), AUDIENCE).email == OTHER
    assert_generated(http, OTHER, "ya29.person")
    assert calls(http, IAM)[0].request.headers["x-goog-user-project"] == "project"


def test_impersonation_by_a_credentials_file(
    http: responses.RequestsMock, issue: Issue, credentials: Write, person: dict[str, Any]
) -> None:
    """`gcloud auth application-default login --impersonate-service-account` writes such a file."""
    credentials(
        {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": f"{IAM}{ROBOT}:generateAccessToken",
            "source_credentials": person,
            "delegates": [],
        }
    )
    http.post(TOKEN, json={"access_token": "ya29.person", "expires_in": 3599})
    http.post(f"{IAM}{ROBOT}:generateIdToken", json={"token": issue(AUDIENCE)})
    assert fetch(Settings(), AUDIENCE).email == ROBOT
    assert_generated(http, ROBOT, "ya29.person")


@pytest.fixture
def github(http: responses.RequestsMock) -> dict[str, Any]:
    """Return the credentials file that google-github-actions/auth writes."""
    url = "https://github.example/token?api-version=2.0"
    http.get(
        url, json={"value": "github-token"}, match=[responses.matchers.header_matcher({"Authorization": "Bearer g"})]
    )
    http.post("https://sts.googleapis.com/v1/token", json=exchanged("ya29.federated"))
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/r",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {
            "url": url,
            "headers": {"Authorization": "Bearer g"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        },
        "service_account_impersonation_url": f"{IAM}{ROBOT}:generateAccessToken",
    }


def exchanged(token: str) -> dict[str, Any]:
    issued = "urn:ietf:params:oauth:token-type:access_token"
    return {"access_token": token, "issued_token_type": issued, "token_type": "Bearer", "expires_in": 3600}


@pytest.mark.parametrize("service_account", ["", ROBOT])
def test_federation(
    http: responses.RequestsMock, issue: Issue, credentials: Write, github: dict[str, Any], service_account: str
) -> None:
    """The federated identity requests the token itself: it has the role workloadIdentityUser on the service account."""
    credentials(github)
    http.post(f"{IAM}{ROBOT}:generateIdToken", json={"token": issue(AUDIENCE)})
    assert fetch(Settings(service_account=service_account), AUDIENCE).email == ROBOT
    (exchange,) = calls(http, "https://sts.googleapis.com")
    assert form(exchange)["subject_token"] == "github-token"
    assert_generated(http, ROBOT, "ya29.federated")


def test_federation_without_a_service_account_impersonates_one(
    http: responses.RequestsMock, issue: Issue, credentials: Write, github: dict[str, Any]
) -> None:
    del github["service_account_impersonation_url"]
    credentials(github)
    http.post(f"{IAM}{OTHER}:generateIdToken", json={"token": issue(AUDIENCE, email=OTHER)})
    assert fetch(Settings(service_account=OTHER), AUDIENCE).email == OTHER
    assert_generated(http, OTHER, "ya29.federated")


def test_federation_impersonates_a_second_service_account(
    http: responses.RequestsMock, issue: Issue, credentials: Write, github: dict[str, Any]
) -> None:
    """Here the configured service account has the role on the second one."""
    credentials(github)
    answer = {"accessToken": "ya29.robot", "expireTime": "2099-01-01T00:00:00Z"}
    http.post(f"{IAM}{ROBOT}:generateAccessToken", json=answer)
    http.post(f"{IAM}{OTHER}:generateIdToken", json={"token": issue(AUDIENCE, email=OTHER)})
    assert fetch(Settings(service_account=OTHER), AUDIENCE).email == OTHER
    assert calls(http, f"{IAM}{OTHER}")[0].request.headers["Authorization"] == "Bearer ya29.robot"
