# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names and record data of Cloud DNS."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._dns import absolute, inside, normalized


@pytest.mark.parametrize("name", ["www.example.com", "www.example.com.", "WWW.Example.com"])
def test_a_name_ends_with_a_dot(name: str) -> None:
    assert absolute(name) == "www.example.com."


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        ("example.com", "example.com.", True),
        ("a.b.Example.com.", "example.com.", True),
        ("*.example.com", "Example.com", True),
        ("notexample.com", "example.com.", False),
        ("com", "example.com.", False),
        ("example.com.org", "example.com.", False),
        ("www.example.com", ".", True),
    ],
)
def test_a_name_is_in_a_zone(name: str, zone: str, expected: bool) -> None:
    assert inside(name, zone) is expected


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("A", " 192.0.2.1 ", "192.0.2.1"),
        ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
        ("AAAA", "not an address", "not an address"),
        ("CNAME", "Www.Example.org", "www.example.org."),
        ("MX", "10  Mail.example.org.", "10 mail.example.org."),
        ("MX", "0 .", "0 ."),
        ("SRV", "1 2 443 host.example.org", "1 2 443 host.example.org."),
        ("SSHFP", "4 2 ABCDEF", "4 2 abcdef"),
        (
            "CAA",
            '0 issue "letsencrypt.org; accounturi=https://x/A"',
            '0 issue "letsencrypt.org; accounturi=https://x/A"',
        ),
        ("CAA", "0 issue letsencrypt.org", '0 issue "letsencrypt.org"'),
        ("TXT", "v=spf1 -all", '"v=spf1 -all"'),
        ("TXT", '"v=spf1 -all"', '"v=spf1 -all"'),
        ("TXT", 'Case  and "quotes" and \\', '"Case  and \\"quotes\\" and \\\\"'),
        ("TXT", '"one""two"  "th\\"ree"', '"one" "two" "th\\"ree"'),
        ("TXT", '"not closed', '"\\"not closed"'),
        ("SPF", "v=spf1 -all", '"v=spf1 -all"'),
    ],
)
def test_data_has_one_spelling(kind: str, data: str, expected: str) -> None:
    assert normalized(kind, data) == expected
    assert normalized(kind, expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 255, ["a" * 255]),
        ("a" * 256, ["a" * 255, "a"]),
        ("k=" + "b" * 600, ["k=" + "b" * 253, "b" * 255, "b" * 92]),
        # The backslash of an escaped character is no byte of the record.
        ("a" + '"' * 255, ["a" + '\\"' * 254, '\\"']),
        # A character of several bytes stays whole.
        ("a" * 254 + "é", ["a" * 254, "é"]),
    ],
)
def test_a_long_text_is_split_into_strings(text: str, expected: list[str]) -> None:
    found = normalized("TXT", text)
    assert found == " ".join(f'"{piece}"' for piece in expected)
    assert normalized("TXT", found) == found
