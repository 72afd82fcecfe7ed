# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A Compute Engine client: `client("POST", "global/networks", {...})` waits for the call's operation."""

from __future__ import annotations

from typing import Any

from localcloud.engine.base import NetworkState
from tests.localcloud.harness import Local, Session

ROOT = "/compute/v1/projects/mlflow-local/"
LINK = "https://www.googleapis.com/compute/v1/projects/mlflow-local/"
REGION = "regions/europe-west1"
ZONE = "zones/europe-west1-b"
DEBIAN = "projects/debian-cloud/global/images/family/debian-13"


class Compute:
    """Compute Engine in one project, as the owner."""

    def __init__(self, local: Local, session: Session | None = None) -> None:
        self.local = local
        self.session = session or local.session()

    def __call__(self, verb: str, path: str, body: Any = None, code: int = 200, *, wait: bool = True) -> Any:
        options = {} if body is None else {"json": body}
        answer = self.session.call(verb, ROOT + path, code, **options)
        if code == 200 and wait and answer.get("kind") == "compute#operation":
            return self.wait(answer)
        return answer

    def wait(self, operation: Any) -> Any:
        path = operation["selfLink"].removeprefix("https://www.googleapis.com")
        done = self.session.call("POST", f"{path}/wait")
        assert done["status"] == "DONE", done
        return done

    def made(self, path: str, body: Any) -> Any:
        """Insert a resource, assert success, return the resource."""
        done = self("POST", path, body)
        assert "error" not in done, done
        return self("GET", f"{path}/{body['name']}")

    def removed(self, path: str) -> None:
        done = self("DELETE", path)
        assert "error" not in done, done
        self("GET", path, code=404)

    def network(self, name: str = "net") -> Any:
        return self.made("global/networks", {"name": name, "autoCreateSubnetworks": False})

    def subnetwork(self, name: str = "sub", cidr: str = "10.128.0.0/20", network: str = "net") -> Any:
        body = {"name": name, "network": f"global/networks/{network}", "ipCidrRange": cidr}
        return self.made(f"{REGION}/subnetworks", body)

    def instance_body(self, name: str = "vm", **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "machineType": f"{ZONE}/machineTypes/e2-standard-2",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}],
            "networkInterfaces": [{"subnetwork": f"{REGION}/subnetworks/sub"}],
        } | fields

    def instance(self, name: str = "vm", **fields: Any) -> Any:
        return self.made(f"{ZONE}/instances", self.instance_body(name, **fields))

    @property
    def state(self) -> NetworkState:
        """Return the last state that was applied to the engine's network."""
        state: NetworkState = self.local.cloud.engine.network.state  # type: ignore[attr-defined]
        return state
