# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Firewall rules become nftables text with Google's semantics. Ranges that the host uses are refused."""

from __future__ import annotations

import pytest

from localcloud.engine.base import AddressMap, EngineError, NetworkState, Rule, Subnet
from localcloud.engine.docker_common import bridge_name
from localcloud.engine.nft_rules import Ports, ruleset
from localcloud.engine.routes import find_collision, host_resolvers

PORTS = Ports("198.51.100.1", 1, 2, 3, 4)
SUBNET = Subnet("n", "10.0.0.0/24")


def chain(name: str, *rules: Rule, addresses: tuple[AddressMap, ...] = ()) -> list[str]:
    """Return the lines of one chain for these rules."""
    text = ruleset(NetworkState((SUBNET,), (), addresses, rules), PORTS, "198.51.100.0/24")
    lines = text.split(f"chain {name} {{\n")[1].splitlines()
    return lines[: lines.index("}")]


def ingress(priority: int = 1000, allow: bool = True, sources: tuple[str, ...] = (), **rest: object) -> Rule:
    """Return an ingress rule of the network."""
    return Rule("n", "INGRESS", priority, allow, sources, **rest)  # type: ignore[arg-type]


def test_nothing_allowed_without_a_rule() -> None:
    assert chain("ingress") == ["ct status dnat ip saddr @subnets goto ingress_by_external", "drop"]
    assert chain("ingress_by_external") == ["drop"]
    assert chain("egress") == []


def test_order_is_priority_then_deny() -> None:
    rules = (
        ingress(20, sources=("1.0.0.0/8",)),
        ingress(10, sources=("2.0.0.0/8",)),
        ingress(10, allow=False, sources=("3.0.0.0/8",)),
    )
    verdicts = [(line.split()[3], line.split()[-1]) for line in chain("ingress", *rules)[1:-1]]
    assert verdicts == [("3.0.0.0/8", "drop"), ("2.0.0.0/8", "accept"), ("1.0.0.0/8", "accept")]


def test_protocols_and_ports() -> None:
    rule = ingress(protocols=(("tcp", ("22", "8000-8080")), ("UDP", ()), ("icmp", ()), ("50", ())))
    matches = [line.removeprefix("ip daddr { 10.0.0.0/24 } ") for line in chain("ingress", rule)[1:-1]]
    assert matches == [
        "tcp dport { 22, 8000-8080 } accept",
        "meta l4proto udp accept",
        "meta l4proto icmp accept",
        "meta l4proto 50 accept",
    ]
    assert chain("ingress", ingress(protocols=(("all", ()),)))[1] == "ip daddr { 10.0.0.0/24 } accept"
    with pytest.raises(EngineError, match="nonsense"):
        chain("ingress", ingress(protocols=(("nonsense", ()),)))


def test_a_rule_with_targets_that_no_machine_has_is_no_rule() -> None:
    assert chain("ingress", ingress(target_ips=())) == chain("ingress")


def test_ranges_of_ipv6_only_allow_nobody() -> None:
    assert chain("ingress", ingress(sources=("::/0",))) == chain("ingress")
    assert "2.0.0.0/8" in chain("ingress", ingress(sources=("::/0", "2.0.0.0/8")))[1]


def test_overlapping_ranges_are_merged() -> None:
    line = chain("ingress", ingress(sources=("2.0.0.0/8", "2.3.0.0/16", "4.4.4.4/32")))[1]
    assert line.startswith("ip saddr { 2.0.0.0/8, 4.4.4.4 } ")


def test_a_machine_that_came_by_external_address_is_known_by_it() -> None:
    addresses = (AddressMap("198.51.100.7", "10.0.0.7"),)
    by_external = chain("ingress_by_external", ingress(sources=("198.51.100.0/24",)), addresses=addresses)
    assert by_external[0].startswith("ip saddr { 10.0.0.7 } ")
    assert chain("ingress_by_external", ingress(sources=("10.0.0.0/8",)), addresses=addresses) == ["drop"]


@pytest.mark.parametrize(
    ("cidr", "found"),
    [
        ("10.1.0.0/16", "10.1.2.0/24 through eth0"),
        ("192.168.0.0/24", "name server 192.168.0.53"),
        ("10.9.0.0/16", None),
        ("10.2.0.0/16", None),
    ],
)
def test_collisions(cidr: str, found: str | None) -> None:
    routes = [("10.1.2.0/24", "eth0"), ("10.2.0.0/16", "mlcabc")]
    said = find_collision(cidr, routes, ["192.168.0.53"], ours="mlc")
    assert said is None if found is None else found in (said or "")


def test_resolvers(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("etc") / "resolv.conf"
    path.write_text("# a comment\nsearch x\nnameserver 192.0.2.53\nnameserver ::1\n")
    assert host_resolvers(path) == ["192.0.2.53"]


def test_interface_names_fit() -> None:
    assert len(bridge_name("a-very-long-network-name-indeed", "10.128.0.0/20")) <= 15
    assert bridge_name("a", "10.0.0.0/24") != bridge_name("b", "10.0.0.0/24")
