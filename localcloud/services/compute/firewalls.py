# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Firewall rules of VPC networks."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.compute import removal
from localcloud.services.compute.api import (
    api,
    checked_name,
    invalid,
    last,
    link,
    listed,
    new,
    operation,
    place,
    ready,
    relative,
    resources,
)

_WITH_PORTS = ("tcp", "udp", "sctp")
_PROTOCOLS = (*_WITH_PORTS, "icmp", "esp", "ah", "ipip", "all")
_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "50": "esp", "51": "ah", "132": "sctp"}
_FIELDS = (
    "description", "network", "priority", "direction", "allowed", "denied", "sourceRanges", "destinationRanges",
    "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts", "disabled", "logConfig",
)  # fmt: skip
_LISTS = _FIELDS[4:12]
_FIXED = ("network", "direction")


def _name(call: Call) -> str:
    return f"{place(call)}/firewalls/{call.params['firewall']}"


def _completed(call: Call, given: Json) -> Json:
    """Return the rule with Google's defaults, after a check."""
    rule = {k: v for k, v in given.items() if v is not None and not (k in _LISTS and v == [])}
    network = relative(
        call.cloud, call.project or "", rule.get("network") or "global/networks/default", "resource.network"
    )
    resources(call.cloud, "networks").get(network)
    ready(call.cloud, network)
    rule["network"] = link(network)
    rule.setdefault("direction", "INGRESS")
    rule.setdefault("priority", 1000)
    rule.setdefault("disabled", False)
    rule.setdefault("logConfig", {"enable": False})
    if not 0 <= rule["priority"] <= 65535:
        raise invalid("resource.priority", rule["priority"], "Must be between 0 and 65535.")
    if ("allowed" in rule) == ("denied" in rule):
        raise ApiError(400, "invalid", "A firewall rule must have either allowed or denied entries, and not both.")
    ingress = rule["direction"] == "INGRESS"
    wrong = ("destinationRanges",) if ingress else ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    for field in wrong:
        if field in rule and not (ingress and field == "destinationRanges"):
            raise invalid(f"resource.{field}", rule[field], f"It does not go with direction {rule['direction']}.")
    if ingress and not any(field in rule for field in ("sourceRanges", "sourceTags", "sourceServiceAccounts")):
        rule["sourceRanges"] = ["0.0.0.0/0"]
    if not ingress:
        rule.setdefault("destinationRanges", ["0.0.0.0/0"])
    tagged = any("Tags" in field for field in rule)
    if tagged and any(field.endswith("ServiceAccounts") for field in rule):
        raise ApiError(400, "invalid", "A firewall rule cannot use tags and service accounts together.")
    _check_ranges(rule)
    key = "allowed" if "allowed" in rule else "denied"
    rule[key] = [_entry(entry, f"resource.{key}[{index}]") for index, entry in enumerate(rule[key])]
    return rule


def _check_ranges(rule: Json) -> None:
    for field in ("sourceRanges", "destinationRanges"):
        for index, cidr in enumerate(rule.get(field, ())):
            try:
                ipaddress.ip_network(cidr)
            except ValueError:
                raise invalid(f"resource.{field}[{index}]", cidr, "Must be a valid CIDR address range.") from None
    for field in ("sourceTags", "targetTags"):
        for index, tag in enumerate(rule.get(field, ())):
            if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", tag):
                raise invalid(f"resource.{field}[{index}]", tag, "Must be a valid network tag.")


def _entry(entry: Json, field: str) -> Json:
    protocol = str(entry.get("IPProtocol") or "").lower()
    protocol = _NUMBERS.get(protocol, protocol)
    if protocol not in _PROTOCOLS and not (protocol.isdecimal() and int(protocol) < 256):
        raise invalid(f"{field}.IPProtocol", entry.get("IPProtocol"), "Must be a protocol's name or number.")
    ports: list[Any] = entry.get("ports") or []
    for port in ports:
        found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(port))
        if protocol not in _WITH_PORTS or not found or not int(found[1]) <= int(found[2] or found[1]) <= 65535:
            raise invalid(f"{field}.ports", port, "Must be a port or a range of ports of tcp, udp or sctp.")
    return {"IPProtocol": protocol} | ({"ports": [str(port) for port in ports]} if ports else {})


@api.method("compute.firewalls.insert", permission="compute.firewalls.create")
def insert(call: Call) -> Json:
    """Create a rule."""
    name = f"{place(call)}/firewalls/{checked_name(call.body)}"

    def create() -> Json:
        rule = _completed(call, {k: v for k, v in call.body.items() if k in _FIELDS})
        return resources(call.cloud, "firewalls").create(name, new(call, "compute#firewall", name) | rule)

    return operation(call, "insert", name, create)


@api.method("compute.firewalls.get", permission="compute.firewalls.get")
def get(call: Call) -> Json:
    """Return one rule."""
    return resources(call.cloud, "firewalls").get(_name(call))


@api.method("compute.firewalls.list", permission="compute.firewalls.list")
def list_firewalls(call: Call) -> Json:
    """Return the rules of a project."""
    return listed(call, "compute#firewallList", resources(call.cloud, "firewalls").list(f"{place(call)}/firewalls/"))


@api.method("compute.firewalls.patch", permission="compute.firewalls.update")
def patch(call: Call) -> Json:
    """Change the given fields."""
    name = _name(call)
    given = {k: v for k, v in call.body.items() if k in _FIELDS}

    def update() -> Json:
        ready(call.cloud, name)
        stored = resources(call.cloud, "firewalls").get(name)
        kept = {k: v for k, v in stored.items() if k not in _FIELDS}
        fixed = {k: stored[k] for k in _FIXED}
        wanted = {k: v for k, v in merge(stored, given).items() if k in _FIELDS}
        for one, other in (("allowed", "denied"), ("denied", "allowed")):
            if given.get(one) and other not in given:
                wanted.pop(other, None)
        rule = _completed(call, wanted)
        for field, value in fixed.items():
            if rule[field] != value:
                raise invalid(f"resource.{field}", rule[field], "This field cannot be changed.")
        if call.body.get("name") not in (None, last(name)):
            raise invalid("resource.name", call.body["name"], "This field cannot be changed.")
        return resources(call.cloud, "firewalls").update(name, lambda _: kept | rule)

    return operation(call, "compute.firewalls.patch", name, update)


@api.method("compute.firewalls.delete", permission="compute.firewalls.delete")
def delete(call: Call) -> Json:
    """Delete a rule."""
    return removal.delete(call, "firewalls", _name(call))


def _check(cloud: Cloud, rule: Json) -> None:
    """Allow every deletion: no resource uses a rule."""


removal.checked_by("firewalls", _check)
