# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VMs resolve the names of Cloud DNS."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from dnslib import RCODE, DNSRecord

from localcloud.core.settings import Settings
from localcloud.engine.base import Applications, Engine, Listener
from localcloud.engine.dns import Resolver
from localcloud.server.process import listeners
from tests.localcloud.harness import Local

Call = Callable[..., Any]
ZONES = "/dns/v1/projects/mlflow-local/managedZones"
RECORDS = f"{ZONES}/example/rrsets"
BODY = {"name": "example", "dnsName": "example.test.", "description": ""}
WWW = {"name": "www.example.test.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]}


class VmEngine:
    """An engine that keeps the applications for VMs."""

    def build(self, settings: Settings) -> Engine:
        raise NotImplementedError

    def listeners(self, settings: Settings, apps: Applications) -> list[Listener]:
        self.apps = apps
        return []


@pytest.fixture
def zone(local: Local, call: Call) -> None:
    """Create a zone."""
    local.enable("dns")
    call("POST", ZONES, json=BODY)


@pytest.fixture
def apps(local: Local) -> Applications:
    """Return the applications that an engine gets for VMs."""
    engine = VmEngine()
    listeners(engine, local.app)
    return engine.apps


def test_vms_resolve_a_new_record(apps: Applications, call: Call, zone: None) -> None:
    resolver = Resolver(apps.address_of, [], zone_of=apps.zone_of)

    def resolved(kind: str) -> tuple[int, list[str]]:
        answer = resolver.resolve(DNSRecord.question(WWW["name"], kind), SimpleNamespace(protocol="udp"))
        return answer.header.rcode, [str(each.rdata) for each in answer.rr]

    assert resolved("A") == (RCODE.NXDOMAIN, [])
    call("POST", RECORDS, json=WWW)
    call("POST", RECORDS, json=WWW | {"type": "TXT", "rrdatas": ['one "two three"']})
    assert resolved("A") == (RCODE.NOERROR, ["192.0.2.1"])
    assert resolved("TXT") == (RCODE.NOERROR, ['"one","two three"'])
    call("DELETE", f"{RECORDS}/{WWW['name']}/A")
    assert resolved("A") == (RCODE.NOERROR, [])


def test_the_longest_zone_has_a_name(local: Local, apps: Applications, call: Call, zone: None) -> None:
    """The zones of all projects count. Of two zones with one name, the older does."""
    local.other_project()
    local.enable("dns", project="other-project")
    local.grant("serviceAccount:owner@mlflow-local.iam.gserviceaccount.com", "roles/dns.admin", project="other-project")
    path = "/dns/v1/projects/other-project/managedZones"
    call("POST", path, json=BODY | {"name": "sub", "dnsName": "sub.example.test."})
    call("POST", path, json=BODY | {"name": "later"})
    call("POST", f"{path}/later/rrsets", json=WWW)

    def name(question: str) -> str | None:
        found = apps.zone_of(question)
        return found.name if found else None

    assert name("a.b.sub.example.test.") == "sub.example.test."
    assert name("sub.example.test.") == "sub.example.test."
    assert name("notsub.example.test.") == "example.test."
    assert name("notexample.test.") is None
    older = apps.zone_of("example.test.")
    assert older is not None
    assert [each.type for each in older.record_sets] == ["NS", "SOA"]


def test_the_name_servers_of_a_zone_answer_for_it(apps: Applications, call: Call, zone: None) -> None:
    """A client that asks them directly gets a record without a cache."""
    resolver = Resolver(apps.address_of, [], zone_of=apps.zone_of)
    server = call("GET", f"{ZONES}/example")["nameServers"][0]
    answer = resolver.resolve(DNSRecord.question(server, "A"), SimpleNamespace(protocol="udp"))
    assert [str(each.rdata) for each in answer.rr] == ["169.254.169.254"]
