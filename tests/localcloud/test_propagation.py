# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""New accounts, bindings and newly enabled APIs, under a profile with propagation delays."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.core.clock import Clock
from tests.localcloud.harness import Local, Session

ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
PROJECT = "/cloudresourcemanager/v1/projects/mlflow-local"
EMAIL = "server@mlflow-local.iam.gserviceaccount.com"


class Later(Clock):
    """The clock of the local cloud, advanced by hand."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def later(local: Local) -> Later:
    clock = Later()
    local.cloud.propagation._clock = clock
    return clock


def granted(owner: Session, role: str, email: str = EMAIL) -> dict[str, Any]:
    """Add a binding to the project's policy; return the policy."""
    policy: dict[str, Any] = owner.call("POST", f"{PROJECT}:getIamPolicy")
    policy["bindings"].append({"role": role, "members": [f"serviceAccount:{email}"]})
    return {"policy": policy}


def test_a_new_service_account_is_unknown_for_a_while(local: Local, owner: Session, later: Later) -> None:
    local.cloud.profiles.change({"service_accounts": 20})
    created = owner.call("POST", ACCOUNTS, json={"accountId": "server"})
    assert created["email"] == EMAIL
    assert not local.cloud.accounts.visible(EMAIL)
    told = owner.call("GET", f"{ACCOUNTS}/{EMAIL}", 404)["error"]
    assert told["message"] == f"Service account projects/mlflow-local/serviceAccounts/{EMAIL} does not exist."
    owner.call("POST", ACCOUNTS, 409, json={"accountId": "server"})
    told = owner.call("POST", f"{PROJECT}:setIamPolicy", 400, json=granted(owner, "roles/viewer"))["error"]
    assert told["message"] == f"Service account {EMAIL} does not exist."

    later.ahead = 21
    assert local.cloud.accounts.visible(EMAIL)
    owner.call("GET", f"{ACCOUNTS}/{EMAIL}")
    owner.call("POST", f"{PROJECT}:setIamPolicy", json=granted(owner, "roles/viewer"))


def test_a_new_binding_grants_nothing_for_a_while(local: Local, owner: Session, later: Later) -> None:
    email = local.account("reader")
    reader = local.session_as(email)
    local.cloud.profiles.change({"iam_grants": 60})
    owner.call("POST", f"{PROJECT}:setIamPolicy", json=granted(owner, "roles/browser", email))
    reader.call("GET", PROJECT, 403)
    owner.call("GET", PROJECT)  # existing bindings count at once

    later.ahead = 61
    reader.call("GET", PROJECT)
    # Writing an existing binding again does not make it new.
    owner.call("POST", f"{PROJECT}:setIamPolicy", json={"policy": owner.call("POST", f"{PROJECT}:getIamPolicy")})
    reader.call("GET", PROJECT)


def test_the_policy_of_a_new_bucket_applies_at_once(local: Local, owner: Session) -> None:
    """The owner of a project may list objects only by this policy."""
    local.cloud.profiles.change({"iam_grants": 60})
    owner.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "new-bucket"})
    assert owner.call("GET", "/storage/v1/b/new-bucket/o")["kind"] == "storage#objects"


def enable(owner: Session, *services: str, code: int = 200) -> Any:
    path = "/serviceusage/v1/projects/mlflow-local/services:batchEnable"
    return owner.call("POST", path, code, json={"serviceIds": [f"{name}.googleapis.com" for name in services]})


def enabled(local: Local, owner: Session, *services: str) -> None:
    """Enable APIs and wait for the operation."""
    operation = enable(owner, *services)
    assert operation.get("done") or local.cloud.operations.wait(operation["name"][-36:], 10)["status"] == "DONE"  # type: ignore[index]


def test_an_api_that_was_enabled_still_says_no_to_every_third_call(local: Local, owner: Session, later: Later) -> None:
    for name in ("sqladmin", "storage"):
        local.cloud.projects.disable("mlflow-local", f"{name}.googleapis.com")
    local.cloud.profiles.change({"api_enablement": 60})
    enabled(local, owner, "sqladmin", "storage")
    instances = "/sqladmin/v1/projects/mlflow-local/instances"
    told = owner.call("GET", instances, 403)["error"]
    assert told["details"][0]["reason"] == "SERVICE_DISABLED"
    for code in (200, 200, 403, 200):
        owner.call("GET", instances, code)
    # Cloud Storage returns no details: neither the name of the service nor the project.
    told = owner.call("POST", "/storage/v1/b?project=mlflow-local", 403, json={"name": "some-bucket"})["error"]
    assert (told["errors"][0]["reason"], "details" in told) == ("accessNotConfigured", False)
    later.ahead = 61
    for _ in range(4):
        owner.call("GET", instances)
    # APIs that were already enabled stay enabled.
    enabled(local, owner, "sqladmin")
    for _ in range(4):
        owner.call("GET", instances)


def test_two_activations_of_one_api_are_in_each_others_way(local: Local, owner: Session) -> None:
    local.cloud.profiles.change({"latency": "google", "scale": 0.1})
    first = enable(owner, "run", "dns")
    told = enable(owner, "dns", code=400)["error"]
    assert "Another activation or deactivation is in progress" in told["message"]
    enable(owner, "redis")
    name = first["name"]
    assert local.cloud.operations.wait(name[-36:], 10)["status"] == "DONE"  # type: ignore[index]
    # Terraform polls the operations of version 1 under version 1beta1.
    assert owner.call("GET", f"/serviceusage/v1beta1/{name}") == owner.call("GET", f"/serviceusage/v1/{name}")
