# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The guest agent of VMs that exist in memory only."""

from __future__ import annotations

from localcloud.engine.base import MachineSpec
from localcloud.engine.fake import FakeMachines
from localcloud.metadata.directory import InstanceDirectory
from localcloud.metadata.tree import guest_attributes_enabled, project_id


class GuestAgent:
    """Google's guest agent: publishes the SSH host keys as guest attributes, once, on a VM's first boot."""

    def __init__(self, machines: FakeMachines, directory: InstanceDirectory) -> None:
        self._machines = machines
        self._directory = directory
        self._seen: set[str] = set()

    def start(self) -> None:
        """Run at every boot. VMs that run already count as just booted."""
        self._machines.on_boot = self._booted
        for id in sorted(self._machines.on):
            self._booted(self._machines.specs[id])

    def stop(self) -> None:
        """Stop running at boots."""
        self._machines.on_boot = None

    def _booted(self, spec: MachineSpec) -> None:
        instance = self._directory.by_internal_ip(spec.internal_ip)
        if instance is None or spec.id in self._seen:
            return
        self._seen.add(spec.id)
        project = self._directory.project(project_id(instance))
        if guest_attributes_enabled(instance, project):
            for kind, key in map(str.split, self._machines.host_keys[spec.id]):
                if kind not in self._machines.lost_uploads:
                    self._directory.put_guest_attribute(instance, "hostkeys", kind, key)
