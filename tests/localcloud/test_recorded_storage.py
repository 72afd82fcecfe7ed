# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage and Secret Manager answer as in recordings of the real services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.harness import Local, Session

BUCKETS = "/storage/v1/b"
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
AUTOMATIC: dict[str, Any] = {"replication": {"automatic": {}}}
NUMBERS = "$alt=json;enum-encoding=int"


def bucket(session: Session, **fields: Any) -> Any:
    return session.call("POST", f"{BUCKETS}?project=mlflow-local", json={"name": "bucket", **fields})


def test_an_empty_patch_of_a_bucket_is_no_change(owner: Session) -> None:
    made = bucket(owner)
    assert owner.call("PATCH", f"{BUCKETS}/bucket", json={}) == made
    owner.call("PATCH", f"{BUCKETS}/bucket?ifMetagenerationMatch=2", 412, json={})
    changed = owner.call("PATCH", f"{BUCKETS}/bucket?ifMetagenerationMatch=1", json={"labels": {"a": "b"}})
    assert changed["metageneration"] == "2"


def test_autoclass_chooses_the_storage_class(owner: Session) -> None:
    made = bucket(owner, storageClass="NEARLINE", autoclass={"enabled": True})
    assert made["storageClass"] == "STANDARD"
    autoclass = made["autoclass"]
    assert autoclass["terminalStorageClass"] == "NEARLINE"
    assert {"toggleTime", "terminalStorageClassUpdateTime"} < autoclass.keys()
    changed = {"autoclass": {"enabled": True, "terminalStorageClass": "ARCHIVE"}}
    after = owner.call("PATCH", f"{BUCKETS}/bucket", json=changed)["autoclass"]
    assert (after["terminalStorageClass"], after["toggleTime"]) == ("ARCHIVE", autoclass["toggleTime"])


def test_google_clients_repeat_the_path_in_the_body(owner: Session) -> None:
    owner.call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    parent = "projects/mlflow-local/secrets/a"
    version = owner.call("POST", f"{SECRETS}/a:addVersion", json={"parent": parent, "payload": {"data": "YQ=="}})
    body = {"name": f"{parent}/versions/1", "etag": version["etag"]}
    assert owner.call("POST", f"{SECRETS}/a/versions/1:disable", json=body)["state"] == "DISABLED"
    owner.call("POST", f"{SECRETS}/a/versions/1:destroy", 400, json={"nonsense": 1})
    policy = "/cloudresourcemanager/v3/projects/mlflow-local:getIamPolicy"
    assert owner.call("POST", policy, json={"resource": "projects/mlflow-local"})["bindings"]


def test_enums_are_numbers_where_the_client_asks_for_them(owner: Session) -> None:
    owner.call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    owner.call("POST", f"{SECRETS}/a:addVersion", json={"payload": {"data": "YQ=="}})
    assert owner.call("GET", f"{SECRETS}/a/versions/1")["state"] == "ENABLED"
    assert owner.call("GET", f"{SECRETS}/a/versions/1?{NUMBERS}")["state"] == 1
    versions = owner.call("GET", f"{SECRETS}/a/versions?{NUMBERS}")["versions"]
    assert [version["state"] for version in versions] == [1]
    project = owner.call("GET", f"/cloudresourcemanager/v3/projects/mlflow-local?{NUMBERS}")
    assert project["state"] == 1


def test_a_secret_with_a_time_to_live(owner: Session, local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    made = owner.call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC | {"ttl": "60s"})
    assert "ttl" not in made
    owner.call("POST", f"{SECRETS}/a:addVersion", json={"payload": {"data": "YQ=="}})
    longer = owner.call("PATCH", f"{SECRETS}/a?updateMask=ttl", json={"ttl": "120s"})
    assert longer["expireTime"] > made["expireTime"]
    owner.call("POST", f"{SECRETS}?secretId=b", 400, json=AUTOMATIC | {"ttl": "1s", "expireTime": made["expireTime"]})
    now = local.cloud.clock.time()
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now + 130)
    owner.call("GET", f"{SECRETS}/a/versions/1:access", 404)
    assert "secrets" not in owner.call("GET", SECRETS)
    owner.call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    owner.call("GET", f"{SECRETS}/a/versions/1", 404)
