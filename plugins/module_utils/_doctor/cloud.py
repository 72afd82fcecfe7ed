# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read the resources of a deployment through Google's APIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from .._advice import advice
from .._auth import AuthOptions
from .._client import Client, GoogleError, Json
from .remedies import SITE
from .results import NotCheckedError, one_line

HOUR, DAY = 3600.0, 86400.0


def seconds(stamp: str) -> float:
    """Return an API's timestamp as seconds since 1970."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def duration(value: float) -> str:
    """Return a number of seconds in hours or days."""
    return f"{value / HOUR:.1f} h" if value < 2 * DAY else f"{value / DAY:.0f} days"


@dataclass
class Cloud:
    """Resources of one deployment."""

    client: Client
    project: str
    region: str
    zone: str
    auth: AuthOptions | None = None  # for messages

    def get(self, api: str, path: str, **params: str) -> Json:
        """Get a resource. An error has a remedy."""
        try:
            return self.client.get(api, path, params)
        except GoogleError as error:
            raise NotCheckedError(one_line(error), self._remedy(error)) from error

    def items(self, api: str, path: str, key: str = "items", **params: str) -> list[Json]:
        """Return every item of a list. An error has a remedy."""
        try:
            return list(self.client.items(api, path, key, params))
        except GoogleError as error:
            raise NotCheckedError(one_line(error), self._remedy(error)) from error

    def _remedy(self, error: GoogleError) -> str:
        return f"create the resource: {SITE}" if error.code == 404 else advice(error, self.project, self.auth)

    def address(self, name: str) -> str:
        """Return the static address."""
        return str(self.get("compute", f"projects/{self.project}/regions/{self.region}/addresses/{name}")["address"])

    def secret(self, name: str) -> str:
        """Return the payload of a secret's latest version."""
        path = f"v1/projects/{self.project}/secrets/{name}/versions/latest:access"
        return base64.b64decode(self.get("secretmanager", path)["payload"]["data"]).decode()

    def database(self, name: str) -> Json:
        """Return the Cloud SQL instance."""
        return self.get("sql", f"v1/projects/{self.project}/instances/{name}")

    def instance(self, name: str) -> Json:
        """Return the VM."""
        return self.get("compute", f"projects/{self.project}/zones/{self.zone}/instances/{name}")

    def delete_object(self, bucket: str, name: str) -> None:
        """Delete an object. The bucket's lifecycle removes its generation later, because a backup may need it."""
        self.client.request("DELETE", "storage", f"b/{bucket}/o/{quote(name, safe='')}")
