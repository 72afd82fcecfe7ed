# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Instances by address and name, for the metadata server (`InstanceDirectory`) and the name server."""

from __future__ import annotations

from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Json
from localcloud.metadata.directory import InstanceDirectory
from localcloud.services.compute.api import api
from localcloud.services.compute.documents import COMPUTE
from localcloud.services.compute.machines import internal_name
from localcloud.services.compute.projects import common_metadata


class Directory(InstanceDirectory):
    """Instances by address and by name, read from the store."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._attributes = cloud.store.collection("compute.guestAttributes")

    def _instances(self) -> list[Json]:
        return self._cloud.store.collection("compute.instances").list()

    def by_internal_ip(self, ip: str) -> Json | None:
        """Return the instance with an internal address; VMs of the local cloud never share an address."""
        for instance in self._instances():
            if any(nic["networkIP"] == ip for nic in instance["networkInterfaces"]):
                return instance
        return None

    def address_of(self, name: str) -> str | None:
        """Return the internal address of `NAME.ZONE.c.PROJECT.internal`."""
        for instance in self._instances():
            if name in (internal_name(instance), instance.get("hostname")):
                return str(instance["networkInterfaces"][0]["networkIP"])
        return None

    def project(self, project_id: str) -> Json:
        """Return id, number and common metadata of a project."""
        items = common_metadata(self._cloud, project_id).get("items", [])
        return {
            "projectId": project_id,
            "numericProjectId": int(self._cloud.projects.number_of(project_id)),
            "attributes": {item["key"]: item.get("value", "") for item in items},
        }

    def guest_attributes(self, instance: Json) -> dict[str, dict[str, str]]:
        """Return the guest attributes: namespace → key → value."""
        return self._attributes.get(_key(instance)) or {}

    def put_guest_attribute(self, instance: Json, namespace: str, key: str, value: str) -> None:
        """Set one guest attribute."""
        with self._cloud.store.transaction():
            if self._cloud.store.collection("compute.instances").get(_key(instance)) is None:
                return
            stored = self.guest_attributes(instance)
            stored.setdefault(namespace, {})[key] = value
            self._attributes.put(_key(instance), stored)

    def delete_guest_attribute(self, instance: Json, namespace: str, key: str) -> None:
        """Remove one guest attribute, if it exists."""
        with self._cloud.store.transaction():
            stored = self.guest_attributes(instance)
            if stored.get(namespace, {}).pop(key, None) is None:
                return
            self._attributes.put(_key(instance), {space: pairs for space, pairs in stored.items() if pairs})


def _key(instance: Json) -> str:
    return str(instance["selfLink"]).removeprefix(f"{COMPUTE}/")


api.directory = Directory
