# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Links in all spellings that clients use are stored as one."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.core.links import relative_name
from tests.localcloud.compute_client import DEBIAN, LINK, REGION, ZONE, Compute
from tests.localcloud.harness import Local

NUMBER = "100000000001"
PROJECT = "projects/mlflow-local/"
# Each prefix before the relative name of a resource in the project.
SPELLINGS = [
    f"https://www.googleapis.com/compute/v1/{PROJECT}",
    f"https://compute.googleapis.com/compute/v1/{PROJECT}",
    f"https://compute.googleapis.com/compute/beta/{PROJECT}",
    f"https://www.googleapis.com/compute/v1/projects/{NUMBER}/",
    f"http://127.0.0.1:8787/compute/compute/v1/{PROJECT}",
    f"//compute.googleapis.com/{PROJECT}",
    f"compute/v1/{PROJECT}",
    f"/{PROJECT}",
    PROJECT,
    f"projects/{NUMBER}/",
]
PARTIAL = ["", "https://compute.googleapis.com/compute/v1/"]


def project_id(given: str) -> str:
    return "mlflow-local" if given == NUMBER else given


@pytest.mark.parametrize("prefix", SPELLINGS)
@pytest.mark.parametrize("name", ["global/networks/n", "zones/z/disks/d", "locations/l/repositories/r"])
def test_links_with_a_project(prefix: str, name: str) -> None:
    assert relative_name(prefix + name, project_id) == PROJECT + name


@pytest.mark.parametrize("prefix", PARTIAL)
@pytest.mark.parametrize("name", ["global/networks/n", "regions/r/subnetworks/s", "zones/z/disks/d"])
def test_partial_links(prefix: str, name: str) -> None:
    assert relative_name(prefix + name, project_id, "mlflow-local") == PROJECT + name
    assert relative_name(prefix + name, project_id) is None


def test_links_of_newer_apis() -> None:
    name = "projects/p/locations/l/services/s"
    for prefix in ("https://run.googleapis.com/v2/", "//run.googleapis.com/", "v2/", ""):
        assert relative_name(prefix + name, project_id) == name


@pytest.mark.parametrize(
    "text", ["", "n", "networks/n", "global/", "zones/z", "projects/p", "projects//global/networks/n", "projects/p//n",
             "x/projects/p/global/networks/n", "https://www.googleapis.com/compute/v1/", "https:///projects/p/n"],
)  # fmt: skip
def test_other_texts(text: str) -> None:
    assert relative_name(text, project_id, "mlflow-local") is None


@pytest.fixture
def compute(local: Local) -> Compute:
    compute = Compute(local)
    compute.network()
    compute.subnetwork()
    return compute


def test_instances_firewalls_and_addresses(compute: Compute) -> None:
    for number, prefix in enumerate([*SPELLINGS, ""]):
        vm = compute.instance(
            f"vm{number}",
            machineType=f"{prefix}{ZONE}/machineTypes/e2-standard-2",
            disks=[
                {
                    "boot": True,
                    "initializeParams": {"sourceImage": DEBIAN, "diskType": f"{prefix}{ZONE}/diskTypes/pd-ssd"},
                }
            ],
            networkInterfaces=[
                {"network": f"{prefix}global/networks/net", "subnetwork": f"{prefix}{REGION}/subnetworks/sub"}
            ],
        )
        nic = vm["networkInterfaces"][0]
        assert vm["machineType"] == f"{LINK}{ZONE}/machineTypes/e2-standard-2"
        assert nic["network"] == LINK + "global/networks/net"
        assert nic["subnetwork"] == f"{LINK}{REGION}/subnetworks/sub"
        disk = compute("GET", f"{ZONE}/disks/vm{number}")
        assert disk["type"] == f"{LINK}{ZONE}/diskTypes/pd-ssd"
        body: Any = {"name": f"rule{number}", "network": f"{prefix}global/networks/net"}
        rule = compute.made("global/firewalls", body | {"allowed": [{"IPProtocol": "tcp"}]})
        assert rule["network"] == LINK + "global/networks/net"
        body = {
            "name": f"address{number}",
            "addressType": "INTERNAL",
            "subnetwork": f"{prefix}{REGION}/subnetworks/sub",
        }
        address = compute.made(f"{REGION}/addresses", body)
        assert address["subnetwork"] == f"{LINK}{REGION}/subnetworks/sub"


@pytest.mark.parametrize(
    "host", ["https://compute.googleapis.com/compute/v1/", "//compute.googleapis.com/", "compute/v1/"]
)
def test_images_of_another_project(compute: Compute, host: str) -> None:
    disks = [{"boot": True, "initializeParams": {"sourceImage": host + DEBIAN}}]
    image = compute.instance(disks=disks)["disks"][0]["licenses"][0]
    assert image.startswith("https://www.googleapis.com/compute/v1/projects/debian-cloud/global/licenses/")


@pytest.mark.parametrize("kind", ["pd-ssd", "zones/europe-west1-c/diskTypes/pd-ssd", f"{ZONE}/diskTypes/pd-round"])
def test_disk_types_that_google_refuses(compute: Compute, kind: str) -> None:
    disks = [{"boot": True, "initializeParams": {"sourceImage": DEBIAN, "diskType": kind}}]
    error = compute("POST", f"{ZONE}/instances", compute.instance_body(disks=disks), 400)["error"]
    assert "resource.disks[0].initializeParams.diskType" in error["message"]


@pytest.mark.parametrize("prefix", SPELLINGS)
def test_networks_of_cloud_sql_and_service_networking(compute: Compute, prefix: str) -> None:
    local = compute.local
    compute.made(
        "global/addresses",
        {
            "name": "services", "addressType": "INTERNAL", "purpose": "VPC_PEERING", "prefixLength": 24,
            "network": f"{prefix}global/networks/net",
        },
    )  # fmt: skip
    network = f"{prefix}global/networks/net"
    path = "/servicenetworking/v1/services/servicenetworking.googleapis.com/connections"
    call = compute.session.call
    operation = call("POST", path, json={"network": network, "reservedPeeringRanges": ["services"]})
    done = local.cloud.operations.wait(operation["name"].rpartition("/")[2][-36:], 10)
    assert done is not None
    assert (done["status"], done["error"]) == ("DONE", None)
    (connection,) = call("GET", f"{path}?network={network}")["connections"]
    assert connection["network"] == f"projects/{NUMBER}/global/networks/net"
    settings = {"tier": "db-f1-micro", "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": network}}
    body = {"name": "database", "region": "europe-west1", "databaseVersion": "POSTGRES_15", "settings": settings}
    call("POST", "/sqladmin/sql/v1beta4/projects/mlflow-local/instances", json=body)
    shown = call("GET", "/sqladmin/sql/v1beta4/projects/mlflow-local/instances/database")
    assert shown["settings"]["ipConfiguration"]["privateNetwork"] == f"{PROJECT}global/networks/net"
