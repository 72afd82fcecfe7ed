# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The calculations of the benchmark `provision`."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from benchmarks.cloud import Run
from benchmarks.provision import (
    COLLECTIONS,
    PLAYBOOKS,
    Operation,
    between,
    chain,
    created,
    kinds,
    reads,
    unchanged,
    without_api,
)


def call(method: str, verb: str = "GET", path: str = "/p", status: int = 200, **fields: Any) -> dict[str, Any]:
    """Return a call of the log."""
    return {"method": method, "verb": verb, "path": path, "status": status, "name": None, "targetLink": None, **fields}


CALLS = [
    call("oauth2.raw", "POST", "/oauth2/token"),
    call("iamcredentials.projects.serviceAccounts.getAllowedLocations"),
    call("compute.networks.get", status=404),
    call("compute.networks.insert", "POST", targetLink="n", name="operation-1"),
    call("compute.networks.insert", "POST", targetLink="n", name="operation-2"),
    call("compute.globalOperations.wait", "POST"),
    call("compute.globalOperations.get"),
    call("sql.operations.get"),
    call("secretmanager.projects.secrets.create", "POST", "/secrets", name="s"),
    call("secretmanager.projects.secrets.create", "POST", "/secrets", name="t"),
    call("secretmanager.projects.secrets.create", "POST", "/secrets", 409),
    call("secretmanager.projects.secrets.addVersion", "POST", "/secrets/s:addVersion", name="s/versions/1"),
    call("storage.buckets.getIamPolicy", path="/b/iam"),
    call("cloudresourcemanager.projects.getIamPolicy", "POST", "/p:getIamPolicy"),
    call("cloudresourcemanager.projects.setIamPolicy", "POST", "/p:setIamPolicy"),
    call("storage.objects.insert", "POST", "/lock"),
    call("storage.objects.get", "GET", "/lock"),
    call("sql.instances.patch", "PATCH", targetLink="i"),
    call("compute.networks.get"),
]


def test_a_resource_counts_once() -> None:
    assert created(CALLS) == {"n", "s", "t", "s/versions/1", "/p:setIamPolicy"}


def test_a_policy_is_read_and_an_operation_is_not_a_resource() -> None:
    assert [each["path"] for each in reads(CALLS)] == ["/b/iam", "/p:getIamPolicy", "/p"]


def test_kinds_of_calls() -> None:
    assert kinds(CALLS) == {"tokens": 2, "reads": 3, "others": len(CALLS) - 5}


def test_parallel_operations_are_not_in_the_chain() -> None:
    names = ("compute.networks.insert", "compute.instances.insert", "sql.instances.insert", "compute.firewalls.insert")
    found = [Operation(name, 10.0**number) for number, name in enumerate(names)]
    assert chain([*found, Operation("servicenetworking.services.connections.patch", 0.5)]) == 101.5


def test_seconds_of_an_operation() -> None:
    assert between("2026-01-01T00:00:59.500Z", "2026-01-01T00:01:00.250Z") == 0.75


def test_a_run_that_changes_a_resource_is_an_error() -> None:
    run = Run(1.0, 1.0, b"localhost : ok=2 changed=0 unreachable=0 failed=0 skipped=0")
    assert unchanged(run) is run
    with pytest.raises(SystemExit, match="changed a resource"):
        unchanged(Run(1.0, 1.0, run.output.replace(b"changed=0", b"changed=1")))


def test_both_playbooks_have_the_same_tasks() -> None:
    plays = [yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())[0] for name in COLLECTIONS.values()]
    ours, theirs = ([task["name"] for task in play["tasks"]] for play in plays)
    assert ours == theirs


def test_a_playbook_without_an_api_keeps_tasks_and_loops() -> None:
    playbook = yaml.safe_load((PLAYBOOKS / "google_cloud.yml").read_text())
    (play,) = without_api(playbook, "ansible.builtin.ping")
    assert [task.get("loop") for task in play["tasks"]] == [task.get("loop") for task in playbook[0]["tasks"]]
    assert all(task["ansible.builtin.ping"] == {} and "gcp" not in str(task) for task in play["tasks"])
