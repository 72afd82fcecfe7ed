# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The name server answers its own names and hosted zones, and asks the host's resolvers for all others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from localcloud.engine.base import HostedZone, RecordSet
from localcloud.engine.dns import NameServer, Resolver

PORT, UPSTREAM_PORT = 18753, 53
MACHINE = "web.europe-west1-b.c.test.internal"


APEX = "example.test."
ZONE = HostedZone(
    APEX,
    (
        RecordSet(APEX, "SOA", 21600, ("ns.example.net. admin.example.net. 1 21600 3600 259200 300",)),
        RecordSet(APEX, "NS", 21600, ("ns.example.net.",)),
        RecordSet(APEX, "CAA", 300, ('0 issue "pki.goog"',)),
        RecordSet(APEX, "MX", 300, ("10 mail.example.test.",)),
        RecordSet("mlflow.example.test.", "A", 60, ("192.0.2.1", "192.0.2.2")),
        RecordSet("mlflow.example.test.", "AAAA", 60, ("2001:db8::1",)),
        RecordSet("text.example.test.", "TXT", 300, ('"one two" "three"', '"say \\"yes\\""')),
        RecordSet("alias.example.test.", "CNAME", 300, ("mlflow.example.test.",)),
        RecordSet("away.example.test.", "CNAME", 300, ("example.org.",)),
        RecordSet("lost.example.test.", "CNAME", 300, ("none.example.test.",)),
        RecordSet("loop.example.test.", "CNAME", 300, ("loop.example.test.",)),
        RecordSet("*.wild.example.test.", "A", 300, ("192.0.2.3",)),
        RecordSet("a.deep.wild.example.test.", "A", 300, ("192.0.2.4",)),
    ),
)


def zone_of(name: str) -> HostedZone | None:
    """Return the only zone."""
    return ZONE if f".{name}".endswith(f".{APEX}") else None


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
    server = NameServer(Resolver(lookup, ["127.99.0.2", upstream], zone_of=zone_of), "127.0.0.1", PORT)
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


@pytest.mark.parametrize(
    ("name", "kind", "records"),
    [
        ("mlflow.example.test", "A", ["A 192.0.2.1", "A 192.0.2.2"]),
        ("MLflow.Example.test", "AAAA", ["AAAA 2001:db8::1"]),
        ("text.example.test", "TXT", ['TXT "one two","three"', 'TXT "say "yes""']),
        (APEX, "CAA", ['CAA 0 issue "pki.goog"']),
        (APEX, "NS", ["NS ns.example.net."]),
        (APEX, "MX", ["MX 10 mail.example.test."]),
        (APEX, "SOA", ["SOA ns.example.net. admin.example.net. 1 21600 3600 259200 300"]),
        ("alias.example.test", "A", ["CNAME mlflow.example.test.", "A 192.0.2.1", "A 192.0.2.2"]),
        ("alias.example.test", "CNAME", ["CNAME mlflow.example.test."]),
        ("away.example.test", "A", ["CNAME example.org.", "A 192.0.2.80"]),
        ("x.wild.example.test", "A", ["A 192.0.2.3"]),
        ("x.y.wild.example.test", "A", ["A 192.0.2.3"]),
        ("a.deep.wild.example.test", "A", ["A 192.0.2.4"]),
    ],
)
def test_records_of_a_hosted_zone(ask: object, name: str, kind: str, records: list[str]) -> None:
    assert callable(ask)
    answer = ask(name, kind)
    assert [f"{QTYPE[record.rtype]} {record.rdata}" for record in answer.rr] == records
    assert str(answer.rr[0].rname).rstrip(".").lower() == name.rstrip(".").lower()
    assert (answer.header.rcode, answer.auth) == (RCODE.NOERROR, [])


def test_the_ttl_of_a_record(ask: object) -> None:
    assert callable(ask)
    assert ask("mlflow.example.test").rr[0].ttl == 60


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("none.example.test", "A", RCODE.NXDOMAIN),
        ("lost.example.test", "A", RCODE.NXDOMAIN),
        ("mlflow.example.test", "TXT", RCODE.NOERROR),
        ("x.wild.example.test", "AAAA", RCODE.NOERROR),
        ("deep.wild.example.test", "A", RCODE.NOERROR),  # a name below it has records
        ("b.deep.wild.example.test", "A", RCODE.NXDOMAIN),  # so the wildcard does not cover this name
    ],
)
def test_negative_answers_of_a_hosted_zone(ask: object, name: str, kind: str, code: int) -> None:
    assert callable(ask)
    answer = ask(name, kind)
    assert answer.header.rcode == code
    assert [QTYPE[record.rtype] for record in answer.rr] == (["CNAME"] if name.startswith("lost") else [])
    (soa,) = answer.auth
    assert (str(soa.rname), QTYPE[soa.rtype], soa.ttl) == (APEX, "SOA", 300)


def test_a_loop_of_aliases_ends(ask: object) -> None:
    assert callable(ask)
    assert ask("loop.example.test").header.rcode == RCODE.SERVFAIL


def test_no_resolver_answers() -> None:
    server = NameServer(Resolver(lookup, ["127.99.0.3"]), "127.0.0.1", PORT + 1)
    server.start()
    try:
        answer = DNSRecord.parse(DNSRecord.question("example.org").send("127.0.0.1", PORT + 1, timeout=10))
        assert answer.header.rcode == RCODE.SERVFAIL
    finally:
        server.stop()
