# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secret Manager: secrets, their versions and payloads."""

from __future__ import annotations

import base64
import binascii
import datetime
import re

import google_crc32c

from localcloud.core.errors import ApiError, bad_request
from localcloud.core.store import AlreadyExists, Collection
from localcloud.framework import constraints
from localcloud.framework.lifecycle import fingerprint, masked
from localcloud.framework.service import Call, Json
from localcloud.services.secretmanager.api import api

PAYLOAD_LIMIT = 64 * 1024
_FIELDS = "secretmanager.projects.secrets."


def _secrets(call: Call) -> Collection:
    return call.cloud.store.collection("secretmanager.secrets")


def _versions(call: Call) -> Collection:
    return call.cloud.store.collection("secretmanager.versions")


def _payloads(call: Call) -> Collection:
    return call.cloud.store.collection("secretmanager.payloads")


def _key(call: Call, name: str) -> str:
    """Return the key of a resource's document: its name with the project's id, even if the caller used the number."""
    return re.sub(r"^projects/[^/]+", f"projects/{call.project}", name)


def _shown(call: Call, name: str) -> str:
    """Return a resource name as in Secret Manager's answers: with the project's number."""
    return re.sub(r"^projects/[^/]+", f"projects/{call.cloud.projects.number_of(call.project or '')}", name)


def _resource(call: Call) -> str | None:
    return _key(call, call.resource) if call.resource else None


def _secret(call: Call, key: str) -> Json:
    secret = _secrets(call).get(key)
    if secret is None or _expired(call, secret):
        raise ApiError(404, None, f"Secret [{_shown(call, key)}] not found.")
    return secret


def _expired(call: Call, secret: Json) -> bool:
    """Return whether a secret has expired."""
    end = secret.get("expireTime")
    return bool(end) and datetime.datetime.fromisoformat(str(end)).timestamp() <= call.cloud.clock.time()


def _with_expiry(call: Call, secret: Json) -> Json:
    """Return the caller's secret with `expireTime` instead of `ttl`, which no answer contains."""
    rest = {k: v for k, v in secret.items() if k != "ttl" and v is not None}
    if not secret.get("ttl"):
        return rest
    if "expireTime" in rest:
        raise _invalid("secret.expiration", "Only one of expire_time and ttl may be set.")
    return rest | {"expireTime": call.cloud.clock.now(float(secret["ttl"].removesuffix("s")))}


def _remove(call: Call, key: str) -> None:
    """Remove a secret, its versions and its policy. Call it inside a transaction."""
    _secrets(call).delete(key)
    for collection in (_versions(call), _payloads(call)):
        for name, _ in collection.items(f"{key}/versions/"):
            collection.delete(name)
    call.cloud.permissions.forget(f"//{api.host}/{key}")


def _invalid(field: str, description: str) -> ApiError:
    return ApiError(400, None, description, [bad_request([(field, description)])])


def _check_labels(secret: Json) -> None:
    for key, value in (secret.get("labels") or {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value or ""):
            raise _invalid("secret.labels", f"The label {key}: {value} is not valid.")


def _check_locations(call: Call, replication: Json) -> None:
    """Raise 400 if the organization policy forbids a location of a new secret."""
    replicas = (replication.get("userManaged") or {}).get("replicas") or [{"location": "global"}]
    constraint = constraints.LOCATIONS
    for location in [str(replica.get("location")) for replica in replicas]:
        if not constraints.allows(call.cloud, call.project or "", constraint, location):
            subject = f"orgpolicy:projects/{call.cloud.projects.number_of(call.project or '')}"
            message = (
                f"Constraint {constraint} violated for [{subject}] attempting to create a secret in [{location}]. For "
                "more information, see "
                "https://cloud.google.com/resource-manager/docs/organization-policy/defining-locations."
            )
            violation = {"type": constraint, "subject": subject, "description": message}
            failure = {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": [violation]}
            raise ApiError(400, "FAILED_PRECONDITION", message, [failure])


@api.method(_FIELDS + "create", permission="secretmanager.secrets.create")
def create(call: Call) -> Json:
    """Create a secret without versions."""
    secret_id = call.params.get("secretId", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", secret_id):
        raise _invalid("secret_id", "The provided Secret ID [] does not match the expected format [[a-zA-Z_0-9]+]")
    replication = call.body.get("replication") or {}
    if len([k for k, v in replication.items() if v is not None]) != 1:
        raise _invalid(
            "secret.replication", "Secret.replication must be provided and have one of automatic, user_managed."
        )
    _check_locations(call, replication)
    _check_labels(call.body)
    key = f"projects/{call.project}/secrets/{secret_id}"
    secret = _with_expiry(call, call.body) | {
        "name": _shown(call, key),
        "createTime": call.cloud.clock.now(),
    }
    secret["etag"] = f'"{fingerprint(secret)}"'
    with call.cloud.store.transaction():
        old = _secrets(call).get(key)
        if old is not None and _expired(call, old):
            _remove(call, key)
        try:
            _secrets(call).insert(key, secret)
        except AlreadyExists:
            raise ApiError(409, None, f"Secret [{secret['name']}] already exists.") from None
    return secret


@api.method(_FIELDS + "get", permission="secretmanager.secrets.get", resource=_resource)
def get(call: Call) -> Json:
    """Return one secret."""
    return _secret(call, _key(call, call.params["name"]))


@api.method(_FIELDS + "list", permission="secretmanager.secrets.list")
def list_secrets(call: Call) -> Json:
    """Return the project's secrets; `filter` supports `name:TEXT` and `labels.KEY=VALUE`."""
    secrets = [
        s
        for s in _secrets(call).list(f"projects/{call.project}/secrets/")
        if not _expired(call, s) and _passes(s, call.params.get("filter", ""))
    ]
    page, token = call.page(secrets, default=25000)
    answer: Json = {"totalSize": len(secrets)}
    if page:
        answer["secrets"] = page
    if token:
        answer["nextPageToken"] = token
    return answer


def _passes(secret: Json, text: str) -> bool:
    for term in filter(None, re.split(r"\s+AND\s+|\s+", text.strip())):
        found = re.fullmatch(r"(name|labels\.[\w-]+|state)([:=])\"?([^\"]*)\"?", term)
        if not found:
            raise _invalid("filter", f"Invalid filter: {term}")
        field, operator, wanted = found.groups()
        value = secret.get(field) if "." not in field else (secret.get("labels") or {}).get(field.split(".", 1)[1])
        if value is None or (value.rsplit("/", 1)[-1] != wanted if operator == "=" else wanted not in value):
            return False
    return True


@api.method(_FIELDS + "patch", permission="secretmanager.secrets.update", resource=_resource)
def patch(call: Call) -> Json:
    """Change the fields in `updateMask`."""
    key = _key(call, call.params["name"])
    mask = call.params.get("updateMask")
    if not mask:
        raise _invalid("update_mask", "The update mask must be provided.")
    if mask != "*" and "replication" in mask:
        raise _invalid("update_mask", "Secret.replication is immutable.")
    _check_labels(call.body)
    with call.cloud.store.transaction():
        secret = _secret(call, key)
        _check_etag(call.body.get("etag"), secret)
        secret = masked(secret, _with_expiry(call, call.body), mask.replace("ttl", "expireTime"))
        secret.pop("etag", None)
        secret["etag"] = f'"{fingerprint(secret)}"'
        _secrets(call).put(key, secret)
    return secret


@api.method(_FIELDS + "delete", permission="secretmanager.secrets.delete", resource=_resource)
def delete(call: Call) -> Json:
    """Delete a secret, its versions and its policy."""
    key = _key(call, call.params["name"])
    with call.cloud.store.transaction():
        _check_etag(call.params.get("etag"), _secret(call, key))
        _remove(call, key)
    return {}


def _check_etag(etag: str | None, document: Json) -> None:
    if etag and etag != document.get("etag"):
        raise ApiError(400, "FAILED_PRECONDITION", "The etag provided does not match the current etag of the resource.")


# -- versions


def _version_key(call: Call) -> str:
    """Return the key of the version in the path; `latest` is the newest version in any state."""
    key = _key(call, call.params["name"])
    secret, _, number = key.partition("/versions/")
    _secret(call, secret)
    if number == "latest":
        numbers = [int(k.rsplit("/", 1)[1]) for k, _ in _versions(call).items(f"{secret}/versions/")]
        if not numbers:
            raise ApiError(404, None, f"Secret [{_shown(call, secret)}] not found or has no versions.")
        return f"{secret}/versions/{max(numbers)}"
    aliases = (_secret(call, secret).get("versionAliases") or {}) if not number.isdigit() else {}
    return f"{secret}/versions/{aliases.get(number, number)}"


def _version(call: Call, key: str) -> Json:
    version = _versions(call).get(key)
    if version is None:
        raise ApiError(404, None, f"Secret Version [{_shown(call, key)}] not found.")
    return version


@api.method(_FIELDS + "addVersion", permission="secretmanager.versions.add", resource=_resource)
def add_version(call: Call) -> Json:
    """Add a payload of at most 64 KiB. Checks its CRC-32C if the caller sends it."""
    key = _key(call, call.params["parent"])
    payload = call.body.get("payload") or {}
    try:
        data = base64.b64decode(payload.get("data", "").replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise _invalid(
            "payload.data", "Invalid value at 'payload.data' (TYPE_BYTES), Base64 decoding failed."
        ) from error
    if not data:
        raise _invalid("payload.data", "Secret Payload cannot be empty.")
    if len(data) > PAYLOAD_LIMIT:
        raise _invalid(
            "payload.data",
            f"The secret payload is {len(data)} bytes, which is larger than the maximum of {PAYLOAD_LIMIT} bytes.",
        )
    checksum = google_crc32c.value(data)
    if payload.get("dataCrc32c") and int(payload["dataCrc32c"]) != checksum:
        raise _invalid("payload.data_crc32c", "The provided CRC32C checksum does not match the payload.")
    with call.cloud.store.transaction():
        secret = _secret(call, key)
        number = call.cloud.store.next_number(f"secretmanager.version:{key}:{secret['createTime']}")
        name = f"{key}/versions/{number}"
        version: Json = {
            "name": _shown(call, name),
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
        _versions(call).put(name, version)
        _payloads(call).put(name, {"data": base64.b64encode(data).decode(), "dataCrc32c": str(checksum)})
    return version


@api.method(_FIELDS + "versions.access", permission="secretmanager.versions.access", resource=_resource)
def access(call: Call) -> Json:
    """Return the payload of an enabled version."""
    key = _version_key(call)
    version = _version(call, key)
    if version["state"] != "ENABLED":
        raise ApiError(
            400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is in {version['state']} state."
        )
    return {"name": version["name"], "payload": _payloads(call).get(key) or {}}


@api.method(_FIELDS + "versions.get", permission="secretmanager.versions.get", resource=_resource)
def get_version(call: Call) -> Json:
    """Return one version, without its payload."""
    return _version(call, _version_key(call))


@api.method(_FIELDS + "versions.list", permission="secretmanager.versions.list", resource=_resource)
def list_versions(call: Call) -> Json:
    """Return the versions of a secret, newest first; `filter` supports `state:enabled`."""
    key = _key(call, call.params["parent"])
    _secret(call, key)
    versions = _versions(call).items(f"{key}/versions/")
    versions.sort(key=lambda item: int(item[0].rsplit("/", 1)[1]), reverse=True)
    found = [v for _, v in versions]
    wanted = re.fullmatch(r"\s*state\s*[:=]\s*\"?(\w+)\"?\s*", call.params.get("filter", ""))
    if wanted:
        found = [v for v in found if v["state"] == wanted[1].upper()]
    elif call.params.get("filter"):
        raise _invalid("filter", f"Invalid filter: {call.params['filter']}")
    page, token = call.page(found, default=25000)
    answer: Json = {"totalSize": len(found)}
    if page:
        answer["versions"] = page
    if token:
        answer["nextPageToken"] = token
    return answer


def _set_state(call: Call, state: str) -> Json:
    with call.cloud.store.transaction():
        key = _version_key(call)
        version = _version(call, key)
        _check_etag(call.body.get("etag"), version)
        if version["state"] == "DESTROYED" and state != "DESTROYED":
            raise ApiError(400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is in DESTROYED state.")
        version["state"] = state
        if state == "DESTROYED":
            version.setdefault("destroyTime", call.cloud.clock.now())
            _payloads(call).delete(key)
        version.pop("etag")
        version["etag"] = f'"{fingerprint(version)}"'
        _versions(call).put(key, version)
    return version


@api.method(_FIELDS + "versions.enable", permission="secretmanager.versions.enable", resource=_resource)
def enable(call: Call) -> Json:
    """Make a disabled version accessible again."""
    return _set_state(call, "ENABLED")


@api.method(_FIELDS + "versions.disable", permission="secretmanager.versions.disable", resource=_resource)
def disable(call: Call) -> Json:
    """Make a version inaccessible until it is enabled."""
    return _set_state(call, "DISABLED")


@api.method(_FIELDS + "versions.destroy", permission="secretmanager.versions.destroy", resource=_resource)
def destroy(call: Call) -> Json:
    """Delete a version's payload irreversibly."""
    return _set_state(call, "DESTROYED")


# -- policies


@api.method(_FIELDS + "getIamPolicy", permission="secretmanager.secrets.getIamPolicy", resource=_resource)
def get_policy(call: Call) -> Json:
    """Return the secret's own policy."""
    key = _key(call, call.params["resource"])
    _secret(call, key)
    return call.cloud.permissions.policy(
        f"//{api.host}/{key}", int(call.params.get("options.requestedPolicyVersion", 1))
    )


@api.method(_FIELDS + "setIamPolicy", permission="secretmanager.secrets.setIamPolicy", resource=_resource)
def set_policy(call: Call) -> Json:
    """Replace the secret's own policy."""
    key = _key(call, call.params["resource"])
    _secret(call, key)
    policy = call.body.get("policy") or {}
    return call.cloud.permissions.set_policy(f"//{api.host}/{key}", policy, mask=call.body.get("updateMask"))


@api.method(_FIELDS + "testIamPermissions", permission=None)
def test_permissions(call: Call) -> Json:
    """Return the caller's permissions among the given permissions on the secret."""
    key = _key(call, call.params["resource"])
    wanted = call.body.get("permissions") or []
    return call.cloud.permissions.granted(call.caller, wanted, call.project, f"//{api.host}/{key}")
