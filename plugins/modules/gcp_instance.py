#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_instance
short_description: Manage a VM instance
version_added: 0.1.0
description:
  - Creates, updates, starts, stops and deletes a VM instance of Google Compute Engine with one boot disk and one
    network interface.
  - Can wait for the SSH host keys that the VM publishes, so that the first SSH connection verifies the VM.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the VM.
    type: str
    required: true
  zone:
    description: Zone of the VM, such as V(europe-west1-b).
    type: str
    required: true
  machine_type:
    description:
      - The machine type, such as V(e2-standard-2). Needed to create the VM.
      - A running VM must be stopped to change the machine type, see O(allow_stopping_for_update).
    type: str
  status:
    description:
      - Whether the VM should run. If not set, a new VM is started, and an existing VM keeps its status.
    type: str
    choices: [RUNNING, TERMINATED]
  allow_stopping_for_update:
    description:
      - Whether the module may stop and start a running VM for a change of O(machine_type), O(service_account) or
        O(shielded_instance_config).
      - Without this option such a change is refused.
    type: bool
    default: false
  boot_disk:
    description: The boot disk, which is deleted with the VM. Needed to create the VM.
    type: dict
    suboptions:
      source_image:
        description:
          - The source image of the disk, or an image family, such as
            V(projects/debian-cloud/global/images/family/debian-13).
          - Used only to create the VM. The module does not compare it later.
        type: str
      disk_type:
        description: Type of the disk, such as V(pd-balanced). Cannot be changed after creation.
        type: str
      disk_size_gb:
        description: Size of the disk in GB. The disk can grow. Debian's images grow the file system at the next boot.
        type: int
  network_interface:
    description: The network interface. Needed to create the VM.
    type: dict
    suboptions:
      network:
        description: Name or link of the network. Cannot be changed after creation.
        type: str
      subnetwork:
        description: Name or link of the subnetwork in the zone's region. Cannot be changed after creation.
        type: str
      network_ip:
        description: The internal address. If not set, Google picks an address. Cannot be changed after creation.
        type: str
      nat_ip:
        description:
          - The external address, which M(mlops.mlflow_gcp.gcp_address) reserved.
          - An empty string removes the external address. If not set, a new VM has no external address.
        type: str
  service_account:
    description: The service account of the VM.
    type: dict
    suboptions:
      email:
        description: E-mail address of the service account.
        type: str
        required: true
      scopes:
        description: OAuth scopes. Prefer the account's IAM roles to restrict access.
        type: list
        elements: str
        default: [https://www.googleapis.com/auth/cloud-platform]
  scheduling:
    description: Behavior during Google's maintenance.
    type: dict
    suboptions:
      automatic_restart:
        description: Whether Google restarts the VM after a failure.
        type: bool
      on_host_maintenance:
        description: Whether the VM is migrated or stopped during maintenance of its host.
        type: str
        choices: [MIGRATE, TERMINATE]
  shielded_instance_config:
    description: Shielded VM options.
    type: dict
    suboptions:
      enable_secure_boot:
        description: Whether only signed code can boot.
        type: bool
      enable_vtpm:
        description: Whether the VM has a virtual trusted platform module.
        type: bool
      enable_integrity_monitoring:
        description: Whether Google compares each boot with the VM's integrity baseline.
        type: bool
  can_ip_forward:
    description: Whether the VM may send and receive packets with addresses of other hosts.
    type: bool
  deletion_protection:
    description: Whether the deletion of the VM is refused.
    type: bool
  delete_protected:
    description: With O(state=absent), whether to remove the VM's deletion protection first.
    type: bool
    default: false
  description:
    description: Free text. Cannot be changed after creation.
    type: str
  tags:
    description: Network tags, which firewall rules use.
    type: list
    elements: str
  labels:
    description:
      - Labels. Replaces the existing map, except the labels that Google's services add (C(goog-…)).
      - A new boot disk gets the same labels. Labels of an existing disk are not changed.
    type: dict
  metadata:
    description:
      - Metadata. Replaces the existing map. A key that is not in O(metadata) is removed.
      - The module keeps the keys that Google's own tools write (C(ssh-keys), C(sshKeys), C(windows-keys),
        C(created-by), C(instance-template)) unless O(metadata) contains them. If O(metadata) contains C(ssh-keys),
        only its keys can log in. Keys from other sources are removed, also in C(sshKeys).
    type: dict
  wait_for_host_keys:
    description:
      - Whether to wait until the VM has published its SSH host keys, and return them.
      - The guest agent publishes the keys one at a time. By default the agent makes an ECDSA, an Ed25519 and an RSA
        key. If one of them is missing, the keys are complete once no other key has arrived for 10 seconds.
      - Needs the metadata C(enable-guest-attributes=TRUE) from the creation on and Google's guest agent, which public
        images have. The agent never repeats a failed upload.
      - If there are no guest attributes after two minutes, the module accepts the keys that cloud-init printed on the
        serial console.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Create a VM with a static address
  mlops.mlflow_gcp.gcp_instance:
    project: my-project
    name: mlflow-server
    zone: europe-west1-b
    machine_type: e2-standard-2
    status: RUNNING
    boot_disk:
      source_image: projects/debian-cloud/global/images/family/debian-13
      disk_type: pd-balanced
      disk_size_gb: 30
    network_interface:
      subnetwork: mlflow-subnetwork
      nat_ip: 198.51.100.7
    service_account:
      email: mlflow-server@my-project.iam.gserviceaccount.com
    tags:
      - mlflow-server
    labels:
      app: mlflow
    metadata:
      enable-guest-attributes: "TRUE"

- name: Read the SSH host keys of an existing VM
  mlops.mlflow_gcp.gcp_instance:
    project: my-project
    name: mlflow-server
    zone: europe-west1-b
    wait_for_host_keys: true
  register: server

- name: Change the machine type, with a short stop
  mlops.mlflow_gcp.gcp_instance:
    project: my-project
    name: mlflow-server
    zone: europe-west1-b
    machine_type: e2-standard-4
    allow_stopping_for_update: true
"""

RETURN = r"""
resource:
  description: >-
    The VM as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/instances).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-server
    status: RUNNING
    networkInterfaces:
      - networkIP: 10.128.0.2
        accessConfigs: [{natIP: 198.51.100.7}]
host_keys:
  description: The SSH host keys, each in the format of a known_hosts file without the host's name.
  returned: with O(wait_for_host_keys=true), if the VM exists
  type: list
  elements: str
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample]
"""

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._host_keys import HostKeys
from ..module_utils._instance_document import InstanceDocument
from ..module_utils._instance_updates import STOPPED, InstanceUpdates
from ..module_utils._module import run
from ..module_utils._resource import VISIBLE_WITHIN

TO_CREATE = ("machine_type", "boot_disk", "network_interface")
NEED_A_STOP = ("machine_type", "service_account", "shielded_instance_config")
NO_ACCOUNT_YET = "of type 'serviceAccount' was not found"


class Instance(InstanceDocument, InstanceUpdates):
    """Manage compute.instances."""

    kind = "instance"
    collection = "projects/{project}/zones/{zone}/instances"
    busy = (
        "PROVISIONING",
        "STAGING",
        "STOPPING",
        "SUSPENDING",
        "REPAIRING",
        "PENDING",
        "PENDING_STOP",
        "DEPROVISIONING",
    )
    formats = {
        "name": _formats.name,
        "zone": _formats.zone,
        "machine_type": _formats.name_or_link,
        "boot_disk.disk_type": _formats.name_or_link,
        "boot_disk.disk_size_gb": _formats.disk_size,
        "tags": _formats.tags,
        "labels": _formats.labels,
        "metadata": _formats.metadata,
    }
    options = {
        "name": {"type": "str", "required": True},
        "zone": {"type": "str", "required": True},
        "machine_type": {"type": "str"},
        "status": {"type": "str", "choices": ["RUNNING", "TERMINATED"]},
        "allow_stopping_for_update": {"type": "bool", "default": False},
        "boot_disk": {
            "type": "dict",
            "options": {
                "source_image": {"type": "str"},
                "disk_type": {"type": "str"},
                "disk_size_gb": {"type": "int"},
            },
        },
        "network_interface": {
            "type": "dict",
            "options": {
                "network": {"type": "str"},
                "subnetwork": {"type": "str"},
                "network_ip": {"type": "str"},
                "nat_ip": {"type": "str"},
            },
        },
        "service_account": {
            "type": "dict",
            "options": {
                "email": {"type": "str", "required": True},
                "scopes": {
                    "type": "list",
                    "elements": "str",
                    "default": ["https://www.googleapis.com/auth/cloud-platform"],
                },
            },
        },
        "scheduling": {
            "type": "dict",
            "options": {
                "automatic_restart": {"type": "bool"},
                "on_host_maintenance": {"type": "str", "choices": ["MIGRATE", "TERMINATE"]},
            },
        },
        "shielded_instance_config": {
            "type": "dict",
            "options": {
                "enable_secure_boot": {"type": "bool"},
                "enable_vtpm": {"type": "bool"},
                "enable_integrity_monitoring": {"type": "bool"},
            },
        },
        "can_ip_forward": {"type": "bool"},
        "deletion_protection": {"type": "bool"},
        "delete_protected": {"type": "bool", "default": False},
        "description": {"type": "str"},
        "tags": {"type": "list", "elements": "str"},
        "labels": {"type": "dict"},
        "metadata": {"type": "dict"},
        "wait_for_host_keys": {"type": "bool", "default": False},
    }
    # The order of updates: changes that need a stop are adjacent, and the start is last.
    fields = {
        "description": Field(immutable=True),
        "labels": Field(via="set_labels"),
        "tags": Field(at="tags.items", unordered=True, via="set_tags"),
        "metadata": Field(via="set_metadata"),
        "deletion_protection": Field(via="set_deletion_protection"),
        "can_ip_forward": Field(via="set_can_ip_forward"),
        "scheduling": Field(via="set_scheduling"),
        "boot_disk": Field(via="set_boot_disk", convert="boot_disk_links"),
        "network_interface": Field(
            via="set_nat_ip", convert="interface_links", names={"network_ip": "networkIP", "nat_ip": "natIP"}
        ),
        "machine_type": Field(link="projects/{project}/zones/{zone}/machineTypes/{}", via="set_machine_type"),
        "service_account": Field(unordered=True, via="set_service_account"),
        "shielded_instance_config": Field(via="set_shielded_instance_config"),
        "status": Field(create=False, via="set_status"),
    }

    def check_create(self) -> None:
        """Require the options that a creation needs; an existing VM does not need them."""
        missing = [option for option in TO_CREATE if not self.params[option]]
        if missing and len(missing) < len(TO_CREATE):
            self._refuse_to_create(missing)

    def _refuse_to_create(self, missing: list[str]) -> None:
        raise RefusedError(f"{self.title} does not exist. To create it, also set {', '.join(missing)}.")

    def check(self, current: Json) -> None:
        """Refuse changes that are impossible, or that need a stop that is not allowed."""
        if self.params["state"] == "absent":
            if current.get("deletionProtection") and not self.params["delete_protected"]:
                raise RefusedError(f"{self.title} has deletion protection. To delete it, set delete_protected to true.")
            return
        desired = self.desired()
        self.check_disk(desired.get("boot_disk", {}), current)
        self.check_interface(desired.get("network_interface", {}), current)
        stops = [
            option for option in NEED_A_STOP if option in desired and self.differs(option, desired[option], current)
        ]
        may_stop = self.params["allow_stopping_for_update"] or self.params["status"] == "TERMINATED"
        if stops and current.get("status") not in STOPPED and not may_stop:
            raise RefusedError(
                f"{self.title} must be stopped to change {' and '.join(stops)}, which takes one or two minutes. "
                "To allow this, set allow_stopping_for_update to true (role infrastructure: "
                "infrastructure_instance_allow_stopping)."
            )

    def create(self, body: Json) -> None:
        """Create the VM, which starts it."""
        missing = [option for option in TO_CREATE if not self.params[option]]
        if missing:
            self._refuse_to_create(missing)
        # Compute Engine does not know a new service account for a while. The response or the operation reports this.
        make = super().create
        self.retry(lambda: make(body), lambda error: NO_ACCOUNT_YET in error.message, VISIBLE_WITHIN)

    def delete(self, current: Json) -> None:
        """Delete the VM with its boot disk."""
        if current.get("deletionProtection"):
            self.set_deletion_protection({"deletionProtection": False}, current)
        super().delete(current)

    def more(self, current: Json) -> Json:
        """Return the SSH host keys, once the guest agent has published all of them."""
        return {"host_keys": HostKeys(self).wait(current)} if self.params["wait_for_host_keys"] else {}


def main() -> None:
    """Run the module."""
    run(Instance)


if __name__ == "__main__":
    main()
