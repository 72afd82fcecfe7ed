# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Convert the settings of a Cloud SQL instance: each setting is a field with a dotted option name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._client import Json
from ._errors import RefusedError
from ._fields import get_at, make_link, to_api
from ._resource import Resource

DEFAULTS = {
    "settings.connector_enforcement": "NOT_REQUIRED",
    "settings.storage_auto_resize_limit": "0",
    "settings.backup_configuration.point_in_time_recovery_enabled": False,
}


class SqlSettings(Resource):
    """The part of a Cloud SQL instance that knows the API's document."""

    def desired(self) -> dict[str, Any]:
        """Return the desired values by the fields' dotted option names."""
        values: dict[str, Any] = {}
        for option, field in self.fields.items():
            value = get_at(self.params, option)
            if value is None:
                continue
            if field.convert:
                value = getattr(self, field.convert)(value)
            elif field.link:
                value = make_link(value, field.link, self.params)
            else:
                value = to_api(value, _spec(self.options, option))
            values[option] = value
        return values

    def flags(self, value: Mapping[str, Any]) -> list[Json]:
        """Return a map of flags as the API's list."""
        return [{"name": name, "value": _flag(value[name])} for name in sorted(value)]

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value. Accept automatic growth of the disk, and use defaults for omitted values."""
        has = super().current_value(option, current)
        if has is None and option in DEFAULTS:
            return DEFAULTS[option]
        if option == "settings.data_disk_size_gb" and current.get("settings", {}).get("storageAutoResize"):
            desired = get_at(self.params, option)
            if desired is not None and has is not None and int(has) > desired:
                return str(desired)
        return has

    def check_version(self, current: Json) -> None:
        """Refuse a version to which Cloud SQL cannot upgrade in place."""
        version, desired = current.get("databaseVersion", ""), self.params["database_version"]
        if desired and not _can_become(version, desired):
            raise RefusedError(
                f"{self.title} has version {version}, which cannot be upgraded to {desired}. Set database_version to "
                f"{version}, or create another instance and move the data."
            )

    def check_disk(self, current: Json) -> None:
        """Refuse to shrink the disk."""
        size = get_at(self.params, "settings.data_disk_size_gb")
        has = self.current_value("settings.data_disk_size_gb", current)
        if size is not None and has is not None and size < int(has):
            raise RefusedError(
                f"{self.title} has a disk of {has} GB, which cannot shrink to {size} GB. "
                f"Set data_disk_size_gb to {has}."
            )


def _spec(options: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    first, *rest = path.split(".", 1)
    spec: Mapping[str, Any] = options[first]
    return _spec(spec["options"], rest[0]) if rest else spec


def _flag(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _can_become(version: str, desired: str) -> bool:
    """Return whether Cloud SQL can upgrade in place from one version to the other."""
    engine, *has = version.split("_")
    other, *wants = desired.split("_")
    numbers = [[int(part) for part in parts if re.fullmatch(r"\d+", part)] for parts in (has, wants)]
    return engine == other and numbers[1] >= numbers[0][: len(numbers[1])]
