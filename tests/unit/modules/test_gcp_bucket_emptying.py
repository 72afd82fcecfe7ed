# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Empty a bucket with tens of thousands of versions. Serial deletions did not end within 1,800 seconds."""

from __future__ import annotations

import json
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_bucket
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._progress import Watch

from tests.unit.harness import FakeClock, Play, error

PAGE = 1000


class Bucket:
    """A fake bucket with versions: it lists pages, deletes, and fails on request of a test."""

    def __init__(self, clock: FakeClock, count: int) -> None:
        self.left = [(f"{n // 2}/artifact", str(n)) for n in range(count)]
        self.exists = True
        self.deletions = 0
        self.at_once = 0
        self.most_at_once = 0
        self.failures: dict[int, list[int]] = {}
        """Map the number of a deletion to the statuses of its first attempts."""
        self.late: list[tuple[str, str]] = []
        """Versions that another writer creates when the bucket has become empty."""
        self._clock, self._lock = clock, threading.Lock()

    def __call__(self, request: Any) -> tuple[int, dict[str, str], str]:
        path, query = urlsplit(request.url).path, dict(parse_qsl(urlsplit(request.url).query))
        if path.startswith("/v1/projects"):
            return self.says({"projectNumber": "42"})
        if request.method == "GET" and path.endswith("/o"):
            assert query["versions"] == "true"
            after = query.get("pageToken", "")
            with self._lock:
                rest = [one for one in self.left if f"{int(one[1]):09}" > after]
            page: dict[str, Any] = {"items": [{"name": name, "generation": number} for name, number in rest[:PAGE]]}
            if len(rest) > PAGE:
                page["nextPageToken"] = f"{int(rest[PAGE - 1][1]):09}"
            return self.says(page)
        if request.method == "GET":
            return self.says({"name": "artifacts", "projectNumber": "42"} if self.exists else None)
        if path.endswith("/b/artifacts"):
            self.left, self.late = self.left + self.late, []
            if self.left:
                return 409, {}, json.dumps(error(409, "conflict", "The bucket you tried to delete is not empty."))
            self.exists = False
            return self.says({})
        return self.delete(unquote(path.rpartition("/o/")[2]), query["generation"])

    def delete(self, name: str, generation: str) -> tuple[int, dict[str, str], str]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.001)
        with self._lock:
            self.at_once -= 1
            self._clock.time += 1.0
            self.deletions += 1
            failures = self.failures.get(self.deletions // 2 * 2, [])
            if failures:
                return failures.pop(0), {}, "unavailable"
            if (name, generation) not in self.left:
                return self.says(None)
            self.left.remove((name, generation))
        return self.says({})

    @staticmethod
    def says(answer: Any) -> tuple[int, dict[str, str], str]:
        return (404, {}, json.dumps(error(404, "notFound"))) if answer is None else (200, {}, json.dumps(answer))


@pytest.fixture
def bucket(clock: FakeClock, request: pytest.FixtureRequest) -> Iterator[Bucket]:
    made = Bucket(clock, getattr(request, "param", 25))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as script:
        for method in ("GET", "DELETE"):
            script.add_callback(method, re.compile(".*"), made)
        yield made


@pytest.mark.parametrize("bucket", [2101], indirect=True)
def test_many_versions_are_deleted_in_parallel_and_without_an_end_of_time(
    bucket: Bucket, play: Play, clock: FakeClock, tmp_path: pathlib.Path
) -> None:
    """Each deletion takes a second here. A 503 after the first 1,800 seconds ended the run."""
    bucket.failures = {1000: [503, 503], 2000: [503, 429, 502]}
    file = tmp_path / "progress"
    begin = clock.time
    result = play(gcp_bucket, name="artifacts", state="absent", force=True, progress_file=str(file))
    assert result["changed"]
    assert not bucket.exists
    assert clock.time - begin > 2100
    assert 1 < bucket.most_at_once <= gcp_bucket.PARALLEL
    assert file.read_text().startswith("Deleting the objects of bucket artifacts: 2,")


def test_a_run_that_was_cut_off_is_taken_up_again(bucket: Bucket, play: Play) -> None:
    bucket.failures = {20: [403]}
    result = play(gcp_bucket, fails=True, name="artifacts", state="absent", force=True)
    assert "lacks a permission" in result["msg"]
    assert 0 < len(bucket.left) < 25
    assert play(gcp_bucket, name="artifacts", state="absent", force=True)["changed"]
    assert not bucket.exists


def test_objects_that_arrive_meanwhile_are_deleted_too(bucket: Bucket, play: Play) -> None:
    bucket.late = [("late", "99")]
    assert play(gcp_bucket, name="artifacts", state="absent", force=True)["changed"]
    assert not bucket.exists


def test_progress_is_shown_while_the_module_runs(tmp_path: pathlib.Path) -> None:
    file, shown = tmp_path / "progress", list[str]()
    told = threading.Event()

    def show(text: str) -> None:
        shown.append(text)
        told.set()

    with Watch(file, show, seconds=0.01):
        file.write_text("7 versions deleted")
        assert told.wait(10)
    assert shown[0] == "7 versions deleted (0 s)"
