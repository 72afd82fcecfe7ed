# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The life cycle of resources of every API: create, patch, delete, links, fingerprints and refusals."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework.cloud import Cloud

Json = dict[str, Any]


def fingerprint(value: Any) -> str:
    """Return a short base64 hash of a JSON value, like Compute's fingerprints."""
    return base64.b64encode(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8]).decode()


def same_fingerprint(given: str | None, stored: str) -> bool:
    """Return whether two fingerprints are equal: some clients write base64 with `-_` instead of `+/`."""
    return (given or "").replace("-", "+").replace("_", "/") == stored


def merge(document: Json, change: Json) -> Json:
    """Return a new document after a JSON merge patch: objects merge, null removes, other values replace."""
    result = dict(document)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merge(result[name], value)
        else:
            result[name] = merge({}, value) if isinstance(value, dict) else value
    return result


def masked(document: Json, body: Json, mask: str) -> Json:
    """Return the document with the fields of `updateMask` (`labels,config.ttl`) from `body`.

    A field in the mask that the body lacks is removed; `*` takes all of the body's fields.
    """
    if mask == "*":
        return document | body
    result: Json = json.loads(json.dumps(document))
    for path in filter(None, mask.split(",")):
        parts = path.strip().split(".")
        source: Any = body
        into = result
        for part in parts[:-1]:
            source = source.get(part, {}) if isinstance(source, dict) else {}
            into = into.setdefault(part, {})
        if isinstance(source, dict) and source.get(parts[-1]) is not None:
            into[parts[-1]] = source[parts[-1]]
        else:
            into.pop(parts[-1], None)
    return result


def wrong_label(labels: Json | None) -> str | None:
    """Return the first label that Google refuses, as `KEY=VALUE`."""
    for key, value in (labels or {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value or ""):
            return f"{key}={value}"
    return None


class Resources:
    """Resources of one kind, by relative name (`projects/p/zones/z/instances/i`).

    `base` (an API's URL) is the prefix of selfLinks. `fingerprinted` maps a fingerprint
    field to the field that it covers: `{"fingerprint": None}` covers the whole resource, `{"labelFingerprint":
    "labels"}` one field. The hooks `missing` and `exists` create the 404 and the 409.
    """

    def __init__(
        self,
        cloud: Cloud,
        kind: str,
        *,
        base: str | None = None,
        fingerprinted: dict[str, str | None] | None = None,
        missing: Callable[[str], ApiError] | None = None,
        exists: Callable[[str], ApiError] | None = None,
    ) -> None:
        self.cloud = cloud
        self.documents = cloud.store.collection(kind)
        self.kind = kind
        self.base = base
        self.fingerprinted = fingerprinted or {}
        self._missing = missing or _not_found
        self._exists = exists or _already_exists

    def get(self, name: str) -> Json:
        """Return the resource. Raises 404."""
        document = self.documents.get(name)
        if document is None:
            raise self._missing(name)
        return document

    def find(self, name: str) -> Json | None:
        """Return the resource, or None."""
        return self.documents.get(name)

    def list(self, prefix: str) -> list[Json]:
        """Return the resources whose relative name starts with `prefix` (ending with a slash), sorted by name."""
        return self.documents.list(prefix)

    def create(self, name: str, document: Json) -> Json:
        """Add a resource; sets `selfLink` and fingerprints if the kind has them. Raises 409."""
        if self.base:
            document = document | {"selfLink": f"{self.base}/{name}"}
        document = self._stamp(document)
        try:
            self.documents.insert(name, document)
        except AlreadyExists:
            raise self._exists(name) from None
        return document

    def update(self, name: str, change: Callable[[Json], Json | None], *, body: Json | None = None) -> Json:
        """Read, change, write in one transaction. `change` may edit in place or return the new document.

        With `body`, its fingerprints must be the stored ones: 412 conditionNotMet otherwise.
        """
        with self.cloud.store.transaction():
            document = self.get(name)
            self.check_fingerprints(document, body or {})
            changed = change(document)
            document = self._stamp(document if changed is None else changed)
            self.documents.put(name, document)
        return document

    def delete(self, name: str) -> None:
        """Remove the resource. Idempotent: steps run again after a restart."""
        self.documents.delete(name)

    def check_fingerprints(self, document: Json, body: Json, *required: str) -> None:
        """Raise 412 for a fingerprint in the body that is stale or, for `required` fields, missing."""
        for field in self.fingerprinted:
            given = body.get(field)
            if field in required and not given:
                raise ApiError(400, "required", f"Required field '{field}' not specified")
            if given and not same_fingerprint(given, document.get(field, "")):
                message = "Supplied fingerprint does not match current metadata fingerprint."
                if field != "fingerprint":
                    message = f"{field} either invalid or resource labels have changed"
                raise ApiError(412, "conditionNotMet", message)

    def _stamp(self, document: Json) -> Json:
        for field, covers in self.fingerprinted.items():
            value = {k: v for k, v in document.items() if k not in self.fingerprinted} if covers is None else None
            document[field] = fingerprint(value if covers is None else document.get(covers))
        return document


def _not_found(name: str) -> ApiError:
    return ApiError(404, "notFound", f"The resource '{name}' was not found")


def _already_exists(name: str) -> ApiError:
    return ApiError(409, "alreadyExists", f"The resource '{name}' already exists")
