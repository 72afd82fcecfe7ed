# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compute Engine with official clients: google-cloud-compute and gcloud."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import Conflict, NotFound
from google.cloud import compute_v1

from localcloud.commands.env import variables
from tests.localcloud.compute_client import REGION, ZONE, Compute
from tests.localcloud.harness import Local

P, R, Z = "mlflow-local", "europe-west1", "europe-west1-b"


def test_client_library(local: Local) -> None:
    options = {"credentials": local.credentials(), "client_options": ClientOptions(api_endpoint=local.url)}
    waiters = {
        "": (compute_v1.GlobalOperationsClient(**options), {}),
        R: (compute_v1.RegionOperationsClient(**options), {"region": R}),
        Z: (compute_v1.ZoneOperationsClient(**options), {"zone": Z}),
    }

    def finish(operation: compute_v1.Operation) -> None:
        # `insert()` would wait with a client of its own, which uses Google's endpoint only.
        client, place = waiters[(operation.zone or operation.region).rpartition("/")[2]]
        done = client.wait(project=P, operation=operation.name, **place)
        assert (done.status.name, list(done.error.errors)) == ("DONE", [])

    networks = compute_v1.NetworksClient(**options)
    wanted = compute_v1.Network(name="net", auto_create_subnetworks=False)
    finish(networks.insert_unary(project=P, network_resource=wanted))
    with pytest.raises(Conflict):
        networks.insert(project=P, network_resource=wanted)
    assert networks.get(project=P, network="net").routing_config.routing_mode == "REGIONAL"

    subnetworks = compute_v1.SubnetworksClient(**options)
    subnetwork = compute_v1.Subnetwork(name="sub", network="global/networks/net", ip_cidr_range="10.128.0.0/20")
    finish(subnetworks.insert_unary(project=P, region=R, subnetwork_resource=subnetwork))

    firewalls = compute_v1.FirewallsClient(**options)
    rule = compute_v1.Firewall(
        name="fw",
        network="global/networks/net",
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
        source_ranges=["198.51.100.1/32"],
    )
    finish(firewalls.insert_unary(project=P, firewall_resource=rule))
    change = compute_v1.Firewall(source_ranges=["198.51.100.2/32"])
    finish(firewalls.patch_unary(project=P, firewall="fw", firewall_resource=change))
    assert firewalls.get(project=P, firewall="fw").source_ranges == ["198.51.100.2/32"]

    addresses = compute_v1.AddressesClient(**options)
    finish(addresses.insert_unary(project=P, region=R, address_resource=compute_v1.Address(name="ip")))
    address = addresses.get(project=P, region=R, address="ip").address

    image = compute_v1.ImagesClient(**options).get_from_family(project="debian-cloud", family="debian-13")
    instances = compute_v1.InstancesClient(**options)
    disk = compute_v1.AttachedDisk(
        boot=True,
        auto_delete=True,
        initialize_params=compute_v1.AttachedDiskInitializeParams(source_image=image.self_link, disk_size_gb=20),
    )
    config = compute_v1.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT", nat_i_p=address)
    card = compute_v1.NetworkInterface(subnetwork=f"{REGION}/subnetworks/sub", access_configs=[config])
    vm = compute_v1.Instance(
        name="vm",
        machine_type=f"{ZONE}/machineTypes/e2-standard-2",
        disks=[disk],
        network_interfaces=[card],
        labels={"app": "mlflow"},
    )
    finish(instances.insert_unary(project=P, zone=Z, instance_resource=vm))
    request = compute_v1.AggregatedListInstancesRequest(project=P, filter="labels.app=mlflow", max_results=1)
    found = [(scope, [i.name for i in page.instances]) for scope, page in instances.aggregated_list(request=request)]
    assert [entry for entry in found if entry[1]] == [(ZONE, ["vm"])]
    read = instances.get(project=P, zone=Z, instance="vm")
    assert (read.status, read.network_interfaces[0].access_configs[0].nat_i_p) == ("RUNNING", address)
    assert addresses.get(project=P, region=R, address="ip").status == "IN_USE"
    refused = networks.delete_unary(project=P, network="net")
    done = waiters[""][0].wait(project=P, operation=refused.name)
    assert [error.code for error in done.error.errors] == ["RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"]

    finish(instances.delete_unary(project=P, zone=Z, instance="vm"))
    finish(addresses.delete_unary(project=P, region=R, address="ip"))
    finish(firewalls.delete_unary(project=P, firewall="fw"))
    finish(subnetworks.delete_unary(project=P, region=R, subnetwork="sub"))
    finish(networks.delete_unary(project=P, network="net"))
    with pytest.raises(NotFound):
        networks.get(project=P, network="net")


@pytest.fixture
def gcloud(local: Local, tmp_path: pathlib.Path) -> Callable[..., Any]:
    """Return gcloud with a configuration of its own, connected to the local cloud as by `make env`."""
    program = shutil.which("gcloud")
    if program is None:
        pytest.skip("gcloud is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDSDK_", "GOOGLE_"))}
    environment |= variables(local.cloud.settings)
    environment |= {"CLOUDSDK_CONFIG": str(tmp_path / "gcloud"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [program, "compute", *arguments, "--format=json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_gcloud(local: Local, gcloud: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    zone, region = f"--zone={Z}", f"--region={R}"
    gcloud("networks", "create", "net", "--subnet-mode=custom")
    gcloud("networks", "subnets", "create", "sub", "--network=net", "--range=10.128.0.0/20", region)
    gcloud("networks", "subnets", "update", "sub", region, "--enable-private-ip-google-access")
    assert gcloud("networks", "subnets", "describe", "sub", region)["privateIpGoogleAccess"] is True
    gcloud("firewall-rules", "create", "fw", "--network=net", "--allow=tcp:22", "--source-ranges=198.51.100.1/32")
    gcloud("firewall-rules", "update", "fw", "--source-ranges=198.51.100.1/32,198.51.100.2/32")
    assert len(gcloud("firewall-rules", "describe", "fw")["sourceRanges"]) == 2
    gcloud("addresses", "create", "ip", region)
    gcloud(
        "addresses", "create", "services", "--global", "--purpose=VPC_PEERING", "--prefix-length=20", "--network=net"
    )
    assert {a["name"] for a in gcloud("addresses", "list")} == {"ip", "services"}
    gcloud(
        "instances", "create", "vm", zone, "--machine-type=e2-standard-2", "--image-family=debian-13",
        "--image-project=debian-cloud", "--subnet=sub", "--address=ip", "--tags=web", "--labels=app=mlflow",
    )  # fmt: skip
    for expression in ("labels.app=mlflow", "name=vm AND status=RUNNING", "name~^v"):
        assert [vm["name"] for vm in gcloud("instances", "list", f"--filter={expression}")] == ["vm"]
    assert gcloud("instances", "list", "--filter=name=other") == []
    effective = gcloud("instances", "network-interfaces", "get-effective-firewalls", "vm", zone)
    assert [rule["name"] for rule in effective["firewalls"]] == ["fw"]
    keys = tmp_path / "keys"
    keys.write_text("admin:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE admin\n")
    gcloud("instances", "add-metadata", "vm", zone, f"--metadata-from-file=ssh-keys={keys}")
    gcloud("instances", "add-labels", "vm", zone, "--labels=more=yes")
    gcloud("instances", "add-tags", "vm", zone, "--tags=ssh")
    vm = gcloud("instances", "describe", "vm", zone)
    assert vm["metadata"]["items"][0]["value"].startswith("admin:ssh-ed25519 ")
    assert vm["labels"] == {"app": "mlflow", "more": "yes"}
    assert vm["tags"]["items"] == ["ssh", "web"]
    gcloud("instances", "stop", "vm", zone)
    gcloud("instances", "set-machine-type", "vm", zone, "--machine-type=e2-standard-4")
    gcloud("instances", "update", "vm", zone, "--shielded-secure-boot")
    assert gcloud("instances", "describe", "vm", zone)["shieldedInstanceConfig"]["enableSecureBoot"] is True
    gcloud("instances", "start", "vm", zone)
    gcloud("instances", "delete", "vm", zone)
    gcloud("addresses", "delete", "ip", region)
    gcloud("addresses", "delete", "services", "--global")
    gcloud("firewall-rules", "delete", "fw")
    gcloud("networks", "subnets", "delete", "sub", region)
    gcloud("networks", "delete", "net")
    assert gcloud("networks", "list") == []
    assert "items" not in Compute(local)("GET", f"{ZONE}/disks")
