# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Instances against the contract, with an engine in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._host_keys import printed_host_keys

from localcloud.engine.base import EngineError, MachineSpec
from localcloud.engine.fake import FakeMachines
from localcloud.services.compute.directory import Directory
from tests.localcloud.compute_client import DEBIAN, LINK, REGION, ROOT, ZONE, Compute
from tests.localcloud.harness import Local

VM = f"{ZONE}/instances/vm"
OUTSIDE: dict[str, Any] = {"networkInterfaces": [{"subnetwork": f"{REGION}/subnetworks/sub", "accessConfigs": [{}]}]}


@pytest.fixture
def compute(local: Local) -> Compute:
    compute = Compute(local)
    compute.network()
    compute.subnetwork()
    return compute


def machines(compute: Compute) -> FakeMachines:
    found = compute.local.cloud.engine.machines
    assert isinstance(found, FakeMachines)
    return found


def reason(answer: Any) -> str:
    return str(answer["error"]["errors"][0]["reason"])


def test_instance_as_google_shows_it(compute: Compute) -> None:
    email = compute.local.account("server")
    vm = compute.instance(
        labels={"app": "mlflow"},
        tags={"items": ["mlflow-server"]},
        metadata={"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]},
        serviceAccounts=[{"email": email, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}],
        **OUTSIDE,
    )
    assert vm["status"] == "RUNNING"
    assert vm["selfLink"] == LINK + VM
    assert vm["zone"] == LINK + ZONE
    assert vm["machineType"] == f"{LINK}{ZONE}/machineTypes/e2-standard-2"
    nic = vm["networkInterfaces"][0]
    assert nic["network"] == LINK + "global/networks/net"
    assert nic["networkIP"] == "10.128.0.2"
    assert nic["accessConfigs"][0]["name"] == "External NAT"
    assert vm["serviceAccounts"][0]["email"] == email
    assert vm["disks"][0]["source"] == f"{LINK}{ZONE}/disks/vm"
    disk = compute("GET", f"{ZONE}/disks/vm")
    assert disk["sourceImage"].endswith("/debian-cloud/global/images/debian-13-trixie-v20251111")
    assert disk["users"] == [vm["selfLink"]]
    assert compute("DELETE", f"{ZONE}/disks/vm", code=400)["error"]["errors"][0]["reason"].startswith("resourceInUse")
    assert machines(compute).specs[vm["id"]] == MachineSpec(
        id=vm["id"],
        name="vm",
        hostname="vm.europe-west1-b.c.mlflow-local.internal",
        image="debian-13",
        network="mlflow-local/net",
        subnetwork_cidr="10.128.0.0/20",
        internal_ip="10.128.0.2",
        external_ip=nic["accessConfigs"][0]["natIP"],
    )
    assert [s.cidr for s in compute.state.subnetworks] == ["10.128.0.0/20"]


def test_instance_is_seen_while_it_is_made(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    go, engine = threading.Event(), machines(compute)
    create = engine.create

    def slow(spec: MachineSpec) -> None:
        assert go.wait(10)
        create(spec)

    monkeypatch.setattr(engine, "create", slow)
    operation = compute("POST", f"{ZONE}/instances", compute.instance_body(), wait=False)
    assert operation["zone"] == LINK + ZONE
    assert compute("GET", VM)["status"] in ("PROVISIONING", "STAGING")
    assert reason(compute("POST", f"{VM}/stop", code=400)) == "resourceNotReady"
    assert reason(compute("DELETE", VM, code=400)) == "resourceNotReady"
    assert compute("POST", f"{ZONE}/instances", compute.instance_body(), 409)
    go.set()
    assert compute.wait(operation)["targetId"] == compute("GET", VM)["id"]
    assert compute("GET", VM)["status"] == "RUNNING"


def test_machine_that_does_not_boot_leaves_nothing(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(spec: MachineSpec) -> None:
        raise EngineError("no room for another machine")

    monkeypatch.setattr(machines(compute), "create", broken)
    done = compute("POST", f"{ZONE}/instances", compute.instance_body())
    assert done["error"]["errors"][0]["message"] == "no room for another machine"
    compute("GET", VM, code=404)
    compute("GET", f"{ZONE}/disks/vm", code=404)
    compute.removed(f"{REGION}/subnetworks/sub")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"machineType": f"{ZONE}/machineTypes/x9"}, 400),
        ({"machineType": "e2-standard-2"}, 400),
        ({"machineType": "zones/us-east1-b/machineTypes/e2-standard-2"}, 400),
        ({"disks": []}, 400),
        (
            {"disks": [{"boot": True, "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/no"}}]},
            404,
        ),
        ({"networkInterfaces": [{"subnetwork": f"{REGION}/subnetworks/none"}]}, 400),
        ({"networkInterfaces": [{"network": "global/networks/net"}]}, 400),
        ({"networkInterfaces": []}, 400),
        ({"networkInterfaces": [{"subnetwork": f"{REGION}/subnetworks/sub", "networkIP": "10.128.0.1"}]}, 400),
        (
            {
                "networkInterfaces": [
                    {"subnetwork": f"{REGION}/subnetworks/sub", "accessConfigs": [{"natIP": "8.8.8.8"}]}
                ]
            },
            400,
        ),
        ({"labels": {"App": "mlflow"}}, 400),
        ({"tags": {"items": ["-"]}}, 400),
        ({"metadata": {"items": [{"key": "a b", "value": ""}]}}, 400),
        ({"name": "VM"}, 400),
        ({"nonsense": 1}, 400),
    ],
)
def test_instance_refused(compute: Compute, change: dict[str, Any], code: int) -> None:
    compute("POST", f"{ZONE}/instances", compute.instance_body() | change, code)
    assert machines(compute).specs == {}
    assert "items" not in compute("GET", f"{ZONE}/instances")
    assert "items" not in compute("GET", f"{ZONE}/disks")


def test_new_service_account_is_unknown_for_a_while(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    compute.session.call("PUT", "/localcloud/profile", json={"service_accounts": 20.0})
    account = {"email": compute.local.account("server"), "scopes": []}
    done = compute("POST", f"{ZONE}/instances", compute.instance_body(serviceAccounts=[account]))
    assert "of type 'serviceAccount' was not found" in done["error"]["errors"][0]["message"]
    now = compute.local.cloud.clock.time()
    monkeypatch.setattr(compute.local.cloud.clock, "time", lambda: now + 20.0)
    compute.instance(serviceAccounts=[account])


def test_service_account_must_exist_and_be_the_callers_to_use(compute: Compute) -> None:
    account = {"email": "nobody@mlflow-local.iam.gserviceaccount.com", "scopes": []}
    done = compute("POST", f"{ZONE}/instances", compute.instance_body(serviceAccounts=[account]))
    assert done["error"]["errors"][0]["code"] == "EXTERNAL_RESOURCE_NOT_FOUND"
    compute("GET", VM, code=404)
    server = compute.local.account("server")
    admin = Compute(compute.local, compute.local.session_as(compute.local.account("admin", "roles/compute.admin")))
    body = compute.instance_body(serviceAccounts=[{"email": server, "scopes": []}])
    assert reason(admin("POST", f"{ZONE}/instances", body, 400)) == "SERVICE_ACCOUNT_ACCESS_DENIED"
    resource = f"//iam.googleapis.com/projects/mlflow-local/serviceAccounts/{server}"
    binding = {
        "role": "roles/iam.serviceAccountUser",
        "members": ["serviceAccount:admin@mlflow-local.iam.gserviceaccount.com"],
    }
    compute.local.cloud.permissions.set_policy(resource, {"bindings": [binding]})
    assert "error" not in admin("POST", f"{ZONE}/instances", body)


def test_stop_start_reset(compute: Compute) -> None:
    vm = compute.instance(**OUTSIDE)
    compute("POST", f"{VM}/reset")
    compute("POST", f"{VM}/start")
    compute("POST", f"{VM}/stop")
    stopped = compute("GET", VM)
    assert stopped["status"] == "TERMINATED"
    assert "natIP" not in stopped["networkInterfaces"][0]["accessConfigs"][0]
    assert stopped["networkInterfaces"][0]["networkIP"] == vm["networkInterfaces"][0]["networkIP"]
    assert compute.state.addresses == ()
    assert reason(compute("POST", f"{VM}/reset", code=400)) == "resourceNotReady"
    compute("POST", f"{VM}/stop")
    compute("POST", f"{VM}/start")
    started = compute("GET", VM)
    assert started["status"] == "RUNNING"
    assert [a.external for a in compute.state.addresses] == [
        started["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    ]
    assert [verb for verb, _ in machines(compute).log] == ["create", "reset", "stop", "start"]


def test_changes_that_need_it_stopped(compute: Compute) -> None:
    compute.instance()
    kind = {"machineType": f"{ZONE}/machineTypes/e2-standard-4"}
    email = compute.local.account("server")
    account = {"email": email, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    shielded = {"enableSecureBoot": True}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "setMachineType", kind),
        ("POST", "setServiceAccount", account),
        ("PATCH", "updateShieldedInstanceConfig", shielded),
    ]
    for verb, path, body in changes:
        assert "must be stopped" in compute(verb, f"{VM}/{path}", body, 400)["error"]["message"]
    compute("POST", f"{VM}/stop")
    for verb, path, body in changes:
        assert compute(verb, f"{VM}/{path}", body)["operationType"] == path
    vm = compute("GET", VM)
    # A patch changes only the given fields.
    assert vm["shieldedInstanceConfig"] == {
        "enableSecureBoot": True,
        "enableVtpm": True,
        "enableIntegrityMonitoring": True,
    }
    assert vm["machineType"].endswith("/e2-standard-4")
    assert vm["serviceAccounts"] == [account]


def test_fingerprints(compute: Compute) -> None:
    vm = compute.instance()
    keys = {"items": [{"key": "ssh-keys", "value": "admin:ssh-ed25519 AAAA"}]}
    bodies: list[tuple[str, dict[str, Any], str, str]] = [
        ("setMetadata", keys, "fingerprint", vm["metadata"]["fingerprint"]),
        ("setTags", {"items": ["web"]}, "fingerprint", vm["tags"]["fingerprint"]),
        ("setLabels", {"labels": {"app": "mlflow"}}, "labelFingerprint", vm["labelFingerprint"]),
    ]
    for path, body, field, value in bodies:
        assert reason(compute("POST", f"{VM}/{path}", body | {field: "c3RhbGU="}, 412)) == "conditionNotMet"
        compute("POST", f"{VM}/{path}", body | {field: value})
        compute("POST", f"{VM}/{path}", body | {field: value}, 412)
    changed = compute("GET", VM)
    assert changed["metadata"]["items"] == keys["items"]
    assert changed["tags"]["items"] == ["web"]
    assert changed["labels"] == {"app": "mlflow"}


def test_project_metadata_needs_its_fingerprint(compute: Compute) -> None:
    project = compute.session.call("GET", ROOT.rstrip("/"))
    items = {"items": [{"key": "enable-oslogin", "value": "FALSE"}]}
    compute("POST", "setCommonInstanceMetadata", items | {"fingerprint": "c3RhbGU="}, 412)
    compute(
        "POST", "setCommonInstanceMetadata", items | {"fingerprint": project["commonInstanceMetadata"]["fingerprint"]}
    )
    again = compute.session.call("GET", ROOT.rstrip("/"))
    assert again["commonInstanceMetadata"]["items"] == items["items"]
    assert again["defaultServiceAccount"] == "100000000001-compute@developer.gserviceaccount.com"


def test_access_config_comes_and_goes(compute: Compute) -> None:
    compute.instance()
    path = f"{VM}/addAccessConfig?networkInterface=nic0"
    compute("POST", path, {"name": "out"})
    compute("POST", path, {"name": "out"}, 400)
    assert len(compute.state.addresses) == 1
    compute("POST", f"{VM}/deleteAccessConfig?networkInterface=nic0&accessConfig=in", code=400)
    compute("POST", f"{VM}/deleteAccessConfig?networkInterface=nic0&accessConfig=out")
    assert compute.state.addresses == ()
    assert "accessConfigs" not in compute("GET", VM)["networkInterfaces"][0]


def test_deletion_protection(compute: Compute) -> None:
    compute.instance(deletionProtection=True)
    assert reason(compute("DELETE", VM, code=400)) == "invalidUsage"
    compute("POST", f"{VM}/setDeletionProtection?deletionProtection=false")
    compute.removed(VM)
    compute("GET", f"{ZONE}/disks/vm", code=404)
    assert machines(compute).specs == {}
    assert compute.state.subnetworks == ()


def test_disk_that_stays(compute: Compute) -> None:
    compute.instance(disks=[{"boot": True, "autoDelete": False, "initializeParams": {"sourceImage": DEBIAN}}])
    compute("POST", f"{ZONE}/disks/vm/resize", {"sizeGb": "20"})
    assert compute("GET", VM)["disks"][0]["diskSizeGb"] == "20"
    compute.removed(VM)
    assert "users" not in compute("GET", f"{ZONE}/disks/vm")
    assert reason(compute("POST", f"{ZONE}/instances", compute.instance_body(), 409)) == "alreadyExists"
    compute.removed(f"{ZONE}/disks/vm")


def test_guest_attributes_and_directory(compute: Compute) -> None:
    vm = compute.instance(metadata={"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]})
    directory = Directory(compute.local.cloud)
    found = directory.by_internal_ip("10.128.0.2")
    assert found is not None
    assert found["selfLink"] == vm["selfLink"]
    assert directory.by_internal_ip("10.128.0.3") is None
    assert directory.address_of("vm.europe-west1-b.c.mlflow-local.internal") == "10.128.0.2"
    assert directory.project("mlflow-local")["numericProjectId"] == 100000000001
    # A VM's guest agent publishes these at boot.
    host_keys = compute("GET", f"{VM}/getGuestAttributes?queryPath=hostkeys/")["queryValue"]["items"]
    assert {item["key"] for item in host_keys} == {"ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"}
    path = f"{VM}/getGuestAttributes?queryPath=own/"
    compute("GET", path, code=404)
    directory.put_guest_attribute(found, "own", "a", "AAAA")
    directory.put_guest_attribute(found, "own", "b", "BBBB")
    answer = compute("GET", path)
    assert [(i["key"], i["value"]) for i in answer["queryValue"]["items"]] == [
        ("a", "AAAA"),
        ("b", "BBBB"),
    ]
    assert compute("GET", f"{VM}/getGuestAttributes?variableKey=own/b")["variableValue"] == "BBBB"
    directory.delete_guest_attribute(found, "own", "b")
    assert len(compute("GET", path)["queryValue"]["items"]) == 1
    compute.removed(VM)
    compute.instance()  # without the permission to publish; has no attributes of the deleted VM with this name
    compute("GET", f"{VM}/getGuestAttributes?queryPath=hostkeys/", code=404)
    compute("GET", path, code=404)


def test_guest_agent_never_repeats_a_lost_upload(compute: Compute) -> None:
    machines(compute).lost_uploads = {"ssh-ed25519"}
    vm = compute.instance(metadata={"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]})
    machines(compute).lost_uploads = set()
    compute("POST", f"{VM}/reset")
    items = compute("GET", f"{VM}/getGuestAttributes?queryPath=hostkeys/")["queryValue"]["items"]
    assert [item["key"] for item in items] == ["ecdsa-sha2-nistp256", "ssh-rsa"]
    console = compute("GET", f"{VM}/serialPort")["contents"]
    assert printed_host_keys(console) == dict(map(str.split, machines(compute).host_keys[vm["id"]]))


def test_lists_filter_and_page(compute: Compute) -> None:
    for number in range(3):
        compute.instance(f"vm-{number}", labels={"app": "mlflow" if number else "other"})

    def names(query: str) -> list[str]:
        items = compute("GET", f"aggregated/instances?{query}")["items"]
        return [vm["name"] for vm in items.get(ZONE, {}).get("instances", [])]

    assert names("filter=labels.app=mlflow") == ["vm-1", "vm-2"]
    assert names("filter=(labels.app eq mlflow) (name ne .*-2)") == ["vm-1"]
    assert names("filter=status=TERMINATED") == []
    compute("GET", "aggregated/instances?filter=name", code=400)
    first = compute("GET", f"{ZONE}/instances?maxResults=2")
    assert [vm["name"] for vm in first["items"]] == ["vm-0", "vm-1"]
    rest = compute("GET", f"{ZONE}/instances?maxResults=2&pageToken={first['nextPageToken']}")
    assert [vm["name"] for vm in rest["items"]] == ["vm-2"]
    assert "nextPageToken" not in rest


@pytest.mark.parametrize(
    ("lose", "status", "log"),
    [
        (lambda _, __: None, "RUNNING", []),
        (lambda engine, id: engine.on.discard(id), "RUNNING", ["start"]),
        (lambda engine, id: engine.delete(id), "TERMINATED", ["delete"]),
    ],
    ids=["still runs", "switched off", "gone"],
)
def test_restart_finds_its_machines(
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[FakeMachines, str], None],
    status: str,
    log: list[str],
) -> None:
    vm = compute.instance(**OUTSIDE)
    local = compute.local
    kept = machines(compute)
    kept.log.clear()
    lose(kept, vm["id"])
    engine = local.cloud.engine
    monkeypatch.setattr("tests.localcloud.harness.fake_engine", lambda: engine)
    local.restart()
    compute.session = local.session()
    for _ in range(100):
        if compute("GET", VM)["status"] != "STAGING":
            break
        threading.Event().wait(0.05)
    assert compute("GET", VM)["status"] == status
    assert [verb for verb, _ in kept.log] == log
    assert len(compute.state.addresses) == (status == "RUNNING")


def test_suspend_and_resume(compute: Compute) -> None:
    compute.instance(**OUTSIDE)
    compute("POST", f"{VM}/suspend")
    assert compute("GET", VM)["status"] == "SUSPENDED"
    compute.local.cloud.reconcile()
    assert not machines(compute).on
    assert reason(compute("POST", f"{VM}/start", code=400)) == "resourceNotReady"
    compute("POST", f"{VM}/resume")
    assert compute("GET", VM)["status"] == "RUNNING"
    assert compute("GET", VM)["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    compute("POST", f"{VM}/suspend")
    compute("POST", f"{VM}/stop")
    assert compute("GET", VM)["status"] == "TERMINATED"


def test_whether_it_forwards_packets_is_an_update_of_the_whole(compute: Compute) -> None:
    vm = compute.instance(**OUTSIDE)
    compute("PUT", VM, vm | {"canIpForward": True})
    assert compute("GET", VM)["canIpForward"] is True
    compute("PUT", VM, vm | {"hostname": "other.example"}, code=501)
