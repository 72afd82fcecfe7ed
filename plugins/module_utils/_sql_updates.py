# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Change a Cloud SQL instance: start it first, send settings with their version, and remove the deletion protection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._client import Json
from ._fields import put_at
from ._resource import Resource
from ._sql import is_stopped

ACTIVATION = "settings.activation_policy"


class SqlUpdates(Resource):
    """The part of a Cloud SQL instance that sends updates."""

    stopped = False

    def read(self) -> Json | None:
        """Read the instance and record whether it is stopped; its state is RUNNABLE in both cases."""
        current = super().read()
        self.stopped = current is not None and is_stopped(current)
        return current

    def found(self) -> Json:
        """Return whether the instance is stopped."""
        return {"stopped": self.stopped}

    def update(self, values: Mapping[str, Any], current: Json, via: str) -> None:
        """Start a stopped instance before other changes, because it refuses most of them."""
        if values.get(ACTIVATION) == "ALWAYS" and is_stopped(current):
            waits, self.wait = self.wait, True  # a stopped instance does not list its content
            self.patch({"settings": {"activationPolicy": "ALWAYS"}}, current, ())
            self.wait = waits
            values = {option: value for option, value in values.items() if option != ACTIVATION}
            latest = self.settle(self.read())
            if not values or latest is None:
                return
            current = latest
        super().update(values, current, via)

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Send the settings with the version on which the change is based."""
        if "settings" in body:
            put_at(body, "settings.settingsVersion", current["settings"]["settingsVersion"])
        self.call("PATCH", self.self_path, body)

    def upgrade(self, body: Json, current: Json) -> None:
        """Upgrade the major version, which is a separate change."""
        self.call("PATCH", self.self_path, body)

    def delete(self, current: Json) -> None:
        """Remove the protection with a separate update, then delete; ``check`` has verified ``delete_protected``."""
        if current.get("settings", {}).get("deletionProtectionEnabled"):
            waits, self.wait = self.wait, True
            self.patch({"settings": {"deletionProtectionEnabled": False}}, current, ())
            self.wait = waits
        super().delete(current)
