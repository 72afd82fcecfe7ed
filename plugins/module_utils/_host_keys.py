# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read the SSH host keys that a VM publishes as guest attributes, or prints on its serial console."""

from __future__ import annotations

import re

from ._client import GoogleError, Json
from ._errors import RefusedError
from ._resource import Resource

PUBLISHED_WITHIN = 600.0
GUEST_AGENT_SECONDS = 120.0  # after this time the keys of the serial console are accepted too
GUEST_ATTRIBUTES_POLICY = "constraints/compute.disableGuestAttributesAccess"
# Google's guest agent makes and publishes these types one at a time, unless its configuration has other host_key_types.
HOST_KEY_TYPES = frozenset({"ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"})
# An estimate: a small VM should make one key in less time. Not measured on Google Cloud.
SECONDS_BETWEEN_KEYS = 10.0


class HostKeys:
    """The SSH host keys of a VM instance."""

    def __init__(self, instance: Resource) -> None:
        self.instance, self.client = instance, instance.client

    def wait(self, current: Json) -> list[str]:
        """Return all host keys. Without the usual types, return the keys after a pause without a new key."""
        clock, left = self.client.clock, self.client.deadline.left
        keys: dict[str, str] = {}
        while True:
            found = self._published(current)
            if found == keys or found.keys() >= HOST_KEY_TYPES:
                return sorted(f"{kind} {key}" for kind, key in found.items())
            keys = found
            clock.sleep(min(SECONDS_BETWEEN_KEYS, left()))

    def _published(self, current: Json) -> dict[str, str]:
        """Return the keys that the VM has published so far, by their type. Wait for the first key.

        Prefer the guest attributes: cloud-init may print keys that the guest agent replaces later.
        """

        def is_temporary(error: GoogleError) -> bool:
            return error.code == 404 and current.get("status") == "RUNNING"

        for source, seconds in (
            (self._from_guest_attributes, GUEST_AGENT_SECONDS),
            (self._from_both_sources, PUBLISHED_WITHIN - GUEST_AGENT_SECONDS),
        ):
            try:
                return self.instance.retry(source, is_temporary, seconds)
            except GoogleError as error:
                if error.code != 404 and GUEST_ATTRIBUTES_POLICY not in error.message:
                    raise
        raise RefusedError(self._no_keys(current))

    def _from_guest_attributes(self) -> dict[str, str]:
        path, query = f"{self.instance.self_path}/getGuestAttributes", {"queryPath": "hostkeys/"}
        items = (self.client.get("compute", path, query).get("queryValue") or {}).get("items") or ()
        return {item["key"]: item["value"].strip() for item in items}

    def _from_both_sources(self) -> dict[str, str]:
        try:
            return self._from_guest_attributes()
        except GoogleError:
            console = self.client.get("compute", f"{self.instance.self_path}/serialPort").get("contents", "")
            found = printed_host_keys(console)
            if not found:
                raise
            return found

    def _no_keys(self, current: Json) -> str:
        name, zone, project = (self.instance.params[key] for key in ("name", "zone", "project"))
        return (
            f"{self.instance.title} (status {current.get('status')}) has published no SSH host keys, neither as guest "
            "attributes nor on its serial console. It must run, have had the metadata enable-guest-attributes=TRUE "
            "when it was created, and have Google's guest agent. The organisation policy "
            "compute.disableGuestAttributesAccess must not be enforced. The guest agent uploads the keys on the first "
            "boot and never repeats an upload that failed. A reboot does not help: correct the cause, delete the VM "
            "and run again. The cause is on the serial console: `gcloud compute instances get-serial-port-output "
            f"{name} --zone={zone} --project={project}`."
        )


def printed_host_keys(console: str) -> dict[str, str]:
    """Return the host keys, by their type, from the last complete block of cloud-init on the serial console."""
    blocks = re.findall(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", console, re.DOTALL)
    found = re.findall(r"((?:ssh|ecdsa)-[a-z0-9-]+) (AAAA[A-Za-z0-9+/=]+)", blocks[-1]) if blocks else []
    return dict(found)
