# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Versions of secrets and their payloads."""

from __future__ import annotations

import base64
import binascii
import re

import google_crc32c

from localcloud.core.errors import ApiError
from localcloud.framework.lifecycle import fingerprint
from localcloud.framework.service import Call, Json
from localcloud.services.secretmanager.api import (
    api,
    check_etag,
    invalid,
    key_of,
    payloads,
    resource,
    secret_of,
    shown,
    versions,
)

PAYLOAD_LIMIT = 64 * 1024
_FIELDS = "secretmanager.projects.secrets."


def _version_key(call: Call) -> str:
    """Return the key of the version in the path; `latest` is the newest version in any state."""
    key = key_of(call, call.params["name"])
    secret, _, number = key.partition("/versions/")
    secret_of(call, secret)
    if number == "latest":
        numbers = [int(k.rsplit("/", 1)[1]) for k, _ in versions(call).items(f"{secret}/versions/")]
        if not numbers:
            raise ApiError(404, None, f"Secret [{shown(call, secret)}] not found or has no versions.")
        return f"{secret}/versions/{max(numbers)}"
    aliases = (secret_of(call, secret).get("versionAliases") or {}) if not number.isdigit() else {}
    return f"{secret}/versions/{aliases.get(number, number)}"


def _version(call: Call, key: str) -> Json:
    version = versions(call).get(key)
    if version is None:
        raise ApiError(404, None, f"Secret Version [{shown(call, key)}] not found.")
    return version


@api.method(_FIELDS + "addVersion", permission="secretmanager.versions.add", resource=resource)
def add_version(call: Call) -> Json:
    """Add a payload of at most 64 KiB. Checks its CRC-32C if the caller sends it."""
    key = key_of(call, call.params["parent"])
    payload = call.body.get("payload") or {}
    try:
        data = base64.b64decode(payload.get("data", "").replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise invalid(
            "payload.data", "Invalid value at 'payload.data' (TYPE_BYTES), Base64 decoding failed."
        ) from error
    if not data:
        raise invalid("payload.data", "Secret Payload cannot be empty.")
    if len(data) > PAYLOAD_LIMIT:
        raise invalid(
            "payload.data",
            f"The secret payload is {len(data)} bytes, which is larger than the maximum of {PAYLOAD_LIMIT} bytes.",
        )
    checksum = google_crc32c.value(data)
    if payload.get("dataCrc32c") and int(payload["dataCrc32c"]) != checksum:
        raise invalid("payload.data_crc32c", "The provided CRC32C checksum does not match the payload.")
    with call.cloud.store.transaction():
        secret = secret_of(call, key)
        number = call.cloud.store.next_number(f"secretmanager.version:{key}:{secret['createTime']}")
        name = f"{key}/versions/{number}"
        version: Json = {
            "name": shown(call, name),
            "createTime": call.cloud.clock.now(),
            "state": "ENABLED",
            "replicationStatus": {"automatic": {}}
            if "automatic" in secret["replication"]
            else {
                "userManaged": {
                    "replicas": [
                        {"location": r["location"]} for r in secret["replication"]["userManaged"].get("replicas", [])
                    ]
                }
            },
            "clientSpecifiedPayloadChecksum": "dataCrc32c" in payload,
        }
        version["etag"] = f'"{fingerprint(version)}"'
        versions(call).put(name, version)
        payloads(call).put(name, {"data": base64.b64encode(data).decode(), "dataCrc32c": str(checksum)})
    return version


@api.method(_FIELDS + "versions.access", permission="secretmanager.versions.access", resource=resource)
def access(call: Call) -> Json:
    """Return the payload of an enabled version."""
    key = _version_key(call)
    version = _version(call, key)
    if version["state"] != "ENABLED":
        raise ApiError(
            400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is in {version['state']} state."
        )
    return {"name": version["name"], "payload": payloads(call).get(key) or {}}


@api.method(_FIELDS + "versions.get", permission="secretmanager.versions.get", resource=resource)
def get_version(call: Call) -> Json:
    """Return one version, without its payload."""
    return _version(call, _version_key(call))


@api.method(_FIELDS + "versions.list", permission="secretmanager.versions.list", resource=resource)
def list_versions(call: Call) -> Json:
    """Return the versions of a secret, newest first; `filter` supports `state:enabled`."""
    key = key_of(call, call.params["parent"])
    secret_of(call, key)
    stored = versions(call).items(f"{key}/versions/")
    stored.sort(key=lambda item: int(item[0].rsplit("/", 1)[1]), reverse=True)
    found = [v for _, v in stored]
    wanted = re.fullmatch(r"\s*state\s*[:=]\s*\"?(\w+)\"?\s*", call.params.get("filter", ""))
    if wanted:
        found = [v for v in found if v["state"] == wanted[1].upper()]
    elif call.params.get("filter"):
        raise invalid("filter", f"Invalid filter: {call.params['filter']}")
    return {"totalSize": len(found)} | call.listing("versions", found, default=25000)


def _set_state(call: Call, state: str) -> Json:
    with call.cloud.store.transaction():
        key = _version_key(call)
        version = _version(call, key)
        check_etag(call.body.get("etag"), version)
        if version["state"] == "DESTROYED" and state != "DESTROYED":
            raise ApiError(400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is in DESTROYED state.")
        version["state"] = state
        if state == "DESTROYED":
            version.setdefault("destroyTime", call.cloud.clock.now())
            payloads(call).delete(key)
        version.pop("etag")
        version["etag"] = f'"{fingerprint(version)}"'
        versions(call).put(key, version)
    return version


@api.method(_FIELDS + "versions.enable", permission="secretmanager.versions.enable", resource=resource)
def enable(call: Call) -> Json:
    """Make a disabled version accessible again."""
    return _set_state(call, "ENABLED")


@api.method(_FIELDS + "versions.disable", permission="secretmanager.versions.disable", resource=resource)
def disable(call: Call) -> Json:
    """Make a version inaccessible until it is enabled."""
    return _set_state(call, "DISABLED")


@api.method(_FIELDS + "versions.destroy", permission="secretmanager.versions.destroy", resource=resource)
def destroy(call: Call) -> Json:
    """Delete a version's payload irreversibly."""
    return _set_state(call, "DESTROYED")
