# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A project of the local cloud with the profile `google`: the delays of a run, the duration of each operation."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tests.e2e.deployment import Deployment

# Twenty times as fast as Google. Ansible is not faster, so the propagation delays are longer in proportion.
GOOGLE: dict[str, Any] = {
    "name": "google",
    "scale": 0.05,
    "api_enablement": 400.0,
    "service_accounts": 200.0,
    "service_agents": 1200.0,
}
ENABLE = "serviceusage.services.batchEnable"
CONNECT = ("servicenetworking.services.connections.create", "servicenetworking.services.connections.patch")


@dataclass
class Record:
    """A run of a playbook in the artifacts: the calls, and the seconds of each operation."""

    seconds_in_all: float
    operations: dict[str, float]
    calls: list[dict[str, Any]]

    def seconds(self, operation: str) -> float:
        """Return the duration of an operation, such as "insert mlflow-network"."""
        return self.operations[operation]

    def refused(self, code: int) -> int:
        """Return the number of calls with this HTTP status after the run enabled the APIs."""
        methods = [call["method"] for call in self.calls]
        return sum(call["status"] == code for call in self.calls[methods.index(ENABLE) + 1 :])

    def agent_was_late(self) -> bool:
        """Return whether Service Networking failed to connect at first, or the run was too slow for this failure."""
        enabled = next(call["time"] for call in self.calls if call["method"] == ENABLE)
        tries = [call["time"] for call in self.calls if call["method"] in CONNECT]
        return len(tries) > 1 or tries[0] - enabled > GOOGLE["service_agents"] * GOOGLE["scale"]


def calls(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the recorded calls about a deployment. Bucket names contain the project, too."""
    found = deployment.administer("GET", "calls")["calls"]
    return [call for call in found if deployment.project == call["project"] or deployment.project in call["path"]]


def record(deployment: Deployment, name: str, begun: float) -> None:
    """Keep calls and operations since the start of a run (seconds since the epoch) as an artifact."""
    compute = deployment.call("GET", "compute", f"projects/{deployment.project}/aggregated/operations")
    found = [each for scope in compute["items"].values() for each in scope.get("operations", ())]
    sql = f"v1/projects/{deployment.project}/operations?instance=mlflow-database"
    found += deployment.call("GET", "sql", sql).get("items", [])
    durations = {}
    for each in found:
        start, end = (datetime.fromisoformat(each[key]).timestamp() for key in ("insertTime", "endTime"))
        if start >= begun:
            durations[f"{each['operationType']} {each['targetLink'].rsplit('/', 1)[1]}"] = round(end - start, 1)
    kept = Record(round(time.time() - begun, 1), durations, calls(deployment))
    (deployment.artifacts / f"{name}.json").write_text(json.dumps(asdict(kept), indent=1))


def recorded(deployment: Deployment, name: str) -> Record:
    """Read what `record` wrote."""
    return Record(**json.loads((deployment.artifacts / f"{name}.json").read_text()))
