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
    description: Labels. Replaces the existing map, except the labels that Google's services add (C(goog-…)).
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

import re
from collections.abc import Collection, Mapping
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field, Map, from_projects, same
from ..module_utils._module import run
from ..module_utils._resource import VISIBLE_WITHIN, Resource

TO_CREATE = ("machine_type", "boot_disk", "network_interface")
NEED_A_STOP = ("machine_type", "service_account", "shielded_instance_config")
STOPPED = ("TERMINATED", "STOPPED")
COMES_TO = {
    **dict.fromkeys(("PENDING", "PROVISIONING", "STAGING", "REPAIRING"), "RUNNING"),
    **dict.fromkeys(("PENDING_STOP", "STOPPING", "STOPPED"), "TERMINATED"),
}
LOGIN_METADATA = frozenset({"ssh-keys", "sshKeys"})
TOOLS_METADATA = LOGIN_METADATA | {"windows-keys", "created-by", "instance-template"}
HOST_KEYS_SECONDS = 600.0
GUEST_AGENT_SECONDS = 120.0  # after this time the keys of the serial console are accepted too
GUEST_ATTRIBUTES_POLICY = "constraints/compute.disableGuestAttributesAccess"
# Google's guest agent makes and publishes these types one at a time, unless its configuration has other host_key_types.
HOST_KEY_TYPES = frozenset({"ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"})
# An estimate: a small VM should make one key in less time. Not measured on Google Cloud.
BETWEEN_HOST_KEYS_SECONDS = 10.0
NO_ACCOUNT_YET = "of type 'serviceAccount' was not found"
NIC = "nic0"
NAT_NAME = "External NAT"


class Instance(Resource):
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

    # Conversion between options and the API --------------------------------------------------------------------------

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
            return COMES_TO.get(current.get("status", ""), current.get("status"))
        if option == "metadata":
            items = {item["key"]: item.get("value", "") for item in (current.get("metadata") or {}).get("items") or ()}
            named = self.params["metadata"] or {}
            return {key: value for key, value in items.items() if key in named or key not in _foreign(named)}
        if option == "boot_disk":
            disk = _boot_disk(current)
            # The image is used only at creation and taken as equal; check() compares the disk type.
            known = self.desired().get("boot_disk", {}) if self.params["boot_disk"] else {}
            uncompared = {key: known[key] for key in ("sourceImage", "diskType") if key in known}
            return {**uncompared, "diskSizeGb": disk.get("diskSizeGb")} if disk else None
        if option == "network_interface":
            interface = _first(current.get("networkInterfaces"))
            flat = {key: interface[key] for key in ("network", "subnetwork", "networkIP") if key in interface}
            return {**flat, "natIP": _first(interface.get("accessConfigs")).get("natIP")} if interface else None
        if option == "service_account":
            return _first(current.get("serviceAccounts")) or None
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
            body["disks"] = [{"boot": True, "autoDelete": True, "initializeParams": {**disk, **size}}]
        if interface is not None:
            nat_ip = interface.get("natIP")
            nic = {key: value for key, value in interface.items() if key != "natIP"}
            body["networkInterfaces"] = [{**nic, "accessConfigs": [_access_config(nat_ip)]} if nat_ip else nic]
        if account is not None:
            body["serviceAccounts"] = [account]
        return body

    # Refusals ---------------------------------------------------------------------------------------------------------

    def check_create(self) -> None:
        """Require the options that a creation needs; an existing VM does not need them."""
        missing = [option for option in TO_CREATE if not self.params[option]]
        if missing and len(missing) < len(TO_CREATE):
            self._refuse_to_create(missing)

    def _refuse_to_create(self, missing: list[str]) -> None:
        raise RefusedError(f"{self.title} is not there. To create it, set {', '.join(missing)} too.")

    def check(self, current: Json) -> None:
        """Refuse changes that are impossible, or that need a stop that is not allowed."""
        if self.params["state"] == "absent":
            if current.get("deletionProtection") and not self.params["delete_protected"]:
                raise RefusedError(
                    f"{self.title} is protected against deletion. Set delete_protected to true if it is to go."
                )
            return
        desired = self.desired()
        self._check_disk(desired.get("boot_disk", {}), current)
        self._check_interface(desired.get("network_interface", {}), current)
        stops = [
            option for option in NEED_A_STOP if option in desired and self.differs(option, desired[option], current)
        ]
        may_stop = self.params["allow_stopping_for_update"] or self.params["status"] == "TERMINATED"
        if stops and current.get("status") not in STOPPED and not may_stop:
            raise RefusedError(
                f"{self.title} must be stopped to change {' and '.join(stops)}. Set allow_stopping_for_update to true "
                "(in the role infrastructure: infrastructure_instance_allow_stopping) if it may be down for a minute "
                "or two."
            )

    def _check_disk(self, desired: Json, current: Json) -> None:
        has = _boot_disk(current)
        if int(desired.get("diskSizeGb") or 0) and int(has.get("diskSizeGb") or 0) > int(desired["diskSizeGb"]):
            raise RefusedError(
                f"{self.title} has a boot disk of {has['diskSizeGb']} GB, and disks do not shrink; "
                f"{desired['diskSizeGb']} GB were asked."
            )
        if "diskType" in desired and has.get("source"):
            # The instance document does not contain the disk type.
            disk_type = self.client.get("compute", from_projects(has["source"]))["type"]
            if not same(desired["diskType"], disk_type):
                raise RefusedError(
                    f"{self.title} has a boot disk of type {disk_type.rpartition('/')[2]}, which cannot be "
                    f"changed to {desired['diskType'].rpartition('/')[2]}. Set it back, or delete the instance first "
                    "(state: absent; what is on the disk is lost)."
                )

    def _check_interface(self, desired: Json, current: Json) -> None:
        has = self.current_value("network_interface", current) or {}
        for key, option in (("network", "network"), ("subnetwork", "subnetwork"), ("networkIP", "network_ip")):
            if key in desired and not same(desired[key], has.get(key)):
                raise RefusedError(
                    f"{self.title} cannot change network_interface.{option} (it is {has.get(key)}, {desired[key]} was "
                    "asked). Set it back, or delete the instance first (state: absent; its boot disk goes with it)."
                )

    # Mutations --------------------------------------------------------------------------------------------------------

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

    def _do(self, action: str, body: Json | None = None, query: Json | None = None) -> None:
        self.call("POST", f"{self.self_path}/{action}", body, query)

    def set_tags(self, body: Json, current: Json) -> None:
        """Set the network tags."""
        self._do("setTags", {**body["tags"], "fingerprint": (current.get("tags") or {}).get("fingerprint", "")})

    def set_metadata(self, body: Json, current: Json) -> None:
        """Set the metadata, and keep the keys of Google's tools."""
        has = current.get("metadata") or {}
        named = {item["key"] for item in body["metadata"]["items"]}
        kept = [item for item in has.get("items") or () if item["key"] in _foreign(named) and item["key"] not in named]
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
        self.call("POST", from_projects(_boot_disk(current)["source"]) + "/resize", {"sizeGb": size})

    def set_nat_ip(self, body: Json, current: Json) -> None:
        """Replace the access configuration; the VM is unreachable in between."""
        interface = _first(current.get("networkInterfaces"))
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

    # Host keys --------------------------------------------------------------------------------------------------------

    def more(self, current: Json) -> Json:
        """Return the SSH host keys, once the guest agent has published all of them."""
        if not self.params["wait_for_host_keys"]:
            return {}
        keys: dict[str, str] = {}
        while True:
            found = self._host_keys(current)
            if found == keys or found.keys() >= HOST_KEY_TYPES:
                return {"host_keys": sorted(f"{kind} {key}" for kind, key in found.items())}
            keys = found
            self.client.clock.sleep(min(BETWEEN_HOST_KEYS_SECONDS, self.client.deadline.left()))

    def _host_keys(self, current: Json) -> dict[str, str]:
        """Return the keys that the VM has published so far, by their type. Wait for the first key.

        Prefer the guest attributes: cloud-init may print keys that the guest agent replaces later.
        """
        for source, seconds in (
            (self._from_guest_attributes, GUEST_AGENT_SECONDS),
            (self._from_either, HOST_KEYS_SECONDS - GUEST_AGENT_SECONDS),
        ):
            try:
                return self.retry(
                    source, lambda error: error.code == 404 and current.get("status") == "RUNNING", seconds
                )
            except GoogleError as error:
                if error.code != 404 and GUEST_ATTRIBUTES_POLICY not in error.message:
                    raise
        raise RefusedError(self._without_host_keys(current))

    def _from_guest_attributes(self) -> dict[str, str]:
        path, query = f"{self.self_path}/getGuestAttributes", {"queryPath": "hostkeys/"}
        items = (self.client.get("compute", path, query).get("queryValue") or {}).get("items") or ()
        return {item["key"]: item["value"].strip() for item in items}

    def _from_either(self) -> dict[str, str]:
        try:
            return self._from_guest_attributes()
        except GoogleError:
            found = printed_host_keys(self.client.get("compute", f"{self.self_path}/serialPort").get("contents", ""))
            if not found:
                raise
            return found

    def _without_host_keys(self, current: Json) -> str:
        return (
            f"{self.title} (status {current.get('status')}) has published no SSH host keys, neither as guest "
            "attributes nor on its serial console. It must run, have had the metadata enable-guest-attributes=TRUE "
            "when it was created, and have Google's guest agent. The organisation policy "
            "compute.disableGuestAttributesAccess must not be enforced. The guest agent uploads the keys on the first "
            "boot and never repeats an upload that failed. A reboot does not help: correct the cause, delete the VM "
            "and run again. The cause is on the serial console: `gcloud compute instances get-serial-port-output "
            f"{self.params['name']} --zone={self.params['zone']} --project={self.params['project']}`."
        )


def printed_host_keys(console: str) -> dict[str, str]:
    """Return the host keys, by their type, from the last complete block of cloud-init on the serial console."""
    blocks = re.findall(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", console, re.DOTALL)
    found = re.findall(r"((?:ssh|ecdsa)-[a-z0-9-]+) (AAAA[A-Za-z0-9+/=]+)", blocks[-1]) if blocks else []
    return dict(found)


def _foreign(named: Collection[str]) -> frozenset[str]:
    """Return the metadata keys to keep. The guest agent obeys sshKeys and ssh-keys, so naming one claims both."""
    return TOOLS_METADATA - LOGIN_METADATA if LOGIN_METADATA & set(named) else TOOLS_METADATA


def _first(items: list[Json] | None) -> Json:
    return items[0] if items else {}


def _boot_disk(current: Json) -> Json:
    disks: list[Json] = current.get("disks") or []
    return next((disk for disk in disks if disk.get("boot")), {})


def _items(metadata: Map) -> list[Json]:
    return [{"key": key, "value": value} for key, value in sorted(metadata.items())]


def _access_config(nat_ip: str) -> Json:
    return {"type": "ONE_TO_ONE_NAT", "name": NAT_NAME, "natIP": nat_ip}


def main() -> None:
    """Run the module."""
    run(Instance)


if __name__ == "__main__":
    main()
