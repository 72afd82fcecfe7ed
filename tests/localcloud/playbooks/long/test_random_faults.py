# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""playbooks/provision.yml succeeds while every tenth call fails, and creates nothing twice.

The first seed has scripted faults, too: one of each kind that passes.
"""

from __future__ import annotations

import json
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.localcloud.harness import Local, Session
from tests.localcloud.playbooks.playbook import Door, Playbook

SEEDS = (1, 2, 3)

# A third of the failures come after the call was done.
FAULTS = {"rate": 0.1, "codes": [429, 500, 503, "reset"], "lost": 0.33}
SCRIPTED: list[dict[str, Any]] = [
    {"method": "serviceusage.services.batchEnable", "code": 503},
    {"method": "compute.networks.insert", "code": 503, "count": 2},
    {"method": "compute.subnetworks.insert", "code": 400, "reason": "resourceNotReady", "message": "not ready"},
    {"method": "compute.firewalls.insert", "code": 403, "reason": "rateLimitExceeded"},
    {"method": "compute.addresses.insert", "code": 429, "retry_after": "1"},
    # The call succeeded, but the answer was lost: connection reset or a gateway's error.
    {"method": "sql.instances.insert", "drop": True, "after": True},
    {"method": "compute.instances.insert", "code": 502, "after": True},
    {"method": "iam.projects.serviceAccounts.create", "drop": True, "after": True},
    {"method": "storage.buckets.insert", "drop": True, "after": True},
    {"method": "secretmanager.projects.secrets.create", "code": 503, "after": True},
    # Another client was faster.
    {"method": "sql.databases.insert", "code": 409, "reason": "operationInProgress", "message": "Operation failed"},
    {"method": "sql.users.insert", "code": 409, "reason": "operationInProgress", "message": "Operation failed"},
    {"method": "cloudresourcemanager.projects.setIamPolicy", "code": 409, "reason": "ABORTED", "message": "etag"},
    {"method": "secretmanager.projects.secrets.setIamPolicy", "code": 409, "reason": "ABORTED", "message": "etag"},
    {"method": "storage.buckets.setIamPolicy", "code": 412, "reason": "conditionNotMet", "message": "etag"},
]
VERSIONS = "secretmanager.projects.secrets.addVersion"
CREATES = (".insert", ".create", ".addVersion")
LOCK = ("storage.objects.insert", "-mlflow-backups/o")  # each run creates its lock


def creations(calls: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the creations in a call log: method and resource → the operations, versions or calls.

    A request that is repeated with the same requestId gets the operation of the first one.
    """
    made = defaultdict(set)
    for number, call in enumerate(calls):
        if not call["method"].endswith(CREATES) or call["handled"] != requests.codes.ok:
            continue
        if call["method"] == LOCK[0] and call["path"].endswith(LOCK[1]):
            continue
        if call["targetLink"]:
            made[f"{call['method']} {call['targetLink']}"].add(call["name"])
        elif call["method"].endswith("addVersion"):
            made[f"{call['method']} {call['path']}"].add(call["name"])
        else:
            made[f"{call['method']} {call['name']}"].add(str(number))
    return dict(made)


def duplicates(calls: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the resources that were created more than once."""
    # An operation on a database names the instance, which gets two databases.
    expected = {"sql.databases.insert": 2}
    made = creations(calls)
    return {what: by for what, by in made.items() if len(by) > expected.get(what.split()[0], 1)}


def provision(folder: pathlib.Path, seed: int) -> list[dict[str, Any]]:
    """Provision a new local cloud under the faults of a seed, and return the call log."""
    local, door = Local(folder / "home"), Door()
    local.start()
    try:
        session = Session(local, requests.Session())
        playbook = Playbook(local, door, folder)
        for fault in SCRIPTED if seed == SEEDS[0] else ():
            session.call("POST", "/localcloud/faults", json=fault)
        session.call("PUT", "/localcloud/faults/random", json={"seed": seed, **FAULTS})
        assert playbook.to_the_end() > 0
        unused = session.call("GET", "/localcloud/faults")["scripted"]
        assert unused == [], json.dumps(unused)
        session.call("DELETE", "/localcloud/faults")
        calls = list(session.call("GET", "/localcloud/calls")["calls"])
        if seed == SEEDS[0]:
            assert playbook.to_the_end() == 0, playbook.output[-5000:]
        return calls
    finally:
        local.stop()


def survives(folder: pathlib.Path, seed: int) -> None:
    """Assert that a run with this seed succeeds and creates nothing twice."""
    folder.mkdir()
    calls = provision(folder, seed)
    failed = [(call["status"], call["handled"]) for call in calls if call["status"] != call["handled"]]
    assert {status for status, _ in failed} >= {429, 500, 503, 0}
    assert any(handled == requests.codes.ok for _, handled in failed), "no answer was lost"
    assert duplicates(calls) == {}
    methods = {what.split()[0] for what in creations(calls)}
    assert {"sql.instances.insert", "compute.instances.insert", "storage.buckets.insert", VERSIONS} <= methods


def test_provisioning_survives_random_faults(tmp_path: pathlib.Path) -> None:
    """The seeds run in parallel, since a run that repeats its calls mostly waits."""
    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(survives, tmp_path / str(seed), seed) for seed in SEEDS]:
            run.result()
