# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The name server at 169.254.169.254: answers Google's names, VMs' names and hosted zones, forwards all others."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence

from dnslib import PTR, QTYPE, RCODE, RR, A, DNSQuestion, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from localcloud.engine import zones
from localcloud.engine.base import HostedZone, RecordSet, ZoneLookup
from localcloud.engine.routes import host_resolvers

METADATA_ADDRESS = "169.254.169.254"
_OWN_NAMES = ("metadata.google.internal", "metadata")
# googledomains.com: the name servers of the hosted zones.
_OWN_ZONES = ("googleapis.com", "accounts.google.com", "googledomains.com")
_FORWARD_SECONDS = 3.0
_LONGEST_CHAIN = 8

Lookup = Callable[[str], "str | None"]
"""Maps ``NAME.ZONE.c.PROJECT.internal`` to an internal address, or to None if there is no such VM."""


class Resolver(BaseResolver):  # type: ignore[misc]  # dnslib is untyped
    """Answers a question from its own names, from the hosted zones or from the host's resolvers."""

    def __init__(
        self, lookup: Lookup, upstream: Sequence[str] | None = None, *, zone_of: ZoneLookup = lambda _: None
    ) -> None:
        self._lookup = lookup
        self._zone_of = zone_of
        self._upstream = list(host_resolvers() if upstream is None else upstream)

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """Return the answer to a request; SERVFAIL if no resolver of the host answers."""
        return self._answer(request, tcp=handler.protocol == "tcp")

    def _answer(self, request: DNSRecord, *, tcp: bool, aliases: int = 0) -> DNSRecord:
        """Return the answer after a number of aliases (CNAME records)."""
        name = str(request.q.qname).rstrip(".").lower()
        reply = request.reply()
        own, address = self._own(name)
        if own:
            if address is None:
                reply.header.rcode = RCODE.NXDOMAIN
            elif request.q.qtype in (QTYPE.A, QTYPE.ANY):  # the name exists, without records of other types
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=30))
            return reply
        if name == "254.169.254.169.in-addr.arpa" and request.q.qtype == QTYPE.PTR:
            reply.add_answer(RR(request.q.qname, QTYPE.PTR, rdata=PTR(_OWN_NAMES[0]), ttl=30))
            return reply
        zone = self._zone_of(f"{name}.")
        if zone is not None:
            return self._hosted(zone, request, tcp=tcp, aliases=aliases)
        return self._forward(request, tcp=tcp)

    def _hosted(self, zone: HostedZone, request: DNSRecord, *, tcp: bool, aliases: int) -> DNSRecord:
        """Return the answer of a hosted zone, with the records of an alias's target."""
        reply = request.reply()
        found = zones.answer(zone, str(request.q.qname).lower(), str(QTYPE.get(request.q.qtype)))
        for record_set in found.record_sets:
            reply.add_answer(*_records(request.q.qname, record_set))
        if found.alias is not None:
            if aliases == _LONGEST_CHAIN:
                reply.header.rcode = RCODE.SERVFAIL
                return reply
            question = DNSRecord(q=DNSQuestion(found.alias, request.q.qtype))
            question.header.rd = 1
            target = self._answer(question, tcp=tcp, aliases=aliases + 1)
            reply.add_answer(*target.rr)
            reply.add_auth(*target.auth)
            reply.header.rcode = target.header.rcode
        elif not found.record_sets:
            reply.add_auth(*_records(zone.name, zones.start_of_authority(zone)))
            reply.header.rcode = RCODE.NOERROR if found.exists else RCODE.NXDOMAIN
        return reply

    def _own(self, name: str) -> tuple[bool, str | None]:
        """Return whether the name is our own, and its address."""
        if name in _OWN_NAMES or any(name == zone or name.endswith(f".{zone}") for zone in _OWN_ZONES):
            return True, METADATA_ADDRESS
        if name == "internal" or name.endswith(".internal"):
            return True, self._lookup(name)
        return False, None

    def _forward(self, request: DNSRecord, *, tcp: bool) -> DNSRecord:
        packet = request.pack()
        for server in self._upstream:
            try:
                answer = request.send(server, 53, tcp=tcp, timeout=_FORWARD_SECONDS)
                return DNSRecord.parse(answer)
            except (OSError, ValueError):
                continue
        if not self._upstream:  # the host has no name servers: use its resolver library
            return self._ask_host(request)
        reply = DNSRecord.parse(packet).reply()
        reply.header.rcode = RCODE.SERVFAIL
        return reply

    @staticmethod
    def _ask_host(request: DNSRecord) -> DNSRecord:
        reply = request.reply()
        if request.q.qtype in (QTYPE.A, QTYPE.ANY):
            try:
                found = socket.getaddrinfo(str(request.q.qname).rstrip("."), None, socket.AF_INET, socket.SOCK_STREAM)
            except OSError:
                reply.header.rcode = RCODE.NXDOMAIN
                return reply
            for address in sorted({str(entry[4][0]) for entry in found}):
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(str(ipaddress.IPv4Address(address))), ttl=30))
        return reply


def _records(name: object, record_set: RecordSet) -> list[RR]:
    """Return the records of a set; `name` is the name in question, which a wildcard's records get."""
    lines = [f"{name} {record_set.ttl} IN {record_set.type} {data}" for data in record_set.data]
    return [record for line in lines for record in RR.fromZone(line)]


class NameServer:
    """UDP and TCP listeners for a resolver, each in a thread of its own."""

    def __init__(self, resolver: Resolver, address: str, port: int) -> None:
        self._servers = [
            DNSServer(resolver, address=address, port=port, tcp=tcp, logger=_Silent()) for tcp in (False, True)
        ]
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the listeners."""
        for server in self._servers:
            server.start_thread()

    def stop(self) -> None:
        """Stop the listeners and free the ports."""
        with self._lock:
            for server in self._servers:
                server.stop()
                server.server.server_close()


class _Silent:
    """A logger that drops all messages. By default dnslib logs every packet to standard output."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None
