# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The form of DNS records in Cloud DNS, and the refusals of record sets."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.core.errors import ApiError
from localcloud.services.dns.contents import checked
from localcloud.services.dns.rrdata import canonical

ZONE = {"dnsName": "example.test."}
WWW = {"name": "www.example.test.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]}


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("A", "192.0.2", None),
        ("A", "2001:db8::1", None),
        ("AAAA", "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("AAAA", "192.0.2.1", None),
        ("AAAA", "fe80::1%eth0", None),
        ("CNAME", "Other.example.COM.", "other.example.com."),
        ("CNAME", "other.example.com", None),
        ("TXT", '"one two"', '"one two"'),
        ("TXT", "v=spf1 -all", '"v=spf1" "-all"'),
        ("TXT", r'"a \"quote\" \065"', r'"a \"quote\" \065"'),
        ("TXT", '"open', None),
        ("TXT", '"' + "x" * 255 + '"', '"' + "x" * 255 + '"'),
        ("TXT", '"' + r"\065" * 255 + '"', '"' + r"\065" * 255 + '"'),
        ("TXT", "x" * 256, None),
        ("TXT", "é" * 128, None),
        ("TXT", "", None),
        ("CAA", '0 Issue "pki.goog"', '0 issue "pki.goog"'),
        ("CAA", "128 issuewild ;", '128 issuewild ";"'),
        ("CAA", '256 issue "pki.goog"', None),
        ("CAA", "pki.goog", None),
        ("MX", "10  Mail.example.com.", "10 mail.example.com."),
        ("MX", "0 .", "0 ."),
        ("MX", "65536 mail.example.com.", None),
        ("MX", "mail.example.com.", None),
        ("NS", "ns1.example.com.", "ns1.example.com."),
        ("NS", "ns1 .example.com.", None),
        ("SOA", "a.test.  b.test. 1 2 3 4 5", "a.test. b.test. 1 2 3 4 5"),
        ("SOA", "a.test. b.test. 1 2 3 4", None),
        ("SOA", "a.test. b.test. 1 2 3 4 4294967296", None),
    ],
)
def test_the_data_of_records(kind: str, given: str, stored: str | None) -> None:
    assert canonical(kind, given) == stored


def test_a_record_set_is_stored_in_lower_case() -> None:
    expected = WWW | {"kind": "dns#resourceRecordSet", "name": "*.example.test."}
    assert checked(ZONE, WWW | {"name": "*.Example.TEST.", "kind": "x"}, "entity.rrset") == expected


@pytest.mark.parametrize(
    ("fields", "code", "reason", "text"),
    [
        ({"name": "www.example.test"}, 400, "invalid", "Invalid value for 'entity.rrset.name': 'www.example.test'"),
        ({"name": "www.example.com."}, 400, "invalid", "'entity.rrset.name'"),
        ({"name": "notexample.test."}, 400, "invalid", "'entity.rrset.name'"),
        ({"name": "a.*.example.test."}, 400, "invalid", "'entity.rrset.name'"),
        ({"name": f"{'a' * 64}.example.test."}, 400, "invalid", "'entity.rrset.name'"),
        ({"name": None}, 400, "invalid", "'entity.rrset.name': ''"),
        ({"type": "GROUP"}, 400, "invalid", "'entity.rrset.type': 'GROUP'"),
        ({"type": "a"}, 400, "invalid", "'entity.rrset.type'"),
        ({"ttl": -1}, 400, "invalid", "'entity.rrset.ttl': '-1'"),
        ({"ttl": None}, 400, "required", "The 'entity.rrset.ttl' parameter is required but was missing."),
        ({"rrdatas": []}, 400, "invalid", "'entity.rrset.rrdata[0]': ''"),
        ({"rrdatas": ["192.0.2.1", "x"]}, 400, "invalid", "Invalid value for 'entity.rrset.rrdata[1]': 'x'"),
        ({"type": "CNAME", "rrdatas": ["a.test.", "b.test."]}, 400, "invalidRecordCount", "of type 'CNAME'"),
        ({"type": "SOA", "rrdatas": ["a.test. b.test. 1 2 3 4 5"]}, 400, "invalidZoneApex", "type 'SOA' at the apex"),
        ({"name": "*.example.test.", "type": "NS", "rrdatas": ["a.test."]}, 400, "wildcardNotAllowed", "type 'NS'"),
        ({"type": "SRV", "rrdatas": ["0 0 443 a.test."]}, 501, None, "records of the type SRV"),
        ({"routingPolicy": {"wrr": {"items": []}}}, 501, None, "routing policies"),
    ],
)
def test_refused_record_sets(fields: dict[str, Any], code: int, reason: str | None, text: str) -> None:
    with pytest.raises(ApiError) as refusal:
        checked(ZONE, WWW | fields, "entity.rrset")
    assert (refusal.value.code, refusal.value.reason) == (code, reason)
    assert text in str(refusal.value)
