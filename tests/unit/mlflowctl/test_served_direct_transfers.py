# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A real MLflow server that creates signed URLs of a local cloud: transfers, permissions and logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import requests

from tests.localcloud.harness import Local
from tests.unit.mlflowctl.local_bucket import local_bucket
from tests.unit.mlflowctl.served import ADMIN, ADMIN_PASSWORD, Served, password, served

pytestmark = pytest.mark.server

MIB = 1024 * 1024
API = "/api/2.0/mlflow-artifacts"
OWNER = {"Authorization": password(ADMIN, ADMIN_PASSWORD)}
READER = {"Authorization": password("reader", "password-of-a-user")}
STRANGER = {"Authorization": password("stranger", "password-of-a-user")}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Yield a local cloud with a bucket, whose owner may sign."""
    with local_bucket(tmp_path_factory.mktemp("local")) as running:
        running.enable("iamcredentials")
        owner = running.credentials().service_account_email
        running.grant(f"serviceAccount:{owner}", "roles/iam.serviceAccountTokenCreator")
        yield running


@pytest.fixture(scope="module")
def server(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    environment = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{local.url}/iamcredentials/",
        "GOOGLE_APPLICATION_CREDENTIALS": str(local.home / "credentials.json"),
        "STORAGE_EMULATOR_HOST": local.url,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "gs://my-bucket",
    }
    settings = {"direct_transfers": {"minimum_bytes": 1000, "url_seconds": 900}}
    folder = tmp_path_factory.mktemp("server")
    with served(folder, single_sign_on=False, settings=settings, **environment) as running:
        for name in ("reader", "stranger"):
            user = {"username": name, "password": "password-of-a-user"}
            running.admin("POST", "/api/2.0/mlflow/users/create", user)
        yield running


@pytest.fixture(scope="module")
def folder(server: Served) -> str:
    """Return the path of a run's artifacts. The user `reader` may read the experiment."""
    experiment = server.admin("POST", "/api/2.0/mlflow/experiments/create", {"name": "e"})["experiment_id"]
    run = server.admin("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    grant = {"username": "reader", "resource_type": "experiment", "resource_id": experiment, "permission": "READ"}
    server.admin("POST", "/api/3.0/mlflow/users/permissions/grant", grant)
    return f"{experiment}/{run}/artifacts"


def upload(server: Served, folder: str, name: str, parts: list[bytes]) -> list[str]:
    """Upload a file in parts as MLflow's client does; return the signed URLs."""
    created = server.ask("POST", f"{API}/mpu/create/{folder}", OWNER, {"path": name, "num_parts": len(parts)})
    assert created.status == 200, created.body
    document, done = created.json(), []
    for credential, part in zip(document["credentials"], parts, strict=True):
        answer = requests.put(credential["url"], data=part, timeout=60)
        assert answer.status_code == 200, answer.text
        done.append({"part_number": credential["part_number"], "etag": answer.headers["ETag"]})
    body = {"path": name, "upload_id": document["upload_id"], "parts": done}
    assert server.ask("POST", f"{API}/mpu/complete/{folder}", OWNER, body).status == 200
    return [credential["url"] for credential in document["credentials"]]


def changed(url: str, **query: str) -> str:
    """Return a URL with other parameters."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | query)))


def test_the_server_offers_direct_transfers(server: Served) -> None:
    found = server.ask("GET", "/api/3.0/mlflow/server-info", OWNER).json()
    assert (found["multipart_uploads_enabled"], found["multipart_downloads_enabled"]) == (True, True)


@pytest.mark.parametrize("name", ["big.bin", "a b?%.bin"])
def test_a_file_in_parts_is_byte_equal(server: Served, folder: str, name: str) -> None:
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(77)]
    upload(server, folder, name, parts)
    path = f"{folder}/{requests.utils.quote(name, safe='')}"
    assert server.ask("GET", f"{API}/artifacts/{path}", OWNER).body == b"".join(parts)
    found = server.ask("GET", f"{API}/presigned/{path}", READER).json()
    assert found["file_size"] == 10 * MIB + 77
    piece = requests.get(found["url"], headers={"Range": f"bytes={5 * MIB}-{10 * MIB - 1}"}, timeout=60)
    assert (piece.status_code, piece.content) == (206, parts[1])


def test_a_small_file_is_downloaded_through_the_server(server: Served, folder: str) -> None:
    assert server.ask("PUT", f"{API}/artifacts/{folder}/small.txt", OWNER, b"small").status == 200
    assert server.ask("GET", f"{API}/presigned/{folder}/small.txt", OWNER).json() == {"url": "", "headers": {}}


def test_a_url_is_for_one_part_of_one_object(server: Served, folder: str) -> None:
    body = {"path": "one.bin", "num_parts": 2}
    created = server.ask("POST", f"{API}/mpu/create/{folder}", OWNER, body).json()
    url = created["credentials"][0]["url"]
    for other in (
        changed(url, partNumber="2"),
        changed(url, uploadId="other"),
        changed(url, **{"X-Goog-Expires": "604800"}),
        url.replace("/one.bin?", "/other.bin?"),
    ):
        assert requests.put(other, data=b"x", timeout=60).status_code == 403
    assert requests.get(url, timeout=60).status_code == 403
    body = {"path": "one.bin", "upload_id": created["upload_id"]}
    answer = server.ask("POST", f"{API}/mpu/abort/{folder}", OWNER, body)
    assert (answer.status, "mlflow_direct_transfers" in answer.json()["message"]) == (400, True)
    assert requests.put(url, data=b"x", timeout=60).status_code == 404


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
@pytest.mark.parametrize(
    ("caller", "reading", "writing"),
    [({}, 401, 401), (STRANGER, 403, 403), (READER, 200, 403)],
    ids=["anonymous", "stranger", "reader"],
)
def test_only_a_permitted_user_gets_a_url(
    server: Served, folder: str, prefix: str, caller: dict[str, str], reading: int, writing: int
) -> None:
    assert server.ask("PUT", f"{API}/artifacts/{folder}/private.bin", OWNER, bytes(2000)).status == 200
    api = API.replace("/api", prefix, 1)
    answer = server.ask("GET", f"{api}/presigned/{folder}/private.bin", caller)
    assert (answer.status, b"X-Goog-Signature" in answer.body) == (reading, reading == 200)
    bodies: dict[str, dict[str, Any]] = {
        "create": {"path": "private.bin", "num_parts": 1},
        "complete": {"path": "private.bin", "upload_id": "x", "parts": [{"part_number": 1, "etag": "e"}]},
        "abort": {"path": "private.bin", "upload_id": "x"},
    }
    for action, body in bodies.items():
        answer = server.ask("POST", f"{api}/mpu/{action}/{folder}", caller, body)
        assert (answer.status, b"X-Goog-Signature" in answer.body) == (writing, False)


@pytest.mark.parametrize("path", ["%2e%2e/%2e%2e/{other}", "%252e%252e/{other}", "../../{other}"])
def test_a_path_outside_of_the_experiment_gets_no_url(server: Served, folder: str, path: str) -> None:
    experiment = server.admin("POST", "/api/2.0/mlflow/experiments/create", {"name": path})["experiment_id"]
    assert server.ask("PUT", f"{API}/artifacts/{experiment}/secret.bin", OWNER, bytes(2000)).status == 200
    answer = server.ask("GET", f"{API}/presigned/{folder}/{path.format(other=experiment)}/secret.bin", READER)
    assert answer.status in (400, 403)
    assert b"X-Goog-Signature" not in answer.body


def test_no_log_has_a_signed_url(server: Served) -> None:
    assert "/mpu/create/" in server.log
    assert "X-Goog" not in server.log
