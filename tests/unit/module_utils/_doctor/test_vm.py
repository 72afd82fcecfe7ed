# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check results of the VM, its units and its disks."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.cloud import Cloud as Google
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.vm import disk, units, vm

from tests.unit.harness import PROJECT, Cloud, Json

SERVER = f"projects/{PROJECT}/zones/europe-west1-b/instances/mlflow-server"


def test_the_vm_runs(cloud: Cloud, google: Google) -> None:
    cloud.get("compute", SERVER, {"status": "RUNNING"})
    assert vm(google, "mlflow-server", {"clock": {}}).state == "ok"


@pytest.mark.parametrize(("status", "verb"), [("TERMINATED", "start"), ("SUSPENDED", "resume")])
def test_the_vm_is_stopped(cloud: Cloud, google: Google, status: str, verb: str) -> None:
    cloud.get("compute", SERVER, {"status": status})
    result = vm(google, "mlflow-server", {"error": "no VM"})
    assert (result.state, result.value) == ("fail", f"mlflow-server is {status}")
    assert f"gcloud compute instances {verb} mlflow-server --zone=europe-west1-b --project={PROJECT}" in result.remedy


def test_the_vm_refuses_ssh_connections(cloud: Cloud, google: Google) -> None:
    cloud.get("compute", SERVER, {"status": "RUNNING"})
    result = vm(google, "mlflow-server", {"error": "Host key verification failed."})
    assert result.state == "fail"
    assert "Host key verification failed." in result.value
    assert "infrastructure_ssh_source_ranges" in result.remedy


def mounted(path: str, used: float, files: float = 1.0) -> Json:
    return {"path": path, "size": 30e9, "free": 2e9, "used_percent": used, "used_files_percent": files}


@pytest.mark.parametrize(
    ("disks", "state", "value"),
    [
        ([mounted("/", 50)], "ok", "/ 50 % used, 2.0 GB free"),
        (
            [mounted("/", 50), mounted("/var/tmp", 80)],
            "warn",
            "/ 50 % used, 2.0 GB free; /var/tmp 80 % used, 2.0 GB free",
        ),
        ([mounted("/", 95)], "fail", "/ 95 % used, 2.0 GB free"),
        ([mounted("/", 50, 99)], "fail", "/ 99 % of the inodes used, 2.0 GB free"),
    ],
)
def test_disk(disks: list[Json], state: str, value: str) -> None:
    result = disk({"disks": disks}, 80, 90)
    assert (result.state, result.value) == (state, value)
    if state != "ok":
        assert result.remedy.startswith(f"on {disks[-1]['path']}:")
        assert "infrastructure_boot_disk_size_gb" in result.remedy


GOOD_UNITS = {"mlflow.service": "active", "nginx.service": "active"}


@pytest.mark.parametrize(
    ("failed", "needed", "state", "value"),
    [
        ([], GOOD_UNITS, "ok", "no failed unit; mlflow.service, nginx.service active"),
        (["man-db.service"], GOOD_UNITS, "warn", "man-db.service failed"),
        (["mlflow@green.service"], GOOD_UNITS, "fail", "mlflow@green.service failed"),
        # A failed purge by the timer does not affect MLflow's clients.
        (["mlflow-gc.service"], GOOD_UNITS, "warn", "mlflow-gc.service failed"),
        ([], GOOD_UNITS | {"nginx.service": "inactive"}, "fail", "nginx.service is inactive"),
        (["nginx.service"], GOOD_UNITS | {"nginx.service": "failed"}, "fail", "nginx.service failed"),
    ],
)
def test_units(failed: list[str], needed: dict[str, str], state: str, value: str) -> None:
    result = units({"units": {"failed": failed, "needed": needed}})
    assert (result.state, result.value) == (state, value)
    if state != "ok":
        assert f"journalctl -u {value.split()[0]}" in result.remedy
