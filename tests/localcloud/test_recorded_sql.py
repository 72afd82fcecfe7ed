# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud SQL as in recordings of the real service, in small cases of our own.

The recordings are in GoogleCloudPlatform/k8s-config-connector, at the commits that each test names. Recorded, but not
in the local cloud (501): upgrades of the major version, client certificates and password policies.
"""

from __future__ import annotations

from typing import Any

from localcloud.services.sqladmin.api import instances
from tests.localcloud.compute_client import Compute
from tests.localcloud.harness import Session
from tests.localcloud.test_sqladmin import DATABASE, INSTANCES, NETWORK, ROOT, done, engine, made, reason, settings, sql

__all__ = ["made", "sql"]  # the fixtures
CREATED = {"databaseVersion": "POSTGRES_15"}


def test_users_have_no_type(made: Session) -> None:
    """sqluser-full, 0591114596: a built-in user has no `type`, and since January 2026 an `iamStatus`."""
    done(made, "POST", f"{DATABASE}/users", {"name": "mlflow", "password": "x", "type": "BUILT_IN"})
    for user in made.call("GET", f"{DATABASE}/users")["items"]:
        assert "type" not in user
        assert user["iamStatus"] == "IAM_STATUS_UNSPECIFIED"


def test_versions_have_a_minor_part(sql: Session) -> None:
    """postgresinstancebasic, a0c29df460."""
    done(sql, "POST", INSTANCES, settings() | CREATED)
    got = sql.call("GET", DATABASE)
    assert got["databaseVersion"] == "POSTGRES_15"
    assert got["databaseInstalledVersion"] == "POSTGRES_15_15"
    assert got["maintenanceVersion"].startswith("POSTGRES_15_15.R20")
    settings_of_then = got["settings"] | {"userLabels": {"a": "b"}}
    done(sql, "PUT", DATABASE, got | {"settings": settings_of_then})  # a client that sends the whole resource back


def test_settings_that_are_always_or_never_there(made: Session) -> None:
    """qpm-default, e397fa5ac1."""
    got = made.call("GET", DATABASE)["settings"]
    assert got["authorizedGaeApplications"] == []
    assert got["ipConfiguration"]["authorizedNetworks"] == []
    assert "serverCaMode" not in got["ipConfiguration"]


def test_the_backup_configuration(sql: Session) -> None:
    """postgresinstance, sqlinstanceclonebasic, a0c29df460."""

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = sql.call("GET", DATABASE)["settings"]["backupConfiguration"]
        return {key: value for key, value in found.items() if key not in {"kind", "backupRetentionSettings"}}

    done(sql, "POST", INSTANCES, settings(backupConfiguration={"binaryLogEnabled": False}))
    first = {
        "enabled": False,
        "startTime": "04:00",
        "transactionLogRetentionDays": 7,
        "transactionalLogStorageState": "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED",
        "backupTier": "STANDARD",
    }
    assert shown() == first
    done(sql, "PATCH", DATABASE, {"settings": {"userLabels": {"a": "b"}}})
    assert shown() == first | {"replicationLogArchivingEnabled": False}
    recovers = {"enabled": True, "pointInTimeRecoveryEnabled": True}
    done(sql, "PATCH", DATABASE, {"settings": {"backupConfiguration": recovers}})
    kept = {"transactionalLogStorageState": "CLOUD_STORAGE", "replicationLogArchivingEnabled": True}
    assert shown() == first | recovers | kept
    done(sql, "PATCH", DATABASE, {"settings": {"backupConfiguration": {"pointInTimeRecoveryEnabled": False}}})
    assert shown()["replicationLogArchivingEnabled"] is False


def test_a_standby_is_shown(sql: Session) -> None:
    """postgresinstance, a0c29df460."""
    two = {"availabilityType": "REGIONAL", "backupConfiguration": {"enabled": True}}
    done(sql, "POST", INSTANCES, settings(**two))
    got = sql.call("GET", DATABASE)
    assert got["failoverReplica"] == {"available": True}
    assert got["secondaryGceZone"] != got["gceZone"]
    assert got["secondaryGceZone"].startswith("europe-west1-")
    done(sql, "PATCH", DATABASE, {"settings": {"availabilityType": "ZONAL"}})
    assert not {"failoverReplica", "secondaryGceZone"} & set(sql.call("GET", DATABASE))
    done(sql, "PATCH", DATABASE, {"settings": {"availabilityType": "REGIONAL"}})
    assert sql.call("GET", DATABASE)["failoverReplica"] == {"available": True}


def test_operations_on_users_and_databases_are_done_at_once(made: Session) -> None:
    """sqluser, a0c29df460 (MySQL); sqldatabasebasic, which may be a recording of a mock."""
    user, database = {"name": "u", "password": "x"}, f"{DATABASE}/databases"
    for verb, path, body in (
        ("POST", f"{DATABASE}/users", user),
        ("DELETE", f"{DATABASE}/users?name=u", None),
        ("POST", database, {"name": "d"}),
    ):
        operation = made.call(verb, path, json=body)
        assert operation["status"] == "DONE"
        assert operation["startTime"] <= operation["endTime"]
    assert operation["targetLink"].endswith("/instances/db/databases/d")
    deleted = done(made, "DELETE", f"{database}/d")
    assert deleted["targetLink"].endswith("/instances/db/databases/d")
    assert made.call("GET", f"{ROOT}/operations/{deleted['name']}")["targetId"] == "db"


def test_a_missing_database(made: Session) -> None:
    """sqldatabasebasic."""
    error = made.call("GET", f"{DATABASE}/databases/none", 404)["error"]
    assert (error["message"], error["status"]) == ("Not Found", "NOT_FOUND")
    assert reason({"error": error}) == "notFound"


def test_an_instance_moves_to_another_network(made: Session) -> None:
    """sqlinstanceprivatenetwork, a0c29df460: a PUT with another network is a successful UPDATE."""
    local = made.local
    done(made, "POST", f"{DATABASE}/databases", {"name": "kept"})
    backup = done(made, "POST", f"{DATABASE}/backupRuns", {})["backupContext"]["backupId"]
    Compute(local).network("other")
    body = {"addressType": "INTERNAL", "purpose": "VPC_PEERING", "network": "global/networks/other", "prefixLength": 24}
    Compute(local).made("global/addresses", body | {"name": "two"})
    path = "/servicenetworking/v1/services/servicenetworking.googleapis.com/connections"
    network = "projects/100000000001/global/networks/other"
    operation = made.call("POST", path, json={"network": network, "reservedPeeringRanges": ["two"]})
    local.cloud.operations.wait(operation["name"].removeprefix("operations/"), 10)
    got = made.call("GET", DATABASE)
    got["settings"]["ipConfiguration"]["privateNetwork"] = "projects/mlflow-local/global/networks/other"
    operation = done(made, "PUT", DATABASE, got)
    assert operation["operationType"] == "UPDATE"
    after = made.call("GET", DATABASE)
    assert after["settings"]["ipConfiguration"]["privateNetwork"].endswith("/other")
    assert after["ipAddresses"] != got["ipAddresses"]
    (spec,) = engine(made).specs.values()
    assert (spec.network, spec.ip) == ("mlflow-local/other", after["ipAddresses"][0]["ipAddress"])
    assert 'CREATE DATABASE "kept"' in "\n".join(text for _, text in engine(made).statements[spec.id])
    # The instance keeps its backups, and its former address is free.
    context = {"restoreBackupContext": {"backupRunId": backup}}
    done(made, "POST", f"{DATABASE}/restoreBackup", context)
    freed = local.cloud.store.collection("servicenetworking.allocations")
    assert [key for key, _ in freed.items() if key.startswith(f"{NETWORK}/")] == []
    assert len(list(instances(local.cloud).documents.items())) == 1
