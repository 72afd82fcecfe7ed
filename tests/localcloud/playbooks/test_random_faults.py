# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""playbooks/provision.yml succeeds while every tenth call fails, and creates nothing twice."""

from __future__ import annotations

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
VERSIONS = "secretmanager.projects.secrets.addVersion"
CREATES = (".insert", ".create", ".addVersion")


def creations(calls: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the creations in a call log: method and resource → the operations, versions or calls.

    A request that is repeated with the same requestId gets the operation of the first one.
    """
    made = defaultdict(set)
    for number, call in enumerate(calls):
        if not call["method"].endswith(CREATES) or call["handled"] != requests.codes.ok:
            continue
        if "targetLink" in call:
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
        session.call("PUT", "/localcloud/faults/random", json={"seed": seed, **FAULTS})
        assert Playbook(local, door, folder).to_the_end() > 0
        session.call("DELETE", "/localcloud/faults")
        return list(session.call("GET", "/localcloud/calls")["calls"])
    finally:
        local.stop()


def survives(folder: pathlib.Path, seed: int) -> None:
    """Assert that a run with this seed succeeds and creates nothing twice."""
    folder.mkdir()
    calls = provision(folder, seed)
    failed = [(call["status"], call["handled"]) for call in calls if call["status"] != call["handled"]]
    assert {status for status, _ in failed} == {429, 500, 503, 0}
    assert any(handled == requests.codes.ok for _, handled in failed), "no answer was lost"
    assert duplicates(calls) == {}
    methods = {what.split()[0] for what in creations(calls)}
    assert {"sql.instances.insert", "compute.instances.insert", "storage.buckets.insert", VERSIONS} <= methods


def test_provisioning_survives_random_faults(tmp_path: pathlib.Path) -> None:
    """The seeds run in parallel, since a run that repeats its calls mostly waits."""
    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(survives, tmp_path / str(seed), seed) for seed in SEEDS]:
            run.result()
