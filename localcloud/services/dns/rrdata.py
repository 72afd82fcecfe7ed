# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""DNS names and the data of records, in the form in which Cloud DNS stores them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "TXT")
# Types that Cloud DNS has and the local cloud has not.
OTHER_TYPES = (
    "ALIAS", "DNSKEY", "DS", "HTTPS", "IPSECKEY", "NAPTR", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA",
)  # fmt: skip
_LABEL = r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,254}}$)(?:{_LABEL}\.)+")
_STRING = r'(?:"(?:[^"\\]|\\.)*"|(?:[^\s"\\]|\\.)+)'
_STRINGS = re.compile(rf"{_STRING}(?:\s+{_STRING})*")
_CAA = re.compile(rf"(\d{{1,3}})\s+([a-z0-9]+)\s+({_STRING})", re.IGNORECASE)


def name(text: str, *, wildcard: bool = False) -> str | None:
    """Return a fully qualified name in lower case; None if it is not valid. `wildcard` allows `*.` at its start."""
    lower = text.lower()
    return lower if _NAME.fullmatch(lower.removeprefix("*.") if wildcard else lower) else None


def canonical(kind: str, text: str) -> str | None:
    """Return the data of a record of a type in `TYPES`, for example with TXT in quotes; None if it is not valid."""
    return _FORMS[kind](text.strip())


def _ipv4(text: str) -> str | None:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _ipv6(text: str) -> str | None:
    try:
        return None if "%" in text else str(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def _number(text: str, limit: int) -> str | None:
    return str(int(text)) if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= limit else None


def _joined(*parts: str | None) -> str | None:
    return None if None in parts else " ".join(str(part) for part in parts)


def _mx(text: str) -> str | None:
    preference, _, host = text.partition(" ")
    return _joined(_number(preference, 2**16 - 1), "." if host.strip() == "." else name(host.strip()))


def _soa(text: str) -> str | None:
    fields = text.split()
    if len(fields) != 7:
        return None
    return _joined(name(fields[0]), name(fields[1]), *(_number(field, 2**32 - 1) for field in fields[2:]))


def _quoted(string: str) -> str | None:
    """Return one string in quotes; None for more than 255 bytes. An escape (`\\"`, `\\065`) is one byte."""
    inner = string[1:-1] if string.startswith('"') else string
    return f'"{inner}"' if len(re.sub(r"\\(?:\d{3}|.)", "x", inner).encode()) <= 255 else None


def _txt(text: str) -> str | None:
    """Return the strings of a TXT record. Text without quotes is one string for each word."""
    return _joined(*map(_quoted, re.findall(_STRING, text))) if _STRINGS.fullmatch(text) else None


def _caa(text: str) -> str | None:
    found = _CAA.fullmatch(text)
    return _joined(_number(found[1], 255), found[2].lower(), _quoted(found[3])) if found else None


_FORMS: dict[str, Callable[[str], str | None]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "CAA": _caa,
    "CNAME": name,
    "MX": _mx,
    "NS": name,
    "SOA": _soa,
    "TXT": _txt,
}
