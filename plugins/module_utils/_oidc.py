# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read and check the discovery document of an OpenID Connect provider (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

GOOGLE = "https://accounts.google.com"
PATH = "/.well-known/openid-configuration"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# With a symmetric algorithm, everybody who knows the client secret could sign tokens.
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA")
Document = Mapping[str, Any]


class ProviderError(Exception):
    """The provider cannot be used. The message names the cause and the remedy."""


def discovery_url(issuer: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the URL of the discovery document. As in gcloud, its property auth/auth_host replaces Google's host."""
    host = (os.environ if environment is None else environment).get("CLOUDSDK_AUTH_AUTH_HOST", "")
    if issuer == GOOGLE and host:
        parts = urlsplit(host)
        return urlunsplit((parts.scheme, parts.netloc, PATH, "", ""))
    return issuer.rstrip("/") + PATH


def read(issuer: str, get: Callable[[str], Any], environment: Mapping[str, str] | None = None) -> Document:
    """Return the discovery document of an issuer. `get` returns the JSON of a URL or raises an exception."""
    url = discovery_url(issuer, environment)
    try:
        document = get(url)
    except Exception as error:
        raise ProviderError(f"{url} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ProviderError(f"{url} is no JSON object")
    return document


def problems(document: Document, issuer: str, *, scopes: Sequence[str], groups_claim: str) -> list[str]:
    """Return a sentence for each reason why the provider cannot be used. `groups_claim` is empty without groups."""
    found = []
    if document.get("issuer") != issuer:
        found.append(f"the document is of the issuer {document.get('issuer')!r}: set the issuer to exactly this value")
    for name in ENDPOINTS:
        value = str(document.get(name) or "")
        if urlsplit(value).scheme != "https":
            found.append(f"{name} is {value!r}, which is no https URL")
    if "code" not in document.get("response_types_supported", ["code"]):
        found.append("the provider does not support the authorization code flow (response_types_supported)")
    if "S256" not in document.get("code_challenge_methods_supported", ["S256"]):
        found.append("the provider does not support PKCE with S256 (code_challenge_methods_supported)")
    if not algorithms(document):
        found.append("the provider signs no ID token with a public key (id_token_signing_alg_values_supported)")
    found += _missing(document, "scopes_supported", scopes, "scope")
    found += _missing(document, "claims_supported", ["email"], "claim")
    if groups_claim:
        found += _missing(document, "claims_supported", [groups_claim], "claim of groups")
    return found


def _missing(document: Document, field: str, needed: Sequence[str], title: str) -> list[str]:
    """Compare with a field of the document. The field is optional: without it nothing is known."""
    supported = document.get(field)
    if not isinstance(supported, list):
        return []
    return [f"the provider has no {title} {name} ({field})" for name in needed if name not in supported]


def algorithms(document: Document) -> list[str]:
    """Return the algorithms for ID tokens that can be verified with public keys."""
    offered = document.get("id_token_signing_alg_values_supported", ["RS256"])
    return [name for name in ALGORITHMS if name in offered]


def check_keys(document: Document, get: Callable[[str], Any]) -> None:
    """Raise ProviderError unless the provider publishes keys."""
    url = document["jwks_uri"]
    try:
        keys = get(url)["keys"]
    except Exception as error:
        raise ProviderError(f"the keys of the provider cannot be read from {url}: {error}") from error
    if not keys:
        raise ProviderError(f"the provider publishes no keys at {url}")
