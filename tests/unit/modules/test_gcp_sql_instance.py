# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _sql_failures
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_instance

from tests.unit.harness import PROJECT, Cloud, FakeClock, Play

ALL = f"v1/projects/{PROJECT}/instances"
ONE = f"{ALL}/db"
NETWORK = f"projects/{PROJECT}/global/networks/mlflow-network"
INSTANCE: dict[str, Any] = {
    "kind": "sql#instance",
    "name": "db",
    "state": "RUNNABLE",
    "region": "europe-west1",
    "databaseVersion": "POSTGRES_16",
    "settings": {
        "settingsVersion": "7",
        "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE",
        "availabilityType": "ZONAL",
        "dataDiskSizeGb": "20",
        "dataDiskType": "PD_SSD",
        "storageAutoResize": True,
        "deletionProtectionEnabled": True,
        "userLabels": {"app": "mlflow", "team": "ml"},
        "databaseFlags": [{"name": "max_connections", "value": "100"}, {"name": "log_lock_waits", "value": "on"}],
        "backupConfiguration": {
            "kind": "sql#backupConfiguration",
            "enabled": True,
            "startTime": "02:00",
            "pointInTimeRecoveryEnabled": True,
            "backupRetentionSettings": {"retainedBackups": 7, "retentionUnit": "COUNT"},
        },
        "ipConfiguration": {
            "ipv4Enabled": False,
            "privateNetwork": f"https://www.googleapis.com/compute/v1/{NETWORK}",
            "sslMode": "ENCRYPTED_ONLY",
            "authorizedNetworks": [
                {"kind": "sql#aclEntry", "name": "office", "value": "203.0.113.0/24"},
                {"kind": "sql#aclEntry", "name": "home", "value": "198.51.100.7"},
            ],
        },
    },
}
ASKED: dict[str, Any] = {
    "name": "db",
    "region": "europe-west1",
    "database_version": "POSTGRES_16",
    "settings": {
        "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE",
        "availability_type": "ZONAL",
        "data_disk_size_gb": 10,
        "storage_auto_resize": True,
        "deletion_protection_enabled": True,
        "user_labels": {"app": "mlflow", "team": "ml"},
        "database_flags": {"log_lock_waits": True, "max_connections": 100},
        "backup_configuration": {
            "enabled": True,
            "start_time": "02:00",
            "point_in_time_recovery_enabled": True,
            "retained_backups": 7,
        },
        "ip_configuration": {
            "ipv4_enabled": False,
            "private_network": "mlflow-network",
            "ssl_mode": "ENCRYPTED_ONLY",
        },
    },
}
SENT: dict[str, Any] = {
    "name": "db",
    "project": PROJECT,
    "region": "europe-west1",
    "databaseVersion": "POSTGRES_16",
    "settings": {
        "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE",
        "availabilityType": "ZONAL",
        "dataDiskSizeGb": "10",
        "storageAutoResize": True,
        "userLabels": {"app": "mlflow", "team": "ml"},
        "databaseFlags": [{"name": "log_lock_waits", "value": "on"}, {"name": "max_connections", "value": "100"}],
        "backupConfiguration": {
            "enabled": True,
            "startTime": "02:00",
            "pointInTimeRecoveryEnabled": True,
            "backupRetentionSettings": {"retainedBackups": 7},
        },
        "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": NETWORK, "sslMode": "ENCRYPTED_ONLY"},
    },
}


PLANNED = SENT | {"settings": SENT["settings"] | {"deletionProtectionEnabled": True}}


def instance(state: str = "RUNNABLE", version: str = "POSTGRES_16", **settings: Any) -> dict[str, Any]:
    document = copy.deepcopy(INSTANCE) | {"state": state, "databaseVersion": version}
    document["settings"] |= settings
    return document


def patches(cloud: Cloud, settings: dict[str, Any], version: str = "7", **kwargs: Any) -> None:
    cloud.mutates("PATCH", "sql", ONE, body={"settings": {**settings, "settingsVersion": version}}, **kwargs)


def operations(cloud: Cloud, *items: dict[str, Any]) -> None:
    cloud.get("sql", f"v1/projects/{PROJECT}/operations", {"items": list(items)}, query={"instance": "db"})


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, None)
    cloud.mutates("POST", "sql", ALL, body=SENT)
    cloud.get("sql", ONE, instance(deletionProtectionEnabled=False))
    # Set the protection last. It would prevent the deletion of an instance whose creation failed.
    patches(cloud, {"deletionProtectionEnabled": True})
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, **ASKED)
    assert result["changed"]
    assert not result["pending"]
    assert result["resource"] == INSTANCE
    assert result["diff"]["after"] == {key: PLANNED[key] for key in ("region", "databaseVersion", "settings")}


def test_plans_the_creation(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, None)
    result = play(gcp_sql_instance, check=True, **ASKED)
    assert result["changed"]
    assert result["resource"] == PLANNED


@pytest.mark.parametrize("option", ["region", "database_version", "settings"])
def test_a_creation_needs_to_know_enough(cloud: Cloud, play: Play, option: str) -> None:
    cloud.get("sql", ONE, None)
    asked = {key: value for key, value in ASKED.items() if key != option}
    assert option in play(gcp_sql_instance, fails=True, check=True, **asked)["msg"]


def test_is_started_without_waiting_and_waited_for_later(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    running = {"kind": "sql#operation", "name": "create", "targetProject": PROJECT, "status": "RUNNING"}
    pending = instance("PENDING_CREATE")
    cloud.get("sql", ONE, None)
    cloud.expect("POST", "sql", ALL, running, body=SENT)
    cloud.get("sql", ONE, pending)
    result = play(gcp_sql_instance, wait=False, **ASKED)
    assert result["changed"]
    assert result["pending"]
    assert not clock.sleeps

    cloud.get("sql", ONE, pending)
    result = play(gcp_sql_instance, wait=False, **ASKED)
    assert not result["changed"]
    assert result["pending"]

    cloud.get("sql", ONE, pending)
    operations(cloud, {"name": "backup", "status": "DONE"}, running)
    cloud.get("sql", f"v1/projects/{PROJECT}/operations/create", running)
    cloud.get("sql", f"v1/projects/{PROJECT}/operations/create", running | {"status": "DONE"})
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, wait=True, **ASKED)
    assert not result["changed"]
    assert not result["pending"]
    assert result["resource"]["state"] == "RUNNABLE"


def test_reports_why_an_earlier_operation_failed(cloud: Cloud, play: Play) -> None:
    running = {"kind": "sql#operation", "name": "create", "targetProject": PROJECT, "status": "RUNNING"}
    failed = {"status": "DONE", "error": {"errors": [{"code": "INTERNAL_ERROR", "message": "no range is free"}]}}
    cloud.get("sql", ONE, instance("PENDING_CREATE"))
    operations(cloud, running)
    cloud.get("sql", f"v1/projects/{PROJECT}/operations/create", running | failed)
    assert "no range is free" in play(gcp_sql_instance, fails=True, **ASKED)["msg"]


def failed_operation(kind: str, time: str, message: str) -> dict[str, Any]:
    error = {"kind": "sql#operationErrors", "errors": [{"code": "INTERNAL_ERROR", "message": message}]}
    return {"kind": "sql#operation", "operationType": kind, "status": "DONE", "insertTime": time, "error": error}


REMOVAL = (
    "`ansible localhost -m mlops.mlflow_gcp.gcp_sql_instance -a "
    f"'project={PROJECT} name=db state=absent delete_protected=true'`"
)


def test_quotes_why_the_creation_failed(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance("FAILED"))
    newest = failed_operation("CREATE", "2026-11-02T10:00:00Z", "Failed to create subnetwork.")
    operations(cloud, failed_operation("CREATE", "2026-11-01T10:00:00Z", "older"), {"status": "DONE"}, newest)
    told = play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    assert "is in state FAILED" in told
    assert "CREATE of 2026-11-02T10:00:00Z failed: Failed to create subnetwork. (INTERNAL_ERROR)" in told
    assert REMOVAL in told
    assert "older" not in told


def test_does_not_advise_to_delete_an_instance_that_failed_later(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance("FAILED"))
    operations(cloud, failed_operation("MAINTENANCE", "2026-11-02T10:00:00Z", "out of luck"))
    told = play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    assert "MAINTENANCE of 2026-11-02T10:00:00Z failed: out of luck" in told
    assert "state=absent" not in told
    assert "may contain data" in told


def test_a_broken_one_without_readable_operations(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance("FAILED"))
    path = f"v1/projects/{PROJECT}/operations"
    cloud.fails("GET", "sql", path, 403, "forbidden", query={"instance": "db"})
    assert (
        "is in state FAILED. Inspect the Cloud SQL instance in the console"
        in play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    )


def test_says_how_to_delete_a_failed_instance(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, None)
    failure = failed_operation("CREATE", "", "Failed to create subnetwork.")["error"]
    cloud.mutates("POST", "sql", ALL, body=SENT, failure=failure)
    cloud.get("sql", ONE, instance("FAILED"))
    told = play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    assert "Failed to create subnetwork." in told
    assert REMOVAL in told


def test_says_that_a_name_may_be_reserved(
    cloud: Cloud, play: Play, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google reserves the name of a deleted instance and answers invalidState. Waiting does not free the name."""
    monkeypatch.setattr(_sql_failures, "CREATE_CONFLICT_SECONDS", 0.5)
    words = "The instance or operation is not in an appropriate state to handle the request."
    cloud.get("sql", ONE, None)
    for _attempt in range(2):
        cloud.fails("POST", "sql", ALL, 409, "invalidState", words, body=SENT)
        cloud.get("sql", ONE, None)
    for _read in range(2):
        cloud.get("sql", ONE, None)
    told = play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    assert "Google may reserve the name" in told
    assert "deployment_name" in told
    assert len(clock.sleeps) == 1


def test_a_reserved_name_that_is_told_at_once(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("sql", ONE, None)
    cloud.fails("POST", "sql", ALL, 409, "instanceAlreadyExists", body=SENT)
    for _read in range(2):
        cloud.get("sql", ONE, None)
    assert "Google may reserve the name" in play(gcp_sql_instance, fails=True, **ASKED)["msg"]
    assert not clock.sleeps


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    # Cloud SQL increased the disk from 10 to 20 GB.
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, **ASKED)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"tier": "db-custom-2-7680"}, {"tier": "db-custom-2-7680"}),
        ({"edition": "ENTERPRISE_PLUS"}, {"edition": "ENTERPRISE_PLUS"}),
        ({"availability_type": "REGIONAL"}, {"availabilityType": "REGIONAL"}),
        ({"activation_policy": "NEVER"}, {"activationPolicy": "NEVER"}),
        ({"connector_enforcement": "REQUIRED"}, {"connectorEnforcement": "REQUIRED"}),
        ({"data_disk_size_gb": 30}, {"dataDiskSizeGb": "30"}),
        ({"storage_auto_resize": False}, {"storageAutoResize": False}),
        ({"storage_auto_resize_limit": 100}, {"storageAutoResizeLimit": "100"}),
        ({"deletion_protection_enabled": False}, {"deletionProtectionEnabled": False}),
        ({"user_labels": {"app": "mlflow"}}, {"userLabels": {"app": "mlflow", "team": None}}),
        ({"user_labels": {}}, {"userLabels": {"app": None, "team": None}}),
        ({"database_flags": {"log_lock_waits": "on"}}, {"databaseFlags": [{"name": "log_lock_waits", "value": "on"}]}),
        ({"database_flags": {}}, {"databaseFlags": []}),
        ({"backup_configuration": {"enabled": False}}, {"backupConfiguration": {"enabled": False}}),
        ({"backup_configuration": {"start_time": "03:00"}}, {"backupConfiguration": {"startTime": "03:00"}}),
        (
            {"backup_configuration": {"retained_backups": 14, "enabled": True}},
            {"backupConfiguration": {"backupRetentionSettings": {"retainedBackups": 14}}},
        ),
        (
            {"ip_configuration": {"ssl_mode": "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"}},
            {"ipConfiguration": {"sslMode": "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"}},
        ),
        (
            {"ip_configuration": {"authorized_networks": [{"value": "203.0.113.0/24"}]}},
            {"ipConfiguration": {"authorizedNetworks": [{"value": "203.0.113.0/24"}]}},
        ),
        ({"ip_configuration": {"authorized_networks": []}}, {"ipConfiguration": {"authorizedNetworks": []}}),
        (
            {"ip_configuration": {"enable_private_path_for_google_cloud_services": True}},
            {"ipConfiguration": {"enablePrivatePathForGoogleCloudServices": True}},
        ),
        ({"maintenance_window": {"day": 7, "hour": 3}}, {"maintenanceWindow": {"day": 7, "hour": 3}}),
        (
            {"insights_config": {"query_insights_enabled": True}},
            {"insightsConfig": {"queryInsightsEnabled": True}},
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_updates_only_what_differs(
    cloud: Cloud, play: Play, check: bool, asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    cloud.get("sql", ONE, INSTANCE)
    if not check:
        patches(cloud, sent)
        cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, check=check, name="db", settings=asked)
    assert result["changed"]
    assert result["diff"]["before"] != result["diff"]["after"]


@pytest.mark.parametrize("wait", [True, False])
def test_starts_a_stopped_one_before_anything_else_and_waits(cloud: Cloud, play: Play, wait: bool) -> None:
    """Databases and users of a stopped instance could not be read, and the run failed."""
    asked = {"tier": "db-custom-2-7680", "activation_policy": "ALWAYS"}
    cloud.get("sql", ONE, instance(activationPolicy="NEVER"))
    patches(cloud, {"activationPolicy": "ALWAYS"})
    started = instance(activationPolicy="ALWAYS", settingsVersion="8")
    cloud.get("sql", ONE, started)
    body = {"settings": {"tier": "db-custom-2-7680", "settingsVersion": "8"}}
    if wait:
        cloud.mutates("PATCH", "sql", ONE, body=body)
    else:
        cloud.expect("PATCH", "sql", ONE, {"kind": "sql#operation", "name": "x", "status": "PENDING"}, body=body)
    cloud.get("sql", ONE, instance(activationPolicy="ALWAYS", tier="db-custom-2-7680"))
    result = play(gcp_sql_instance, name="db", settings=asked, wait=wait)
    assert result["changed"]
    assert not result["stopped"]
    assert result["diff"]["before"]["settings"]["activationPolicy"] == "NEVER"


def test_starts_one_of_which_nothing_else_differs(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance(activationPolicy="NEVER"))
    patches(cloud, {"activationPolicy": "ALWAYS"})
    cloud.get("sql", ONE, instance(activationPolicy="ALWAYS"))
    cloud.get("sql", ONE, instance(activationPolicy="ALWAYS"))
    assert play(gcp_sql_instance, name="db", settings={"activation_policy": "ALWAYS"}, wait=False)["changed"]


def test_a_plan_tells_that_it_is_stopped(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance(activationPolicy="NEVER"))
    result = play(gcp_sql_instance, check=True, name="db", settings={"activation_policy": "ALWAYS"})
    assert result["changed"]
    assert result["stopped"]
    cloud.get("sql", ONE, None)
    assert not play(gcp_sql_instance, check=True, **ASKED)["stopped"]


def test_says_that_it_is_stopped_where_the_task_does_not_start_it(cloud: Cloud, play: Play) -> None:
    body = {"settings": {"tier": "db-custom-2-7680", "settingsVersion": "7"}}
    cloud.get("sql", ONE, instance(activationPolicy="NEVER"))
    words = "The instance or operation is not in an appropriate state to handle the request."
    cloud.fails("PATCH", "sql", ONE, 400, "invalidState", words, body=body)
    cloud.get("sql", ONE, instance(activationPolicy="NEVER"))
    told = play(gcp_sql_instance, fails=True, name="db", settings={"tier": "db-custom-2-7680"})["msg"]
    assert "Cloud SQL instance db is stopped" in told
    assert f"`gcloud sql instances patch db --activation-policy=ALWAYS --project={PROJECT}`" in told


def test_a_missing_property_has_its_default(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, INSTANCE)
    stated = {"connector_enforcement": "NOT_REQUIRED", "storage_auto_resize_limit": 0}
    stated["ip_configuration"] = {"enable_private_path_for_google_cloud_services": False}
    assert not play(gcp_sql_instance, name="db", settings=stated)["changed"]


def test_networks_are_a_set(cloud: Cloud, play: Play) -> None:
    networks = [{"value": "198.51.100.7", "name": "home"}, {"value": "203.0.113.0/24", "name": "office"}]
    cloud.get("sql", ONE, INSTANCE)
    settings = {"ip_configuration": {"authorized_networks": networks}}
    assert not play(gcp_sql_instance, name="db", settings=settings)["changed"]


def test_another_change_in_between_is_read_and_merged_anew(cloud: Cloud, play: Play) -> None:
    body = {"settings": {"tier": "db-custom-2-7680", "settingsVersion": "7"}}
    cloud.get("sql", ONE, INSTANCE)
    cloud.fails("PATCH", "sql", ONE, 412, "conditionNotMet", body=body)
    cloud.get("sql", ONE, instance(settingsVersion="8"))
    patches(cloud, {"tier": "db-custom-2-7680"}, version="8")
    cloud.get("sql", ONE, instance(tier="db-custom-2-7680"))
    assert play(gcp_sql_instance, name="db", settings={"tier": "db-custom-2-7680"})["changed"]


def test_deletion_protection_is_set_without_a_wait(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    unprotected = instance(deletionProtectionEnabled=False)
    body = {"settings": {"deletionProtectionEnabled": True, "settingsVersion": "7"}}
    cloud.get("sql", ONE, unprotected)
    cloud.expect("PATCH", "sql", ONE, {"kind": "sql#operation", "name": "o", "status": "PENDING"}, body=body)
    cloud.get("sql", ONE, unprotected)
    asked = {"settings": {"deletion_protection_enabled": True}, "wait": False}
    assert play(gcp_sql_instance, name="db", **asked)["changed"]
    assert not clock.sleeps

    # The next run meets the running operation, and finds its result afterwards.
    cloud.get("sql", ONE, unprotected)
    cloud.fails("PATCH", "sql", ONE, 409, "operationInProgress", body=body)
    cloud.fails("PATCH", "sql", ONE, 412, "staleData", body=body)
    cloud.get("sql", ONE, instance(settingsVersion="8", deletionProtectionEnabled=True))
    assert not play(gcp_sql_instance, name="db", **asked)["changed"]
    assert len(clock.sleeps) == 2


def test_waits_for_its_turn(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    body = {"settings": {"tier": "db-custom-2-7680", "settingsVersion": "7"}}
    cloud.get("sql", ONE, INSTANCE)
    cloud.fails("PATCH", "sql", ONE, 409, "operationInProgress", body=body)
    patches(cloud, {"tier": "db-custom-2-7680"})
    cloud.get("sql", ONE, instance(tier="db-custom-2-7680"))
    assert play(gcp_sql_instance, name="db", settings={"tier": "db-custom-2-7680"})["changed"]
    assert clock.sleeps


def test_upgrades_by_a_change_of_its_own(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, INSTANCE)
    patches(cloud, {"tier": "db-custom-2-7680"})
    cloud.get("sql", ONE, instance(tier="db-custom-2-7680"))
    cloud.mutates("PATCH", "sql", ONE, body={"databaseVersion": "POSTGRES_17"})
    cloud.get("sql", ONE, instance(version="POSTGRES_17", tier="db-custom-2-7680"))
    settings = {"tier": "db-custom-2-7680"}
    result = play(gcp_sql_instance, name="db", database_version="POSTGRES_17", settings=settings)
    assert result["diff"]["after"]["databaseVersion"] == "POSTGRES_17"


@pytest.mark.parametrize("version", ["POSTGRES_15", "MYSQL_8_4", "POSTGRES_9_6"])
def test_refuses_to_go_back(cloud: Cloud, play: Play, version: str) -> None:
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, fails=True, check=True, name="db", database_version=version)
    assert f"has version POSTGRES_16, which cannot be upgraded to {version}" in result["msg"]


def test_refuses_to_shrink_a_disk(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance(storageAutoResize=False))
    result = play(gcp_sql_instance, fails=True, check=True, name="db", settings={"data_disk_size_gb": 10})
    assert "cannot shrink to 10 GB" in result["msg"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"region": "europe-west4"}, "region"),
        ({"settings": {"ip_configuration": {"private_network": "other"}}}, "private_network"),
        ({"settings": {"data_disk_type": "PD_HDD"}}, "data_disk_type"),
    ],
)
def test_refuses_to_change_an_immutable_property(cloud: Cloud, play: Play, asked: dict[str, Any], named: str) -> None:
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, fails=True, check=True, name="db", **asked)
    assert named in result["msg"]
    assert "after its creation" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_does_not_delete_a_protected_instance(cloud: Cloud, play: Play, check: bool) -> None:
    cloud.get("sql", ONE, INSTANCE)
    result = play(gcp_sql_instance, fails=True, check=check, name="db", state="absent")
    assert "set delete_protected to true" in result["msg"]


@pytest.mark.parametrize("wait", [True, False])
def test_lifts_the_protection_when_told_to(cloud: Cloud, play: Play, wait: bool) -> None:
    cloud.get("sql", ONE, INSTANCE)
    patches(cloud, {"deletionProtectionEnabled": False})
    if wait:
        cloud.mutates("DELETE", "sql", ONE)
    else:
        cloud.expect("DELETE", "sql", ONE, {"kind": "sql#operation", "name": "delete", "status": "PENDING"})
    result = play(gcp_sql_instance, name="db", state="absent", delete_protected=True, wait=wait)
    assert result["changed"]
    assert result["diff"]["before"]["settings"]["tier"] == "db-custom-1-3840"


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, instance(deletionProtectionEnabled=False))
    assert play(gcp_sql_instance, check=True, name="db", state="absent")["changed"]
    cloud.get("sql", ONE, instance(deletionProtectionEnabled=False))
    cloud.mutates("DELETE", "sql", ONE)
    assert play(gcp_sql_instance, name="db", state="absent")["changed"]
    cloud.fails("GET", "sql", ONE, 404, "instanceDoesNotExist")
    assert not play(gcp_sql_instance, name="db", state="absent")["changed"]


def test_returns_the_certificates_of_the_authorities(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, INSTANCE | {"serverCaCert": {"cert": "CA"}})
    cloud.get("sql", f"{ONE}/listServerCas", {"certs": [{"cert": "CA"}]})
    result = play(gcp_sql_instance, **ASKED, return_server_ca_bundle=True)
    assert (result["changed"], result["server_ca_bundle"]) == (False, "CA")


def test_a_new_instance_has_no_certificates_yet(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, {**INSTANCE, "state": "PENDING_CREATE"})
    result = play(gcp_sql_instance, **ASKED, wait=False, return_server_ca_bundle=True)
    assert (result["pending"], result["server_ca_bundle"]) == (True, None)
