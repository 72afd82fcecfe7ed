# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The name server answers its own names and asks the host's resolvers for all others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dnslib import RCODE, RR, A, DNSRecord

from localcloud.engine.dns import NameServer, Resolver

PORT, UPSTREAM_PORT = 18753, 53
MACHINE = "web.europe-west1-b.c.test.internal"


def lookup(name: str) -> str | None:
    """Return the address of the only VM."""
    return "10.0.0.9" if name == MACHINE else None


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Yield a public resolver, on another loopback address."""

    class World(Resolver):
        def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
            reply = request.reply()
            reply.add_answer(RR(request.q.qname, rdata=A("192.0.2.80"), ttl=5))
            return reply

    server = NameServer(World(lookup, []), "127.99.0.1", UPSTREAM_PORT)
    server.start()
    yield "127.99.0.1"
    server.stop()


@pytest.fixture(scope="module", params=[False, True], ids=["udp", "tcp"])
def ask(request: pytest.FixtureRequest, upstream: str) -> Iterator[object]:
    """Yield a function that asks the name server."""
    server = NameServer(Resolver(lookup, ["127.99.0.2", upstream]), "127.0.0.1", PORT)
    server.start()

    def question(name: str, kind: str = "A") -> DNSRecord:
        return DNSRecord.parse(DNSRecord.question(name, kind).send("127.0.0.1", PORT, tcp=request.param, timeout=10))

    yield question
    server.stop()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("storage.googleapis.com", "169.254.169.254"),
        ("accounts.google.com", "169.254.169.254"),
        ("Secretmanager.GoogleApis.com", "169.254.169.254"),
        ("metadata.google.internal", "169.254.169.254"),
        (MACHINE, "10.0.0.9"),
        ("example.org", "192.0.2.80"),
        ("notgoogleapis.com", "192.0.2.80"),
    ],
)
def test_addresses(ask: object, name: str, address: str) -> None:
    assert callable(ask)
    answer = ask(name)
    assert [str(record.rdata) for record in answer.rr] == [address]


def test_what_is_not_there(ask: object) -> None:
    assert callable(ask)
    assert ask("other.europe-west1-b.c.test.internal").header.rcode == RCODE.NXDOMAIN
    no_v6 = ask("storage.googleapis.com", "AAAA")
    assert no_v6.header.rcode == RCODE.NOERROR
    assert not no_v6.rr


def test_no_resolver_answers() -> None:
    server = NameServer(Resolver(lookup, ["127.99.0.3"]), "127.0.0.1", PORT + 1)
    server.start()
    try:
        answer = DNSRecord.parse(DNSRecord.question("example.org").send("127.0.0.1", PORT + 1, timeout=10))
        assert answer.header.rcode == RCODE.SERVFAIL
    finally:
        server.stop()
