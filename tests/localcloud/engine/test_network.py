# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Reachability: host, outsider, VMs of one network and of two, and the cloud's services for VMs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace

from localcloud.engine.base import AddressMap, Rule
from localcloud.engine.nft_network import HOST_ADDRESS, OUTSIDER_ADDRESS, Outsider
from tests.localcloud.engine.world import (
    FAR,
    NETWORK,
    ONE,
    OTHER,
    SSH_FROM_HOST,
    STATE,
    SUBNET,
    TWO,
    World,
    eventually,
    host_connects,
)

EXTERNAL = str(ONE.external_ip)
TO_OUTSIDER = Rule(NETWORK, "INGRESS", 900, True, (f"{OUTSIDER_ADDRESS}/32",), None, (("tcp", ("20-25",)),))


def test_only_allowed_sources_reach_a_machine(world: World, stranger: Outsider) -> None:
    eventually(lambda: host_connects(EXTERNAL, 22))
    assert not stranger.can_connect(EXTERNAL, 22)
    world.open_only(TO_OUTSIDER)
    assert stranger.can_connect(EXTERNAL, 22)
    assert not host_connects(EXTERNAL, 22, 1)


def test_no_rule_no_way_in(world: World, stranger: Outsider) -> None:
    world.open_only()
    assert not host_connects(EXTERNAL, 22, 1)
    assert not stranger.can_connect(EXTERNAL, 22, 1)
    assert not world.connects(TWO, ONE.internal_ip, 22)


def test_priority_and_deny_before_allow(world: World) -> None:
    eventually(lambda: host_connects(EXTERNAL, 22))
    deny = replace(SSH_FROM_HOST, allow=False)
    world.open_only(SSH_FROM_HOST, deny)
    assert not host_connects(EXTERNAL, 22, 1)
    world.open_only(replace(SSH_FROM_HOST, priority=10), deny)
    assert host_connects(EXTERNAL, 22)
    world.open_only(SSH_FROM_HOST, replace(deny, priority=10))
    assert not host_connects(EXTERNAL, 22, 1)


def test_targets_and_ports(world: World) -> None:
    eventually(lambda: host_connects(EXTERNAL, 22))
    world.open_only(replace(SSH_FROM_HOST, target_ips=(TWO.internal_ip,)))
    assert not host_connects(EXTERNAL, 22, 1)
    world.open_only(replace(SSH_FROM_HOST, protocols=(("udp", ()), ("tcp", ("23-30",)))))
    assert not host_connects(EXTERNAL, 22, 1)
    world.open_only(replace(SSH_FROM_HOST, protocols=(("icmp", ()), ("tcp", ()))))
    assert host_connects(EXTERNAL, 22)


def test_the_internal_address_is_not_reachable_from_outside(world: World, stranger: Outsider) -> None:
    world.open_only(replace(SSH_FROM_HOST, source_ranges=()))
    assert host_connects(EXTERNAL, 22)
    assert not host_connects(ONE.internal_ip, 22, 1)
    assert not stranger.can_connect(ONE.internal_ip, 22, 1)


def test_within_a_network_rules_hold_too(world: World) -> None:
    eventually(lambda: world.connects(TWO, ONE.internal_ip, 22))
    assert not world.connects(TWO, ONE.internal_ip, 23)
    world.open_only(SSH_FROM_HOST)
    assert not world.connects(TWO, ONE.internal_ip, 22)


def test_networks_do_not_reach_each_other(world: World) -> None:
    open_far = Rule(OTHER, "INGRESS", 1, True)
    world.open_only(open_far)
    assert not world.connects(ONE, FAR.internal_ip, 22)
    # By its external address the VM is an ordinary host on the Internet. It sees the sender's external address.
    eventually(lambda: world.connects(ONE, str(FAR.external_ip), 22))
    world.open_only(replace(open_far, source_ranges=(f"{ONE.external_ip}/32",)))
    assert world.connects(ONE, str(FAR.external_ip), 22)
    world.open_only(replace(open_far, source_ranges=(SUBNET,)))
    assert not world.connects(ONE, str(FAR.external_ip), 22)


def test_the_sender_is_seen_as_it_is(world: World, stranger: Outsider) -> None:
    serve = "import socket; c, a = socket.create_server(('', 8099)).accept(); c.sendall(a[0].encode()); c.close()"
    ask = "import socket; print(socket.create_connection(('{}', 8099), 3).recv(99).decode())"
    world.open_only(Rule(NETWORK, "INGRESS", 1, True, protocols=(("tcp", ("8099",)),)))

    def listening_on_one() -> None:
        world.run(ONE, "systemd-run", "--quiet", "--collect", "python3", "-c", serve)
        eventually(lambda: "8099" in world.run(ONE, "ss", "-tln"))

    listening_on_one()
    assert stranger.run("python3", "-I", "-c", ask.format(EXTERNAL)).stdout.strip() == stranger.address
    listening_on_one()
    with socket.create_connection((EXTERNAL, 8099), 3) as connection:
        assert connection.recv(99).decode() == HOST_ADDRESS
    # A host outside sees the VM's external address.
    listener = ["ip", "netns", "exec", stranger.namespace, sys.executable, "-I", "-c", serve]
    with subprocess.Popen(listener, stdout=subprocess.DEVNULL):
        eventually(lambda: "8099" in stranger.run("ss", "-tln").stdout)
        assert world.run(ONE, "python3", "-c", ask.format(stranger.address)).strip() == EXTERNAL


def test_egress_rules(world: World) -> None:
    far, open_far = str(FAR.external_ip), Rule(OTHER, "INGRESS", 1, True)
    world.open_only(open_far)
    eventually(lambda: world.connects(ONE, far, 22))
    closed = Rule(NETWORK, "EGRESS", 100, False, (), None, (("tcp", ("22",)),), (f"{far}/32",))
    world.open_only(open_far, closed)
    assert not world.connects(ONE, far, 22)
    world.open_only(open_far, closed, replace(closed, allow=True, priority=99))
    assert world.connects(ONE, far, 22)


def test_without_an_external_address_no_internet(world: World) -> None:
    mirror = r"s|^deb \(http[^ ]*\) .*|\1|p;q"
    url = world.run(ONE, "sed", "-n", mirror, "/etc/apt/sources.list").strip()
    fetch = ("curl", "--silent", "--max-time", "8", "--output", "/dev/null", url)
    assert world.machines.run(ONE.id, *fetch)[0] == 0
    assert world.machines.run(TWO.id, *fetch)[0] != 0
    world.network.apply(replace(STATE, addresses=(*STATE.addresses, AddressMap("198.51.100.73", TWO.internal_ip))))
    assert world.machines.run(TWO.id, *fetch)[0] == 0


def test_names(world: World) -> None:
    resolve = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
    for name, address in (
        ("storage.googleapis.com", "169.254.169.254"),
        ("metadata.google.internal", "169.254.169.254"),
        ("two.zone-a.c.test.internal", TWO.internal_ip),
        ("two", TWO.internal_ip),
    ):
        assert world.run(ONE, "python3", "-c", resolve, name).strip() == address
    assert world.machines.run(ONE.id, "python3", "-c", resolve, "no-such.zone-a.c.test.internal")[0] != 0
    assert "169.254.169.254" in world.run(ONE, "cat", "/etc/resolv.conf")


def test_metadata_by_source_address(world: World) -> None:
    base = "http://metadata.google.internal/computeMetadata/v1"
    ask = ("curl", "--silent", "--fail", "-H", "Metadata-Flavor: Google")
    assert world.run(ONE, *ask, f"{base}/instance/name") == "one"
    assert world.run(TWO, *ask, f"{base}/instance/name") == "two"
    token = json.loads(world.run(TWO, *ask, f"{base}/instance/service-accounts/default/token"))
    assert token["access_token"] == "token of server@test.iam.gserviceaccount.com for scope-a"
    assert world.machines.run(ONE.id, "curl", "--silent", "--fail", f"{base}/instance/name")[0] != 0


def test_google_names_over_tls_with_the_clouds_own_authority(world: World) -> None:
    code = ("--output", "/dev/null", "--write-out", "%{http_code}")
    assert world.run(ONE, "curl", "--silent", "--show-error", *code, "https://storage.googleapis.com/") == "200"


def test_the_doors_for_machines_are_shut_to_others(world: World, stranger: Outsider) -> None:
    for port in (8780, 8743, 8753):
        assert not world.connects(ONE, HOST_ADDRESS, port)
        assert not stranger.can_connect(HOST_ADDRESS, port, 1)
