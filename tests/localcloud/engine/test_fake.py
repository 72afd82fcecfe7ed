# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The engine in memory behaves like the Docker engine."""

from __future__ import annotations

import pytest

from localcloud.engine.base import DatabaseSpec, Engine, NetworkState, NotFound, Subnet
from localcloud.engine.fake import FakeMachines, FakeNetwork, fake_engine
from localcloud.metadata.guest_agent import GuestAgent
from tests.localcloud.engine.world import ONE, Directory

SPEC = DatabaseSpec("db", "POSTGRES_17", "network", "10.0.0.0/24", "10.0.0.3", "certificate", "key", {"a": "1"})


@pytest.fixture
def engine() -> Engine:
    """Return an empty engine."""
    return fake_engine()


def test_machine_lifetime(engine: Engine) -> None:
    machines = engine.machines
    machines.create(ONE)
    assert machines.ids() == [ONE.id]
    assert machines.running(ONE.id)
    machines.stop(ONE.id)
    assert not machines.running(ONE.id)
    machines.reset(ONE.id)
    assert machines.running(ONE.id)
    machines.delete(ONE.id)
    machines.delete(ONE.id)
    assert machines.ids() == []
    with pytest.raises(NotFound):
        machines.start(ONE.id)


def test_a_machine_that_boots_publishes_its_host_key() -> None:
    machines, directory = FakeMachines(), Directory({"enable-guest-attributes": "TRUE"})
    GuestAgent(machines, directory).start()
    machines.create(ONE)
    published = directory.guest[ONE.name]["hostkeys"]["ssh-ed25519"]
    assert published.startswith("AAAAC3NzaC1lZDI1NTE5")
    machines.reset(ONE.id)
    assert directory.guest[ONE.name]["hostkeys"]["ssh-ed25519"] == published


def test_a_machine_publishes_nothing_unless_told_to() -> None:
    machines, directory = FakeMachines(), Directory({})
    machines.create(ONE)
    GuestAgent(machines, directory).start()
    assert directory.guest == {}


def test_backup_and_restore(engine: Engine) -> None:
    databases = engine.databases
    databases.create(SPEC)
    databases.execute("db", "CREATE DATABASE a")
    databases.backup("db", "1")
    databases.execute("db", "CREATE DATABASE b")
    databases.restore("db", "1", "db")
    assert vars(databases)["statements"]["db"] == [("postgres", "CREATE DATABASE a")]
    databases.delete_backup("db", "1")
    with pytest.raises(NotFound):
        databases.restore("db", "1", "db")


def test_restart_replaces_flags(engine: Engine) -> None:
    engine.databases.create(SPEC)
    engine.databases.restart("db")
    assert vars(engine.databases)["specs"]["db"].flags == {"a": "1"}
    engine.databases.restart("db", {"b": "2"})
    assert vars(engine.databases)["specs"]["db"].flags == {"b": "2"}


def test_network_remembers(engine: Engine) -> None:
    network = engine.network
    assert isinstance(network, FakeNetwork)
    wanted = NetworkState(subnetworks=(Subnet("n", "10.0.0.0/24"),))
    network.apply(wanted)
    assert network.state == wanted
