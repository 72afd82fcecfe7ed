# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Creation of the database: after a failure, with its remedy, and while Google's automatic backup blocks changes."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from typing import Any

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import REPOSITORY, Playbook

WORDS = "Failed to create subnetwork. Please create Service Networking connection again."
DATABASE = "/sqladmin/v1/projects/mlflow-local/instances/mlflow-database"


def test_a_failed_creation_is_explained_and_undone(
    empty: Local, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = empty.session()
    fault = {"method": "sql.instances.insert", "operation": True, "code": 400, "reason": "INTERNAL_ERROR"}
    session.call("POST", "/localcloud/faults", json=fault | {"message": WORDS})
    assert playbook.run() != 0
    said = " ".join(playbook.output.split())
    assert f"failed: {WORDS} (INTERNAL_ERROR)" in said
    assert session.call("GET", DATABASE)["state"] == "FAILED"

    advised = re.search(r"delete the instance with `([^`]*)`", said)
    assert advised, said[-3000:]
    environment = playbook.environment | {"ANSIBLE_FORCE_COLOR": "0"}
    command = shlex.split(advised[1])
    deleted = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    session.call("GET", DATABASE, 404)

    databases = empty.cloud.engine.databases
    backup = databases.backup

    def conflicts() -> list[str]:
        calls = empty.cloud.calls.since()
        return [call["method"] for call in calls if call["method"].startswith("sql.") and call["status"] == 409]

    def held(*arguments: Any) -> None:
        deadline = time.monotonic() + 300.0
        while len(conflicts()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        backup(*arguments)

    monkeypatch.setattr(databases, "backup", held)
    session.call("PUT", "/localcloud/profile", json={"sql_first_backup": True, "sql_invalid_state": True})
    playbook.to_the_end()
    assert len(conflicts()) >= 2
    instance = session.call("GET", DATABASE)
    assert instance["state"] == "RUNNABLE"
    assert instance["settings"]["deletionProtectionEnabled"] is True
    assert instance["settings"]["maintenanceWindow"] == {"day": 6, "hour": 7}
