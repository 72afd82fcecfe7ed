# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _host_keys
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_instance

from tests.unit.harness import Cloud, FakeClock, Play

BASE = "https://www.googleapis.com/compute/v1/"
ZONE = "projects/my-project/zones/europe-west1-b"
ALL = f"{ZONE}/instances"
ONE = f"{ALL}/mlflow-server"
DISK = f"{ZONE}/disks/mlflow-server"
NETWORK = "projects/my-project/global/networks/mlflow-network"
SUBNETWORK = "projects/my-project/regions/europe-west1/subnetworks/mlflow-subnetwork"
IMAGE = "projects/debian-cloud/global/images/family/debian-13"
EMAIL = "mlflow-server@my-project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SHIELDED = {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True}
NAT = {"type": "ONE_TO_ONE_NAT", "name": "External NAT", "natIP": "198.51.100.7"}
INSTANCE: dict[str, Any] = {
    "name": "mlflow-server",
    "status": "RUNNING",
    "zone": BASE + ZONE,
    "machineType": f"{BASE}{ZONE}/machineTypes/e2-standard-2",
    "disks": [{"boot": True, "autoDelete": True, "diskSizeGb": "30", "source": BASE + DISK, "deviceName": "disk-0"}],
    "networkInterfaces": [
        {
            "name": "nic0",
            "network": BASE + NETWORK,
            "subnetwork": BASE + SUBNETWORK,
            "networkIP": "10.128.0.2",
            "accessConfigs": [NAT | {"kind": "compute#accessConfig", "networkTier": "PREMIUM"}],
        }
    ],
    "serviceAccounts": [{"email": EMAIL, "scopes": [SCOPE]}],
    "scheduling": {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "preemptible": False},
    "shieldedInstanceConfig": SHIELDED,
    "deletionProtection": False,
    "tags": {"items": ["mlflow-server"], "fingerprint": "tags="},
    "labels": {"app": "mlflow", "goog-ops-agent": "x"},
    "labelFingerprint": "labels=",
    "metadata": {
        "items": [
            {"key": "enable-guest-attributes", "value": "TRUE"},
            {"key": "ssh-keys", "value": "deployer:ssh-ed25519 AAAA deployer"},
        ],
        "fingerprint": "metadata=",
    },
}
WHO = {"name": "mlflow-server", "zone": "europe-west1-b"}
DESIRED: dict[str, Any] = {
    **WHO,
    "machine_type": "e2-standard-2",
    "status": "RUNNING",
    "deletion_protection": False,
    "boot_disk": {"source_image": IMAGE, "disk_type": "pd-balanced", "disk_size_gb": 30},
    "network_interface": {"subnetwork": "mlflow-subnetwork", "nat_ip": "198.51.100.7"},
    "service_account": {"email": EMAIL},
    "scheduling": {"automatic_restart": True},
    "shielded_instance_config": {"enable_secure_boot": True, "enable_vtpm": True, "enable_integrity_monitoring": True},
    "tags": ["mlflow-server"],
    "labels": {"app": "mlflow"},
    "metadata": {"enable-guest-attributes": "TRUE", "ssh-keys": "deployer:ssh-ed25519 AAAA deployer"},
}
BODY: dict[str, Any] = {
    "name": "mlflow-server",
    "machineType": f"{ZONE}/machineTypes/e2-standard-2",
    "deletionProtection": False,
    "disks": [
        {
            "boot": True,
            "autoDelete": True,
            "initializeParams": {
                "sourceImage": IMAGE,
                "diskType": f"{ZONE}/diskTypes/pd-balanced",
                "diskSizeGb": "30",
                "labels": {"app": "mlflow"},
            },
        }
    ],
    "networkInterfaces": [{"subnetwork": SUBNETWORK, "accessConfigs": [NAT]}],
    "serviceAccounts": [{"email": EMAIL, "scopes": [SCOPE]}],
    "scheduling": {"automaticRestart": True},
    "shieldedInstanceConfig": SHIELDED,
    "tags": {"items": ["mlflow-server"]},
    "labels": {"app": "mlflow"},
    "metadata": INSTANCE["metadata"] | {"items": INSTANCE["metadata"]["items"]},
}
del BODY["metadata"]["fingerprint"]


def finds(cloud: Cloud, instance: dict[str, Any] = INSTANCE, disk_type: str = "pd-balanced") -> None:
    """Expect requests for the VM and for its boot disk. Only the disk contains its type."""
    cloud.get("compute", ONE, instance)
    cloud.get("compute", DISK, {"name": "mlflow-server", "type": f"{BASE}{ZONE}/diskTypes/{disk_type}"})


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body=BODY)
    cloud.get("compute", ONE, INSTANCE | {"status": "STAGING"})
    cloud.get("compute", ONE, INSTANCE | {"status": "STAGING"})
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, **DESIRED)
    assert result["changed"]
    assert result["resource"] == INSTANCE
    assert "host_keys" not in result
    assert result["diff"]["after"]["metadata"] == DESIRED["metadata"]


TOO_NEW = f"The resource '{EMAIL}' of type 'serviceAccount' was not found."


def test_waits_until_compute_knows_a_new_service_account(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 400, "invalid", TOO_NEW, body=BODY)
    late = {"errors": [{"code": "EXTERNAL_RESOURCE_NOT_FOUND", "message": TOO_NEW}]}
    cloud.mutates("POST", "compute", ALL, body=BODY, failure=late)
    cloud.mutates("POST", "compute", ALL, body=BODY)
    cloud.get("compute", ONE, INSTANCE)
    assert play(gcp_instance, **DESIRED)["changed"]
    assert len(clock.sleeps) == 2


@pytest.mark.parametrize(
    ("constraint", "remedy"),
    [
        ("compute.vmExternalIpAccess", "Add this instance to the policy's allowed values"),
        ("compute.trustedImageProjects", "infrastructure_image_project"),
        ("compute.requireOsLogin", "Ansible connects with an SSH key in the metadata"),
        ("gcp.resourceLocations", "Set the location of this resource to an allowed location"),
        ("compute.requireShieldedVm", "The organisation policy compute.requireShieldedVm forbids this"),
    ],
)
def test_a_policy_of_the_organisation_is_no_lost_race(
    cloud: Cloud, play: Play, clock: FakeClock, constraint: str, remedy: str
) -> None:
    cloud.get("compute", ONE, None)
    message = f"Constraint constraints/{constraint} violated for project 1."
    cloud.fails("POST", "compute", ALL, 412, "conditionNotMet", message, body=BODY)
    said = play(gcp_instance, fails=True, **DESIRED)["msg"]
    assert message in said
    assert remedy in said
    assert "An administrator of the organisation can exempt project my-project" in said
    assert not clock.sleeps


def test_creates_a_stopped_one_by_stopping_it(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body=BODY)
    cloud.get("compute", ONE, INSTANCE)
    cloud.mutates("POST", "compute", f"{ONE}/stop")
    cloud.get("compute", ONE, INSTANCE | {"status": "TERMINATED"})
    assert play(gcp_instance, **DESIRED | {"status": "TERMINATED"})["resource"]["status"] == "TERMINATED"


def test_creates_one_without_an_external_address(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {
        "name": "mlflow-server",
        "machineType": f"{ZONE}/machineTypes/e2-micro",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": IMAGE}}],
        "networkInterfaces": [{"network": NETWORK, "networkIP": "10.128.0.9"}],
    }
    cloud.mutates("POST", "compute", ALL, body=body)
    cloud.get("compute", ONE, INSTANCE)
    interface = {"network": "mlflow-network", "network_ip": "10.128.0.9"}
    desired = {"machine_type": "e2-micro", "boot_disk": {"source_image": IMAGE}, "network_interface": interface}
    assert play(gcp_instance, **WHO, **desired)["changed"]


@pytest.mark.parametrize("gone", [{}, {"enabled": False}])
def test_plans_the_creation_without_it(cloud: Cloud, play: Play, gone: dict[str, bool]) -> None:
    if gone:
        cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured")
    else:
        cloud.get("compute", ONE, None)
    result = play(gcp_instance, check=True, wait_for_host_keys=True, **DESIRED)
    assert result["changed"]
    assert result["diff"]["after"]["machineType"] == f"{ZONE}/machineTypes/e2-standard-2"
    assert result["resource"] == BODY | {"status": "RUNNING"}


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    result = play(gcp_instance, **DESIRED)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_a_newer_image_changes_nothing(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    disk = DESIRED["boot_disk"] | {"source_image": IMAGE.replace("13", "14")}
    assert not play(gcp_instance, **DESIRED | {"boot_disk": disk})["changed"]


@pytest.mark.parametrize(
    ("option", "value", "action", "body", "query"),
    [
        ("tags", [], "setTags", {"items": [], "fingerprint": "tags="}, {}),
        ("tags", ["a", "mlflow-server"], "setTags", {"items": ["a", "mlflow-server"], "fingerprint": "tags="}, {}),
        (
            "labels",
            {"team": "ml"},
            "setLabels",
            {"labels": {"team": "ml", "goog-ops-agent": "x"}, "labelFingerprint": "labels="},
            {},
        ),
        ("deletion_protection", True, "setDeletionProtection", None, {"deletionProtection": "true"}),
        (
            "scheduling",
            {"automatic_restart": False},
            "setScheduling",
            {"automaticRestart": False, "onHostMaintenance": "MIGRATE", "preemptible": False},
            {},
        ),
    ],
)
def test_updates(
    cloud: Cloud, play: Play, option: str, value: Any, action: str, body: Any, query: dict[str, str]
) -> None:
    finds(cloud)
    cloud.mutates("POST", "compute", f"{ONE}/{action}", body=body, query=query)
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, **DESIRED | {option: value})
    assert result["changed"]
    assert result["diff"]["before"] != result["diff"]["after"]


def with_metadata(**items: str) -> dict[str, Any]:
    entries = [{"key": key.replace("_", "-"), "value": value} for key, value in items.items()]
    return INSTANCE | {"metadata": {"items": entries, "fingerprint": "metadata="}}


def test_removes_dropped_metadata_and_keeps_metadata_of_tools(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, with_metadata(startup_script="evil", ssh_keys="ann:ssh-rsa AAAA", enable_oslogin="TRUE"))
    items = [{"key": "enable-oslogin", "value": "FALSE"}, {"key": "ssh-keys", "value": "ann:ssh-rsa AAAA"}]
    body = {"items": items, "fingerprint": "metadata="}
    cloud.mutates("POST", "compute", f"{ONE}/setMetadata", body=body)
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, metadata={"enable-oslogin": "FALSE"}, **WHO)
    assert result["changed"]
    assert result["diff"]["before"] == {"metadata": {"startup-script": "evil", "enable-oslogin": "TRUE"}}
    assert result["diff"]["after"] == {"metadata": {"enable-oslogin": "FALSE"}}


def test_ssh_keys_of_a_task_replace_all_others(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, with_metadata(ssh_keys="deployer:ssh-ed25519 AAAA\nmallory:ssh-rsa BBBB"))
    items = [{"key": "ssh-keys", "value": "deployer:ssh-ed25519 AAAA"}]
    cloud.mutates("POST", "compute", f"{ONE}/setMetadata", body={"items": items, "fingerprint": "metadata="})
    cloud.get("compute", ONE, INSTANCE)
    assert play(gcp_instance, metadata={"ssh-keys": "deployer:ssh-ed25519 AAAA"}, **WHO)["changed"]


def test_keys_in_the_legacy_metadata_entry_are_removed_too(cloud: Cloud, play: Play) -> None:
    """The guest agent also accepts keys in `sshKeys`. An entry there kept its access to the VM."""
    ours = {"enable-guest-attributes": "TRUE", "ssh-keys": "deployer:ssh-ed25519 AAAA deployer"}
    cloud.get("compute", ONE, with_metadata(**ours, sshKeys="mallory:ssh-ed25519 AAAA mallory"))
    items = [{"key": key, "value": value} for key, value in ours.items()]
    cloud.mutates("POST", "compute", f"{ONE}/setMetadata", body={"items": items, "fingerprint": "metadata="})
    cloud.get("compute", ONE, with_metadata(**ours))
    assert play(gcp_instance, **WHO, metadata=ours)["changed"]
    cloud.get("compute", ONE, with_metadata(a="b", sshKeys="colleague:ssh-ed25519 AAAA colleague"))
    assert not play(gcp_instance, **WHO, metadata={"a": "b"})["changed"]


@pytest.mark.parametrize(("allowed", "action"), [(False, "REFRESH"), (True, "RESTART")])
def test_packets_of_others_are_not_forwarded(cloud: Cloud, play: Play, allowed: bool, action: str) -> None:
    found = INSTANCE | {"canIpForward": True}
    cloud.get("compute", ONE, found)
    query = {"mostDisruptiveAllowedAction": action}
    cloud.mutates("PUT", "compute", ONE, body=found | {"canIpForward": False}, query=query)
    cloud.get("compute", ONE, INSTANCE | {"canIpForward": False})
    assert play(gcp_instance, **WHO, can_ip_forward=False, allow_stopping_for_update=allowed)["changed"]
    cloud.get("compute", ONE, INSTANCE)
    assert not play(gcp_instance, **WHO, can_ip_forward=False)["changed"]


def test_ssh_keys_of_others_are_no_difference_where_the_task_names_none(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    assert not play(gcp_instance, metadata={"enable-guest-attributes": "TRUE"}, **WHO)["changed"]


def test_merges_again_after_a_concurrent_change(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    cloud.fails(
        "POST", "compute", f"{ONE}/setTags", 412, "conditionNotMet", body={"items": ["a"], "fingerprint": "tags="}
    )
    cloud.get("compute", ONE, INSTANCE | {"tags": {"items": ["b"], "fingerprint": "newer="}})
    cloud.mutates("POST", "compute", f"{ONE}/setTags", body={"items": ["a"], "fingerprint": "newer="})
    cloud.get("compute", ONE, INSTANCE | {"tags": {"items": ["a"], "fingerprint": "newest="}})
    assert play(gcp_instance, tags=["a"], **WHO)["resource"]["tags"]["items"] == ["a"]


def test_grows_the_disk(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    cloud.mutates("POST", "compute", f"{DISK}/resize", body={"sizeGb": "50"})
    disks = [INSTANCE["disks"][0] | {"diskSizeGb": "50"}]
    cloud.get("compute", ONE, INSTANCE | {"disks": disks})
    result = play(gcp_instance, boot_disk={"source_image": IMAGE, "disk_size_gb": 50}, **WHO)
    assert result["changed"]
    assert result["diff"]["before"]["bootDisk"] == {"sourceImage": IMAGE, "diskSizeGb": "30"}
    assert result["diff"]["after"]["bootDisk"] == {"sourceImage": IMAGE, "diskSizeGb": 50}


def test_refuses_to_shrink_the_disk(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, check=True, fails=True, boot_disk={"disk_size_gb": 20}, **WHO)
    assert "cannot shrink to 20 GB" in result["msg"]


def test_refuses_another_disk_type(cloud: Cloud, play: Play) -> None:
    finds(cloud, disk_type="pd-standard")
    assert "of type pd-standard" in play(gcp_instance, check=True, fails=True, **DESIRED)["msg"]


def test_replaces_the_external_address(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    query = {"networkInterface": "nic0", "accessConfig": "External NAT"}
    cloud.mutates("POST", "compute", f"{ONE}/deleteAccessConfig", query=query)
    new = NAT | {"natIP": "198.51.100.8"}
    cloud.mutates("POST", "compute", f"{ONE}/addAccessConfig", body=new, query={"networkInterface": "nic0"})
    interface = INSTANCE["networkInterfaces"][0] | {"accessConfigs": [new]}
    cloud.get("compute", ONE, INSTANCE | {"networkInterfaces": [interface]})
    result = play(gcp_instance, network_interface={"nat_ip": "198.51.100.8"}, **WHO)
    assert result["diff"]["before"] == {"networkInterface": {"natIP": "198.51.100.7"}}
    assert result["diff"]["after"] == {"networkInterface": {"natIP": "198.51.100.8"}}


def test_takes_the_external_address_away(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    query = {"networkInterface": "nic0", "accessConfig": "External NAT"}
    cloud.mutates("POST", "compute", f"{ONE}/deleteAccessConfig", query=query)
    bare = {key: value for key, value in INSTANCE["networkInterfaces"][0].items() if key != "accessConfigs"}
    cloud.get("compute", ONE, INSTANCE | {"networkInterfaces": [bare]})
    assert play(gcp_instance, network_interface={"nat_ip": ""}, **WHO)["changed"]
    cloud.get("compute", ONE, INSTANCE | {"networkInterfaces": [bare]})
    assert not play(gcp_instance, network_interface={"nat_ip": ""}, **WHO)["changed"]


@pytest.mark.parametrize(
    ("option", "value"), [("network", "other"), ("subnetwork", "other"), ("network_ip", "10.128.0.3")]
)
def test_refuses_another_network(cloud: Cloud, play: Play, option: str, value: str) -> None:
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, check=True, fails=True, network_interface={option: value}, **WHO)
    assert f"cannot change network_interface.{option}" in result["msg"]


STOPS: list[tuple[str, Any, str, str, Any]] = [
    (
        "machine_type",
        "e2-standard-4",
        "POST",
        "setMachineType",
        {"machineType": f"{ZONE}/machineTypes/e2-standard-4"},
    ),
    (
        "service_account",
        {"email": "other@my-project.iam.gserviceaccount.com"},
        "POST",
        "setServiceAccount",
        {"email": "other@my-project.iam.gserviceaccount.com", "scopes": [SCOPE]},
    ),
    (
        "shielded_instance_config",
        {"enable_secure_boot": False},
        "PATCH",
        "updateShieldedInstanceConfig",
        {"enableSecureBoot": False},
    ),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("option", "value", "_method", "_action", "_body"), STOPS)
def test_refuses_to_stop_a_vm_without_permission(
    cloud: Cloud, play: Play, option: str, value: Any, _method: str, _action: str, _body: Any, check: bool
) -> None:
    cloud.get("compute", ONE, INSTANCE)
    result = play(gcp_instance, check=check, fails=True, **WHO, **{option: value})
    assert f"must be stopped to change {option}" in result["msg"]
    assert "allow_stopping_for_update" in result["msg"]


@pytest.mark.parametrize("status", [{}, {"status": "RUNNING"}])
@pytest.mark.parametrize(("option", "value", "method", "action", "body"), STOPS)
def test_stops_and_starts_it_where_it_may(
    cloud: Cloud, play: Play, option: str, value: Any, method: str, action: str, body: Any, status: dict[str, str]
) -> None:
    cloud.get("compute", ONE, INSTANCE)
    cloud.mutates("POST", "compute", f"{ONE}/stop")
    cloud.mutates(method, "compute", f"{ONE}/{action}", body=body)
    if status:  # a desired status is set last
        cloud.get("compute", ONE, INSTANCE | {"status": "TERMINATED"})
    cloud.mutates("POST", "compute", f"{ONE}/start")
    cloud.get("compute", ONE, INSTANCE)
    assert play(gcp_instance, allow_stopping_for_update=True, **WHO, **status, **{option: value})["changed"]


@pytest.mark.parametrize("status", [{}, {"status": "RUNNING"}])
def test_starts_it_again_where_the_change_is_refused(cloud: Cloud, play: Play, status: dict[str, str]) -> None:
    cloud.get("compute", ONE, INSTANCE)
    cloud.mutates("POST", "compute", f"{ONE}/stop")
    body = {"machineType": f"{ZONE}/machineTypes/c3-highmem-176"}
    cloud.fails("POST", "compute", f"{ONE}/setMachineType", 403, "quotaExceeded", body=body)
    cloud.mutates("POST", "compute", f"{ONE}/start")
    desired = {"machine_type": "c3-highmem-176", "allow_stopping_for_update": True}
    assert play(gcp_instance, fails=True, **WHO, **desired, **status)["reason"] == "quotaExceeded"


def test_changes_a_stopped_one_and_leaves_it_stopped(cloud: Cloud, play: Play) -> None:
    stopped = INSTANCE | {"status": "TERMINATED"}
    cloud.get("compute", ONE, stopped)
    body = {"machineType": f"{ZONE}/machineTypes/e2-standard-4"}
    cloud.mutates("POST", "compute", f"{ONE}/setMachineType", body=body)
    cloud.get("compute", ONE, stopped)
    assert play(gcp_instance, machine_type="e2-standard-4", **WHO)["changed"]


@pytest.mark.parametrize(
    ("found", "desired", "action"),
    [("TERMINATED", "RUNNING", "start"), ("SUSPENDED", "RUNNING", "resume"), ("RUNNING", "TERMINATED", "stop")],
)
def test_brings_about_the_status(cloud: Cloud, play: Play, found: str, desired: str, action: str) -> None:
    cloud.get("compute", ONE, INSTANCE | {"status": found})
    cloud.mutates("POST", "compute", f"{ONE}/{action}")
    cloud.get("compute", ONE, INSTANCE | {"status": desired})
    result = play(gcp_instance, status=desired, **WHO)
    assert result["diff"]["before"] == {"status": found}
    assert result["diff"]["after"] == {"status": desired}


def test_starts_a_stopping_vm(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    for status in ("STOPPING", "STOPPING", "TERMINATED"):
        cloud.get("compute", ONE, INSTANCE | {"status": status})
    cloud.mutates("POST", "compute", f"{ONE}/start")
    cloud.get("compute", ONE, INSTANCE)
    assert play(gcp_instance, status="RUNNING", **WHO)["changed"]


def test_recreates_a_vm_that_is_being_deleted(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    for status in ("STOPPING", "DEPROVISIONING"):
        cloud.get("compute", ONE, INSTANCE | {"status": status})
    cloud.get("compute", ONE, None)
    result = play(gcp_instance, fails=True, status="RUNNING", **WHO)
    assert "does not exist" in result["msg"]


def test_plans_an_update_without_it(cloud: Cloud, play: Play) -> None:
    finds(cloud)
    result = play(gcp_instance, check=True, **DESIRED | {"tags": ["a"], "metadata": {}})
    assert result["changed"]
    assert result["resource"]["tags"]["items"] == ["a"]


KEYS = f"{ONE}/getGuestAttributes"
RSA, ED25519, ECDSA = ("ssh-rsa", "AAAAB3"), ("ssh-ed25519", "AAAAC3\n"), ("ecdsa-sha2-nistp256", "AAAAE2")


def publishes(cloud: Cloud, *keys: tuple[str, str]) -> None:
    """Expect a request for the host keys that returns these keys."""
    items = [{"namespace": "hostkeys", "key": kind, "value": key} for kind, key in keys]
    cloud.get("compute", KEYS, {"queryValue": {"items": items}} if items else None, query={"queryPath": "hostkeys/"})


def test_waits_for_the_host_keys(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud)
    publishes(cloud, RSA, ED25519, ECDSA)
    result = play(gcp_instance, wait_for_host_keys=True, **WHO)
    assert not result["changed"]
    assert result["host_keys"] == ["ecdsa-sha2-nistp256 AAAAE2", "ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]
    assert len(clock.sleeps) == 1


def test_all_the_host_keys_are_there_at_once(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud, RSA, ED25519, ECDSA)
    assert len(play(gcp_instance, wait_for_host_keys=True, **WHO)["host_keys"]) == 3
    assert not clock.sleeps


def test_host_keys_come_one_by_one(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    """The returned value must not depend on the progress of the guest agent."""
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud, ECDSA)
    publishes(cloud, ECDSA, ED25519)
    publishes(cloud, ECDSA, ED25519, RSA)
    result = play(gcp_instance, wait_for_host_keys=True, **WHO)
    assert result["host_keys"] == ["ecdsa-sha2-nistp256 AAAAE2", "ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]
    assert clock.sleeps == [10.0, 10.0]


def test_an_agent_may_be_told_to_make_other_host_keys(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud, ED25519)
    publishes(cloud, ED25519)
    assert play(gcp_instance, wait_for_host_keys=True, **WHO)["host_keys"] == ["ssh-ed25519 AAAAC3"]
    assert clock.sleeps == [10.0]


def test_one_lost_upload_leaves_the_other_host_keys(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud, ECDSA, RSA)
    publishes(cloud, ECDSA, RSA)
    assert play(gcp_instance, wait_for_host_keys=True, **WHO)["host_keys"] == [
        "ecdsa-sha2-nistp256 AAAAE2",
        "ssh-rsa AAAAB3",
    ]


CONSOLE = """ci-info: ready\r
-----BEGIN SSH HOST KEY KEYS-----\r
ssh-ed25519 AAAAold root@image\r
-----END SSH HOST KEY KEYS-----\r
-----BEGIN SSH HOST KEY KEYS-----\r
ecdsa-sha2-nistp256 AAAAE2+/= root@mlflow-server\r
ssh-ed25519 AAAAC3 root@mlflow-server\r
ssh-rsa AAAAB3 root@mlflow-server\r
-----END SSH HOST KEY KEYS-----\r
-----BEGIN SSH HOST KEY KEYS-----\r
ssh-ed25519 AAAAcut"""


def refuses(cloud: Cloud) -> None:
    """Expect a request for the host keys that the organisation policy refuses."""
    message = f"Constraint {_host_keys.GUEST_ATTRIBUTES_POLICY} violated for project my-project."
    query = {"queryPath": "hostkeys/"}
    cloud.fails("GET", "compute", KEYS, 412, "conditionNotMet", message, query=query)


def test_takes_the_host_keys_of_the_serial_console_where_the_uploads_were_lost(
    cloud: Cloud, play: Play, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_keys, "GUEST_AGENT_SECONDS", 0.0)
    cloud.get("compute", ONE, INSTANCE)
    for contents in ("booting", CONSOLE):
        publishes(cloud)
        if contents == "booting":
            publishes(cloud)
        cloud.get("compute", f"{ONE}/serialPort", {"contents": contents})
    result = play(gcp_instance, wait_for_host_keys=True, **WHO)
    assert result["host_keys"] == ["ecdsa-sha2-nistp256 AAAAE2+/=", "ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]


def test_takes_the_host_keys_of_the_serial_console_where_a_policy_forbids_guest_attributes(
    cloud: Cloud, play: Play, clock: FakeClock
) -> None:
    cloud.get("compute", ONE, INSTANCE)
    refuses(cloud)
    refuses(cloud)
    cloud.get("compute", f"{ONE}/serialPort", {"contents": CONSOLE})
    assert len(play(gcp_instance, wait_for_host_keys=True, **WHO)["host_keys"]) == 3
    cloud.get("compute", ONE, INSTANCE)
    refuses(cloud)
    refuses(cloud)
    cloud.get("compute", f"{ONE}/serialPort", {"contents": "Debian GNU/Linux 13"})
    said = play(gcp_instance, fails=True, wait_for_host_keys=True, **WHO)["msg"]
    assert "compute.disableGuestAttributesAccess must not be enforced" in said
    assert "never repeats an upload" in said


def test_does_not_wait_for_ever(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE)
    publishes(cloud)
    publishes(cloud)
    cloud.get("compute", f"{ONE}/serialPort", {})
    result = play(gcp_instance, fails=True, wait_for_host_keys=True, timeout=1, **WHO)
    assert "enable-guest-attributes=TRUE" in result["msg"]


def test_a_stopped_machine_publishes_nothing(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, INSTANCE | {"status": "TERMINATED"})
    publishes(cloud)
    publishes(cloud)
    cloud.get("compute", f"{ONE}/serialPort", {})
    assert "status TERMINATED" in play(gcp_instance, fails=True, wait_for_host_keys=True, **WHO)["msg"]
    assert not clock.sleeps


def test_names_the_options_that_a_creation_needs(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    result = play(gcp_instance, fails=True, wait_for_host_keys=True, **WHO)
    assert "does not exist. To create it, also set machine_type, boot_disk, network_interface." in result["msg"]
    cloud.get("compute", ONE, None)
    result = play(gcp_instance, check=True, fails=True, machine_type="e2-micro", **WHO)
    assert "also set boot_disk, network_interface." in result["msg"]


def test_a_plan_may_ask_for_the_host_keys_of_a_planned_vm(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    assert "host_keys" not in play(gcp_instance, check=True, wait_for_host_keys=True, **WHO)


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, INSTANCE)
    assert play(gcp_instance, check=True, state="absent", **WHO)["changed"]
    cloud.get("compute", ONE, INSTANCE)
    cloud.mutates("DELETE", "compute", ONE)
    result = play(gcp_instance, state="absent", **WHO)
    assert result["diff"]["before"]["networkInterface"]["natIP"] == "198.51.100.7"
    cloud.get("compute", ONE, None)
    assert not play(gcp_instance, state="absent", **WHO)["changed"]


def test_deletes_a_protected_one_only_where_that_is_said(cloud: Cloud, play: Play) -> None:
    protected = INSTANCE | {"deletionProtection": True}
    cloud.get("compute", ONE, protected)
    result = play(gcp_instance, check=True, fails=True, state="absent", **WHO)
    assert "set delete_protected to true" in result["msg"]
    cloud.get("compute", ONE, protected)
    cloud.mutates("POST", "compute", f"{ONE}/setDeletionProtection", query={"deletionProtection": "false"})
    cloud.mutates("DELETE", "compute", ONE)
    assert play(gcp_instance, state="absent", delete_protected=True, **WHO)["changed"]


@pytest.mark.parametrize(
    ("found", "desired", "changed"),
    [
        ("STAGING", "RUNNING", False),
        ("STAGING", "TERMINATED", True),
        ("STOPPING", "TERMINATED", False),
        ("STOPPING", "RUNNING", True),
    ],
)
def test_a_plan_knows_where_a_machine_on_its_way_is_going(
    cloud: Cloud, play: Play, found: str, desired: str, changed: bool
) -> None:
    cloud.get("compute", ONE, INSTANCE | {"status": found})
    assert play(gcp_instance, check=True, status=desired, **WHO)["changed"] is changed
