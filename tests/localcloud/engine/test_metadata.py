# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The metadata server answers like Compute Engine's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest

from localcloud.metadata.server import MetadataServer
from tests.localcloud.engine.world import ONE, Directory, Tokens

Get = Callable[..., httpx.Response]
EMAIL = "server@test.iam.gserviceaccount.com"


@pytest.fixture
def directory() -> Directory:
    """Return the data of the VMs."""
    return Directory({"enable-guest-attributes": "TRUE", "Some-Key": "a value"})


@pytest.fixture
def server(directory: Directory) -> MetadataServer:
    """Return the server under test."""
    return MetadataServer(directory, Tokens())


async def request(
    server: MetadataServer,
    path: str,
    method: str = "GET",
    ip: str = ONE.internal_ip,
    flavor: str = "Google",
    data: str = "",
) -> httpx.Response:
    """Send a request as a VM."""
    transport = httpx.ASGITransport(server.app, client=(ip, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://metadata.google.internal") as client:
        headers = {"Metadata-Flavor": flavor} if flavor else {}
        return await client.request(method, f"/computeMetadata/v1/{path}", headers=headers, content=data)


@pytest.fixture
def get(server: MetadataServer) -> Get:
    """Return a function that sends a request and returns the answer."""
    return lambda path, **options: asyncio.run(request(server, path, **options))


def test_the_header_is_required(get: Get) -> None:
    assert get("instance/name", flavor="").status_code == 403
    answer = get("instance/name")
    assert (answer.status_code, answer.text) == (200, "one")
    assert answer.headers["Metadata-Flavor"] == "Google"


def test_an_unknown_address_learns_nothing(get: Get) -> None:
    assert get("instance/name", ip="10.9.9.9").status_code == 404


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("instance/zone", "projects/7/zones/zone-a"),
        ("instance/hostname", ONE.hostname.replace("test.internal", "test.internal")),
        ("instance/network-interfaces/0/ip", ONE.internal_ip),
        ("instance/network-interfaces/", "0/\n"),
        ("instance/attributes/Some-Key", "a value"),
        ("instance/attributes/", "Some-Key\nenable-guest-attributes\n"),
        ("instance/service-accounts/", f"default/\n{EMAIL}/\n"),
        ("instance/service-accounts/default/email", EMAIL),
        ("instance/service-accounts/default/scopes", "scope-a"),
        ("project/project-id", "test"),
        ("project/numeric-project-id", "7"),
    ],
)
def test_leaves_and_listings(get: Get, path: str, text: str) -> None:
    answer = get(path)
    assert answer.status_code == 200, answer.text
    assert answer.text == text


def test_a_directory_without_slash_redirects(get: Get) -> None:
    answer = get("instance/attributes?recursive=true")
    assert answer.status_code == 301
    assert answer.headers["location"].endswith("/instance/attributes/?recursive=true")


def test_recursive_json(get: Get) -> None:
    tree = get("?recursive=true").json()
    assert tree["project"] == {"attributes": {}, "numericProjectId": 7, "projectId": "test"}
    assert tree["instance"]["networkInterfaces"][0]["ip"] == ONE.internal_ip
    assert tree["instance"]["serviceAccounts"]["default"]["email"] == EMAIL
    assert get("instance/name?alt=json").json() == "one"
    assert "attributes/Some-Key a value\n" in get("instance/?recursive=true&alt=text").text


@pytest.mark.parametrize(
    "path", ["instance/attributes/none", "instance/nothing", "instance/name/more", "instance/disks/0"]
)
def test_what_is_not_there(get: Get, path: str) -> None:
    assert get(path).status_code == 404


def test_tokens(get: Get) -> None:
    token = get("instance/service-accounts/default/token").json()
    assert token["access_token"] == f"token of {EMAIL} for scope-a"
    assert token["token_type"] == "Bearer"
    assert 3000 < token["expires_in"] <= 3600
    # Scopes that the instance does not have are not granted.
    assert "scope-b" not in get(f"instance/service-accounts/{EMAIL}/token?scopes=scope-b").json()["access_token"]
    assert get("instance/service-accounts/other@x/token").status_code == 404
    assert get("instance/service-accounts/default/identity").status_code == 400
    full = get("instance/service-accounts/default/identity?audience=https://a&format=full").text
    assert full.startswith(f"{EMAIL} https://a True ")
    assert "'instance_name': 'one'" in full
    # As on Google: seconds since the epoch, as a number.
    assert "'instance_creation_timestamp': 1769904000," in full


def test_guest_attributes(get: Get, directory: Directory) -> None:
    path = "instance/guest-attributes/hostkeys/ssh-ed25519"
    assert get(path).status_code == 404
    assert get(path, method="PUT", data="AAAA").status_code == 200
    assert get(path).text == "AAAA"
    assert get("instance/guest-attributes/").text == "hostkeys/\n"
    assert get(path, method="DELETE").status_code == 200
    assert get(path).status_code == 404
    assert get("instance/guest-attributes/one", method="PUT", data="x").status_code == 400
    directory.metadata["enable-guest-attributes"] = "FALSE"
    assert get(path, method="PUT", data="AAAA").status_code == 403


def test_only_guest_attributes_can_be_written(get: Get) -> None:
    assert get("instance/name", method="PUT", data="x").status_code == 405


def test_wait_for_change(server: MetadataServer, directory: Directory) -> None:
    async def scenario() -> None:
        path = "instance/attributes/Some-Key"
        first = await request(server, path)
        etag = first.headers["ETag"]
        began = time.monotonic()
        same = await request(server, f"{path}?wait_for_change=true&timeout_sec=1&last_etag={etag}")
        assert (same.text, same.headers["ETag"]) == ("a value", etag)
        assert time.monotonic() - began >= 0.9
        waiting = asyncio.create_task(request(server, f"{path}?wait_for_change=true&last_etag={etag}"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        directory.metadata["Some-Key"] = "another"
        server.changes.notify()
        assert (await asyncio.wait_for(waiting, 2)).text == "another"
        # A late request is answered at once.
        late = await asyncio.wait_for(request(server, f"{path}?wait_for_change=true&last_etag={etag}"), 2)
        assert late.text == "another"

    asyncio.run(scenario())
