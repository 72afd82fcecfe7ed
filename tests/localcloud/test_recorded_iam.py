# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM and Resource Manager as in recordings of the real services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.harness import Local, Session

ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
EMAIL = "server@mlflow-local.iam.gserviceaccount.com"
PROJECT = "/cloudresourcemanager/v1/projects/mlflow-local"


def reasons(answer: Any) -> list[str]:
    """Return the reasons in the errors of an answer."""
    return [each["reason"] for each in answer["error"]["errors"]]


def test_errors_of_iam_have_both_forms(owner: Session) -> None:
    unknown = owner.call("GET", f"{ACCOUNTS}/{EMAIL}", 404)
    assert (unknown["error"]["message"], unknown["error"]["status"]) == ("Unknown service account", "NOT_FOUND")
    assert reasons(unknown) == ["notFound"]
    owner.call("POST", ACCOUNTS, json={"accountId": "server"})
    again = owner.call("POST", ACCOUNTS, 409, json={"accountId": "server"})
    assert (again["error"]["status"], reasons(again)) == ("ALREADY_EXISTS", ["alreadyExists"])
    # A policy that was changed meanwhile is a 409, too.
    stale = {"policy": {"etag": "BwX", "bindings": []}}
    assert reasons(owner.call("POST", f"{ACCOUNTS}/{EMAIL}:setIamPolicy", 409, json=stale)) == ["aborted"]


def test_a_patched_account_is_answered_in_part(owner: Session) -> None:
    created = owner.call("POST", ACCOUNTS, json={"accountId": "server", "serviceAccount": {"displayName": "old"}})
    body = {"serviceAccount": {"displayName": "new"}, "updateMask": "display_name"}
    patched = owner.call("PATCH", f"{ACCOUNTS}/{EMAIL}", json=body)
    assert patched == {"name": created["name"], "displayName": "new"}
    assert owner.call("GET", f"{ACCOUNTS}/{EMAIL}") == created | {"displayName": "new"}


def test_a_policy_that_was_never_set_has_no_version(owner: Session) -> None:
    owner.call("POST", ACCOUNTS, json={"accountId": "server"})
    assert owner.call("POST", f"{ACCOUNTS}/{EMAIL}:getIamPolicy") == {"etag": "ACAB"}
    emptied = owner.call("POST", f"{ACCOUNTS}/{EMAIL}:setIamPolicy", json={"policy": {"bindings": []}})
    assert emptied["version"] == 1


@pytest.mark.parametrize(
    ("role", "code"),
    [("roles/artifactregistry.reader", 501), ("roles/storage.objectViewr", 400), ("roles/nonsense", 400)],
)
def test_a_role_that_only_google_has_is_not_called_wrong(owner: Session, role: str, code: int) -> None:
    policy = owner.call("POST", f"{PROJECT}:getIamPolicy")
    policy["bindings"].append({"role": role, "members": ["user:someone@example.com"]})
    owner.call("POST", f"{PROJECT}:setIamPolicy", code, json={"policy": policy})


def test_a_project_that_is_not_there_is_not_told_from_a_hidden_one(owner: Session) -> None:
    told = owner.call("GET", "/cloudresourcemanager/v1/projects/missing-project", 403)["error"]
    assert told == {"code": 403, "message": "The caller does not have permission", "status": "PERMISSION_DENIED"}


def test_the_operation_of_a_new_project(local: Local, owner: Session) -> None:
    started = owner.call("POST", "/cloudresourcemanager/v1/projects", json={"projectId": "new-project"})
    assert list(started) == ["name"]
    local.cloud.operations.wait(started["name"][-36:], 10)
    done = owner.call("GET", f"/cloudresourcemanager/v1/{started['name']}")
    package = "type.googleapis.com/google.cloudresourcemanager.v1"
    assert done["metadata"]["@type"] == f"{package}.ProjectCreationStatus"
    assert (done["metadata"]["gettable"], done["metadata"]["ready"]) == (True, True)
    assert (done["response"]["@type"], done["response"]["projectId"]) == (f"{package}.Project", "new-project")
