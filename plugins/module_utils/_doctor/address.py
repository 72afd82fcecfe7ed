# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the address of a deployment."""

from __future__ import annotations

import socket
import time

from .endpoint import CONNECT_SECONDS, Endpoint
from .remedies import SITE
from .results import CheckResult, fail, ok, one_line, warn


def address(endpoint: Endpoint, zone: str = "") -> CheckResult:
    """Check that the name resolves to the static address, and that the port accepts connections.

    `zone` is the managed zone of Cloud DNS in which the playbooks write the record, or empty.
    """
    target, port, static = endpoint.target, endpoint.port, endpoint.address
    known = static if isinstance(static, str) else "the static address of the deployment"
    remedy = f"create the DNS record {target}, type A, with {known}"
    if zone:
        remedy = (
            f"write the record in managed zone {zone}: {SITE}; if the zone has the record, the parent zone must refer"
            " to the name servers of the zone: docs/operations/dns.md"
        )
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(target, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return fail("address", f"{target} does not resolve: {error}", remedy)
    if isinstance(static, str) and static not in found:
        resolved = ", ".join(sorted(found))
        return fail("address", f"{target} resolves to {resolved}, but the static address is {static}", remedy)
    begin = time.monotonic()
    try:
        socket.create_connection((target, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return fail(
            "address",
            f"{target} accepts no connection on port {port}: {error}",
            "see the checks vm, units and drift (firewall);"
            " infrastructure_client_source_ranges must contain the address of this control node",
        )
    milliseconds = (time.monotonic() - begin) * 1000
    name = f"{target} resolves to {static}" if isinstance(static, str) and target != static else target
    value = f"{name}; port {port} accepts connections ({milliseconds:.0f} ms)"
    if isinstance(static, Exception):
        return warn("address", f"{value}; the static address is unknown: {one_line(static)}", SITE)
    return ok("address", value)
