# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Update a VM instance: one method of the API for each group of fields, some of them on a stopped VM."""

from __future__ import annotations

from ._client import GoogleError, Json
from ._fields import from_projects
from ._instance_document import NAT_NAME, boot_disk, first, kept_metadata
from ._resource import Resource

STOPPED = ("TERMINATED", "STOPPED")
NIC = "nic0"


class InstanceUpdates(Resource):
    """The part of a VM instance that sends updates. Each method of a field sends one group of changed values."""

    def _do(self, action: str, body: Json | None = None, query: Json | None = None) -> None:
        self.call("POST", f"{self.self_path}/{action}", body, query)

    def set_tags(self, body: Json, current: Json) -> None:
        """Set the network tags."""
        self._do("setTags", {**body["tags"], "fingerprint": (current.get("tags") or {}).get("fingerprint", "")})

    def set_metadata(self, body: Json, current: Json) -> None:
        """Set the metadata, and keep the keys of Google's tools."""
        has = current.get("metadata") or {}
        named = {item["key"] for item in body["metadata"]["items"]}
        kept_keys = kept_metadata(named) - named
        kept = [item for item in has.get("items") or () if item["key"] in kept_keys]
        self._do(
            "setMetadata",
            {"items": body["metadata"]["items"] + kept, "fingerprint": has.get("fingerprint", "")},
        )

    def set_deletion_protection(self, body: Json, current: Json) -> None:
        """Set deletion protection, which is a query parameter."""
        value = "true" if body["deletionProtection"] else "false"
        self._do("setDeletionProtection", query={"deletionProtection": value})

    def set_can_ip_forward(self, body: Json, current: Json) -> None:
        """Set IP forwarding with an update of the whole instance: it has no method of its own."""
        action = "RESTART" if self.params["allow_stopping_for_update"] else "REFRESH"
        self.call("PUT", self.self_path, {**current, **body}, {"mostDisruptiveAllowedAction": action})

    def set_scheduling(self, body: Json, current: Json) -> None:
        """Replace the scheduling options."""
        self._do("setScheduling", {**(current.get("scheduling") or {}), **body["scheduling"]})

    def set_boot_disk(self, body: Json, current: Json) -> None:
        """Grow the disk, which is the only possible change."""
        size = body["disks"][0]["initializeParams"]["diskSizeGb"]
        self.call("POST", from_projects(boot_disk(current)["source"]) + "/resize", {"sizeGb": size})

    def set_nat_ip(self, body: Json, current: Json) -> None:
        """Replace the access configuration; the VM is unreachable in between."""
        interface = first(current.get("networkInterfaces"))
        nic = interface.get("name", NIC)
        for config in interface.get("accessConfigs") or ():
            query = {"networkInterface": nic, "accessConfig": config.get("name", NAT_NAME)}
            self._do("deleteAccessConfig", query=query)
        for config in body["networkInterfaces"][0].get("accessConfigs", ()):
            self._do("addAccessConfig", config, {"networkInterface": nic})

    def set_machine_type(self, body: Json, current: Json) -> None:
        """Set the machine type of a stopped VM."""
        self._while_stopped("POST", "setMachineType", body, current)

    def set_service_account(self, body: Json, current: Json) -> None:
        """Set the service account of a stopped VM."""
        self._while_stopped("POST", "setServiceAccount", body["serviceAccounts"][0], current)

    def set_shielded_instance_config(self, body: Json, current: Json) -> None:
        """Set the Shielded VM options of a stopped VM."""
        self._while_stopped("PATCH", "updateShieldedInstanceConfig", body["shieldedInstanceConfig"], current)

    def _while_stopped(self, method: str, action: str, body: Json, current: Json) -> None:
        running = current.get("status") not in STOPPED
        if running:
            self._do("stop")
        try:
            self.call(method, f"{self.self_path}/{action}", body)
        except GoogleError:  # after a refused change, for example for lack of quota, start the VM again
            if running and self.params["status"] != "TERMINATED":
                self._do("start")
            raise
        if running and not self.params["status"]:  # otherwise set_status runs last
            self._do("start")

    def set_status(self, body: Json, current: Json) -> None:
        """Start, resume or stop the VM."""
        if body["status"] == "TERMINATED":
            self._do("stop")
        else:
            self._do("resume" if current.get("status") == "SUSPENDED" else "start")
