# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The modules for Cloud DNS create, put back and delete a record of the local cloud."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import yaml

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECAP, REPOSITORY, Playbook

ZONES = "/dns/v1/projects/mlflow-local/managedZones"
RECORD = f"{ZONES}/example-test/rrsets/mlflow.example.test./A"
ZONE_TASK = {"name": "example-test", "dns_name": "example.test"}
RECORD_TASK = {"zone": "example-test", "name": "MLflow.example.test", "type": "A"}
WANTED = {"ttl": 300, "rrdatas": ["198.51.100.7"]}


def changed(playbook: Playbook, file: pathlib.Path, *arguments: str, absent: bool = False) -> int:
    """Run the modules; return the number of changes."""
    common = {"project": "mlflow-local", "state": "absent" if absent else "present"}
    tasks = [
        {"mlops.mlflow_gcp.gcp_dns_zone": common | ZONE_TASK},
        {"mlops.mlflow_gcp.gcp_dns_record": common | RECORD_TASK | ({} if absent else WANTED)},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks[::-1] if absent else tasks}
    file.write_text(yaml.safe_dump([play]))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(file), *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=playbook.environment, capture_output=True, text=True, timeout=300
    )
    recap = RECAP.search(done.stdout)
    assert recap, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
    return int(recap[2])


def test_a_record_is_created_put_back_and_deleted(empty: Local, playbook: Playbook, tmp_path: pathlib.Path) -> None:
    empty.enable("dns")
    session, file = empty.session(), tmp_path / "dns.yml"
    assert changed(playbook, file, "--check", "--diff") == 2
    assert session.call("GET", ZONES).get("managedZones", []) == []
    assert changed(playbook, file) == 2
    assert changed(playbook, file) == 0
    session.call("PATCH", RECORD, data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))
    assert changed(playbook, file, "--diff") == 1
    found = session.call("GET", RECORD)
    assert {name: found[name] for name in WANTED} == WANTED
    assert changed(playbook, file, absent=True) == 2
    assert session.call("GET", ZONES).get("managedZones", []) == []
