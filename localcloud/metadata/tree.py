# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The values that the metadata server shows about an instance and its project."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Any

Json = dict[str, Any]


def guest_attributes_enabled(instance: Json, project: Json) -> bool:
    """Return whether a VM may publish guest attributes. Its own metadata overrides the project's."""
    attributes = {**project.get("attributes", {}), **_attributes(instance)}
    return str(attributes.get("enable-guest-attributes", "")).lower() == "true"


def instance_tree(instance: Json, project: Json) -> Json:
    """Return the tree of ``/computeMetadata/v1/instance/`` for an instance, with the keys of recursive JSON."""
    number = project.get("numericProjectId", 0)
    name, zone = str(instance["name"]), _last(instance.get("zone") or _link_part(instance, "zones"))
    accounts: Json = {}
    for account in instance.get("serviceAccounts", []):
        entry = {"aliases": ["default"], "email": account["email"], "scopes": list(account.get("scopes", []))}
        accounts[account["email"]] = accounts["default"] = entry
    scheduling = instance.get("scheduling", {})
    return {
        "attributes": _attributes(instance),
        "cpuPlatform": instance.get("cpuPlatform", "Intel Broadwell"),
        "description": instance.get("description", ""),
        "disks": [
            {
                "deviceName": disk.get("deviceName", f"persistent-disk-{index}"),
                "index": index,
                "interface": disk.get("interface", "SCSI"),
                "mode": disk.get("mode", "READ_WRITE"),
                "type": "PERSISTENT-BALANCED",
            }
            for index, disk in enumerate(instance.get("disks", []))
        ],
        "hostname": instance.get("hostname") or f"{name}.{zone}.c.{project['projectId']}.internal",
        "id": int(instance.get("id", 0)),
        "machineType": f"projects/{number}/machineTypes/{_last(instance.get('machineType', ''))}",
        "maintenanceEvent": "NONE",
        "name": name,
        "networkInterfaces": [_interface(interface, number) for interface in instance.get("networkInterfaces", [])],
        "preempted": "FALSE",
        "scheduling": {
            "automaticRestart": str(scheduling.get("automaticRestart", True)).upper(),
            "onHostMaintenance": scheduling.get("onHostMaintenance", "MIGRATE"),
            "preemptible": str(scheduling.get("preemptible", False)).upper(),
        },
        "serviceAccounts": accounts,
        "tags": list(instance.get("tags", {}).get("items", [])),
        "zone": f"projects/{number}/zones/{zone}",
    }


def project_tree(project: Json) -> Json:
    """Return the tree of ``/computeMetadata/v1/project/``."""
    return {
        "attributes": dict(project.get("attributes", {})),
        "numericProjectId": int(project.get("numericProjectId", 0)),
        "projectId": project["projectId"],
    }


def _interface(interface: Json, number: Any) -> Json:
    address = str(interface.get("networkIP", ""))
    mac = "42:01:" + ":".join(f"{part:02x}" for part in ipaddress.IPv4Address(address).packed) if address else ""
    gateway = str(interface.get("gateway") or "")
    return {
        "accessConfigs": [
            {"externalIp": config.get("natIP", ""), "type": config.get("type", "ONE_TO_ONE_NAT")}
            for config in interface.get("accessConfigs", [])
        ],
        "dnsServers": ["169.254.169.254"],
        "forwardedIps": [],
        "gateway": gateway,
        "ip": address,
        "ipAliases": [],
        "mac": mac,
        "mtu": 1460,
        "network": f"projects/{number}/networks/{_last(interface.get('network', ''))}",
        "subnetmask": "255.255.240.0",
        "targetInstanceIps": [],
    }


def identity_claims(instance: Json, project: Json) -> Json:
    """Return the claims that an identity token of the format `full` has about its VM."""
    created = datetime.datetime.fromisoformat(instance["creationTimestamp"])
    return {
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": int(created.timestamp()),
                "instance_id": str(instance.get("id", "")),
                "instance_name": instance["name"],
                "project_id": project["projectId"],
                "project_number": int(project.get("numericProjectId", 0)),
                "zone": _last(instance.get("zone") or _link_part(instance, "zones")),
            }
        }
    }


def _attributes(instance: Json) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in instance.get("metadata", {}).get("items", [])}


def service_account(instance: Json, account: str) -> Json | None:
    """Return an instance's account by email or by the alias `default`; None if it has no such account."""
    for candidate in instance.get("serviceAccounts", []):
        if account in ("default", candidate["email"]):
            found: Json = candidate
            return found
    return None


def project_id(instance: Json) -> str:
    """Return the project that an instance resource belongs to."""
    return _link_part(instance, "projects")


def _link_part(instance: Json, collection: str) -> str:
    found = re.search(rf"/{collection}/([^/]+)", str(instance.get("selfLink", "")))
    return found[1] if found else ""


def _last(link: str) -> str:
    return link.rpartition("/")[2]
