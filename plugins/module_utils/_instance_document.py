# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Convert the options of a VM instance to the nested document of the Compute Engine API, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ._client import Json
from ._errors import RefusedError
from ._fields import Map, from_projects, same
from ._resource import Resource

STATUS_AFTER_TRANSITION = {
    **dict.fromkeys(("PENDING", "PROVISIONING", "STAGING", "REPAIRING"), "RUNNING"),
    **dict.fromkeys(("PENDING_STOP", "STOPPING", "STOPPED"), "TERMINATED"),
}
LOGIN_METADATA = frozenset({"ssh-keys", "sshKeys"})
TOOLS_METADATA = LOGIN_METADATA | {"windows-keys", "created-by", "instance-template"}
NAT_NAME = "External NAT"


class InstanceDocument(Resource):
    """The part of a VM instance that knows the API's document."""

    def boot_disk_links(self, value: Json) -> Json:
        """Replace the name of the disk type by its link."""
        if "diskType" in value and "/" not in value["diskType"]:
            value["diskType"] = self.fill("projects/{project}/zones/{zone}/diskTypes/") + value["diskType"]
        return value

    def interface_links(self, value: Json) -> Json:
        """Replace the names of network and subnetwork by links; the subnetwork is in the zone's region."""
        region = self.params["zone"].rpartition("-")[0]
        for key, scope in (("network", "global/networks"), ("subnetwork", f"regions/{region}/subnetworks")):
            if value.get(key) and "/" not in value[key]:
                value[key] = self.fill("projects/{project}/") + f"{scope}/{value[key]}"
        return value

    def current_value(self, option: str, current: Json) -> Any:
        """Return the value of an option from the nested API document."""
        if option == "status":  # only a plan sees a VM in transition
            return STATUS_AFTER_TRANSITION.get(current.get("status", ""), current.get("status"))
        if option == "metadata":
            items = {item["key"]: item.get("value", "") for item in (current.get("metadata") or {}).get("items") or ()}
            named = self.params["metadata"] or {}
            return {key: value for key, value in items.items() if key in named or key not in kept_metadata(named)}
        if option == "boot_disk":
            disk = boot_disk(current)
            # The image is used only at creation and taken as equal; check() compares the disk type.
            known = self.desired().get("boot_disk", {}) if self.params["boot_disk"] else {}
            uncompared = {key: known[key] for key in ("sourceImage", "diskType") if key in known}
            return {**uncompared, "diskSizeGb": disk.get("diskSizeGb")} if disk else None
        if option == "network_interface":
            interface = first(current.get("networkInterfaces"))
            flat = {key: interface[key] for key in ("network", "subnetwork", "networkIP") if key in interface}
            return {**flat, "natIP": first(interface.get("accessConfigs")).get("natIP")} if interface else None
        if option == "service_account":
            return first(current.get("serviceAccounts")) or None
        return super().current_value(option, current)

    def document(self, values: Mapping[str, Any]) -> Json:
        """Build the nested API document from the options."""
        plain = dict(values)
        metadata, disk = plain.pop("metadata", None), plain.pop("boot_disk", None)
        interface, account = plain.pop("network_interface", None), plain.pop("service_account", None)
        body = super().document(plain)
        if metadata is not None:
            body["metadata"] = {"items": _items(metadata)}
        if disk is not None:
            size = {"diskSizeGb": str(disk["diskSizeGb"])} if "diskSizeGb" in disk else {}
            labels = {"labels": body["labels"]} if body.get("labels") else {}
            body["disks"] = [{"boot": True, "autoDelete": True, "initializeParams": {**disk, **size, **labels}}]
        if interface is not None:
            nat_ip = interface.get("natIP")
            nic = {key: value for key, value in interface.items() if key != "natIP"}
            body["networkInterfaces"] = [{**nic, "accessConfigs": [_access_config(nat_ip)]} if nat_ip else nic]
        if account is not None:
            body["serviceAccounts"] = [account]
        return body

    def check_disk(self, desired: Json, current: Json) -> None:
        """Refuse to shrink the disk, or to change its type."""
        has = boot_disk(current)
        if int(desired.get("diskSizeGb") or 0) and int(has.get("diskSizeGb") or 0) > int(desired["diskSizeGb"]):
            raise RefusedError(
                f"{self.title} has a boot disk of {has['diskSizeGb']} GB, which cannot shrink to "
                f"{desired['diskSizeGb']} GB. Increase boot_disk.disk_size_gb."
            )
        if "diskType" in desired and has.get("source"):
            # The instance document does not contain the disk type.
            disk_type = self.client.get("compute", from_projects(has["source"]))["type"]
            if not same(desired["diskType"], disk_type):
                raise RefusedError(
                    f"{self.title} has a boot disk of type {disk_type.rpartition('/')[2]}, which cannot be "
                    f"changed to {desired['diskType'].rpartition('/')[2]}. Restore boot_disk.disk_type, or delete "
                    "the instance first (state: absent), which destroys the data on the disk."
                )

    def check_interface(self, desired: Json, current: Json) -> None:
        """Refuse to change the network, the subnetwork or the internal address."""
        has = self.current_value("network_interface", current) or {}
        for key, option in (("network", "network"), ("subnetwork", "subnetwork"), ("networkIP", "network_ip")):
            if key in desired and not same(desired[key], has.get(key)):
                raise RefusedError(
                    f"{self.title} cannot change network_interface.{option} (current: {has.get(key)}; desired: "
                    f"{desired[key]}). Restore the current value, or delete the instance first (state: absent), which "
                    "deletes its boot disk."
                )


def kept_metadata(named: Collection[str]) -> frozenset[str]:
    """Return the metadata keys to keep. The guest agent obeys sshKeys and ssh-keys, so naming one claims both."""
    return TOOLS_METADATA - LOGIN_METADATA if LOGIN_METADATA & set(named) else TOOLS_METADATA


def first(items: list[Json] | None) -> Json:
    return items[0] if items else {}


def boot_disk(current: Json) -> Json:
    disks: list[Json] = current.get("disks") or []
    return next((disk for disk in disks if disk.get("boot")), {})


def _items(metadata: Map) -> list[Json]:
    return [{"key": key, "value": value} for key, value in sorted(metadata.items())]


def _access_config(nat_ip: str) -> Json:
    return {"type": "ONE_TO_ONE_NAT", "name": NAT_NAME, "natIP": nat_ip}
