# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 1: the credentials of a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._auth import SCOPES, AuthOptions, credentials, session
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import ENDPOINTS, Client
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import identity_pool, jwt

TOKENS = "http://tokens.example/oauth2/token"
IAM = "http://tokens.example/iamcredentials/"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = tmp_path / "key.json"
    email = "robot@my-project.iam.gserviceaccount.com"
    path.write_text(
        json.dumps({"type": "service_account", "client_email": email, "private_key": pem, "token_uri": TOKENS})
    )
    return path


def token_sent(options: AuthOptions, environ: dict[str, str] | None = None) -> str:
    """Return the Authorization header of a request with these options."""
    responses.get("https://api.example/", json={})
    session(options, "", environ or {}).get("https://api.example/")
    sent: str = requests_to("https://api.example/")[-1].headers["authorization"]
    return sent


def requests_to(url: str) -> list[Any]:
    """Return the requests to one address. A thread of google-auth may still send a request of an earlier test."""
    return [call.request for call in responses.calls if call.request.url == url]


@responses.activate
def test_access_token() -> None:
    assert token_sent(AuthOptions("access_token", access_token="abc")) == "Bearer abc"


@responses.activate
def test_service_account_key_is_exchanged_at_its_own_address(key_file: Path) -> None:
    responses.post(TOKENS, json={"access_token": "from-key", "expires_in": 3600})
    options = AuthOptions("service_account_file", service_account_file=str(key_file))
    assert token_sent(options) == "Bearer from-key"


def with_key(key_file: Path) -> Client:
    options = AuthOptions("service_account_file", service_account_file=str(key_file))
    return Client(session(options, "", {}), timeout=60, environ={})


@responses.activate
@pytest.mark.parametrize("api", ["compute", "secretmanager"])
def test_a_service_account_signs_its_tokens_for_some_apis(key_file: Path, api: str) -> None:
    """Each module exchanged a signed token for an access token."""
    exchange = responses.post(TOKENS, json={"access_token": "from-key", "expires_in": 3600})
    url = f"{ENDPOINTS[api]}v1/x"
    responses.get(url, json={})
    with_key(key_file).get(api, "v1/x")
    kind, _, token = requests_to(url)[0].headers["authorization"].partition(" ")
    claims = jwt.decode(token, verify=False)
    assert (kind, claims["iss"], claims["scope"]) == ("Bearer", "robot@my-project.iam.gserviceaccount.com", SCOPES[0])
    assert "aud" not in claims
    assert exchange.call_count == 0


@responses.activate
def test_a_refused_self_signed_token_is_exchanged(key_file: Path) -> None:
    exchange = responses.post(TOKENS, json={"access_token": "from-key", "expires_in": 3600})
    url = f"{ENDPOINTS['compute']}x"
    answers = {"Bearer from-key": (200, {}, '{"name": "x"}')}
    responses.add_callback("GET", url, lambda asked: answers.get(asked.headers["authorization"], (401, {}, "{}")))
    client = with_key(key_file)
    assert [client.get("compute", "x") for _ in range(2)] == [{"name": "x"}] * 2
    assert exchange.call_count == 1
    assert requests_to(url)[-1].headers["authorization"] == "Bearer from-key"


@responses.activate
def test_other_apis_get_the_exchanged_token(key_file: Path) -> None:
    responses.post(TOKENS, json={"access_token": "from-key", "expires_in": 3600})
    url = f"{ENDPOINTS['storage']}b/x"
    responses.get(url, json={})
    with_key(key_file).get("storage", "b/x")
    assert requests_to(url)[0].headers["authorization"] == "Bearer from-key"


@responses.activate
def test_application_default_credentials(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    responses.post(TOKENS, json={"access_token": "from-default", "expires_in": 3600})
    assert token_sent(AuthOptions()) == "Bearer from-default"


@responses.activate
def test_workload_identity_federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the file of `gcloud iam workload-identity-pools create-cred-config` with a token of another provider."""
    deployer = "deployer@my-project.iam.gserviceaccount.com"
    impersonation = (
        f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{deployer}:generateAccessToken"
    )
    subject, file = tmp_path / "token", tmp_path / "federation.json"
    subject.write_text("token-of-another-issuer")
    audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/github"
    content = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": str(subject)},
        "service_account_impersonation_url": impersonation,
    }
    file.write_text(json.dumps(content))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")  # otherwise google.auth requests the pool's project
    exchanged = {"access_token": "federated", "token_type": "Bearer", "expires_in": 3600}
    responses.post(content["token_url"], json=exchanged)
    responses.post(impersonation, json={"accessToken": "from-federation", "expireTime": "2099-01-01T00:00:00Z"})
    assert token_sent(AuthOptions()) == "Bearer from-federation"
    assert parse_qs(requests_to(content["token_url"])[0].body.decode())["subject_token"] == ["token-of-another-issuer"]
    assert requests_to(impersonation)[0].headers["authorization"] == "Bearer federated"


@responses.activate
def test_impersonation_goes_through_its_delegates_and_the_overridden_endpoint() -> None:
    target = "target@my-project.iam.gserviceaccount.com"
    url = f"{IAM}v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    responses.post(url, json={"accessToken": "borrowed", "expireTime": "2099-01-01T00:00:00Z"})
    options = AuthOptions("access_token", access_token="abc", impersonate_service_account=f"middle@x, {target}")
    assert token_sent(options, {"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": IAM}) == "Bearer borrowed"
    (asked,) = requests_to(url)
    assert asked.headers["authorization"] == "Bearer abc"
    assert any("middle@x" in delegate for delegate in json.loads(asked.body)["delegates"])


def user_file(folder: Path, **more: str) -> str:
    """Create the file that `gcloud auth application-default login` writes."""
    path = folder / "application_default_credentials.json"
    secret = {"client_id": "x", "client_secret": "y", "refresh_token": "z"}
    path.write_text(json.dumps({"type": "authorized_user", **secret, **more}))
    return str(path)


@pytest.mark.parametrize("noted", [{"quota_project_id": "another-project"}, {}], ids=["another", "none"])
def test_requests_of_a_user_count_for_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: dict[str, str]
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", user_file(tmp_path, **noted))
    assert credentials(AuthOptions(), "my-project", {}).quota_project_id == "my-project"
    environ = {"GOOGLE_CLOUD_QUOTA_PROJECT": "chosen-project"}
    assert credentials(AuthOptions(), "my-project", environ).quota_project_id == "chosen-project"


def test_requests_of_a_service_account_count_for_its_own_project(key_file: Path) -> None:
    options = AuthOptions("service_account_file", service_account_file=str(key_file))
    assert credentials(options, "my-project", {}).quota_project_id is None


@pytest.mark.parametrize(
    ("impersonated", "quota_project"), [("robot@my-project.iam.gserviceaccount.com", None), ("", "my-project")]
)
def test_a_workload_of_another_cloud_has_no_project_of_its_own(
    monkeypatch: pytest.MonkeyPatch, impersonated: str, quota_project: str | None
) -> None:
    document: dict[str, Any] = {
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/token"},
    }
    if impersonated:
        url = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{impersonated}:generateAccessToken"
        document["service_account_impersonation_url"] = url
    found = identity_pool.Credentials.from_info(document)
    monkeypatch.setattr("google.auth.default", lambda **_: (found, None))  # an access would request a token
    assert credentials(AuthOptions(), "my-project", {}).quota_project_id == quota_project


@responses.activate
def test_a_principal_that_impersonates_needs_no_role_in_the_target() -> None:
    target = "target@my-project.iam.gserviceaccount.com"
    url = f"{IAM}v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    responses.post(url, json={"accessToken": "borrowed", "expireTime": "2099-01-01T00:00:00Z"})
    responses.get("https://api.example/", json={})
    options = AuthOptions("access_token", access_token="abc", impersonate_service_account=target)
    session(options, "my-project", {"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": IAM}).get("https://api.example/")
    for request in (*requests_to(url), requests_to("https://api.example/")[-1]):
        assert "x-goog-user-project" not in request.headers


@pytest.mark.parametrize("kind", ["access_token", "service_account_file"])
def test_a_missing_value_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match=f"auth_kind={kind} needs {kind}"):
        session(AuthOptions(kind))


@responses.activate
def test_the_end_of_a_tokens_line_is_no_part_of_it() -> None:
    assert token_sent(AuthOptions("access_token", access_token=" abc\n")) == "Bearer abc"


@pytest.mark.parametrize("token", ["ya29.secret\nsecond line", "ya29.secret and more", "ya29.secrét"])
def test_an_invalid_token_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(ValueError, match="a token cannot have") as caught:
        session(AuthOptions("access_token", access_token=token))
    assert "ya29" not in str(caught.value)


def test_tokens_are_not_printed() -> None:
    assert "abc" not in repr(AuthOptions("access_token", access_token="abc"))
