# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Render a :class:`NetworkState` as an nftables table. Pure: no access to the host.

The rules apply in Google's order: established connections; egress rules of the sender; reachability (same network,
peered range or external address); ingress rules of the receiver.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from localcloud.engine.base import EngineError, NetworkState, Rule

TABLE = "mlflow-localcloud"
METADATA_ADDRESS = "169.254.169.254"
ACME_PORT = 14000
_PORT_PROTOCOLS = ("tcp", "udp", "sctp")
_PROTOCOLS = {"icmp": "icmp", "esp": "esp", "ah": "ah", "ipip": "4"}


@dataclass(frozen=True)
class Ports:
    """The ports on which the local cloud listens for VMs."""

    host: str
    metadata: int
    dns: int
    api: int
    acme: int


def ruleset(state: NetworkState, ports: Ports, external_range: str) -> str:
    """Return a script for ``nft -f`` that replaces the whole table in one transaction."""
    subnets = [subnet.cidr for subnet in state.subnetworks]
    peered = [subnet.cidr for subnet in state.peered_ranges]
    networks = sorted({subnet.network for subnet in state.subnetworks})
    names = {network: f"net{number}" for number, network in enumerate(networks)}
    lines = [
        f"add table ip {TABLE}",
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        *_map("to_internal", [(address.external, address.internal) for address in state.addresses]),
        *_map("to_external", [(address.internal, address.external) for address in state.addresses]),
        *_set("subnets", subnets),
        *_set("peered", peered),
        *_set("ours", [*subnets, *peered]),
        *_set("with_external", [address.internal for address in state.addresses]),
        *_nat_chains(ports, external_range),
        *_filter_chains(ports),
        *_reach_chain(state, names),
        *_egress_chain(state, names),
        *_ingress_chains(state, names),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _nat_chains(ports: Ports, external_range: str) -> list[str]:
    return [
        "chain prerouting {",
        "type nat hook prerouting priority dstnat - 5; policy accept;",
        f"ip saddr @subnets ip daddr {METADATA_ADDRESS} tcp dport 80 dnat to {ports.host}:{ports.metadata}",
        f"ip saddr @subnets ip daddr {METADATA_ADDRESS} tcp dport 443 dnat to {ports.host}:{ports.api}",
        f"ip saddr @subnets ip daddr {METADATA_ADDRESS} tcp dport {ACME_PORT} dnat to {ports.host}:{ports.acme}",
        f"ip saddr @subnets ip daddr {METADATA_ADDRESS} meta l4proto {{ tcp, udp }} th dport 53"
        f" dnat to {ports.host}:{ports.dns}",
        "dnat to ip daddr map @to_internal",
        "}",
        "chain output {",
        "type nat hook output priority -105; policy accept;",
        "dnat to ip daddr map @to_internal",
        "}",
        "chain postrouting {",
        "type nat hook postrouting priority srcnat - 5; policy accept;",
        # Between VMs by external address: the receiver sees the sender's external address.
        "ct status dnat snat to ip saddr map @to_external",
        "ip saddr @ours ip daddr @ours return",
        f"ip daddr {external_range} snat to ip saddr map @to_external",
        # The real Internet knows only this host.
        "ip saddr @with_external masquerade",
        "}",
        "chain local_source {",
        "type nat hook input priority 95; policy accept;",
        "ct status dnat return",
        "snat to ip saddr map @to_external",
        "}",
    ]


def _filter_chains(ports: Ports) -> list[str]:
    return [
        "chain forward {",
        "type filter hook forward priority filter - 5; policy accept;",
        "ip saddr != @ours ip daddr != @ours accept",
        "ct state established,related accept",
        "ct state invalid drop",
        "jump egress",
        "jump reach",
        "jump ingress",
        "}",
        "chain input {",
        "type filter hook input priority filter - 5; policy accept;",
        # Only VMs may use the ports for VMs, and only under the metadata server's address.
        f"ip saddr @subnets ct status dnat ct original ip daddr {METADATA_ADDRESS} accept",
        f'iifname != "lo" ip daddr {ports.host} meta l4proto {{ tcp, udp }}'
        f" th dport {{ {ports.metadata}, {ports.dns}, {ports.api}, {ports.acme} }} drop",
        "ip saddr != @ours accept",
        "ct state established,related accept",
        "ct state invalid drop",
        "ip saddr @peered drop",
        "jump egress",
        # To a VM, the host is a host on the Internet.
        "ip saddr != @with_external drop",
        "}",
        "chain output_filter {",
        "type filter hook output priority filter - 5; policy accept;",
        "ip daddr != @ours accept",
        "ct state established,related accept",
        # The host is outside the VPC: it reaches a VM by its external address only.
        "ct status & dnat != dnat drop",
        "jump ingress",
        "}",
    ]


def _reach_chain(state: NetworkState, names: dict[str, str]) -> list[str]:
    lines = ["chain reach {"]
    for network in names:
        own = _braces(subnet.cidr for subnet in state.subnetworks if subnet.network == network)
        lines.append(f"ip saddr {own} ip daddr {own} return")
        peered = [subnet.cidr for subnet in state.peered_ranges if subnet.network == network]
        if peered:
            lines.append(f"ip saddr {own} ip daddr {_braces(peered)} accept")
    return [
        *lines,
        "ip saddr @peered drop",
        "ip daddr @peered drop",
        "ip daddr @subnets ct status dnat return",
        "ip daddr @subnets drop",
        # Only VMs with an external address reach the Internet.
        "ip saddr @with_external accept",
        "drop",
        "}",
    ]


def _egress_chain(state: NetworkState, names: dict[str, str]) -> list[str]:
    lines = ["chain egress {"]
    for rule in _ordered(state, "EGRESS"):
        if rule.network not in names:
            continue
        # Rules match the address that the VM used, before translation.
        for match in _protocol_matches(rule):
            source = _targets(state, rule)
            destination = _range_match("ct original ip daddr", rule.destination_ranges)
            if source is not None:
                lines.append(_join(f"ip saddr {source}", destination, match, "return" if rule.allow else "drop"))
    return [*lines, "}"]


def _ingress_chains(state: NetworkState, names: dict[str, str]) -> list[str]:
    """Return two chains: for untranslated source addresses, and for VMs that used an external address."""
    internal_of = {address.external: address.internal for address in state.addresses}

    def plain(ranges: tuple[str, ...]) -> str | None:
        return _range_match("ip saddr", ranges)

    def by_external(ranges: tuple[str, ...]) -> str | None:
        if not ranges:
            return ""
        networks = [ipaddress.ip_network(cidr, strict=False) for cidr in ranges]
        inside = [
            internal
            for external, internal in internal_of.items()
            if any(ipaddress.ip_address(external) in network for network in networks)
        ]
        return f"ip saddr {_braces(inside)}" if inside else None

    return [
        "chain ingress {",
        "ct status dnat ip saddr @subnets goto ingress_by_external",
        *_ingress_rules(state, names, plain),
        "drop",
        "}",
        "chain ingress_by_external {",
        *_ingress_rules(state, names, by_external),
        "drop",
        "}",
    ]


def _ingress_rules(
    state: NetworkState, names: dict[str, str], source_match: Callable[[tuple[str, ...]], str | None]
) -> list[str]:
    lines = []
    for rule in _ordered(state, "INGRESS"):
        targets = _targets(state, rule) if rule.network in names else None
        source = source_match(rule.source_ranges)
        if targets is None or source is None:
            continue
        for match in _protocol_matches(rule):
            lines.append(_join(source, f"ip daddr {targets}", match, "accept" if rule.allow else "drop"))
    return lines


def _ordered(state: NetworkState, direction: str) -> list[Rule]:
    """Sort rules by ascending priority number; with equal priority, deny first."""
    return sorted((rule for rule in state.firewall if rule.direction == direction), key=lambda r: (r.priority, r.allow))


def _targets(state: NetworkState, rule: Rule) -> str | None:
    """Return a rule's target addresses as an nftables expression; None if there are none."""
    if rule.target_ips is None:
        return _braces(subnet.cidr for subnet in state.subnetworks if subnet.network == rule.network)
    return _braces(rule.target_ips) if rule.target_ips else None


def _range_match(field: str, ranges: tuple[str, ...]) -> str | None:
    """Return a match on IPv4 ranges: empty for any address, None for IPv6 ranges only (there is no IPv6 here)."""
    v4 = [cidr for cidr in ranges if ":" not in cidr]
    if not ranges or any(ipaddress.ip_network(cidr, strict=False).prefixlen == 0 for cidr in v4):
        return ""
    return f"{field} {_braces(v4)}" if v4 else None


def _protocol_matches(rule: Rule) -> list[str]:
    if not rule.protocols:
        return [""]
    matches = []
    for protocol, ports in rule.protocols:
        name = {"6": "tcp", "17": "udp", "132": "sctp", "1": "icmp"}.get(protocol.lower(), protocol.lower())
        if name == "all":
            matches.append("")
        elif name in _PORT_PROTOCOLS:
            matches.append(f"{name} dport {{ {', '.join(ports)} }}" if ports else f"meta l4proto {name}")
        elif name in _PROTOCOLS or name.isdecimal():
            matches.append(f"meta l4proto {_PROTOCOLS.get(name, name)}")
        else:
            raise EngineError(f"unknown IP protocol {protocol!r} in a firewall rule")
    return matches


def _join(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _collapse(cidrs: Iterable[str]) -> list[str]:
    """Merge overlapping ranges: nftables refuses overlapping intervals."""
    return [
        str(network).removesuffix("/32")
        for network in ipaddress.collapse_addresses(ipaddress.IPv4Network(cidr, strict=False) for cidr in cidrs)
    ]


def _braces(cidrs: Iterable[str]) -> str:
    return f"{{ {', '.join(_collapse(cidrs))} }}"


def _set(name: str, cidrs: Iterable[str]) -> list[str]:
    elements = _collapse(cidrs)
    content = f"elements = {{ {', '.join(elements)} }}" if elements else ""
    return [f"set {name} {{", "type ipv4_addr; flags interval;", content, "}"]


def _map(name: str, pairs: list[tuple[str, str]]) -> list[str]:
    content = f"elements = {{ {', '.join(f'{left} : {right}' for left, right in sorted(pairs))} }}" if pairs else ""
    return [f"map {name} {{", "type ipv4_addr : ipv4_addr;", content, "}"]
