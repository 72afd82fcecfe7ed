#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_services
short_description: Enable Google Cloud APIs in a project
version_added: 0.1.0
description:
  - Enables APIs with Service Usage and waits until they are enabled.
  - APIs that are not in the list do not change. APIs are disabled only with O(state=absent).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  services:
    description: Names of the APIs, such as V(compute.googleapis.com).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Enable the APIs for a VM with a database
  mlops.mlflow_gcp.gcp_services:
    project: my-project
    services:
      - compute.googleapis.com
      - sqladmin.googleapis.com
"""

RETURN = r"""
resource:
  description:
    - Name and state of each API.
    - Null when absent.
  returned: success
  type: dict
  sample:
    compute.googleapis.com: ENABLED
    sqladmin.googleapis.com: ENABLED
disabled:
  description: Names of the APIs that were not enabled before the task.
  returned: success
  type: list
  elements: str
  sample: []
project_number:
  description: Number of the project. Null if Service Usage could not be read.
  returned: success
  type: str
  sample: "123456789012"
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import ENABLED_WITHIN, GoogleError, Json
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource

BATCH = 20  # Service Usage accepts this many services in one request


class Services(Resource):
    """Manage several serviceusage.services as one resource that maps names to states."""

    api = "serviceusage"
    kind = "APIs"
    collection = "v1/projects/{project}/services"
    create_body = {}
    formats = {"services": _formats.each(_formats.service)}
    options = {"services": {"type": "list", "elements": "str", "required": True}}
    fields = {"services": Field(via="enable")}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.requested: set[str] = set()
        self.number: str | None = None
        self.disabled: list[str] | None = None

    @property
    def title(self) -> str:
        """Return the kind and the names."""
        return f"{self.kind} {', '.join(self.params['services'])}"

    def desired(self) -> dict[str, Any]:
        """Return the desired state of each service."""
        return {"services": dict.fromkeys(self.params["services"], "ENABLED")}

    def document(self, values: Mapping[str, Any]) -> Json:
        """Return the map of states, which is the document."""
        return dict(values.get("services", {}))

    def current_value(self, option: str, current: Json) -> Any:
        """Return the state of a service from the document."""
        return current

    def read(self) -> Json | None:
        """Return the states, or None if no service is enabled and none should be."""
        states: Json = {}
        for batch in _batches(self.params["services"]):
            names = [f"projects/{self.params['project']}/services/{service}" for service in batch]
            found = self.client.get(self.api, self.fill(self.collection + ":batchGet"), {"names": names})
            for service in found.get("services") or ():
                parts = service["name"].split("/")  # projects/NUMBER/services/NAME
                self.number = parts[1]
                states[parts[3]] = service.get("state", "DISABLED")
        if self.disabled is None:
            self.disabled = [service for service in self.params["services"] if states.get(service) != "ENABLED"]
        gone = self.params["state"] == "absent" and "ENABLED" not in states.values()
        return None if gone else states

    def found(self) -> Json:
        """Return the APIs that were disabled, and the number of the project, which is in the names of the services."""
        disabled = self.params["services"] if self.disabled is None else self.disabled
        return {"disabled": disabled, "project_number": self.number}

    def create(self, body: Json) -> None:
        """Enable the services if Service Usage itself could not be read."""
        self.enable(body, {})

    def enable(self, body: Json, current: Json) -> None:
        """Enable the services that are not enabled yet."""
        missing = [service for service in body if current.get(service) != "ENABLED"]
        for batch in _batches(missing):
            self.retry(partial(self._enable, batch), _is_temporary, ENABLED_WITHIN)
            self.requested.update(batch)

    def _enable(self, batch: list[str]) -> None:
        operation = self.call("POST", self.fill(self.collection + ":batchEnable"), {"serviceIds": batch})
        failures = (operation.get("response") or {}).get("failures") or ()
        if failures:
            message = "; ".join(f"{item.get('serviceId')}: {item.get('errorMessage')}" for item in failures)
            raise GoogleError(400, "enableFailed", message, api=self.api)

    def is_busy(self, current: Json) -> bool:
        """Return whether a service that was just enabled does not show this yet."""
        return any(current.get(service) != "ENABLED" for service in self.requested)

    def delete(self, current: Json) -> None:
        """Disable the services. Service Usage refuses this if another enabled API needs one of them."""
        for service, state in current.items():
            if state == "ENABLED":
                self.call("POST", f"{self.fill(self.collection)}/{service}:disable", {})


def _is_temporary(error: GoogleError) -> bool:
    """Return whether the error is temporary: a concurrent change of an API, or a fault that Google knows."""
    message = error.message.lower()
    activation = "another activation or deactivation is in progress" in message
    return activation or ("encountered internal error" in message and "160009" in message)


def _batches(services: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(services), BATCH):
        yield services[start : start + BATCH]


def main() -> None:
    """Run the module."""
    run(Services)


if __name__ == "__main__":
    main()
