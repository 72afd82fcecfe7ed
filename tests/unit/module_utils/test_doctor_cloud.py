# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check results of the doctor for responses of Google."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _doctor_cloud as doctor
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor_rows import UnexaminedError

from tests.unit.harness import PROJECT, Cloud, Json

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVER = f"projects/{PROJECT}/zones/europe-west1-b/instances/mlflow-server"
BACKUPS = f"v1/projects/{PROJECT}/instances/mlflow-database/backupRuns"


@pytest.fixture
def google(cloud: Cloud) -> doctor.Cloud:
    client = _client.Client(requests.Session(), timeout=60)
    return doctor.Cloud(client, PROJECT, "europe-west1", "europe-west1-b")


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%S.123Z")


def test_the_machine_runs(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.get("compute", SERVER, {"status": "RUNNING"})
    assert doctor.machine(google, "mlflow-server", {"clock": {}}).state == "ok"


@pytest.mark.parametrize(("status", "verb"), [("TERMINATED", "start"), ("SUSPENDED", "resume")])
def test_the_machine_is_stopped(cloud: Cloud, google: doctor.Cloud, status: str, verb: str) -> None:
    cloud.get("compute", SERVER, {"status": status})
    row = doctor.machine(google, "mlflow-server", {"error": "no machine"})
    assert (row.state, row.value) == ("fail", f"mlflow-server is {status}")
    assert f"gcloud compute instances {verb} mlflow-server --zone=europe-west1-b --project={PROJECT}" in row.remedy


def test_the_machine_does_not_let_us_in(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.get("compute", SERVER, {"status": "RUNNING"})
    row = doctor.machine(google, "mlflow-server", {"error": "Host key verification failed."})
    assert row.state == "fail"
    assert "Host key verification failed." in row.value
    assert "infrastructure_ssh_source_ranges" in row.remedy


def test_the_machine_is_not_there(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.get("compute", SERVER, None)
    with pytest.raises(UnexaminedError, match="HTTP 404") as error:
        doctor.machine(google, "mlflow-server", {})
    assert error.value.remedy == "it is not there: ansible-playbook site.yml"


def test_we_may_not_look(cloud: Cloud, google: doctor.Cloud) -> None:
    message = "Required 'compute.instances.get' permission for 'mlflow-server'"
    cloud.fails("GET", "compute", SERVER, 403, "forbidden", message)
    with pytest.raises(UnexaminedError, match="HTTP 403") as error:
        doctor.machine(google, "mlflow-server", {})
    assert "compute.instances.get" in error.value.remedy


def instance(**settings: Any) -> Json:
    configuration = {"enabled": True, "pointInTimeRecoveryEnabled": True, "startTime": "02:00"}
    return {
        "name": "mlflow-database",
        "state": "RUNNABLE",
        "databaseVersion": "POSTGRES_17",
        "createTime": ago(days=30),
        "settings": {"backupConfiguration": configuration | settings},
    }


def test_database() -> None:
    assert doctor.database(instance(), PROJECT).state == "ok"
    assert doctor.database(instance() | {"state": "MAINTENANCE"}, PROJECT).state == "fail"
    stopped = doctor.database(instance() | {"settings": {"activationPolicy": "NEVER"}}, PROJECT)
    start = "gcloud sql instances patch mlflow-database --activation-policy=ALWAYS"
    assert stopped.remedy == f"{start} --project={PROJECT}"


def backup(hours: float, status: str = "SUCCESSFUL", kind: str = "AUTOMATED") -> Json:
    error = {"error": {"message": "no room"}} if status == "FAILED" else {}
    return {"status": status, "type": kind, "endTime": ago(hours=hours)} | error


@pytest.mark.parametrize(
    ("runs", "state", "value"),
    [
        ([backup(30), backup(6)], "ok", "newest 6.0 h old (2 automated, 0 on demand), point in time recovery on"),
        (
            [backup(30), backup(1, kind="ON_DEMAND")],
            "ok",
            "newest 1.0 h old (1 automated, 1 on demand), point in time recovery on",
        ),
        ([backup(30)], "warn", "newest 30.0 h old (1 automated, 0 on demand), point in time recovery on"),
        ([backup(100)], "fail", "newest 4 days old (1 automated, 0 on demand), point in time recovery on"),
        (
            [backup(20), backup(2, "FAILED")],
            "warn",
            "newest 20.0 h old (1 automated, 0 on demand), point in time recovery on; 1 newer failed: no room",
        ),
        (
            [backup(2, "RUNNING"), backup(6)],
            "ok",
            "newest 6.0 h old (1 automated, 0 on demand), point in time recovery on",
        ),
        ([], "fail", "none yet; the instance is 30 days old, the first automatic one comes after 02:00 UTC"),
    ],
)
def test_backups(cloud: Cloud, google: doctor.Cloud, runs: list[Json], state: str, value: str) -> None:
    cloud.get("sql", BACKUPS, {"items": runs} if runs else {})
    row = doctor.backups(google, instance(), NOW.timestamp(), 26, 72)
    # The timestamps contain milliseconds.
    assert (row.state, row.value) == (state, value)
    assert ("playbooks/backup.yml" in row.remedy) == (state != "ok")


def test_a_new_instance_has_no_backup_yet(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.get("sql", BACKUPS, {})
    assert doctor.backups(google, instance() | {"createTime": ago(hours=1)}, NOW.timestamp(), 26, 72).state == "warn"


def test_backups_are_off(google: doctor.Cloud) -> None:
    assert doctor.backups(google, instance(enabled=False), NOW.timestamp(), 26, 72).state == "fail"


def test_recovery_to_a_point_in_time_is_off(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.get("sql", BACKUPS, {"items": [backup(6)]})
    row = doctor.backups(google, instance(pointInTimeRecoveryEnabled=False), NOW.timestamp(), 26, 72)
    assert (row.state, "point in time recovery OFF" in row.value) == ("warn", True)


def versions(cloud: Cloud, name: str, *days: float) -> None:
    found = [{"name": f"…/versions/{n}", "createTime": ago(days=age)} for n, age in enumerate(days)]
    path = f"v1/projects/{PROJECT}/secrets/{name}/versions"
    cloud.get("secretmanager", path, {"versions": found} if found else {}, query={"filter": "state:ENABLED"})


def test_ages_of_secrets(cloud: Cloud, google: doctor.Cloud) -> None:
    versions(cloud, "a", 500, 10)
    versions(cloud, "b", 20)
    row = doctor.secret_ages(google, ["a", "b"], NOW.timestamp(), 365)
    assert (row.state, row.value) == ("ok", "2, the oldest 20 days old (b)")


def test_old_secrets(cloud: Cloud, google: doctor.Cloud) -> None:
    versions(cloud, "a", 500, 400)
    versions(cloud, "b", 20)
    row = doctor.secret_ages(google, ["a", "b"], NOW.timestamp(), 365)
    assert (row.state, row.value) == ("warn", "a 400 days old")
    assert row.remedy == "ansible-playbook playbooks/rotate.yml"


def test_a_secret_without_a_version(cloud: Cloud, google: doctor.Cloud) -> None:
    versions(cloud, "a")
    row = doctor.secret_ages(google, ["a"], NOW.timestamp(), 365)
    assert (row.state, row.value) == ("fail", "a has no enabled version")


def test_an_object_is_removed_at_any_generation(cloud: Cloud, google: doctor.Cloud) -> None:
    cloud.expect("DELETE", "storage", "b/bucket/o/0%2Fabc%2Fdoctor.bin", "", status=204, query={})
    google.remove_object("bucket", "0/abc/doctor.bin")


def left_over(name: str, purpose: str, **age: float) -> Json:
    return {"name": name, "createTime": ago(**age), "settings": {"userLabels": {"app": "mlflow", "purpose": purpose}}}


def test_temporary_instances(cloud: Cloud, google: doctor.Cloud) -> None:
    """The state directory of another control node names the instances, or no state directory does."""
    used = left_over("mlflow-drill-used", "restore-drill", hours=3)
    others = [
        instance(),
        left_over("mlflow-drill-2", "production", days=9),
        left_over("mlflow-blue-drill-1", "restore-drill", days=9),
        left_over("other-drill-x", "restore-drill", days=9),
        used,
    ]
    path = f"v1/projects/{PROJECT}/instances"
    cloud.get("sql", path, {"items": others})
    row = doctor.temporary(google, "mlflow", NOW.timestamp())
    assert (row.state, row.value) == ("ok", "mlflow-drill-used: a drill or a rehearsal may be running")
    left = [
        left_over("mlflow-rehearsal-1", "upgrade-rehearsal", days=3),
        left_over("mlflow-drill-1", "restore-drill", hours=20),
    ]
    cloud.get("sql", path, {"items": [*others, *left]})
    row = doctor.temporary(google, "mlflow", NOW.timestamp())
    assert row.state == "warn"
    assert "mlflow-rehearsal-1 of an interrupted run, 3 days old" in row.value
    assert row.remedy == f"gcloud sql instances delete mlflow-rehearsal-1 mlflow-drill-1 --project={PROJECT}"
    cloud.get("sql", path, {})
    assert doctor.temporary(google, "mlflow", NOW.timestamp()).state == "ok"
