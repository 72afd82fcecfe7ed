# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""New accounts, new bindings and APIs that were just enabled, under a profile in which they take time to spread."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.cloud import Clock
from tests.localcloud.harness import Local, Session

ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
PROJECT = "/cloudresourcemanager/v1/projects/mlflow-local"
EMAIL = "server@mlflow-local.iam.gserviceaccount.com"


class Later(Clock):
    """The clock of the local cloud, put forward by hand."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def later(local: Local) -> Later:
    clock = Later()
    local.cloud.propagation._clock = clock
    return clock


def granted(owner: Session, role: str, email: str = EMAIL) -> dict[str, Any]:
    """The project's policy with one more binding."""
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
    owner.call("GET", PROJECT)  # a binding that was there before counts at once

    later.ahead = 61
    reader.call("GET", PROJECT)
    # Writing the same binding again does not make it a new one.
    owner.call("POST", f"{PROJECT}:setIamPolicy", json={"policy": owner.call("POST", f"{PROJECT}:getIamPolicy")})
    reader.call("GET", PROJECT)
