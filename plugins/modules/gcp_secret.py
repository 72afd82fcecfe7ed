#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_secret
short_description: Manage a secret and its latest version
version_added: 0.1.0
description:
  - Creates, updates and deletes a secret of Google Secret Manager, adds versions to it, and reads its latest
    enabled version.
  - Older versions stay enabled when a new version is added, unless O(older_versions) is set.
  - If all versions of a secret are disabled, the module refuses to add or return a payload
    (O(payload_policy=if_absent), O(return_payload)), because a new payload would replace a payload that may still be
    needed.
  - Set C(no_log) on tasks that use O(return_payload).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: ID of the secret.
    type: str
    required: true
  labels:
    description: Labels. Replaces the existing map.
    type: dict
  locations:
    description:
      - Regions of the payloads (user-managed replication).
      - An empty list means automatic replication. If not set, a new secret also has automatic replication.
      - Cannot be changed after creation. A different list is refused.
    type: list
    elements: str
  payload:
    description: Payload of the secret, as text of at most 64 KiB.
    type: str
  payload_policy:
    description:
      - V(always) adds a version if the latest enabled version has another payload.
      - V(if_absent) adds a version only if there is none. Then the payloads of versions are not read.
    type: str
    default: always
    choices: [always, if_absent]
  return_payload:
    description: Whether to return RV(payload). Excludes O(payload), which Ansible would hide in the result.
    type: bool
  older_versions:
    description:
      - New state of the versions that are older than the latest enabled version. If not set, they do not change.
      - V(disabled) disables the enabled versions. They can be enabled again.
      - V(destroyed) destroys the payloads of enabled and disabled versions. This cannot be undone.
    type: str
    choices: [disabled, destroyed]
"""

EXAMPLES = r"""
- name: Create a password once
  mlops.mlflow_gcp.gcp_secret:
    project: my-project
    name: mlflow-admin-password
    labels:
      app: mlflow
    payload: "{{ lookup('ansible.builtin.password', '/dev/null', length=40) }}"
    payload_policy: if_absent

- name: Read the password
  mlops.mlflow_gcp.gcp_secret:
    project: my-project
    name: mlflow-admin-password
    return_payload: true
  register: password
  no_log: true

- name: Disable the older versions
  mlops.mlflow_gcp.gcp_secret:
    project: my-project
    name: mlflow-admin-password
    older_versions: disabled
"""

RETURN = r"""
resource:
  description: >-
    The secret as the API returns it, U(https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets).
    Null when absent. Never contains a payload.
  returned: success
  type: dict
  sample:
    name: projects/100000000001/secrets/mlflow-admin-password
    labels:
      app: mlflow
    replication:
      automatic: {}
payload:
  description: Payload of the latest enabled version. Null if there is none.
  returned: with O(return_payload=true)
  type: str
  sample: correct horse battery staple
version:
  description: Number of the latest enabled version. Null if there is none.
  returned: with O(payload), O(return_payload) or O(older_versions)
  type: str
  sample: "3"
"""

import base64
from collections.abc import Iterable
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._crc32c import crc32c
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource

PAYLOAD_LIMIT = 64 * 1024


class Found(dict[str, Any]):
    """A secret as the API returns it, with its latest enabled payload as an attribute outside the document."""

    version: str | None = None
    disabled: str | None = None  # the newest disabled version, if none is enabled and the payload matters
    payload: bytes | None = None
    older: tuple[str, ...] = ()


class Secret(Resource):
    """Manage secretmanager.projects.secrets and their latest versions."""

    api = "secretmanager"
    kind = "secret"
    collection = "v1/projects/{project}/secrets"
    create_query = {"secretId": "{name}"}
    create_body = {}
    patch_style = "mask"
    formats = {"name": _formats.secret_id, "labels": _formats.labels, "locations": _formats.each(_formats.region)}
    options = {
        "name": {"type": "str", "required": True},
        "labels": {"type": "dict"},
        "locations": {"type": "list", "elements": "str"},
        "payload": {"type": "str", "no_log": True},
        "payload_policy": {"type": "str", "default": "always", "choices": ["always", "if_absent"]},
        "return_payload": {"type": "bool"},
        "older_versions": {"type": "str", "choices": ["disabled", "destroyed"]},
    }
    fields = {
        "labels": Field(),
        "locations": Field(at="replication", unordered=True, convert="replicas"),
        "payload": Field(via="add_version", create=False),
        "older_versions": Field(via="retire", create=False),
    }
    latest: str | None = None
    version: str | None = None
    created = False

    def replicas(self, locations: list[str]) -> Json:
        """Return the locations as a replication policy."""
        if not locations:
            return {"automatic": {}}
        return {"userManaged": {"replicas": [{"location": location} for location in locations]}}

    def check(self, current: Json) -> None:
        """Refuse to change the locations, and to replace a payload that is only disabled."""
        if self.params["state"] == "absent":
            return
        desired = self.params["locations"]
        has = _locations(current)
        if desired is not None and set(desired) != set(has):
            raise RefusedError(
                f"{self.title} cannot change locations after its creation (current: {_told(has)}; desired: "
                f"{_told(desired)}). Restore the option locations. To move the secret, save its payload, delete the "
                f"secret (`gcloud secrets delete {self.params['name']} --project={self.params['project']}`), run "
                "again, and add the payload as a version."
            )
        disabled = current.disabled if isinstance(current, Found) else None
        if disabled:
            raise RefusedError(
                f"{self.title} has no enabled version, and version {disabled} is disabled. Enable it: `gcloud secrets "
                f"versions enable {disabled} --secret={self.params['name']} --project={self.params['project']}`. If "
                "its payload is no longer needed, destroy the version instead, or add another version."
            )

    def differs(self, option: str, value: Any, current: Json) -> bool:
        """Compare a payload with the latest enabled version, not with the document."""
        if option == "locations":  # see check
            return False
        if option == "older_versions" and isinstance(current, Found):
            return bool(current.older)
        if option != "payload" or not isinstance(current, Found):
            return super().differs(option, value, current)
        if self.params["payload_policy"] == "if_absent":
            return current.version is None
        return current.payload != value.encode()

    def read(self) -> Json | None:
        """Return the secret and as much of its latest enabled version as the options need."""
        self.check_payload()
        self.latest = self.version = None
        document = super().read()
        if document is None:
            return None
        found = Found(document)
        if self._wants_versions() and not (self._wants_payload() and self._access_latest(found)):
            self._read_versions(found)
            if found.version is None and self._needs_payload():
                found.disabled = self._newest_disabled()
            if found.version and self._wants_payload():
                found.payload = self._access(found.version)[1]
        self.version = found.version.rsplit("/", 1)[1] if found.version else None
        if found.payload is not None and self.params["return_payload"]:
            self.latest = self._text(found.payload)
        return found

    def _wants_versions(self) -> bool:
        asked = self.params["payload"] is not None or self.params["return_payload"] or self.params["older_versions"]
        return self.params["state"] == "present" and bool(asked)

    def _wants_payload(self) -> bool:
        compares = self.params["payload"] is not None and self.params["payload_policy"] == "always"
        return bool(compares or self.params["return_payload"])

    def _access_latest(self, found: Found) -> bool:
        """Read the newest version with one request. Return False if it does not exist or is not enabled."""
        if self.params["older_versions"]:
            return False
        try:
            found.version, found.payload = self._access("latest")
        except GoogleError as error:
            if error.code not in {400, 404}:
                raise
        return found.version is not None

    def _read_versions(self, found: Found) -> None:
        # The newest version may be disabled, so select the newest enabled version.
        query: Json = {} if self.params["older_versions"] == "destroyed" else {"filter": "state:ENABLED"}
        if not self.params["older_versions"]:
            query["pageSize"] = 1
        versions = self.client.items(self.api, f"{self.self_path}/versions", "versions", query)
        for version in versions:  # newest first
            if found.version and version["state"] != "DESTROYED":
                found.older += (version["name"],)
            elif version["state"] == "ENABLED":
                found.version = version["name"]
            if found.version and not self.params["older_versions"]:
                break

    def _needs_payload(self) -> bool:
        # A secret that was just created has no versions.
        kept = self.params["payload"] is not None and self.params["payload_policy"] == "if_absent"
        return bool((kept or self.params["return_payload"]) and not self.created)

    def _newest_disabled(self) -> str | None:
        query = {"filter": "state:DISABLED", "pageSize": 1}
        found = next(self.client.items(self.api, f"{self.self_path}/versions", "versions", query), None)
        return str(found["name"]).rsplit("/", 1)[1] if found else None

    def check_payload(self) -> None:
        """Refuse a payload that Secret Manager would refuse, before any request."""
        payload = self.params["payload"]
        if payload is None or self.params["state"] == "absent":
            return
        size = len(payload.encode())
        if not 0 < size <= PAYLOAD_LIMIT:
            raise RefusedError(
                f"The payload of {self.title} has {size} bytes; Secret Manager accepts from 1 to {PAYLOAD_LIMIT}. "
                "Store larger data in a bucket."
            )

    def _access(self, version: str) -> tuple[str, bytes]:
        """Return the name and the payload of a version. ``version`` is a name or the alias "latest"."""
        number = version.rpartition("/")[2]
        answer = self.client.get(self.api, f"{self.self_path}/versions/{number}:access")
        name, payload = str(answer["name"]), answer["payload"]
        data = base64.b64decode(payload.get("data", ""))
        if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != crc32c(data):
            message = f"the payload of version {name.rpartition('/')[2]} has a wrong checksum. Run again."
            raise GoogleError(0, "dataLoss", message, api=self.api)
        return name, data

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise RefusedError(
                f"The payload of {self.title} is not UTF-8 text. return_payload supports only text."
            ) from error

    def create(self, body: Json) -> None:
        """Create the secret with its replication policy, which the API requires."""
        self.created = True
        super().create({"replication": {"automatic": {}}, **body})

    def add_version(self, body: Json, current: Json) -> None:
        """Add a version. If a response was lost, look for the version before another is added."""
        data = body["payload"].encode()
        payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(crc32c(data))}
        path = f"{self.self_path}:addVersion"
        self.send_once(
            lambda: self.call("POST", path, {"payload": payload}, idempotent=False),
            lambda: self._newest_enabled_is(data),
        )

    def _newest_enabled_is(self, data: bytes) -> bool:
        query = {"filter": "state:ENABLED", "pageSize": 1}
        newest = next(self.client.items(self.api, f"{self.self_path}/versions", "versions", query), None)
        return newest is not None and self._access(newest["name"])[1] == data

    def retire(self, body: Json, current: Json) -> None:
        """Disable or destroy the versions that are older than the latest enabled version."""
        verb = {"disabled": "disable", "destroyed": "destroy"}[self.params["older_versions"]]
        for name in current.older if isinstance(current, Found) else ():
            self.call("POST", f"{self.self_path}/versions/{name.rsplit('/', 1)[1]}:{verb}", {})

    def found(self) -> Json:
        """Return the version's number and the payload, if the options ask for them."""
        version = {"version": self.version} if self._wants_versions() else {}
        return version | ({"payload": self.latest} if self.params["return_payload"] else {})


def _locations(secret: Json) -> list[str]:
    replicas = ((secret.get("replication") or {}).get("userManaged") or {}).get("replicas") or ()
    return sorted(replica["location"] for replica in replicas)


def _told(locations: Iterable[str]) -> str:
    return ", ".join(sorted(locations)) or "all locations of Google (automatic replication)"


def main() -> None:
    """Run the module."""
    run(Secret, mutually_exclusive=[("payload", "return_payload")])


if __name__ == "__main__":
    main()
