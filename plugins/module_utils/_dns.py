# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names and record data of Cloud DNS in one spelling, and the remedy for a refusal: pure functions."""

from __future__ import annotations

import ipaddress
import re

from ._client import GoogleError

# Types whose data ends with a domain name. Cloud DNS requires a dot at its end.
_DOMAINS = frozenset({"ALIAS", "CNAME", "MX", "NS", "PTR", "SRV"})
_TEXTS = frozenset({"SPF", "TXT"})
_STRING_BYTES = 255  # a string in a record is preceded by its length in one byte (RFC 1035)
_CASE_SENSITIVE = frozenset({"CAA", "DNSKEY", "HTTPS", "IPSECKEY", "NAPTR", "SVCB"})
_QUOTED = r'"(?:[^"\\]|\\.)*"'


def absolute(name: str) -> str:
    """Return a domain name in lower case with one dot at its end: ``www.Example.com`` → ``www.example.com.``."""
    return name.rstrip(".").lower() + "."


def inside(name: str, zone: str) -> bool:
    """Return whether a domain name is the name of a zone or below it."""
    return f".{absolute(name)}".endswith(absolute(f".{zone}"))


def forbidden(error: GoogleError, zone: str, project: str) -> str:
    """Return the remedy if an error is a refusal for lack of a role on a managed zone, otherwise an empty string.

    Google's answer may be the same for a missing zone.
    """
    if error.code != 403 or error.service_disabled or error.reason == "quotaProject":
        return ""
    return (
        f"Check that project {project} has managed zone {zone}, and grant this account the role roles/dns.admin on"
        f" this zone (console, or `gcloud dns managed-zones set-iam-policy {zone} --project={project}`) or on the"
        " project. A new role takes effect within two minutes."
    )


def normalized(kind: str, data: str) -> str:
    """Return the data of one record of type ``kind`` in one spelling.

    Texts are quoted and split into strings of at most 255 bytes, domain names and addresses are in lower case, and
    domain names end with a dot. Invalid data is not refused here, because Cloud DNS names the fault.
    """
    if kind in _TEXTS:
        return _text(data.strip())
    words = data.split() if kind in _CASE_SENSITIVE else data.lower().split()
    if kind in _DOMAINS and words:
        words[-1] = absolute(words[-1])
    if kind == "CAA" and len(words) == 3:
        words[2] = _text(words[2])
    joined = " ".join(words)
    return _address(joined) if kind == "AAAA" else joined


def _text(data: str) -> str:
    # Cloud DNS splits a text without quotes at its spaces into several strings.
    if re.fullmatch(rf"{_QUOTED}(?:\s*{_QUOTED})*", data):
        return " ".join(re.findall(_QUOTED, data))
    return " ".join('"{}"'.format(re.sub(r'(["\\])', r"\\\1", piece)) for piece in _pieces(data))


def _pieces(text: str) -> list[str]:
    """Split a text into pieces that fit into one string each. A character is not split."""
    pieces, room = [""], _STRING_BYTES
    for character in text:
        size = len(character.encode())
        if size > room:
            pieces.append("")
            room = _STRING_BYTES
        pieces[-1] += character
        room -= size
    return pieces


def _address(data: str) -> str:
    try:
        return str(ipaddress.ip_address(data))
    except ValueError:
        return data
