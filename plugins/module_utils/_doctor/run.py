# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check that MLflow stores a run. The run has a tag and is deleted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .endpoint import Endpoint, Json
from .remedies import LOGS
from .results import CheckResult, NotCheckedError, fail, ok

TAG = "mlops.mlflow_gcp.doctor"  # tag of the doctor's runs
LEFT_OVER_SECONDS = 3600.0  # a tagged run of this age belongs to a doctor that was killed


@dataclass
class TemporaryRun:
    """The run that the doctor created and must delete."""

    run_id: str = ""
    artifact_uri: str = ""
    experiment_id: str = ""


def experiment(endpoint: Endpoint) -> str:
    """Return the first active experiment whose artifacts go through the server, else the first active experiment."""
    search = {"max_results": 100, "order_by": ["experiment_id ASC"], "view_type": "ACTIVE_ONLY"}
    found = endpoint.call("POST", "experiments/search", json=search).get("experiments", [])
    if not found:
        raise NotCheckedError(
            "there is no active experiment for a run", "create an experiment: mlflow experiments create -n NAME"
        )
    proxied = [each for each in found if each.get("artifact_location", "").startswith("mlflow-artifacts:")]
    return str((proxied or found)[0]["experiment_id"])


@contextmanager
def temporary_run(endpoint: Endpoint, delete_artifact: Callable[[str], None]) -> Iterator[TemporaryRun]:
    """Create a run with the doctor's tag. Delete the run at the end, also after a failure.

    Before the deletion of a run, ``delete_artifact`` is called with the run's artifact URI.
    """
    made = TemporaryRun(experiment_id=experiment(endpoint))
    delete_left_over(endpoint, made.experiment_id, delete_artifact)
    try:
        created = endpoint.call(
            "POST",
            "runs/create",
            json={
                "experiment_id": made.experiment_id,
                "run_name": "doctor",
                "start_time": int(endpoint.now() * 1000),
                "tags": [{"key": TAG, "value": secrets.token_hex(8)}],
            },
        )
        info = created["run"]["info"]
        made.run_id, made.artifact_uri = info["run_id"], info.get("artifact_uri", "")
        yield made
    finally:
        if made.run_id:
            delete_artifact(made.artifact_uri)
            endpoint.call("POST", "runs/delete", json={"run_id": made.run_id})


def delete_left_over(endpoint: Endpoint, experiment_id: str, delete_artifact: Callable[[str], None]) -> None:
    """Delete the runs of doctors that were killed."""
    found = endpoint.call("POST", "runs/search", json=_search(experiment_id))
    for info in (run["info"] for run in found.get("runs", [])):
        if int(info.get("start_time", 0)) / 1000 < endpoint.now() - LEFT_OVER_SECONDS:
            delete_artifact(info.get("artifact_uri", ""))
            endpoint.call("POST", "runs/delete", json={"run_id": info["run_id"]})


def _search(experiment_id: str) -> Json:
    return {
        "experiment_ids": [experiment_id],
        "filter": f"tags.`{TAG}` LIKE '%'",
        "run_view_type": "ACTIVE_ONLY",
        "max_results": 100,
    }


def run(endpoint: Endpoint, made: TemporaryRun) -> CheckResult:
    """Log a metric and a parameter to the run, search for the run, and read it back."""
    begin = time.monotonic()
    value, stamp = secrets.randbelow(10**6) / 1000, int(endpoint.now() * 1000)
    endpoint.call(
        "POST",
        "runs/log-batch",
        json={
            "run_id": made.run_id,
            "metrics": [{"key": "doctor", "value": value, "timestamp": stamp, "step": 0}],
            "params": [{"key": "checked_at", "value": str(stamp)}],
        },
    )
    found = endpoint.call("POST", "runs/search", json=_search(made.experiment_id))
    if made.run_id not in {each["info"]["run_id"] for each in found.get("runs", [])}:
        return fail("run", "the search does not return the logged run", LOGS)
    data = endpoint.call("GET", "runs/get", params={"run_id": made.run_id})["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in data.get("metrics", [])}
    if metrics.get("doctor") != value or {"key": "checked_at", "value": str(stamp)} not in data.get("params", []):
        return fail("run", "the server returned other values than the logged values", LOGS)
    return ok("run", f"logged, found and read back in {time.monotonic() - begin:.1f} s")
