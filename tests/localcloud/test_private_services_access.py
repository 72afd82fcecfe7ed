# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The module gcp_private_services_access against the delays and remaining resources of Service Networking."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_private_services_access

from localcloud.commands.env import variables
from localcloud.core.clock import Clock
from localcloud.services.servicenetworking import connections as servicenetworking
from tests.localcloud.compute_client import Compute
from tests.localcloud.harness import PLATFORM, Local
from tests.unit.harness import FakeClock, Play

NETWORK = "projects/mlflow-local/global/networks/net"


class Patience(FakeClock):
    """A module's clock. Its pauses advance the local cloud's clock; the test waits only milliseconds."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.01)  # operations are threads


class CloudClock(Clock):
    """The time of the local cloud: real time plus the module's pauses."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def time(self) -> float:
        return super().time() + sum(self._patience.sleeps)


class Access:
    """The module, on the network `net`."""

    def __init__(self, local: Local, play: Play) -> None:
        self.compute = Compute(local)
        self._local, self._play = local, play

    def __call__(self, state: str = "present", name: str = "one", **kwargs: Any) -> Any:
        token = self._local.cloud.auth.issue_access_token(
            "owner@mlflow-local.iam.gserviceaccount.com", [PLATFORM]
        ).token
        length = {"prefix_length": 24} if state == "present" else {}
        who = {"project": "mlflow-local", "access_token": token, "network": "net", "range_name": name, "state": state}
        return self._play(gcp_private_services_access, **who, **length, **kwargs)

    def reachable(self) -> bool:
        """Return whether a database gets an address in the network. Deletes the database at once."""
        address, _ = servicenetworking.allocate(self._local.cloud, NETWORK)
        servicenetworking.release(self._local.cloud, NETWORK, address)
        return bool(address)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    patience = Patience()
    monkeypatch.setattr(_client, "Clock", lambda: patience)
    return patience


@pytest.fixture
def access(
    local: Local, patience: Patience, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Access:
    for name, value in variables(local.settings).items():
        monkeypatch.setenv(name, value)
    local.cloud.clock = CloudClock(patience)
    access = Access(local, Play(capsys))
    access.compute.network()
    return access


def test_the_service_agent_of_a_new_project_is_waited_for(local: Local, access: Access, patience: Patience) -> None:
    local.cloud.profiles.change({"service_agents": 60})
    local.cloud.activate("mlflow-local", "servicenetworking.googleapis.com")
    assert access()["resource"]["connected"]
    assert access.reachable()
    assert 30 < sum(patience.sleeps) < 120  # the real time of the test counts too
    assert not access()["changed"]


def test_a_service_agent_that_does_not_come_is_named(local: Local, access: Access) -> None:
    local.cloud.profiles.change({"service_agents": 3600})
    local.cloud.activate("mlflow-local", "servicenetworking.googleapis.com")
    assert "gcloud beta services identity create" in access(fails=True)["msg"]


def test_it_is_removed_in_two_runs(local: Local, access: Access, patience: Patience) -> None:
    """The first run ends after the removal of the peering: Service Networking still lists the connection."""
    access()
    assert access.reachable()
    patience.sleeps.clear()
    fault = {"method": "compute.globalAddresses.delete", "code": 403, "reason": "forbidden", "message": "not now"}
    access.compute.session.call("POST", "/localcloud/faults", json=fault)
    access("absent", fails=True)
    assert sum(patience.sleeps) < 10  # waiting would not help
    assert "peerings" not in access.compute("GET", "global/networks/net")
    assert access("absent")["changed"]
    assert not access("absent")["changed"]
    access.compute.removed("global/networks/net")


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_network_whose_peering_was_removed_is_connected_again(access: Access, name: str) -> None:
    access()
    assert access.reachable()
    access.compute("POST", "global/networks/net/removePeering", {"name": servicenetworking.PEERING})
    assert access(name=name)["changed"]
    assert access.reachable()
    assert access("absent", name=name)["changed"]
