# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's rules for the redirect URIs and JavaScript origins of OAuth clients.

https://developers.google.com/identity/protocols/oauth2/web-server#uri-validation. Google reads public suffixes from a
list. The local cloud has no such list and refuses host names without a dot and special-use domains.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SPECIAL_USE = frozenset(
    ["arpa", "corp", "example", "home", "internal", "invalid", "lan", "local", "localdomain", "onion", "test"]
)
_PUBLIC = "must end with a public top-level domain (such as .com or .org)"


def redirect_problem(uri: str) -> str | None:
    """Return the reason why a web client cannot have a redirect URI; None if Google accepts it."""
    parts = _split(uri)
    if parts is None:
        return "must be an absolute URL without spaces, wildcards and characters outside of ASCII"
    path = unquote(parts.path)
    if re.search(r"%(?![0-9A-Fa-f]{2})", uri):
        return "must not contain an invalid percent encoding"
    if "#" in uri:
        return "must not contain a fragment"
    if "\\" in uri or re.search(r"/\.\.(/|$)", path):
        return "must not contain a relative path"
    return _host_problem(parts)


def origin_problem(origin: str) -> str | None:
    """Return the reason why a web client cannot have a JavaScript origin; None if Google accepts it."""
    parts = _split(origin)
    if parts is None:
        return "must be an absolute URL without spaces, wildcards and characters outside of ASCII"
    if origin != f"{parts.scheme}://{parts.netloc}":
        return 'URIs must not contain a path or end with "/"'
    return _host_problem(parts)


def is_loopback(uri: str) -> bool:
    """Return whether a desktop client may have a redirect URI: http, this computer, any port and path."""
    parts = _split(uri)
    return (
        parts is not None
        and parts.scheme == "http"
        and "@" not in parts.netloc
        and "#" not in uri
        and parts.hostname in _LOOPBACK
    )


def _split(uri: str) -> SplitResult | None:
    if not re.fullmatch(r"[!-)+-~]+", uri):  # printable ASCII without space and *
        return None
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 (raises ValueError for a port that is no number)
    except ValueError:
        return None
    return parts if parts.hostname else None


def _host_problem(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if "@" in parts.netloc:
        return "must not contain user information"
    if parts.scheme not in ("http", "https"):
        return "must use either http or https as the scheme"
    if host in _LOOPBACK:
        return None
    labels = host.rstrip(".").split(".")
    if _is_address(host) or len(labels) < 2 or labels[-1] in _SPECIAL_USE:
        return _PUBLIC
    if parts.scheme != "https":
        return "must use https as the scheme, except for localhost"
    if labels[-2:] == ["googleusercontent", "com"]:
        return "must not use the domain googleusercontent.com"
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.replace(".", "").isdigit()
    return True
