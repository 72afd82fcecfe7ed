# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program that fetches secrets on the VM, with scripted HTTP responses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import requests
import responses

from tests.unit.roles.programs import load

URL = "https://secretmanager.googleapis.com/v1/projects/project-1/secrets/{}/versions/{}:access"
ITEMS = [
    {"name": "mlflow.database-uri", "secret": "database-uri", "version": "latest"},
    {"name": "nginx.certificate", "secret": "certificate", "version": "3"},
]


@pytest.fixture(scope="module")
def fetch() -> ModuleType:
    return load("credentials", "fetch")


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


class Clock:
    """A clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def payload(fetch: ModuleType, data: bytes) -> dict[str, object]:
    return {"payload": {"data": base64.b64encode(data).decode(), "dataCrc32c": str(fetch.crc32c(data))}}


def test_crc32c(fetch: ModuleType) -> None:
    assert fetch.crc32c(b"123456789") == 0xE3069283  # the check value in the CRC catalogue
    assert fetch.crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


def test_fetches_every_item(fetch: ModuleType, api: responses.RequestsMock) -> None:
    api.get(URL.format("database-uri", "latest"), json=payload(fetch, b"postgresql://x"))
    api.get(URL.format("certificate", "3"), json=payload(fetch, bytes(range(256))))
    values = fetch.fetch_all(requests.Session(), "project-1", ITEMS, timeout=10)
    assert values == {"mlflow.database-uri": b"postgresql://x", "nginx.certificate": bytes(range(256))}


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_tries_again(fetch: ModuleType, api: responses.RequestsMock, status: int) -> None:
    """New IAM bindings and new secrets need some time to take effect."""
    url = URL.format("database-uri", "latest")
    api.get(url, status=status, json={"error": {"message": "not yet"}})
    api.get(url, body=requests.ConnectionError("no route"))
    api.get(url, json=payload(fetch, b"value"))
    clock = Clock()
    values = fetch.fetch_all(requests.Session(), "project-1", ITEMS[:1], timeout=60, clock=clock, sleep=clock.sleep)
    assert values == {"mlflow.database-uri": b"value"}
    assert clock.pauses == [1.0, 2.0]


def test_gives_up_at_the_deadline(fetch: ModuleType, api: responses.RequestsMock) -> None:
    api.get(URL.format("database-uri", "latest"), status=503, json={"error": {"message": "try later"}})
    clock = Clock()
    with pytest.raises(fetch.FetchError, match=r"database-uri/versions/latest: HTTP 503: try later"):
        fetch.fetch_all(requests.Session(), "project-1", ITEMS[:1], timeout=100, clock=clock, sleep=clock.sleep)
    assert clock.now <= 100
    assert clock.pauses == [1, 2, 4, 8, 16, 30, 30]


def test_a_permanent_error_is_not_tried_again(fetch: ModuleType, api: responses.RequestsMock) -> None:
    api.get(URL.format("database-uri", "latest"), status=400, json={"error": {"message": "version is DESTROYED"}})
    clock = Clock()
    with pytest.raises(fetch.FetchError, match="DESTROYED"):
        fetch.fetch_all(requests.Session(), "project-1", ITEMS[:1], timeout=100, clock=clock, sleep=clock.sleep)
    assert clock.pauses == []


@pytest.mark.parametrize(
    "body",
    [
        {"payload": {"data": base64.b64encode(b"value").decode(), "dataCrc32c": "1"}},
        {"payload": {"data": "not base64!"}},
        {"name": "x"},
    ],
)
def test_a_damaged_response_is_never_used(
    fetch: ModuleType, api: responses.RequestsMock, body: dict[str, object]
) -> None:
    api.get(URL.format("database-uri", "latest"), json=body)
    clock = Clock()
    with pytest.raises(fetch.FetchError):
        fetch.fetch_all(requests.Session(), "project-1", ITEMS[:1], timeout=0, clock=clock, sleep=clock.sleep)


def test_writes_only_what_differs(fetch: ModuleType, tmp_path: Path) -> None:
    store = tmp_path / "credstore"
    values = {"mlflow.a": b"1", "nginx.b": b"2"}
    assert fetch.write_changed(store, values) == ["mlflow.a", "nginx.b"]
    assert store.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in store.iterdir()} == {"mlflow.a": 0o600, "nginx.b": 0o600}
    untouched = (store / "mlflow.a").stat().st_mtime_ns
    assert fetch.write_changed(store, values) == []
    assert fetch.write_changed(store, {**values, "nginx.b": b"3"}) == ["nginx.b"]
    assert (store / "nginx.b").read_bytes() == b"3"
    assert (store / "mlflow.a").stat().st_mtime_ns == untouched


def test_dry_run_writes_nothing(fetch: ModuleType, tmp_path: Path) -> None:
    store = tmp_path / "credstore"
    assert fetch.write_changed(store, {"mlflow.a": b"1"}, dry_run=True) == ["mlflow.a"]
    assert not store.exists()


def run(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str = "project-1"
) -> tuple[int, Path]:
    config, store = tmp_path / "config.json", tmp_path / "credstore"
    config.write_text(json.dumps({"project": project, "items": ITEMS}), encoding="utf-8")
    monkeypatch.setattr(fetch, "identity", lambda _timeout: (requests.Session(), "project-1"))
    return fetch.main(["--config", str(config), "--directory", str(store), "--timeout", "0"]), store


@pytest.mark.parametrize("project", ["project-1", ""])
def test_program(
    fetch: ModuleType,
    api: responses.RequestsMock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    project: str,
) -> None:
    """The program prints the changed names and no value. Without a project it uses the project of the VM."""
    api.get(URL.format("database-uri", "latest"), json=payload(fetch, b"hidden-value"))
    api.get(URL.format("certificate", "3"), json=payload(fetch, b"other-value"))
    code, store = run(fetch, tmp_path, monkeypatch, project)
    output = capsys.readouterr()
    assert code == 0
    assert json.loads(output.out) == {"changed": ["mlflow.database-uri", "nginx.certificate"]}
    assert "value" not in output.out + output.err
    assert (store / "mlflow.database-uri").read_bytes() == b"hidden-value"


def test_program_writes_all_or_nothing(
    fetch: ModuleType,
    api: responses.RequestsMock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.get(URL.format("database-uri", "latest"), json=payload(fetch, b"hidden-value"))
    api.get(URL.format("certificate", "3"), status=403, json={"error": {"message": "denied"}})
    code, store = run(fetch, tmp_path, monkeypatch)
    output = capsys.readouterr()
    assert code == 1
    assert "secrets/certificate/versions/3: HTTP 403: denied" in output.err
    assert "hidden-value" not in output.out + output.err
    assert not store.exists()
