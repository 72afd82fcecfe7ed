# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's own clients read the resources of site.yml."""

from __future__ import annotations

import shutil

import pytest
from google.cloud import compute_v1, storage

from tests.e2e.deployment import Deployment

needs_gcloud = pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")

LISTS = {
    "mlflow-network": ["compute", "networks"],
    "mlflow-allow-https": ["compute", "firewall-rules"],
    "mlflow-address": ["compute", "addresses"],
    "mlflow-server": ["compute", "instances"],
    "mlflow-database": ["sql", "instances"],
    "mlflow-admin-password": ["secrets"],
}
DESCRIBE = {
    "mlflow-address": ["--region=europe-west1"],
    "mlflow-server": ["--zone=europe-west1-b"],
}


@needs_gcloud
@pytest.mark.parametrize("name", LISTS)
def test_gcloud_lists_and_describes(site: Deployment, name: str) -> None:
    listed = site.gcloud(*LISTS[name], "list")
    assert name in [item["name"].rpartition("/")[2] for item in listed]
    described = site.gcloud(*LISTS[name], "describe", name, *DESCRIBE.get(name, []))
    assert described["name"].rpartition("/")[2] == name


@needs_gcloud
def test_gcloud_lists_and_describes_the_bucket(site: Deployment) -> None:
    bucket = f"{site.project}-mlflow-artifacts"
    assert bucket in [item["name"] for item in site.gcloud("storage", "buckets", "list")]
    assert site.gcloud("storage", "buckets", "describe", f"gs://{bucket}")["name"] == bucket


def test_google_cloud_storage_reads_the_bucket(site: Deployment) -> None:
    client = storage.Client(
        project=site.project,
        credentials=site.credentials,
        client_options={"api_endpoint": site.environment["STORAGE_EMULATOR_HOST"]},
    )
    bucket = client.get_bucket(f"{site.project}-mlflow-artifacts")
    assert bucket.iam_configuration.uniform_bucket_level_access_enabled
    assert bucket.iam_configuration.public_access_prevention == "enforced"
    assert bucket.versioning_enabled


def test_google_cloud_compute_reads_instance_network_address_and_rule(site: Deployment) -> None:
    endpoint = site.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"].removesuffix("/compute/v1/")
    options = {"api_endpoint": endpoint}
    instances = compute_v1.InstancesClient(credentials=site.credentials, client_options=options)
    machine = instances.get(project=site.project, zone="europe-west1-b", instance="mlflow-server")
    assert machine.status == "RUNNING"
    assert machine.network_interfaces[0].access_configs[0].nat_i_p == site.address
    rules = compute_v1.FirewallsClient(credentials=site.credentials, client_options=options)
    rule = rules.get(project=site.project, firewall="mlflow-allow-https")
    assert list(rule.allowed[0].ports) == ["80", "443"]
    networks = compute_v1.NetworksClient(credentials=site.credentials, client_options=options)
    network = networks.get(project=site.project, network="mlflow-network")
    assert not network.auto_create_subnetworks
    assert [link.rpartition("/")[2] for link in network.subnetworks] == ["mlflow-subnetwork"]
    assert rule.network == network.self_link == machine.network_interfaces[0].network
    addresses = compute_v1.AddressesClient(credentials=site.credentials, client_options=options)
    address = addresses.get(project=site.project, region="europe-west1", address="mlflow-address")
    assert (address.address, address.status, list(address.users)) == (site.address, "IN_USE", [machine.self_link])
