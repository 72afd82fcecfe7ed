# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A real MLflow server with a bucket of a local cloud: transfers, permissions, memory and temporary files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.localcloud.harness import Local
from tests.unit.mlflowctl.local_bucket import local_bucket
from tests.unit.mlflowctl.served import ADMIN, ADMIN_PASSWORD, Served, password, served

pytestmark = pytest.mark.server

MIB = 1024 * 1024
LARGE = 200 * MIB
GROWTH = 50 * MIB
ROUTE = "/api/2.0/mlflow-artifacts/artifacts"
USER = {"Authorization": password("user", "password-of-a-user")}
OWNER = {"Authorization": password(ADMIN, ADMIN_PASSWORD)}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Yield a local cloud with a bucket."""
    with local_bucket(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="module")
def server(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "tmp").mkdir()
    environment = {
        "STORAGE_EMULATOR_HOST": local.url,
        "TMPDIR": str(folder / "tmp"),
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "gs://my-bucket",
    }
    with served(folder, single_sign_on=False, **environment) as running:
        running.admin("POST", "/api/2.0/mlflow/users/create", {"username": "user", "password": "password-of-a-user"})
        yield running


@pytest.fixture(scope="module")
def folder(server: Served) -> str:
    """Return the path of a run's artifacts."""
    experiment = server.admin("POST", "/api/2.0/mlflow/experiments/create", {"name": "e"})["experiment_id"]
    run = server.admin("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]
    assert run["artifact_uri"] == f"mlflow-artifacts:/{experiment}/{run['run_id']}/artifacts"
    return f"{experiment}/{run['run_id']}/artifacts"


def peak(server: Served) -> int:
    """Return the peak of the server's memory in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def send(server: Served, path: str, size: int) -> str:
    """Upload random content in pieces; return its digest."""
    digest, piece = hashlib.sha256(), os.urandom(MIB)
    connection = server.connect()
    connection.putrequest("PUT", path, skip_host=True)
    for name, value in {"Host": "localhost", "Content-Length": str(size), **OWNER}.items():
        connection.putheader(name, value)
    connection.endheaders()
    for number in range(size // MIB):
        block = number.to_bytes(8, "big") + piece[8:]
        digest.update(block)
        connection.send(block)
    assert connection.getresponse().status == 200
    return digest.hexdigest()


def receive(server: Served, path: str) -> tuple[Any, str]:
    """Download in pieces; return the headers and the digest of the content."""
    digest = hashlib.sha256()
    connection = server.connect()
    connection.request("GET", path, headers={"Host": "localhost", **OWNER})
    response = connection.getresponse()
    assert response.status == 200
    while block := response.read(MIB):
        digest.update(block)
    return response.headers, digest.hexdigest()


def test_a_large_artifact_needs_neither_memory_nor_disk(server: Served, folder: str) -> None:
    path = f"{ROUTE}/{folder}/large.bin"
    # The first transfer loads modules.
    send(server, path, 9 * MIB)
    receive(server, path)
    before, changed = peak(server), (server.folder / "tmp").stat().st_mtime_ns
    digest = send(server, path, LARGE)
    headers, received = receive(server, path)
    assert received == digest
    assert headers["Content-Length"] == str(LARGE)
    assert headers["Content-Disposition"] == "attachment; filename=large.bin"
    assert peak(server) - before < GROWTH
    # A temporary file that was created and removed again would have changed the time.
    assert (server.folder / "tmp").stat().st_mtime_ns == changed


def test_small_artifacts(server: Served, folder: str) -> None:
    for name, content in {"empty": b"", "a%20b.txt": b"text", "%E2%82%AC.json": b"{}"}.items():
        path = f"{ROUTE}/{folder}/small/{name}"
        assert server.ask("PUT", path, OWNER, content).status == 200
        answer = server.ask("GET", path, OWNER)
        assert (answer.status, answer.body, answer.headers["x-content-type-options"]) == (200, content, "nosniff")
    listed = server.ask("GET", f"{ROUTE}?path={folder}/small", OWNER).json()["files"]
    assert [(file["path"], file.get("file_size", 0)) for file in listed] == [
        ("a b.txt", 4),
        ("empty", 0),
        ("€.json", 2),
    ]


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_the_permission_of_the_experiment_counts(server: Served, folder: str, prefix: str) -> None:
    path = f"{prefix}/2.0/mlflow-artifacts/artifacts/{folder}/private.txt"
    assert server.ask("PUT", path, OWNER, b"private").status == 200
    assert server.ask("GET", path, OWNER).body == b"private"
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        assert server.ask(method, path, USER, b"x" if method == "PUT" else None).status == 403
        assert server.ask(method, path, {}, b"x" if method == "PUT" else None).status == 401
    assert server.ask("GET", path, OWNER).body == b"private"


@pytest.mark.parametrize("path", ["..%2f..%2fx", "%252e%252e/%252e%252e/x", "a/../../../x"])
def test_a_path_outside_of_the_run_is_refused(server: Served, folder: str, path: str) -> None:
    assert server.ask("GET", f"{ROUTE}/{folder}/{path}", USER).status in (400, 403)
    assert server.ask("GET", f"{ROUTE}/{folder}/{path}", OWNER).status == 400


def test_a_missing_artifact(server: Served, folder: str) -> None:
    answer = server.ask("GET", f"{ROUTE}/{folder}/missing.txt", OWNER)
    assert (answer.status, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_an_unfinished_upload_creates_no_artifact(server: Served, folder: str) -> None:
    path = f"{ROUTE}/{folder}/unfinished.bin"
    connection = server.connect()
    connection.putrequest("PUT", path, skip_host=True)
    for name, value in {"Host": "localhost", "Content-Length": str(100 * MIB), **OWNER}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(bytes(30 * MIB))
    connection.close()
    assert server.ask("GET", path, OWNER).status == 404
    assert server.ask("PUT", path, OWNER, b"again").status == 200
    assert server.ask("GET", path, OWNER).body == b"again"


def test_an_unreachable_bucket_is_reported_with_a_time(local: Local, tmp_path: Path) -> None:
    environment = {
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "gs://my-bucket",
    }
    with served(tmp_path, single_sign_on=False, **environment) as running:
        answer = running.ask("GET", f"{ROUTE}/0/x", OWNER)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "Cloud Storage does not answer" in answer.json()["message"]
