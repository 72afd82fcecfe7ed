# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_bucket

from tests.unit.harness import PROJECT, Cloud, Play

ONE = "b/artifacts"
BUCKET: dict[str, Any] = {
    "name": "artifacts",
    "projectNumber": "42",
    "metageneration": "3",
    "location": "EUROPE-WEST1",
    "storageClass": "STANDARD",
    "iamConfiguration": {
        "uniformBucketLevelAccess": {"enabled": True, "lockedTime": "2027-01-01T00:00:00Z"},
        "publicAccessPrevention": "enforced",
    },
    "softDeletePolicy": {"retentionDurationSeconds": "604800", "effectiveTime": "2026-01-01T00:00:00Z"},
    "labels": {"app": "mlflow", "team": "ml", "goog-owner": "google"},
    "lifecycle": {
        "rule": [
            {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 30}},
            {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}},
        ]
    },
}
RULES: list[dict[str, Any]] = [
    {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}},
    {"action": {"type": "Delete"}, "condition": {"days_since_noncurrent_time": 30}},
]
ASKED: dict[str, Any] = {
    "name": "artifacts",
    "location": "europe-west1",
    "labels": {"app": "mlflow", "team": "ml"},
    "lifecycle_rules": RULES,
    "soft_delete_retention_seconds": 604800,
    "versioning": False,
}


def finds(cloud: Cloud, bucket: dict[str, Any] | None = None, number: str = "42") -> None:
    cloud.get("storage", ONE, bucket or BUCKET)
    cloud.get("cloudresourcemanager", f"v1/projects/{PROJECT}", {"projectId": PROJECT, "projectNumber": number})


def test_a_known_project_number_saves_a_request(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, BUCKET)
    assert not play(gcp_bucket, **ASKED, project_number="42")["changed"]
    cloud.get("storage", ONE, BUCKET)
    result = play(gcp_bucket, **ASKED, project_number="43", fails=True)
    assert "belongs to another project (number 42; project my-project has number 43)" in result["msg"]


def patches(cloud: Cloud, body: dict[str, Any]) -> None:
    cloud.expect("PATCH", "storage", ONE, BUCKET, body=body, query={"ifMetagenerationMatch": "3"})
    cloud.get("storage", ONE, BUCKET)


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    body = {
        "name": "artifacts",
        "location": "EUROPE-WEST1",
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        "versioning": {"enabled": False},
        "softDeletePolicy": {"retentionDurationSeconds": "604800"},
        "labels": {"app": "mlflow", "team": "ml"},
        "lifecycle": {
            "rule": [
                {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}},
                {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 30}},
            ]
        },
    }
    cloud.expect("POST", "storage", "b", BUCKET, body=body, query={"project": PROJECT})
    cloud.get("storage", ONE, BUCKET)
    result = play(gcp_bucket, **ASKED)
    assert result["changed"]
    assert result["resource"]["projectNumber"] == "42"


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    result = play(gcp_bucket, **ASKED)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_removes_a_label_and_keeps_googles_own(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    patches(cloud, {"labels": {"app": "mlflow", "team": None}})
    result = play(gcp_bucket, name="artifacts", labels={"app": "mlflow"})
    assert result["changed"]
    assert result["diff"]["before"]["labels"] == {"app": "mlflow", "team": "ml"}
    assert result["diff"]["after"]["labels"] == {"app": "mlflow"}


@pytest.mark.parametrize("rules", [RULES[:1], []])
def test_removes_lifecycle_rules(cloud: Cloud, play: Play, rules: list[dict[str, Any]]) -> None:
    finds(cloud)
    patches(cloud, {"lifecycle": {"rule": rules}})
    assert play(gcp_bucket, name="artifacts", lifecycle_rules=rules)["changed"]


def test_notices_a_condition_that_is_no_longer_asked_for(cloud: Cloud, play: Play) -> None:
    rule = {"action": {"type": "Delete"}, "condition": {"age": 7, "isLive": True}}
    finds(cloud, BUCKET | {"lifecycle": {"rule": [rule]}})
    desired = {"action": {"type": "Delete"}, "condition": {"age": 7}}
    patches(cloud, {"lifecycle": {"rule": [desired]}})
    result = play(gcp_bucket, name="artifacts", lifecycle_rules=[desired])
    assert result["diff"]["before"]["lifecycle"] == {"rule": [rule]}


def test_closes_an_open_bucket_leaving_read_only_fields_out(cloud: Cloud, play: Play) -> None:
    iam = {"uniformBucketLevelAccess": {"enabled": False}, "publicAccessPrevention": "inherited"}
    finds(cloud, BUCKET | {"iamConfiguration": iam})
    patches(
        cloud,
        {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}},
    )
    assert play(gcp_bucket, name="artifacts")["changed"]


def test_plans_without_changing(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    assert play(gcp_bucket, check=True, name="artifacts", storage_class="NEARLINE")["changed"]
    cloud.get("storage", ONE, None)
    assert play(gcp_bucket, check=True, name="artifacts")["changed"]


def test_starts_over_after_a_concurrent_change(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    query = {"ifMetagenerationMatch": "3"}
    body = {"labels": {"app": "mlflow", "team": None}}
    cloud.fails("PATCH", "storage", ONE, 412, "conditionNotMet", body=body, query=query)
    cloud.get("storage", ONE, BUCKET | {"metageneration": "4", "labels": {"app": "mlflow", "new": "x"}})
    body = {"labels": {"app": "mlflow", "new": None}}
    cloud.expect("PATCH", "storage", ONE, BUCKET, body=body, query={"ifMetagenerationMatch": "4"})
    cloud.get("storage", ONE, BUCKET)
    assert play(gcp_bucket, name="artifacts", labels={"app": "mlflow"})["changed"]


def test_refuses_another_location(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    result = play(gcp_bucket, fails=True, name="artifacts", location="us-east1")
    assert "cannot change location (current: 'EUROPE-WEST1'; desired: 'US-EAST1')" in result["msg"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_never_changes_a_bucket_of_another_project(cloud: Cloud, play: Play, state: str) -> None:
    finds(cloud, number="43")
    result = play(gcp_bucket, fails=True, name="artifacts", state=state)
    assert "belongs to another project (number 42; project my-project has number 43)" in result["msg"]
    assert "choose another name" in result["msg"]


def test_recognises_a_bucket_of_another_project_in_a_new_project(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, {"name": "artifacts", "projectNumber": "42"})
    cloud.fails("GET", "cloudresourcemanager", f"v1/projects/{PROJECT}", 403, "SERVICE_DISABLED")
    manager = "services/cloudresourcemanager.googleapis.com"
    for _ in range(2):  # the age of the API's activation, and the project number
        cloud.get("serviceusage", f"v1/projects/{PROJECT}/{manager}", {"name": f"projects/43/{manager}"})
    result = play(gcp_bucket, fails=True, name="artifacts", check=True)
    assert "belongs to another project (number 42; project my-project has number 43)" in result["msg"]


@pytest.mark.parametrize("readable", [True, False])
def test_a_409_may_mean_a_bucket_of_another_project(cloud: Cloud, play: Play, readable: bool) -> None:
    cloud.get("storage", ONE, None)
    iam = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    body = {"name": "artifacts", "iamConfiguration": iam}
    cloud.fails("POST", "storage", "b", 409, "conflict", "not available", body=body, query={"project": PROJECT})
    if readable:
        finds(cloud, number="43")
    else:
        cloud.fails("GET", "storage", ONE, 403, "forbidden", "x does not have storage.buckets.get access")
    result = play(gcp_bucket, fails=True, name="artifacts")
    assert "belongs to another project" in result["msg"]


def test_a_409_may_be_our_own_request_that_came_through(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    iam = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    body = {"name": "artifacts", "iamConfiguration": iam}
    query = {"project": PROJECT}
    cloud.fails("POST", "storage", "b", 503, "backendError", body=body, query=query)
    cloud.fails("POST", "storage", "b", 409, "conflict", body=body, query=query)
    finds(cloud)
    assert play(gcp_bucket, name="artifacts")["changed"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    cloud.expect("DELETE", "storage", ONE)
    assert play(gcp_bucket, name="artifacts", state="absent")["changed"]


def test_says_how_to_empty_a_bucket(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    cloud.fails("DELETE", "storage", ONE, 409, "conflict", "The bucket you tried to delete is not empty.")
    result = play(gcp_bucket, fails=True, name="artifacts", state="absent")
    assert "is not empty" in result["msg"]
    assert "gcloud storage rm --recursive --all-versions 'gs://artifacts/**'" in result["msg"]


def test_force_deletes_every_version_of_every_object(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    objects = [{"name": "1/model/MLmodel", "generation": "7"}, {"name": "1/model/MLmodel", "generation": "5"}]
    cloud.expect("GET", "storage", f"{ONE}/o", {"items": objects}, query={"versions": "true"})
    path = f"{ONE}/o/1%2Fmodel%2FMLmodel"
    cloud.expect("DELETE", "storage", path, query={"generation": "7"})
    cloud.fails("DELETE", "storage", path, 404, "notFound", "No such object", query={"generation": "5"})
    cloud.expect("DELETE", "storage", ONE)
    assert play(gcp_bucket, name="artifacts", state="absent", force=True)["changed"]


def test_force_empties_nothing_in_a_plan(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    assert play(gcp_bucket, check=True, name="artifacts", state="absent", force=True)["changed"]


STATED: dict[str, Any] = {
    "requester_pays": False,
    "default_event_based_hold": False,
    "retention_period_seconds": 0,
    "ip_filter_mode": "Disabled",
}


def test_a_new_bucket_has_no_settings_that_lock_clients_out(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", ONE, None)
    body = {
        "name": "artifacts",
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        "billing": {"requesterPays": False},
        "defaultEventBasedHold": False,
    }
    cloud.expect("POST", "storage", "b", BUCKET, body=body, query={"project": PROJECT})
    cloud.get("storage", ONE, BUCKET)
    assert play(gcp_bucket, name="artifacts", **STATED)["changed"]
    finds(cloud)
    assert not play(gcp_bucket, name="artifacts", **STATED)["changed"]


@pytest.mark.parametrize(
    ("has", "sent"),
    [
        ({"billing": {"requesterPays": True}}, {"billing": {"requesterPays": False}}),
        ({"defaultEventBasedHold": True}, {"defaultEventBasedHold": False}),
        ({"retentionPolicy": {"retentionPeriod": "86400", "effectiveTime": "x"}}, {"retentionPolicy": None}),
        ({"ipFilter": {"mode": "Enabled"}}, {"ipFilter": {"mode": "Disabled"}}),
    ],
)
def test_removes_settings_that_lock_clients_out(
    cloud: Cloud, play: Play, has: dict[str, Any], sent: dict[str, Any]
) -> None:
    finds(cloud, BUCKET | has)
    patches(cloud, sent)
    assert play(gcp_bucket, name="artifacts", **STATED)["changed"]


def test_a_retention_policy_can_be_set(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    patches(cloud, {"retentionPolicy": {"retentionPeriod": "3600"}})
    assert play(gcp_bucket, name="artifacts", retention_period_seconds=3600)["changed"]
    finds(cloud, BUCKET | {"retentionPolicy": {"retentionPeriod": "3600", "effectiveTime": "x"}})
    assert not play(gcp_bucket, name="artifacts", retention_period_seconds=3600)["changed"]
