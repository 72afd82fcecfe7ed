# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The local cloud as the HTTP proxy of a client: requests in absolute form."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.localcloud.harness import Local, Session

SECRETS = "/v1/projects/mlflow-local/secrets"
HOST = "secretmanager.googleapis.com"
Send = Callable[..., tuple[int, str]]


@pytest.fixture
def send(local: Local, owner: Session) -> Send:
    """Return a function that sends a request with exactly this target; returns status and body."""
    owner.call("GET", "/secretmanager" + SECRETS)

    def request(target: str, verb: str = "GET", *, host: str = "", body: Any = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", local.port, timeout=10)
        connection.putrequest(verb, target, skip_host=True)
        sent = {"Host": host or f"127.0.0.1:{local.port}", "Authorization": f"Bearer {owner.http.credentials.token}"}
        content = json.dumps(body).encode() if body is not None else b""
        for name, value in (sent | {"Content-Length": str(len(content))} | headers).items():
            connection.putheader(name, value)
        connection.endheaders(content)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()

    return request


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_the_urls_host_selects_the_api(send: Send, scheme: str) -> None:
    body = {"replication": {"automatic": {}}}
    assert send(f"{scheme}://{HOST}{SECRETS}?secretId=a", "POST", body=body)[0] == 200
    status, text = send(f"{scheme}://{HOST}{SECRETS}/a?fields=name")
    assert (status, json.loads(text)) == (200, {"name": "projects/100000000001/secrets/a"})
    # RFC 9112: the URL's host counts, not the header.
    assert send(f"{scheme}://{HOST}{SECRETS}", host="iam.googleapis.com")[0] == 200
    assert send(f"{scheme}://iam.googleapis.com{SECRETS}", host=HOST)[0] == 404


def test_the_local_endpoint(local: Local, send: Send) -> None:
    assert send(f"http://127.0.0.1:{local.port}/secretmanager{SECRETS}")[0] == 200
    assert send(f"http://127.0.0.1:{local.port}/localcloud/health")[0] == 200
    assert send(f"http://user:password@127.0.0.1:{local.port}/localcloud/health")[0] == 200


def test_an_encoded_path(local: Local, send: Send) -> None:
    """An encoded slash in an object's name stays one part of the path."""
    local.enable("storage")
    base = "http://storage.googleapis.com"
    assert send(f"{base}/storage/v1/b?project=mlflow-local", "POST", body={"name": "bucket-of-a-proxy"})[0] == 200
    upload = f"{base}/upload/storage/v1/b/bucket-of-a-proxy/o?uploadType=media&name=a%2Fb%20c"
    assert send(upload, "POST", body={"x": 1})[0] == 200
    assert send(f"{base}/storage/v1/b/bucket-of-a-proxy/o/a%2Fb%20c?alt=media") == (200, '{"x": 1}')


@pytest.mark.parametrize(
    "target",
    ["http://secretmanager.googleapis.com", "http://", "http:///v1", "http://[::1/v1", "ftp://x/localcloud/health"],
)
def test_other_targets_are_not_found(send: Send, target: str) -> None:
    assert send(target)[0] == 404


def test_administration_stays_on_the_control_node(send: Send) -> None:
    assert send("http://example.org/localcloud/health")[0] == 404
    assert send(f"http://{HOST}/localcloud/health")[0] == 404


def test_a_client_with_a_proxy(local: Local, owner: Session) -> None:
    owner.call("GET", "/secretmanager" + SECRETS)
    answer = requests.get(
        f"http://{HOST}{SECRETS}",
        headers={"Authorization": f"Bearer {owner.http.credentials.token}"},
        proxies={"http": local.url},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
