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
  - APIs that are not in the list are left alone. APIs are disabled only with O(state=absent).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  services:
    description: The APIs' names, such as V(compute.googleapis.com).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: The APIs of a virtual machine with a database
  mlops.mlflow_gcp.gcp_services:
    project: my-project
    services:
      - compute.googleapis.com
      - sqladmin.googleapis.com
"""

RETURN = r"""
resource:
  description:
    - Each API's name and its state.
    - Null when absent.
  returned: success
  type: dict
  sample:
    compute.googleapis.com: ENABLED
    sqladmin.googleapis.com: ENABLED
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import ENABLED_WITHIN, GoogleError, Json
from ..module_utils._fields import Field
from ..module_utils._resource import Resource, run

BATCH = 20  # Service Usage takes so many services at once


class Services(Resource):
    """Some of serviceusage.services, as one resource whose values are their states."""

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

    @property
    def title(self) -> str:
        """The kind and the names."""
        return f"{self.kind} {', '.join(self.params['services'])}"

    def wanted(self) -> dict[str, Any]:
        """Each service's state."""
        return {"services": dict.fromkeys(self.params["services"], "ENABLED")}

    def document(self, values: Mapping[str, Any]) -> Json:
        """The document is the map of states itself."""
        return dict(values.get("services", {}))

    def has(self, option: str, current: Json) -> Any:
        """The document is the map of states itself."""
        return current

    def read(self) -> Json | None:
        """The states; None where none is enabled and none should be."""
        states: Json = {}
        for batch in _batches(self.params["services"]):
            names = [f"projects/{self.params['project']}/services/{service}" for service in batch]
            found = self.client.get(self.api, self.fill(self.collection + ":batchGet"), {"names": names})
            for service in found.get("services") or ():
                states[service["name"].rsplit("/", 1)[1]] = service.get("state", "DISABLED")
        gone = self.params["state"] == "absent" and "ENABLED" not in states.values()
        return None if gone else states

    def create(self, body: Json) -> None:
        """Taken where Service Usage itself could not be read."""
        self.enable(body, {})

    def enable(self, body: Json, current: Json) -> None:
        """Enable what is not enabled."""
        missing = [service for service in body if current.get(service) != "ENABLED"]
        for batch in _batches(missing):
            self.insist(partial(self._enable, batch), _passes, ENABLED_WITHIN)
            self.requested.update(batch)

    def _enable(self, batch: list[str]) -> None:
        operation = self.call("POST", self.fill(self.collection + ":batchEnable"), {"serviceIds": batch})
        failures = (operation.get("response") or {}).get("failures") or ()
        if failures:
            message = "; ".join(f"{item.get('serviceId')}: {item.get('errorMessage')}" for item in failures)
            raise GoogleError(400, "enableFailed", message, api=self.api)

    def is_busy(self, current: Json) -> bool:
        """Whether a service that was enabled just now does not show it yet."""
        return any(current.get(service) != "ENABLED" for service in self.requested)

    def delete(self, current: Json) -> None:
        """Disable them; Service Usage refuses where another enabled API needs one."""
        for service, state in current.items():
            if state == "ENABLED":
                self.call("POST", f"{self.fill(self.collection)}/{service}:disable", {})


def _passes(error: GoogleError) -> bool:
    """Whether Service Usage can do it a little later: somebody enables an API, or a fault that Google knows."""
    message = error.message.lower()
    activation = "another activation or deactivation is in progress" in message
    return activation or ("encountered internal error" in message and "160009" in message)


def _batches(services: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(services), BATCH):
        yield services[start : start + BATCH]


def main() -> None:
    """Entry point."""
    run(Services)


if __name__ == "__main__":
    main()
