# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations of a location serve another API than Certificate Manager: here with the contract of Cloud Run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.framework.cloud import Work, step
from localcloud.framework.location_operations import LocationOperations
from localcloud.framework.registry import Registry
from localcloud.framework.service import Call, Json, Service
from tests.localcloud.harness import Local, Session

LOCATION = "projects/mlflow-local/locations/europe-west1"
SECONDS = 1.5
service = Service("run", ("v2",), always_on=True)
operations = LocationOperations(service, "google.cloud.run.v2", ("get", "list", "wait", "delete"))


@service.method("run.projects.locations.jobs.create", permission="run.jobs.create")
def create(call: Call) -> Json:
    target = f"{call.params['parent']}/jobs/{call.params['jobId']}"
    return operations.start(call, "test.jobs.create", {}, verb="create", target=target)


@step("test.jobs.create")
def work(work: Work) -> Json:
    return operations.typed("Job", {"name": work.operation["target"]})


@pytest.fixture
def call(local: Local, owner: Session, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    owner.call("GET", "/localcloud/health")
    monkeypatch.setattr(local.cloud.profiles, "duration", lambda *_: SECONDS)
    local.app.registry = Registry([service])
    return owner.call


def test_wait(call: Callable[..., Any]) -> None:
    started = call("POST", f"/run/v2/{LOCATION}/jobs?jobId=a", json={})
    assert started["name"].startswith(f"{LOCATION}/operations/")
    path, began = f"/run/v2/{started['name']}", time.monotonic()
    assert "done" not in call("POST", f"{path}:wait", json={"timeout": "0.1s"})
    assert time.monotonic() - began < SECONDS
    finished = call("POST", f"{path}:wait", json={})
    assert finished["response"] == {
        "@type": "type.googleapis.com/google.cloud.run.v2.Job",
        "name": f"{LOCATION}/jobs/a",
    }
    assert call("GET", path) == finished
    assert call("GET", f"/run/v2/{LOCATION}/operations") == {"operations": [finished]}
    call("POST", f"{path}:wait", 400, json={"timeout": "soon"})
    call("DELETE", path)
    call("POST", f"{path}:wait", 404, json={})


def test_only_the_bound_methods_are_there(call: Callable[..., Any]) -> None:
    """Cloud Run's contract has no cancel."""
    call("POST", f"/run/v2/{LOCATION}/operations/x:cancel", 404, json={})
