# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The messages of failures: the variable, Google's words and the remedy, but no credential."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from mlflow_gcp_auth import AuthenticationError, Settings
from mlflow_gcp_auth.errors import words
from mlflow_gcp_auth.fetch import fetch

AUDIENCE = "https://mlflow.example"
ROBOT = "robot@p.iam.gserviceaccount.com"
TOKEN = "https://oauth2.googleapis.com/token"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"

Issue = Callable[..., str]
Write = Callable[[dict[str, Any]], Path]
Json = dict[str, Any]


def failure(settings: Settings | None = None) -> str:
    """Return the message and the traceback of a failed request for a token."""
    with pytest.raises(AuthenticationError) as raised:
        fetch(settings or Settings(), AUDIENCE)
    assert str(raised.value) in "".join(traceback.format_exception_only(raised.type, raised.value))
    return "".join(traceback.format_exception(raised.type, raised.value, raised.tb))


def assert_says(message: str, *parts: str) -> None:
    for expected in parts:
        assert expected in message


def test_no_credentials(tmp_path: Path) -> None:
    """In a process of its own: google-auth reads NO_GCE_CHECK when it is imported."""
    program = "from mlflow_gcp_auth import fetch, Settings; fetch.fetch(Settings.from_environment(), 'a')"
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NO_GCE_CHECK": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "MLFLOW_GCP_AUTH_CLIENT_ID_FILE": "/shared/client id.json",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert_says(
        done.stderr,
        "GOOGLE_APPLICATION_CREDENTIALS is not set",
        "Your default credentials were not found",
        "attach a service account",
        "gcloud auth application-default login --client-id-file='/shared/client id.json'",
    )


def test_a_missing_credentials_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/missing.json")
    message = failure(Settings(credentials_file="/missing.json"))
    assert_says(message, "GOOGLE_APPLICATION_CREDENTIALS is /missing.json", "/missing.json was not found")


def test_a_credentials_file_without_json(credentials: Write) -> None:
    path = credentials({})
    path.write_text("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7")
    assert_says(message := failure(), "not a valid json file", "GOOGLE_APPLICATION_CREDENTIALS")
    assert "MIIEvQ" not in message


def test_a_disabled_key(http: responses.RequestsMock, credentials: Write, key: Json) -> None:
    credentials(key)
    answer = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    http.post(TOKEN, status=400, json=answer)
    assert_says(
        message := failure(),
        f"Cannot get an identity token of the key of the service account {ROBOT} for {AUDIENCE}.",
        "Cause: ",
        "invalid_grant: Invalid JWT Signature.",
        "the key in GOOGLE_APPLICATION_CREDENTIALS is neither deleted nor disabled",
        "the clock of this computer",
    )
    assert "PRIVATE KEY" not in message


def test_a_missing_role(http: responses.RequestsMock, credentials: Write, key: Json) -> None:
    credentials(key)
    reason = "Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist)."
    http.post(TOKEN, json={"access_token": "ya29.secret", "expires_in": 3599})
    http.post(f"{IAM}a@p.iam.gserviceaccount.com:generateIdToken", status=403, json={"error": {"message": reason}})
    assert_says(
        message := failure(Settings(service_account="a@p.iam.gserviceaccount.com")),
        "the impersonated service account a@p.iam.gserviceaccount.com",
        "Permission 'iam.serviceAccounts.getOpenIdToken' denied",
        "roles/iam.serviceAccountOpenIdTokenCreator on a@p.iam.gserviceaccount.com",
        "MLFLOW_GCP_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    )
    assert "ya29.secret" not in message


@pytest.mark.parametrize("body", ["<html>502 Bad Gateway</html>", "{}", '{"token": 7}', '{"token": "a.b"}'])
def test_an_answer_that_is_not_googles(http: responses.RequestsMock, credentials: Write, key: Json, body: str) -> None:
    credentials(key)
    http.post(TOKEN, json={"access_token": "ya29.secret", "expires_in": 3599})
    http.post(f"{IAM}{ROBOT}:generateIdToken", status=502 if "502" in body else 200, body=body)
    assert "roles/iam.serviceAccountOpenIdTokenCreator" in failure(Settings(service_account=ROBOT))


def test_no_network(http: responses.RequestsMock, credentials: Write, key: Json) -> None:
    credentials(key)
    http.post(TOKEN, json={"access_token": "ya29.secret", "expires_in": 3599})
    failed = requests.ConnectionError("Name or service not known")
    http.post(f"{IAM}{ROBOT}:generateIdToken", body=failed)
    assert_says(failure(Settings(service_account=ROBOT)), "Cause: Name or service not known")


@pytest.mark.parametrize(
    "account",
    [
        # A VM instance without a service account, and two answers that are not a metadata server's.
        {"status": 404, "body": "<p>" * 1000},
        {"status": 200, "body": "<p>portal</p>"},
        {"status": 200, "json": {}},
    ],
)
def test_a_wrong_answer_of_the_metadata_server(http: responses.RequestsMock, account: Json) -> None:
    flavor = {"Metadata-Flavor": "Google"}
    metadata = "http://metadata.google.internal/computeMetadata/v1/"
    http.get("http://169.254.169.254", headers=flavor)
    http.get(metadata + "project/project-id", body="project", headers=flavor)
    http.get(metadata + "instance/service-accounts/default/", headers=flavor, **account)
    assert_says(
        message := failure(), "the service account of the metadata server", "Attach a service account to this VM"
    )
    assert message.count("<p>") < 200


def federation(**changes: Any) -> Json:
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/r",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"url": "https://github.example/token"},
        **changes,
    }


def test_federation_without_a_service_account(http: responses.RequestsMock, credentials: Write) -> None:
    credentials(federation())
    assert_says(
        failure(),
        "input service_account of google-github-actions/auth",
        "MLFLOW_GCP_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    )


def test_a_refused_federation(http: responses.RequestsMock, credentials: Write) -> None:
    credentials(federation(service_account_impersonation_url=f"{IAM}{ROBOT}:generateAccessToken"))
    http.get("https://github.example/token", body="github-token-secret")
    refused = {
        "error": "unauthorized_client",
        "error_description": "The given credential is rejected by the condition.",
    }
    http.post("https://sts.googleapis.com/v1/token", status=400, json=refused)
    assert_says(
        message := failure(),
        f"{ROBOT} of the workload identity federation",
        "rejected by the condition",
        f"roles/iam.workloadIdentityUser on {ROBOT}",
        "id-token: write",
    )
    assert "github-token-secret" not in message


@pytest.mark.parametrize(
    "client",
    [
        "32555940559.apps.googleusercontent.com",
        "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
    ],
)
def test_the_oauth_client_of_gcloud(
    http: responses.RequestsMock, credentials: Write, person: Json, client: str
) -> None:
    """Another receiver of such a token could use it: no token is requested."""
    credentials(person | {"client_id": client})
    assert_says(failure(), "the OAuth client of gcloud", "login --client-id-file=CLIENT.json")
    assert len(http.calls) == 0


def test_another_oauth_client(http: responses.RequestsMock, credentials: Write, person: Json, tmp_path: Path) -> None:
    credentials(person)
    client = tmp_path / "client.json"
    client.write_text(json.dumps({"installed": {"client_id": "2-company.apps.googleusercontent.com"}}))
    assert_says(
        failure(Settings(client_id_file=str(client))),
        "OAuth client 1-desktop.apps.googleusercontent.com",
        "MLFLOW_GCP_AUTH_CLIENT_ID_FILE names the client 2-company.apps.googleusercontent.com",
        f"login --client-id-file={client}",
    )
    assert len(http.calls) == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("no json", "no JSON"),
        ('{"web": {"client_id": "a"}}', "no client of the type desktop app"),
        ("[]", "no client of the type desktop app"),
    ],
)
def test_a_wrong_client_file(
    credentials: Write, person: Json, tmp_path: Path, content: str | None, reason: str
) -> None:
    credentials(person)
    client = tmp_path / "client.json"
    if content is not None:
        client.write_text(content)
    message = failure(Settings(client_id_file=str(client)))
    assert_says(message, f"client file {client}", reason, "MLFLOW_GCP_AUTH_CLIENT_ID_FILE")


def test_a_revoked_sign_in(http: responses.RequestsMock, credentials: Write, person: Json) -> None:
    credentials(person)
    revoked = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    http.post(TOKEN, status=400, json=revoked)
    assert_says(
        message := failure(),
        "your sign-in with the OAuth client 1-desktop",
        "invalid_grant: Token has been expired or revoked.",
        "Sign in again: gcloud auth application-default login --client-id-file=CLIENT.json",
    )
    assert "1//refresh-token" not in message
    assert "GOCSPX" not in message


def test_a_sign_in_without_the_scope_openid(http: responses.RequestsMock, credentials: Write, person: Json) -> None:
    credentials(person)
    http.post(TOKEN, json={"access_token": "ya29.secret", "expires_in": 3599})
    assert_says(failure(), "does not include the scopes openid and email", "Sign in again")


def test_a_token_without_an_address(http: responses.RequestsMock, credentials: Write, key: Json, issue: Issue) -> None:
    credentials(key)
    http.post(TOKEN, json={"id_token": issue(AUDIENCE, email=None)})
    assert_says(message := failure(), "a token without an e-mail address")
    assert "eyJ" not in message


def test_a_token_endpoint_that_returns_another_token(
    http: responses.RequestsMock, credentials: Write, key: Json
) -> None:
    """google-auth puts the whole answer into its exception."""
    credentials(key)
    http.post(TOKEN, json={"access_token": "opaque-but-secret"})
    assert_says(message := failure(), "No ID token in response")
    assert "opaque-but-secret" not in message


def test_credentials_of_a_workforce(http: responses.RequestsMock, credentials: Write) -> None:
    credentials(
        {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/pool/providers/provider",
            "refresh_token": "r",
            "token_url": "https://sts.googleapis.com/v1/oauthtoken",
            "token_info_url": "https://sts.googleapis.com/v1/introspect",
            "client_id": "c",
            "client_secret": "s",
        }
    )
    assert_says(failure(), "external_account_authorized_user", "Set MLFLOW_GCP_AUTH_IMPERSONATE_SERVICE_ACCOUNT")


@pytest.mark.parametrize(
    "secret",
    ["eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln", "ya29.a0Af_B-y", "1//0gAbc-d", "GOCSPX-a_b", "A1b2" * 10],
)
def test_words_contain_no_credential(secret: str) -> None:
    assert words(ValueError(f"Wrong number of segments in token: {secret}")).endswith("token: [redacted].")
    assert words(ValueError(f"b'{secret}'", {"access_token": "x"})) == "b'[redacted]'."


@pytest.mark.parametrize(
    "text",
    [
        "Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource //iam.googleapis.com/projects/p",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/robot@p.iam.gserviceaccount.com",
    ],
)
def test_words_keep_names(text: str) -> None:
    assert words(ValueError(text)) == text + "."
