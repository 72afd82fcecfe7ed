# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets and their policies."""

from __future__ import annotations

import re

from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework import constraints
from localcloud.framework.lifecycle import fingerprint, masked, wrong_label
from localcloud.framework.service import Call, Json
from localcloud.services.secretmanager.api import (
    api,
    check_etag,
    expired,
    invalid,
    key_of,
    payloads,
    resource,
    secret_of,
    secrets,
    shown,
    versions,
)

_FIELDS = "secretmanager.projects.secrets."


def _with_expiry(call: Call, secret: Json) -> Json:
    """Return the caller's secret with `expireTime` instead of `ttl`, which no answer contains."""
    rest = {k: v for k, v in secret.items() if k != "ttl" and v is not None}
    if not secret.get("ttl"):
        return rest
    if "expireTime" in rest:
        raise invalid("secret.expiration", "Only one of expire_time and ttl may be set.")
    return rest | {"expireTime": call.cloud.clock.now(float(secret["ttl"].removesuffix("s")))}


def _remove(call: Call, key: str) -> None:
    """Remove a secret, its versions and its policy. Call it inside a transaction."""
    secrets(call).delete(key)
    for collection in (versions(call), payloads(call)):
        for name, _ in collection.items(f"{key}/versions/"):
            collection.delete(name)
    call.cloud.permissions.forget(f"//{api.host}/{key}")


def _check_labels(secret: Json) -> None:
    label = wrong_label(secret.get("labels"))
    if label:
        raise invalid("secret.labels", f"The label {label} is not valid.")


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
        raise invalid("secret_id", "The provided Secret ID [] does not match the expected format [[a-zA-Z_0-9]+]")
    replication = call.body.get("replication") or {}
    if len([k for k, v in replication.items() if v is not None]) != 1:
        raise invalid(
            "secret.replication", "Secret.replication must be provided and have one of automatic, user_managed."
        )
    _check_locations(call, replication)
    _check_labels(call.body)
    key = f"projects/{call.project}/secrets/{secret_id}"
    secret = _with_expiry(call, call.body) | {
        "name": shown(call, key),
        "createTime": call.cloud.clock.now(),
    }
    secret["etag"] = f'"{fingerprint(secret)}"'
    with call.cloud.store.transaction():
        old = secrets(call).get(key)
        if old is not None and expired(call, old):
            _remove(call, key)
        try:
            secrets(call).insert(key, secret)
        except AlreadyExists:
            raise ApiError(409, None, f"Secret [{secret['name']}] already exists.") from None
    return secret


@api.method(_FIELDS + "get", permission="secretmanager.secrets.get", resource=resource)
def get(call: Call) -> Json:
    """Return one secret."""
    return secret_of(call, key_of(call, call.params["name"]))


@api.method(_FIELDS + "list", permission="secretmanager.secrets.list")
def list_secrets(call: Call) -> Json:
    """Return the project's secrets; `filter` supports `name:TEXT` and `labels.KEY=VALUE`."""
    found = [
        s
        for s in secrets(call).list(f"projects/{call.project}/secrets/")
        if not expired(call, s) and _passes(s, call.params.get("filter", ""))
    ]
    return {"totalSize": len(found)} | call.listing("secrets", found, default=25000)


def _passes(secret: Json, text: str) -> bool:
    for term in filter(None, re.split(r"\s+AND\s+|\s+", text.strip())):
        found = re.fullmatch(r"(name|labels\.[\w-]+|state)([:=])\"?([^\"]*)\"?", term)
        if not found:
            raise invalid("filter", f"Invalid filter: {term}")
        field, operator, wanted = found.groups()
        value = secret.get(field) if "." not in field else (secret.get("labels") or {}).get(field.split(".", 1)[1])
        if value is None or (value.rsplit("/", 1)[-1] != wanted if operator == "=" else wanted not in value):
            return False
    return True


@api.method(_FIELDS + "patch", permission="secretmanager.secrets.update", resource=resource)
def patch(call: Call) -> Json:
    """Change the fields in `updateMask`."""
    key = key_of(call, call.params["name"])
    mask = call.params.get("updateMask")
    if not mask:
        raise invalid("update_mask", "The update mask must be provided.")
    if mask != "*" and "replication" in mask:
        raise invalid("update_mask", "Secret.replication is immutable.")
    _check_labels(call.body)
    with call.cloud.store.transaction():
        secret = secret_of(call, key)
        check_etag(call.body.get("etag"), secret)
        secret = masked(secret, _with_expiry(call, call.body), mask.replace("ttl", "expireTime"))
        secret.pop("etag", None)
        secret["etag"] = f'"{fingerprint(secret)}"'
        secrets(call).put(key, secret)
    return secret


@api.method(_FIELDS + "delete", permission="secretmanager.secrets.delete", resource=resource)
def delete(call: Call) -> Json:
    """Delete a secret, its versions and its policy."""
    key = key_of(call, call.params["name"])
    with call.cloud.store.transaction():
        check_etag(call.params.get("etag"), secret_of(call, key))
        _remove(call, key)
    return {}


# -- policies


@api.method(_FIELDS + "getIamPolicy", permission="secretmanager.secrets.getIamPolicy", resource=resource)
def get_policy(call: Call) -> Json:
    """Return the secret's own policy."""
    key = key_of(call, call.params["resource"])
    secret_of(call, key)
    return call.cloud.permissions.policy(
        f"//{api.host}/{key}", int(call.params.get("options.requestedPolicyVersion", 1))
    )


@api.method(_FIELDS + "setIamPolicy", permission="secretmanager.secrets.setIamPolicy", resource=resource)
def set_policy(call: Call) -> Json:
    """Replace the secret's own policy."""
    key = key_of(call, call.params["resource"])
    secret_of(call, key)
    policy = call.body.get("policy") or {}
    return call.cloud.permissions.set_policy(f"//{api.host}/{key}", policy, mask=call.body.get("updateMask"))
