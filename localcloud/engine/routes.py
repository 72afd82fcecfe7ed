# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The host's own routes and resolvers: the local cloud's ranges must not overlap them."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

from localcloud.engine.base import EngineError

RESOLV_CONF = Path("/etc/resolv.conf")


def host_resolvers(path: Path = RESOLV_CONF) -> list[str]:
    """Return the IPv4 name servers of this host, in order."""
    servers = []
    for line in path.read_text().splitlines() if path.exists() else []:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and ":" not in words[1]:
            servers.append(words[1])
    return servers


def host_routes() -> list[tuple[str, str]]:
    """Return destination (CIDR) and device of the host's routes, without the default route."""
    output = subprocess.run(["ip", "-4", "-json", "route", "show"], capture_output=True, text=True, check=True).stdout
    return [(row["dst"], row.get("dev", "")) for row in json.loads(output or "[]") if row["dst"] != "default"]


def refuse_collision(cidr: str, *, ours: str) -> None:
    """Raise EngineError if a route or resolver of the host lies in ``cidr``; interfaces called ``ours…`` are ours."""
    collision = find_collision(cidr, host_routes(), host_resolvers(), ours=ours)
    if collision:
        raise EngineError(f"{cidr} cannot be used on this host: {collision}. Choose another range.")


def find_collision(cidr: str, routes: list[tuple[str, str]], resolvers: list[str], *, ours: str) -> str | None:
    """Return a description of the overlapping route or resolver; None if the range is free."""
    wanted = ipaddress.ip_network(cidr)
    for destination, device in routes:
        if not device.startswith(ours) and ipaddress.ip_network(destination, strict=False).overlaps(wanted):
            return f"the host has a route to {destination} through {device or 'no device'}"
    for resolver in resolvers:
        if ipaddress.ip_address(resolver) in wanted:
            return f"the host's name server {resolver} lies in it"
    return None
