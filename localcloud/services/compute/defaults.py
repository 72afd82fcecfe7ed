# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The default service account and network that a project gets when its Compute Engine API is first enabled."""

from __future__ import annotations

from localcloud.access.permissions import project_resource
from localcloud.framework.cloud import Cloud, at_activation, at_start
from localcloud.framework.constraints import enforced
from localcloud.framework.service import Json
from localcloud.services.compute import constraints, networks, subnetworks
from localcloud.services.compute.api import api, link, new_document, resources
from localcloud.services.compute.projects import default_account, metadata_document

_NETWORK = "default"
# Name, description, protocols with ports, source range, as at Google. All have the second-lowest priority.
_FIREWALLS: tuple[tuple[str, str, list[Json], str], ...] = (
    (
        "internal",
        "Allow internal traffic on the default network",
        [
            {"IPProtocol": "tcp", "ports": ["0-65535"]},
            {"IPProtocol": "udp", "ports": ["0-65535"]},
            {"IPProtocol": "icmp"},
        ],
        subnetworks.AUTO_MODE_RANGE,
    ),
    ("ssh", "Allow SSH from anywhere", [{"IPProtocol": "tcp", "ports": ["22"]}], "0.0.0.0/0"),
    ("rdp", "Allow RDP from anywhere", [{"IPProtocol": "tcp", "ports": ["3389"]}], "0.0.0.0/0"),
    ("icmp", "Allow ICMP from anywhere", [{"IPProtocol": "icmp"}], "0.0.0.0/0"),
)
_PRIORITY = 65534


@at_activation(api.host)
def activate(cloud: Cloud, project: str) -> None:
    """Create the default service account and network, once for each project: both can be deleted."""
    made = cloud.store.collection("compute.activated")
    email = default_account(cloud, project)
    if made.get(project) is not None:
        return
    made.put(project, {})
    if enforced(cloud, project, constraints.OS_LOGIN):
        items = [{"key": "enable-oslogin", "value": "true"}]
        cloud.store.collection("compute.projects").put(project, metadata_document(items))
    if not enforced(cloud, project, constraints.NO_DEFAULT_GRANTS):
        _grant_editor(cloud, project, email)
    if not enforced(cloud, project, constraints.NO_DEFAULT_NETWORK):
        _create_network(cloud, project)


@at_start
def complete(cloud: Cloud) -> None:
    """Complete projects that enabled the API in an older local cloud: they get the account, but no network."""
    for document in cloud.projects.documents.list():
        project = document["projectId"]
        if cloud.projects.enabled(project, api.host):
            default_account(cloud, project)
            cloud.store.collection("compute.activated").put(project, {})


def _grant_editor(cloud: Cloud, project: str, email: str) -> None:
    resource = project_resource(project)
    policy = cloud.permissions.policy(resource, 3)
    binding = {"role": "roles/editor", "members": [f"serviceAccount:{email}"]}
    cloud.permissions.set_policy(resource, policy | {"bindings": [*policy.get("bindings", []), binding]})


def _create_network(cloud: Cloud, project: str) -> None:
    network = f"projects/{project}/global/networks/{_NETWORK}"
    networks.create(cloud, network, {"autoCreateSubnetworks": True, "description": "Default network for the project"})
    for suffix, description, allowed, source in _FIREWALLS:
        name = f"projects/{project}/global/firewalls/{_NETWORK}-allow-{suffix}"
        rule = {
            "description": description,
            "network": link(network),
            "priority": _PRIORITY,
            "direction": "INGRESS",
            "allowed": allowed,
            "sourceRanges": [source],
            "disabled": False,
            "logConfig": {"enable": False},
        }
        resources(cloud, "firewalls").create(name, new_document(cloud, "compute#firewall", name) | rule)
