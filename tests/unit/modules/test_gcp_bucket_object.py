# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_bucket_object, gcp_bucket_objects_info

from tests.unit.harness import Cloud, Json, Play
from tests.unit.storage import asks, downloads, lists, one, stored, uploads

NAME = "backups/monday/backup.json"
ONE = one("backups", NAME)
TEXT = '{"name": "monday"}'
OBJECT = stored(NAME, 7, TEXT.encode())
RESOURCE = {"name": NAME, "contentType": "application/json"}


def run(play: Play, **params: Any) -> Json:
    return play(gcp_bucket_object, **{"bucket": "backups", "name": NAME, **params})


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    brought = uploads(cloud, "backups", RESOURCE, "0", OBJECT)
    cloud.get("storage", ONE, OBJECT)
    result = run(play, content=TEXT)
    assert result["changed"]
    assert brought == [TEXT.encode()]


def test_an_equal_object_is_not_changed_and_is_returned(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, OBJECT)
    downloads(cloud, "backups", NAME, "7", TEXT.encode())
    result = run(play, content=TEXT, return_content=True)
    assert not result["changed"]
    assert result["content"] == TEXT


def test_updates_the_one_it_compared(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, stored(NAME, 6, b"old"))
    uploads(cloud, "backups", RESOURCE, "6", OBJECT)
    cloud.get("storage", ONE, OBJECT)
    assert run(play, content=TEXT)["changed"]


def test_a_plan_writes_nothing(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    result = run(play, content=TEXT, check=True, return_content=True)
    assert result["changed"]
    assert result["content"] is None


def test_needs_something_to_write(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    assert "To create it, set content" in run(play, fails=True)["msg"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, OBJECT)
    cloud.expect("DELETE", "storage", ONE)
    assert run(play, state="absent")["changed"]
    cloud.get("storage", ONE, None)
    assert not run(play, state="absent")["changed"]


def test_lists(cloud: Cloud, play: Play) -> None:
    other = stored("backups/tuesday/backup.json", 8, b"{}")
    lists(cloud, "backups", [OBJECT], [other], prefix="backups/", matchGlob="backups/*/backup.json")
    downloads(cloud, "backups", NAME, "7", TEXT.encode())
    downloads(cloud, "backups", other["name"], "8", b"{}")
    params = {"bucket": "backups", "prefix": "backups/", "match": "backups/*/backup.json", "return_content": True}
    result = play(gcp_bucket_objects_info, **params)
    assert not result["changed"]
    assert [found["content"] for found in result["objects"]] == [TEXT, "{}"]


def test_lists_nothing_of_a_bucket_that_is_not_there(cloud: Cloud, play: Play) -> None:
    url = "https://storage.googleapis.com/storage/v1/b/backups/o"
    cloud.script.add("GET", url, status=404, json={"error": {"code": 404, "message": "no"}})
    assert play(gcp_bucket_objects_info, bucket="backups")["objects"] == []


@pytest.mark.parametrize("begun", [0, 4])
def test_an_interrupted_download_is_resumed(cloud: Cloud, play: Play, begun: int) -> None:
    cloud.get("storage", ONE, OBJECT)
    data, ranges = TEXT.encode(), []

    def sees(request: Any) -> tuple[bool, str]:
        ranges.append(request.headers.get("Range"))
        return asks(request)["generation"] == "7", ""

    url = f"https://storage.googleapis.com/storage/v1/{ONE}"
    length = {"Content-Length": str(len(data))}
    cloud.script.add("GET", url, match=[sees], body=data[:begun], headers=length, auto_calculate_content_length=False)
    rest = data[begun:]
    cloud.script.add("GET", url, match=[sees], body=rest, headers={"Content-Length": str(len(rest))})
    assert run(play, return_content=True)["content"] == TEXT
    assert ranges == [None, f"bytes={begun}-" if begun else None]
