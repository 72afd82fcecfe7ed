# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Explain the errors of a Cloud SQL instance, and decide which conflicts are temporary."""

from __future__ import annotations

from ._client import GoogleError, Json
from ._resource import Resource
from ._sql import OfInstance, removal, why_failed

RESERVED = (
    "No instance has this name. Google may reserve the name, for example after a deletion. "
    "Choose another name (role deployment: deployment_name), or run again later."
)
CREATE_CONFLICT_SECONDS = 600.0  # maximum wait of a creation for the deletion of an instance with the same name


class SqlFailures(OfInstance, Resource):
    """The part of a Cloud SQL instance that knows its errors."""

    conflict_since = 0.0

    def explain(self, error: GoogleError) -> str:
        """Explain the error if the instance does not run, its creation failed, or its name may be reserved."""
        operations_own = error.code == 0 and error.reason not in {"connection", "tls", "deadlineExceeded"}
        if error.code != 409 and not operations_own:
            return super().explain(error)
        try:
            current = self.find_instance()
        except GoogleError:
            return ""
        if current is None:
            return RESERVED if error.code == 409 else ""
        if operations_own and current.get("state") in self.broken:
            return removal(self.params["project"], self.params["name"])
        return super().explain(error)

    def is_temporary_without_instance(self) -> bool:
        """Return whether a creation still waits for the deletion of an instance with the same name."""
        now = self.client.clock.now()
        self.conflict_since = self.conflict_since or now
        return now < self.conflict_since + CREATE_CONFLICT_SECONDS

    def why_broken(self, current: Json) -> str:
        """Quote the newest failed operation, because the instance document has no reason."""
        try:
            told = why_failed(self.operations(), self.params["project"], self.params["name"])
        except GoogleError:
            told = ""
        return told or super().why_broken(current)
