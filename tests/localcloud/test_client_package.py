# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The client package (clients/python) with metadata server, OAuth, sign-in and IAM Credentials of the local cloud."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import re
import shutil
import threading
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import responses
from google.auth.transport.requests import Request
from google.oauth2 import id_token
from google_auth_oauthlib.flow import InstalledAppFlow
from mlflow_gcp_auth import AuthenticationError, Settings
from mlflow_gcp_auth.fetch import fetch

from localcloud.access.oauth_clients import GCLOUD_CLIENT
from localcloud.metadata.server import MetadataServer
from localcloud.services.compute.directory import Directory
from tests.localcloud.compute_client import DEBIAN, Compute
from tests.localcloud.harness import PLATFORM, Local
from tests.localcloud.sign_in import Person, log_in_with_gcloud

AUDIENCE = "https://mlflow.example"
ADDRESS = "10.128.0.2"
DEFAULT = "100000000001-compute@developer.gserviceaccount.com"
ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
CREATOR = "roles/iam.serviceAccountOpenIdTokenCreator"

Call = Callable[..., Any]
Forward = Callable[[requests.PreparedRequest], tuple[int, dict[str, str], bytes]]


@pytest.fixture(autouse=True)
def google(local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[responses.RequestsMock]:
    """Send requests for Google's hosts to the local cloud, as the DNS server of the VMs does."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as routes:
        for method in (responses.GET, responses.POST):
            routes.add_callback(
                method, re.compile(r"https://[a-z0-9]+\.googleapis\.com/"), to_google(local), content_type=None
            )
        routes.add_passthru(local.url)
        yield routes


def answer(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    return response.status_code, dict(response.headers), response.content


def to_google(local: Local) -> Forward:
    def forward(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(str(request.url))
        headers = dict(request.headers) | {"Host": url.netloc}
        path = f"{local.url}{url.path}?{url.query}" if url.query else f"{local.url}{url.path}"
        body = request.body.encode() if isinstance(request.body, str) else request.body
        return answer(httpx.request(str(request.method), path, headers=headers, content=body))

    return forward


@pytest.fixture
def vm(local: Local, google: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the client package on a VM with the default service account."""
    local.cloud.projects.disable("mlflow-local", "compute.googleapis.com")
    session = local.session()
    session.call("POST", "/serviceusage/v1/projects/mlflow-local/services/compute.googleapis.com:enable", json={})
    Compute(local, session).made(
        "zones/us-central1-a/instances",
        {
            "name": "vm",
            "machineType": "zones/us-central1-a/machineTypes/e2-small",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}],
            "networkInterfaces": [{"network": "global/networks/default"}],
            "serviceAccounts": [{"email": "default", "scopes": [PLATFORM]}],
        },
    )
    server = MetadataServer(Directory(local.cloud), local.cloud.auth)

    async def send(request: requests.PreparedRequest) -> httpx.Response:
        transport = httpx.ASGITransport(server.app, client=(ADDRESS, 1))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(str(request.method), str(request.url), headers=dict(request.headers))

    metadata = re.compile(r"http://(metadata\.google\.internal|169\.254\.169\.254)")
    google.add_callback(responses.GET, metadata, lambda request: answer(asyncio.run(send(request))), content_type=None)


def verified(local: Local, token: str, audience: str = AUDIENCE) -> dict[str, Any]:
    """Verify signature, audience and times of a token, as a server does."""
    claims: dict[str, Any] = id_token.verify_token(token, Request(), audience, local.url + "/oauth2/v1/certs")
    return claims


def allow(call: Call, member: str, target: str) -> None:
    binding = {"role": CREATOR, "members": [f"serviceAccount:{member}"]}
    call("POST", f"{ACCOUNTS}/{target}:setIamPolicy", json={"policy": {"bindings": [binding]}})


@pytest.fixture
def key(local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
    """Return a service account. The environment has its key."""
    email = local.account("robot")
    file, _ = local.cloud.accounts.create_key(email, local.url + "/oauth2/token")
    path = tmp_path / "key.json"
    path.write_text(json.dumps(file))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return email


@pytest.mark.usefixtures("vm")
def test_on_a_vm(local: Local) -> None:
    token = fetch(Settings(), AUDIENCE)
    claims = verified(local, token.value)
    assert (claims["email"], claims["email_verified"], token.email) == (DEFAULT, True, DEFAULT)
    # The full format.
    assert claims["google"]["compute_engine"]["instance_name"] == "vm"
    assert token.lifetime == pytest.approx(3600, abs=60)


@pytest.mark.usefixtures("vm")
def test_impersonation_on_a_vm(local: Local, call: Call) -> None:
    target = local.account("trainer")
    allow(call, DEFAULT, target)
    token = fetch(Settings(service_account=target), AUDIENCE)
    assert verified(local, token.value)["email"] == target


def test_a_key_file(local: Local, key: str) -> None:
    assert verified(local, fetch(Settings(), AUDIENCE).value)["email"] == key


def test_a_disabled_service_account(call: Call, key: str) -> None:
    call("POST", f"{ACCOUNTS}/{key}:disable", json={})
    with pytest.raises(
        AuthenticationError, match=r"invalid_grant.*Check that the key in GOOGLE_APPLICATION_CREDENTIALS"
    ):
        fetch(Settings(), AUDIENCE)


def test_impersonation_with_a_key(local: Local, call: Call, key: str) -> None:
    """Only the role that the error message names is needed."""
    target = local.account("trainer")
    with pytest.raises(AuthenticationError) as raised:
        fetch(Settings(service_account=target), AUDIENCE)
    assert "Permission 'iam.serviceAccounts.getOpenIdToken' denied" in str(raised.value)
    assert f"{CREATOR} on {target}" in str(raised.value)
    allow(call, key, target)
    token = fetch(Settings(service_account=target), AUDIENCE)
    claims = verified(local, token.value)
    assert (claims["email"], claims["email_verified"]) == (target, True)


class Browser:
    """The browser that a program on the desktop opens. A person signs in, and the browser follows the redirect."""

    def __init__(self, local: Local, email: str) -> None:
        self._person = Person(local)
        self._email = email

    def open(self, url: str, **_: Any) -> bool:
        # The program waits for the redirect after this call.
        threading.Thread(target=self._sign_in, args=[url], daemon=True).start()
        return True

    def _sign_in(self, url: str) -> None:
        httpx.get(self._person.choose(url, self._email))


@pytest.fixture
def desktop(local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """Return `desktop(email)`: a person signs in with an OAuth desktop client. It returns the client's file.

    The flow is that of `gcloud auth application-default login --client-id-file`, and the file of credentials is written
    where gcloud writes it.
    """
    file = local.cloud.oauth_clients.register("company", "desktop").file
    path = tmp_path / "client.json"
    path.write_text(json.dumps(file))
    # google-auth calls gcloud for the name of the project, which takes seconds.
    monkeypatch.setenv("PATH", str(tmp_path))

    def sign_in(email: str) -> pathlib.Path:
        monkeypatch.setattr(webbrowser, "get", lambda *_: Browser(local, email))
        scopes = ["openid", "https://www.googleapis.com/auth/userinfo.email", PLATFORM]
        flow = InstalledAppFlow.from_client_secrets_file(str(path), scopes, autogenerate_code_verifier=True)
        found = flow.run_local_server(port=0, timeout_seconds=30, authorization_prompt_message=None)
        names = ("client_id", "client_secret", "refresh_token")
        content = {"type": "authorized_user"} | {name: getattr(found, name) for name in names}
        (tmp_path / "application_default_credentials.json").write_text(json.dumps(content))
        return path

    return sign_in


@pytest.mark.parametrize("names_the_client", [False, True])
def test_a_person(local: Local, desktop: Callable[[str], pathlib.Path], names_the_client: bool) -> None:
    """The audience is the ID of the desktop client."""
    client = desktop("grace@example.com")
    client_id = json.loads(client.read_text())["installed"]["client_id"]
    token = fetch(Settings(client_id_file=str(client) if names_the_client else ""), AUDIENCE)
    claims = verified(local, token.value, client_id)
    assert (claims["email"], claims["hd"], token.email) == ("grace@example.com", "example.com", "grace@example.com")
    assert token.lifetime == pytest.approx(3600, abs=60)


def test_a_person_signs_in_again(desktop: Callable[[str], pathlib.Path]) -> None:
    desktop("grace@example.com")
    assert fetch(Settings(), AUDIENCE).email == "grace@example.com"
    desktop("ada@example.com")
    assert fetch(Settings(), AUDIENCE).email == "ada@example.com"


def test_a_person_signs_in_with_gcloud(local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Run the command of the README."""
    if not shutil.which("gcloud"):
        pytest.skip("gcloud is not installed")
    file = local.cloud.oauth_clients.register("company", "desktop").file
    file["installed"]["token_uri"] = f"{local.url}/oauth2/token"
    client = tmp_path / "client.json"
    client.write_text(json.dumps(file))
    arguments = ["application-default", "login", f"--client-id-file={client}", "--disable-quota-project"]
    log_in_with_gcloud(Person(local), "ada@example.com", tmp_path, dict(os.environ), *arguments)
    monkeypatch.setenv("PATH", str(tmp_path))
    token = fetch(Settings(client_id_file=str(client)), AUDIENCE)
    assert verified(local, token.value, file["installed"]["client_id"])["email"] == "ada@example.com"


def test_a_person_who_left(local: Local, desktop: Callable[[str], pathlib.Path]) -> None:
    desktop("grace@example.com")
    local.cloud.users.remove("grace@example.com")
    with pytest.raises(
        AuthenticationError, match=r"invalid_grant.*Sign in again: gcloud auth application-default login"
    ):
        fetch(Settings(), AUDIENCE)


def test_the_sign_in_of_gcloud_is_refused(
    local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = local.cloud.logins.log_in("ada@example.com", client_id=GCLOUD_CLIENT)
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(file))
    with pytest.raises(AuthenticationError, match="signed in with the OAuth client of gcloud"):
        fetch(Settings(), AUDIENCE)
