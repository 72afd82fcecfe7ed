# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _manifest, _objects
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_bucket_manifest

from tests.unit.harness import Cloud, Json, Play
from tests.unit.storage import SESSION, lists, one, stored, uploads

NAME = "backups/monday/artifacts.ndjson.gz"
ONE = one("backups", NAME)
A = stored("0/a/model.pkl", 11, b"model", timeCreated="2026-11-01T00:00:00Z")
B = stored("0/b/note ü.txt", 12, b"note", customTime="2026-01-01T00:00:00Z", metadata={"by": "ada"})
OBJECT = {
    "name": NAME,
    "generation": "77",
    "metadata": {"bucket": "artifacts", "objects": "2", "bytes": "9", "sha256": "…", "time": "2026-11-01T00:00:00Z"},
}
RESOURCE = {"name": NAME, "contentType": "application/gzip"}


def run(play: Play, **params: Any) -> Json:
    return play(gcp_bucket_manifest, **{"bucket": "artifacts", "manifest_bucket": "backups", "name": NAME, **params})


def test_writes_down_every_page(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    lists(cloud, "artifacts", [A], [], [B])
    brought = uploads(cloud, "backups", RESOURCE, "0", OBJECT)
    cloud.get("storage", ONE, OBJECT)
    result = run(play)
    assert result["changed"]
    assert result["resource"] == OBJECT
    assert result["manifest"]["objects"] == 2
    with _manifest.Reader(io.BytesIO(brought[0])) as reader:
        assert reader.header["bucket"] == "artifacts"
        assert (reader.header["objects"], reader.header["bytes"]) == (2, 9)
        assert list(reader.objects()) == [A, B]


def test_an_empty_bucket_has_a_manifest_too(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    lists(cloud, "artifacts", [])
    brought = uploads(cloud, "backups", RESOURCE, "0", OBJECT)
    cloud.get("storage", ONE, OBJECT)
    assert run(play)["changed"]
    with _manifest.Reader(io.BytesIO(brought[0])) as reader:
        assert list(reader.objects()) == []


def test_an_existing_manifest_is_kept(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, OBJECT)
    result = run(play)
    assert not result["changed"]
    assert result["manifest"]["bytes"] == 9


def test_a_plan_lists_nothing(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    result = run(play, check=True)
    assert result["changed"]
    assert result["manifest"] is None


def test_refuses_one_of_another_bucket(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, OBJECT)
    assert "cannot change bucket" in run(play, fails=True, bucket="other")["msg"]


def test_refuses_to_write_down_itself(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    assert "another manifest_bucket" in run(play, fails=True, bucket="backups")["msg"]


def test_refuses_a_listing_out_of_order(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    lists(cloud, "artifacts", [B, A])
    assert "Run again" in run(play, fails=True)["msg"]


def test_a_manifest_that_was_written_concurrently_is_kept(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    lists(cloud, "artifacts", [A])
    url = "https://storage.googleapis.com/upload/storage/v1/b/backups/o"
    cloud.script.add("POST", url, status=412, json={"error": {"code": 412, "message": "conditionNotMet"}})
    cloud.get("storage", ONE, OBJECT)
    assert run(play)["resource"] == OBJECT


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, OBJECT)
    cloud.expect("DELETE", "storage", ONE)
    assert run(play, state="absent")["changed"]
    cloud.get("storage", ONE, None)
    assert not run(play, state="absent")["changed"]


def test_an_interrupted_upload_is_resumed(cloud: Cloud, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_objects, "PIECE", 100)
    cloud.get("storage", ONE, None)
    lists(cloud, "artifacts", [A, B])
    url = "https://storage.googleapis.com/upload/storage/v1/b/backups/o"
    cloud.script.add("POST", url, headers={"Location": SESSION})
    spans: list[str] = []

    def sees(request: Any) -> tuple[bool, str]:
        spans.append(request.headers["Content-Range"])
        return True, ""

    cloud.script.add("PUT", SESSION, match=[sees], status=308, headers={"Range": "bytes=0-99"})
    for _ in range(5):  # the number of attempts of a connection
        cloud.script.add("PUT", SESSION, match=[sees], body=requests.ConnectionError("reset"))
    cloud.script.add("PUT", SESSION, match=[sees], status=308, headers={"Range": "bytes=0-149"})
    cloud.script.add("PUT", SESSION, match=[sees], json=OBJECT)
    cloud.get("storage", ONE, OBJECT)
    assert run(play)["changed"]
    spans = list(dict.fromkeys(spans))
    size = int(spans[0].rsplit("/", 1)[1])
    assert spans == [
        f"bytes 0-99/{size}",
        f"bytes 100-199/{size}",
        f"bytes */{size}",
        f"bytes 150-249/{size}",
    ]
