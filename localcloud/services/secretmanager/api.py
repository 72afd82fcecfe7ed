# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Secret Manager and functions for secrets and versions."""

from __future__ import annotations

import datetime
import re

from localcloud.core.errors import ApiError, bad_request
from localcloud.core.store import Collection
from localcloud.framework.service import Call, Json, Service

api = Service("secretmanager", ("v1",), conditions_by_number=True)


def secrets(call: Call) -> Collection:
    """Return the secrets by key."""
    return call.cloud.store.collection("secretmanager.secrets")


def versions(call: Call) -> Collection:
    """Return the versions by key."""
    return call.cloud.store.collection("secretmanager.versions")


def payloads(call: Call) -> Collection:
    """Return the payloads of versions by key."""
    return call.cloud.store.collection("secretmanager.payloads")


def key_of(call: Call, name: str) -> str:
    """Return the key of a resource's document: its name with the project's id, even if the caller used the number."""
    return re.sub(r"^projects/[^/]+", f"projects/{call.project}", name)


def shown(call: Call, name: str) -> str:
    """Return a resource name as in Secret Manager's answers: with the project's number."""
    return re.sub(r"^projects/[^/]+", f"projects/{call.cloud.projects.number_of(call.project or '')}", name)


def resource(call: Call) -> str | None:
    """Return the key of the resource in the path, for a permission check."""
    return key_of(call, call.resource) if call.resource else None


def secret_of(call: Call, key: str) -> Json:
    """Return the secret with a key. Raises 404."""
    secret = secrets(call).get(key)
    if secret is None or expired(call, secret):
        raise ApiError(404, None, f"Secret [{shown(call, key)}] not found.")
    return secret


def expired(call: Call, secret: Json) -> bool:
    """Return whether a secret has expired."""
    end = secret.get("expireTime")
    return bool(end) and datetime.datetime.fromisoformat(str(end)).timestamp() <= call.cloud.clock.time()


def invalid(field: str, description: str) -> ApiError:
    """Return a 400 about a field."""
    return ApiError(400, None, description, [bad_request([(field, description)])])


def check_etag(etag: str | None, document: Json) -> None:
    """Raise 400 for an etag of an earlier state."""
    if etag and etag != document.get("etag"):
        raise ApiError(400, "FAILED_PRECONDITION", "The etag provided does not match the current etag of the resource.")
