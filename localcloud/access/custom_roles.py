# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Custom IAM roles of projects: documents, soft deletion and the permissions that they grant."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.core.store import Store

Json = dict[str, Any]

_DAY = 24 * 3600
# A deleted role can be restored for this long. Its ID stays blocked for another 30 days.
_UNDELETE_SECONDS = 7 * _DAY
_BLOCKED_SECONDS = 37 * _DAY
_NAME = re.compile(r"(projects|organizations)/[^/]+/roles/[^/]+")


def is_custom(role: str) -> bool:
    """Return whether a name is that of a custom role (`projects/P/roles/R`)."""
    return _NAME.fullmatch(role) is not None


class CustomRoles:
    """Custom roles (`iam.customRoles`) by name; `deleteSeconds` is the time of the deletion, for internal use."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._documents = store.collection("iam.customRoles")
        self._clock = clock

    def find(self, name: str) -> Json | None:
        """Return the role; None if there is none or if its deletion is final."""
        document = self._documents.get(name)
        return document if document and self._age(document) < _UNDELETE_SECONDS else None

    def list(self, parent: str) -> list[Json]:
        """Return the roles of `projects/P`, including deleted roles that can be restored."""
        return [d for d in self._documents.list(f"{parent}/roles/") if self._age(d) < _UNDELETE_SECONDS]

    def grants(self, name: str, permission: str) -> bool:
        """Return whether a binding of the role grants a permission: deleted and disabled roles grant nothing."""
        role = self.find(name)
        if role is None or role.get("deleted") or role.get("stage") == "DISABLED":
            return False
        return permission in role.get("includedPermissions", ())

    def create(self, name: str, fields: Json) -> Json:
        """Create a role. Raises 409 if it exists, 400 FAILED_PRECONDITION if its ID belongs to a deleted role."""
        role_id = name.rpartition("/")[2]
        with self._store.transaction():
            old = self._documents.get(name)
            if old and not old.get("deleted"):
                parent = name.partition("/roles/")[0]
                raise ApiError(409, None, f"A role named {role_id} in {parent} already exists.")
            if old and self._age(old) < _UNDELETE_SECONDS:
                message = (
                    f"You can't create a role with role_id ({role_id}) where there is an existing role with that "
                    "role_id in a deleted state."
                )
                raise ApiError(400, "FAILED_PRECONDITION", message)
            if old and self._age(old) < _BLOCKED_SECONDS:
                message = f"You can't create a role_id ({role_id}) which has been marked for deletion."
                raise ApiError(400, "FAILED_PRECONDITION", message)
            return self._write(name, {"name": name} | fields)

    def change(self, name: str, etag: str | None, change: Callable[[Json], Json]) -> Json:
        """Replace a role's document. Raises 404, and 409 ABORTED if `etag` is not the stored etag."""
        with self._store.transaction():
            role = self.find(name)
            if role is None:
                raise missing(name)
            if etag and etag.replace("-", "+").replace("_", "/") != role["etag"]:
                message = (
                    f"There were concurrent changes of the role {name}. Read it again and repeat the change: the "
                    f"request's ETag '{etag}' did not match the role's ETag '{role['etag']}'."
                )
                raise ApiError(409, "ABORTED", message)
            return self._write(name, change(role))

    def delete(self, name: str, etag: str | None) -> Json:
        """Mark a role as deleted; policies keep its bindings."""

        def change(role: Json) -> Json:
            if role.get("deleted"):
                raise ApiError(400, "FAILED_PRECONDITION", f"The role {name} is already in a deleted state.")
            return role | {"deleted": True, "deleteSeconds": self._clock.time()}

        return self.change(name, etag, change)

    def undelete(self, name: str, etag: str | None) -> Json:
        """Restore a deleted role. Its bindings take effect again."""

        def change(role: Json) -> Json:
            if not role.get("deleted"):
                raise ApiError(400, "FAILED_PRECONDITION", f"The role {name} is not in a deleted state.")
            return {k: v for k, v in role.items() if k not in ("deleted", "deleteSeconds")}

        return self.change(name, etag, change)

    def _write(self, name: str, document: Json) -> Json:
        number = self._store.next_number("iam.role")
        document = document | {"etag": base64.b64encode(b"\x07" + number.to_bytes(7, "big")).decode()}
        self._documents.put(name, document)
        return document

    def _age(self, document: Json) -> float:
        """Return the seconds since the deletion; negative for a role that is not deleted."""
        return self._clock.time() - document["deleteSeconds"] if document.get("deleted") else -1.0


def missing(name: str) -> ApiError:
    """Return the 404 for a role that does not exist."""
    return ApiError(404, None, f"The role named {name} was not found.")
