# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the formats of values in requests to Google before the first request: pure functions.

Patterns that Google publishes in its discovery documents are identical here; a unit test checks this. The other rules
are from Google's documentation. A check returns an empty string, or the error in the value.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from ._fields import get_at

Check = Callable[[Any], str]

NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"  # Compute Engine, RFC 1035
PROJECT = (
    r"(?:(?:[-a-z0-9]{1,63}\.)*(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?):)?"
    r"(?:[0-9]{1,19}|(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?))"
)
METADATA_KEY = r"[a-zA-Z0-9-_]{1,128}"
MAX_LABELS = 64
_LABEL_BYTES = 128


def _text(value: Any) -> str | None:
    """Return the value as it is sent, or None if its type is not suitable."""
    if isinstance(value, str):
        return str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _unusable(value: Any) -> str:
    if value is None:
        return "it has no value"
    kinds = {bool: "a boolean", float: "a floating-point number", Mapping: "a mapping", list: "a list"}
    kind = next((name for kind, name in kinds.items() if isinstance(value, kind)), "of another type")
    return f"it is {kind} and not a text" + ("; write it in quotes" if isinstance(value, (bool, float)) else "")


def pattern(regex: str, rule: str) -> Check:
    """Return a check for texts that match the whole pattern. ``rule`` describes the pattern."""
    compiled = re.compile(regex)

    def check(value: Any) -> str:
        text = _text(value)
        if text is None:
            return _unusable(value)
        return "" if compiled.fullmatch(text) else rule

    return check


def integer(lowest: int, highest: int, *others: int) -> Check:
    """Return a check for whole numbers in a range, or equal to one of ``others``."""
    rule = f"it must be a whole number from {lowest} to {highest}" + "".join(f" or {other}" for other in others)

    def check(value: Any) -> str:
        text = _text(value)
        if text is None or not re.fullmatch(r"-?[0-9]{1,18}", text):
            return rule
        return "" if lowest <= int(text) <= highest or int(text) in others else rule

    return check


def either(*values: str, otherwise: Check) -> Check:
    """Return a check that accepts some texts and the values that another check accepts."""
    return lambda value: "" if isinstance(value, str) and value in values else otherwise(value)


def each(check: Check, *, least: int = 0) -> Check:
    """Return a check for lists whose items pass a check."""

    def check_all(value: Any) -> str:
        if not isinstance(value, (list, tuple)):
            return "it must be a list"
        if len(value) < least:
            return f"it must have {least} item or more"
        return next((f"{quoted(item)}: {wrong}" for item in value if (wrong := check(item))), "")

    return check_all


def different(check: Check) -> Check:
    """Return a check for lists that pass a check and have no duplicates."""

    def check_all(value: Any) -> str:
        if wrong := check(value):
            return wrong
        repeated = next((item for number, item in enumerate(value) if item in value[:number]), None)
        return "" if repeated is None else f"{quoted(repeated)} is repeated"

    return check_all


def mapping(key: Check, item: Check, most: int | None = None) -> Check:
    """Return a check for mappings whose keys and values pass a check each."""

    def check(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "it must be a mapping of keys to values"
        if most is not None and len(value) > most:
            return f"it has {len(value)} keys, and Google accepts at most {most}"
        wrong = [f"key {quoted(name)}: {said}" for name in value if (said := key(name))]
        wrong += [
            f"value {quoted(one)} of key {quoted(name)}: {said}" for name, one in value.items() if (said := item(one))
        ]
        return "; ".join(wrong)

    return check


def quoted(value: Any) -> str:
    """Return a value for a message, with quotes that make trailing blanks and line breaks visible."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= 100 else f"{str(value)[:100]!r}… ({len(value)} characters)"
    return str(value)


def cidr(value: Any, *, shortest: int = 0, longest: int = 32, version: int | None = 4) -> str:
    """Check a range of addresses in CIDR form whose host bits are zero."""
    kind = "IPv4 range" if version == 4 else "range"
    rule = f"it is not a {kind} in CIDR form with its host bits zero, such as 10.128.0.0/20 or 203.0.113.7/32"
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F:.]+/[0-9]{1,3}", value):
        return rule
    try:
        network = ipaddress.ip_network(str(value))
    except ValueError:
        return rule
    if version is not None and network.version != version:
        return rule
    if version == 4 and str(network) != value:
        return rule
    if network.version == 4 and not shortest <= network.prefixlen <= longest:
        return f"its prefix length must be from {shortest} to {longest}, such as 10.128.0.0/20"
    return ""


def subnetwork_range(value: Any) -> str:
    """Check the primary IPv4 range of a subnetwork."""
    wrong = cidr(value, shortest=4, longest=29)
    if wrong:
        return wrong
    network = ipaddress.ip_network(str(value))
    prohibited = network.is_loopback or network.is_link_local or network.is_multicast
    return "Google allows no subnetwork in this range; use a private one, such as 10.128.0.0/20" if prohibited else ""


def any_range(value: Any) -> str:
    """Check an IPv4 or IPv6 range or address, as firewall rules accept it."""
    try:
        ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        return "it is not a range of addresses in CIDR form, such as 10.128.0.0/20"
    return ""


def bucket(value: Any) -> str:
    """Check a bucket name. Names with dots have up to 222 characters, with up to 63 between two dots."""
    text = _text(value)
    if text is None:
        return _unusable(value)
    rule = (
        "a bucket name has 3 to 63 lower-case letters, digits, hyphens, underscores and dots, begins and ends with a "
        "letter or digit, is not an IP address, does not contain 'google' and does not begin with 'goog'"
    )
    parts = text.split(".")
    good = re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", text) and all(0 < len(part) <= 63 for part in parts)
    reserved = text.startswith("goog") or "google" in text or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text)
    return "" if good and not reserved else rule


def object_name(value: Any) -> str:
    """Check an object name."""
    good = isinstance(value, str) and 0 < len(value.encode()) <= 1024 and not re.search(r"[\r\n]", value)
    good = good and value not in {".", ".."} and not value.startswith(".well-known/acme-challenge/")
    return "" if good else "an object name has 1 to 1024 bytes in UTF-8 and no line break"


def _label(value: Any, *, key: bool) -> str:
    text = _text(value)
    what = "a label's key" if key else "a label's value"
    if text is None:
        return _unusable(value)
    letters = {"Ll", "Lo"}
    good = all(letter in "-_" or unicodedata.category(letter) in letters | {"Nd", "Nl", "No"} for letter in text)
    if key:
        good = good and bool(text) and unicodedata.category(text[0]) in letters
    if not good or len(text) > 63 or len(text.encode()) > _LABEL_BYTES:
        begin = "begins with a lower-case letter and " if key else ""
        return f"{what} {begin}has {1 if key else 0} to 63 lower-case letters, digits, hyphens and underscores"
    return f"{what} must not begin with 'goog', which Google reserves" if key and text.startswith("goog") else ""


def label_key(value: Any) -> str:
    """Check the key of a label. International letters are allowed unless they are upper case."""
    return _label(value, key=True)


def label_value(value: Any) -> str:
    """Check the value of a label, which may be empty."""
    return _label(value, key=False)


def member(value: Any) -> str:
    """Check a principal of a policy."""
    address = r"[^@\s]+@[^@\s]+"
    good = isinstance(value, str) and re.fullmatch(
        rf"allUsers|allAuthenticatedUsers|(deleted:)?(user|serviceAccount|group):{address}|domain:[\w.-]+"
        r"|serviceAccount:\S+\.svc\.id\.goog\[\S+\]|(projectOwner|projectEditor|projectViewer):[\w:.-]+"
        r"|(deleted:)?principal(Set)?://\S+",
        value,
    )
    return "" if good else "it is not a principal, such as serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"


def _flag_value(value: Any) -> str:
    # A boolean flag is sent as 'on' or 'off'.
    if not isinstance(value, (str, int, float)):
        return _unusable(value)
    return "" if re.fullmatch(r"[^\x00-\x1f\x7f]{1,4096}", str(value)) else "it is empty, too long or has a line break"


def public_key(value: Any) -> str:
    """Check one line of an authorized_keys file without options."""
    kinds = r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    good = isinstance(value, str) and re.fullmatch(rf"{kinds} [A-Za-z0-9+/]{{20,}}={{0,3}}( [^\x00-\x1f\x7f]*)?", value)
    return "" if good else "it is not a public SSH key in one line, such as 'ssh-ed25519 AAAA… name'"


def wrong_options(params: Mapping[str, Any], formats: Mapping[str, Callable[[Any], str]]) -> list[str]:
    """Return a message for each option whose value Google would refuse."""
    found = []
    for option, check in formats.items():
        value = get_at(params, option)
        said = check(value) if value is not None else ""
        if said:
            simple = not isinstance(value, (list, dict))
            found.append(f"{option} is {quoted(value)}: {said}." if simple else f"{option}: {said}.")
    return found


_name_rule = (
    "it must begin with a lower-case letter, have at most 63 lower-case letters, digits and hyphens, and not end with "
    "a hyphen"
)
name = pattern(NAME, _name_rule)
name_or_link = pattern(rf"{NAME}|(https://\S+/)?(projects|global|regions|zones)/\S+", _name_rule)
project = pattern(
    r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "a project ID has 6 to 30 lower-case letters, digits and hyphens and begins with a letter",
)
project_or_number = pattern(PROJECT, "it is not a project ID")
project_number = pattern(r"[0-9]{1,19}", "the number of a project has only digits")
region = pattern(r"[a-z]+-[a-z]+[0-9]+", "it is not a region, such as europe-west1")
zone = pattern(r"[a-z]+-[a-z]+[0-9]+-[a-z]", "it is not a zone, such as europe-west1-b")
location = pattern(
    r"[A-Za-z]{2,}[0-9]*(-[A-Za-z]+[0-9]+)?", "it is not a location of Cloud Storage, such as europe-west1, EU or EUR4"
)
labels = mapping(label_key, label_value, MAX_LABELS)
metadata = mapping(
    pattern(METADATA_KEY, "a key has 1 to 128 letters, digits, hyphens and underscores"),
    lambda value: "" if isinstance(value, (str, int, float, bool)) else _unusable(value),
)
tags = each(name)
secret_id = pattern(r"[A-Za-z0-9_-]{1,255}", "a secret ID has 1 to 255 letters, digits, hyphens and underscores")
account_id = pattern(
    r"[a-z][-a-z0-9]{4,28}[a-z0-9]|[^@\s]+@[^@\s]+",
    "a service account ID has 6 to 30 lower-case letters, digits and hyphens and begins with a letter",
)
role = pattern(
    r"(roles/[\w.]+|(projects|organizations)/[^/\s]+/roles/[\w.]+)", "it is not a role, such as roles/logging.logWriter"
)
dns_name = pattern(
    r"(?=.{1,254}\Z)(?:[^\s.]{1,63}\.)*[^\s.]{1,63}\.?", "it is not a full DNS name, such as mlflow.example.com"
)
dns_type = pattern(r"[A-Z][A-Z0-9]*", "a type of DNS records has capital letters and digits, such as A or CNAME")
service = pattern(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "it is not an API, such as compute.googleapis.com")
sql_instance = pattern(
    r"[a-z](?:[-a-z0-9]{0,95}[a-z0-9])?",
    "an instance's name begins with a lower-case letter and has at most 97 lower-case letters, digits and hyphens",
)
sql_name = pattern(r"[^\x00-\x1f\x7f/]{1,63}", "it has 1 to 63 characters and no line break")
sql_version = pattern(r"[A-Z][A-Z0-9_]{1,63}", "it is not a version of a database, such as POSTGRES_17")
database_version = pattern(r"POSTGRES_[0-9]+(_[0-9]+)?", "it is not a version of PostgreSQL, such as POSTGRES_17")
tier = pattern(r"db-[a-z0-9]+(-[a-zA-Z0-9]+)*", "it is not a machine type of Cloud SQL, such as db-custom-1-3840")
database_flags = mapping(
    pattern(r"[a-z][a-z0-9_.]*", "a flag has lower-case letters, digits, underscores and dots"), _flag_value
)
time_of_day = pattern(r"([01][0-9]|2[0-3]):[0-5][0-9]", "it is not a time HH:MM in UTC, such as '02:00' in quotes")
unix_user = pattern(
    r"(?!root\Z)[a-z_][a-z0-9_-]{0,31}",
    "a Unix user name other than root begins with a lower-case letter or an underscore and has at most 32 of these, "
    "digits and hyphens",
)
soft_delete = integer(604800, 7776000, 0)
disk_size = integer(10, 65536)
