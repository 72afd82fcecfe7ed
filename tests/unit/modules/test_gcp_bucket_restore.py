# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_bucket_restore

from tests.unit.harness import Cloud, Json, Play
from tests.unit.storage import downloads, lists, manifest, one, stored

NAME = "backups/monday/artifacts.ndjson.gz"
A = stored("a", 11, b"first")
B = stored("b/é", 12, b"second")
GONE = {"timeDeleted": "2026-11-02T00:00:00Z"}
KEPT = {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 36500}}]}}


def run(play: Play, **params: Any) -> Json:
    given = {"bucket": "artifacts", "manifest_bucket": "backups", "manifest": NAME, "parallel": 1, **params}
    return play(gcp_bucket_restore, **given)


def reads(cloud: Cloud, data: bytes, bucket: str = "artifacts", *, claims: bytes | None = None) -> None:
    """Expect requests for the existing bucket and the manifest."""
    cloud.get("storage", f"b/{bucket}", {"name": bucket})
    cloud.get("storage", one("backups", NAME), stored(NAME, 5, data if claims is None else claims))
    downloads(cloud, "backups", NAME, "5", data)


def has(cloud: Cloud, *versions: Json) -> None:
    lists(cloud, "artifacts", list(versions), versions="true")


def copies(cloud: Cloud, name: str, generation: str, to: str = "artifacts") -> None:
    path = f"{one('artifacts', name)}/rewriteTo/{one(to, name)}"
    query = {"sourceGeneration": generation, "fields": "done,rewriteToken"}
    cloud.expect("POST", "storage", path, {"done": False, "rewriteToken": "more"}, query=query)
    cloud.expect("POST", "storage", path, {"done": True}, query=query | {"rewriteToken": "more"})


def test_unchanged_objects_are_not_copied(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    has(cloud, A, B)
    cloud.get("storage", "b/artifacts", KEPT)
    result = run(play)
    assert not result["changed"]
    none = dict.fromkeys(("copied", "copied_bytes", "other", "lost", "read", "read_bytes"), 0)
    assert result["objects"] == {"same": 2, **none}
    assert result["lost"] == []


def test_restores_deleted_and_overwritten_objects(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    now = stored("b/é", 14, b"damage")
    has(cloud, A | GONE, B | GONE, now, stored("new", 15, b"new"))
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "11")
    copies(cloud, "b/é", "12")
    has(cloud, A | GONE, A | {"generation": "20"}, B | GONE, now | GONE, B | {"generation": "21"})
    result = run(play)
    assert result["changed"]
    assert result["objects"]["copied"] == 2
    assert result["objects"]["copied_bytes"] == 11
    assert result["objects"]["other"] == 1
    assert result["examples"] == {"copied": ["a", "b/é"], "other": ["new"]}
    assert result["diff"]["before"]["differ"] == 2
    assert result["diff"]["after"]["differ"] == 0


def test_a_plan_touches_nothing(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]))
    has(cloud, A | GONE)
    cloud.get("storage", "b/artifacts", KEPT)
    result = run(play, check=True)
    assert result["changed"]
    assert result["objects"]["copied"] == 1


def test_the_same_bytes_under_another_generation_serve_as_well(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]))
    has(cloud, A | {"generation": "20"} | GONE, stored("a", 30, b"other"))
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "20")
    has(cloud, A | {"generation": "31"})
    assert run(play)["changed"]


def test_a_lost_generation_stops_everything(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    has(cloud, A | GONE, stored("b/é", 14, b"damage"))
    message = run(play, fails=True)["msg"]
    assert "no longer has 1 of the generations" in message
    assert "b/é" in message
    assert "Nothing was changed" in message
    assert "-e backup_restore_lost=skip" in message


def test_a_lost_generation_is_skipped_on_request(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    now = stored("b/é", 14, b"damage")
    has(cloud, A | GONE, now)
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "11")
    has(cloud, A | {"generation": "20"}, now)
    cloud.get("storage", one("artifacts", "a"), A)
    downloads(cloud, "artifacts", "a", "11", b"first")
    result = run(play, lost="skip", read_bytes=-1)
    assert result["changed"]
    assert (result["objects"]["copied"], result["objects"]["lost"], result["objects"]["read"]) == (1, 1, 1)
    assert result["lost"] == ["b/é"]
    assert "no longer has 1 of the generations" in str(result["warnings"])


def test_a_generation_that_disappears_meanwhile_is_reported(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    has(cloud, A | GONE)
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "11")
    has(cloud, stored("a", 30, b"again"))
    assert "1 objects changed again, such as ['a']" in run(play, fails=True, lost="skip")["msg"]


def test_removes_objects_outside_the_manifest_on_request(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]))
    has(cloud, A, stored("gone", 14, b"x", **GONE), stored("new", 15, b"new"), stored("newer", 16, b"new"))
    cloud.get("storage", "b/artifacts", KEPT)
    cloud.expect("DELETE", "storage", one("artifacts", "new"), query={"ifGenerationMatch": "15"})
    cloud.fails("DELETE", "storage", one("artifacts", "newer"), 404, "notFound", query={"ifGenerationMatch": "16"})
    has(cloud, A)
    result = run(play, others="delete")
    assert result["changed"]
    assert result["diff"]["after"]["others"] == 0


def test_into_another_bucket(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]), "drill")
    has(cloud, A, B)
    lists(cloud, "drill", [B | {"generation": "3"}])
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "11", "drill")
    has(cloud, A, B)
    lists(cloud, "drill", [A, B])
    result = run(play, bucket="drill")
    assert result["objects"]["copied"] == 1
    assert result["objects"]["same"] == 1


def test_reads_as_much_as_was_asked_for(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A, B]))
    has(cloud, A, B)
    cloud.get("storage", "b/artifacts", KEPT)
    cloud.get("storage", one("artifacts", "a"), A)
    downloads(cloud, "artifacts", "a", "11", b"first")
    result = run(play, read_bytes=8)
    assert not result["changed"]
    assert result["objects"]["read"] == 1
    assert result["objects"]["read_bytes"] == 5


def test_other_bytes_than_written_down_are_told(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]))
    has(cloud, A)
    cloud.get("storage", "b/artifacts", KEPT)
    cloud.get("storage", one("artifacts", "a"), A)
    downloads(cloud, "artifacts", "a", "11", b"fIrst")
    assert "Object a of bucket artifacts differs from its checksum" in run(play, fails=True, read_bytes=-1)["msg"]


def test_concurrent_writes_are_reported(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]))
    has(cloud, A | GONE)
    cloud.get("storage", "b/artifacts", KEPT)
    copies(cloud, "a", "11")
    has(cloud, A | GONE, stored("a", 30, b"again"))
    assert "Another client writes to the bucket" in run(play, fails=True)["msg"]


def test_warns_of_an_old_manifest(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A], time="2020-01-01T00:00:00Z"))
    has(cloud, A)
    rule = {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 30}}
    cloud.get("storage", "b/artifacts", {"lifecycle": {"rule": [rule]}})
    assert "deletes noncurrent versions after 30 days" in str(run(play)["warnings"])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"no gzip", "cannot be read"),
        (manifest([A], format="another"), "does not have the format"),
        (manifest([A], objects=2), "objects 2, but the other lines have 1"),
        (manifest([A], sha256="0" * 64), "sha256"),
        (manifest([A, B])[:-20], "it ends after"),
    ],
)
def test_a_damaged_manifest_changes_nothing(cloud: Cloud, play: Play, data: bytes, word: str) -> None:
    reads(cloud, data)
    if word not in {"cannot be read", "does not have the format"}:
        has(cloud, A, B)
    message = run(play, fails=True)["msg"]
    assert "is damaged" in message
    assert word in message


def test_a_manifest_that_arrives_damaged(cloud: Cloud, play: Play) -> None:
    reads(cloud, manifest([A]), claims=b"something else")
    assert "has a wrong checksum" in run(play, fails=True)["msg"]


def test_without_bucket_or_manifest(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", "b/artifacts", None)
    assert "Create it first" in run(play, fails=True)["msg"]
    cloud.get("storage", "b/artifacts", {})
    cloud.get("storage", one("backups", NAME), None)
    assert f"Cannot find manifest gs://backups/{NAME}" in run(play, fails=True)["msg"]
