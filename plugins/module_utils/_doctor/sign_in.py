# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check single sign-on by OAuth2-Proxy: the service, the provider, and the way of a browser to the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .endpoint import Endpoint, Json
from .facts import part
from .remedies import CONFIGURE, SITE
from .results import CheckResult, fail, ok, warn

SERVICE, SOCKET = "oauth2-proxy.service", "oauth2-proxy.socket"
CLIENT_SECRET = "oauth2-proxy.oauth2-proxy-client-secret"  # noqa: S105
COOKIE_SECRET = "oauth2-proxy.oauth2-proxy-cookie-secret"  # noqa: S105
COOKIE_BYTES = 32
LOGS = "read the log on the VM: journalctl -u oauth2-proxy -n 50"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# So many restarts show a program that ends again and again.
RESTARTS = 5


def facts_of(examined: Mapping[str, Any]) -> Json:
    """Return the facts that the role of the mode collected on the VM, or `error` with the reason why there are none."""
    response = examined.get("response") or {}
    return response.get("facts") or {"error": response.get("msg") or "no facts were collected"}


def service(facts: Mapping[str, Any], version: str) -> CheckResult:
    """Check the units, the version and the secrets of OAuth2-Proxy."""
    units, secrets = part(facts, "units"), part(facts, "secrets")
    states = {unit: str(units[unit].get("ActiveState")) for unit in (SOCKET, SERVICE)}
    restarts = int(units[SERVICE].get("NRestarts") or 0)
    value = ", ".join(f"{unit} {state}" for unit, state in states.items())
    if wrong := _secrets(secrets):
        return fail("oauth2-proxy", f"{value}; {wrong}", f"store a new value, then run {SITE}")
    if set(states.values()) != {"active"}:
        remedy = f"on the VM: systemctl start {SOCKET} {SERVICE}; {LOGS}"
        return fail("oauth2-proxy", f"{value} (result {units[SERVICE].get('Result')})", remedy)
    running = str(part(facts, "version"))
    value = f"{running}, {value}"
    if running != version:
        return warn("oauth2-proxy", f"{value}; the role variable has version {version}", CONFIGURE)
    if restarts >= RESTARTS:
        return warn("oauth2-proxy", f"{value}; restarted {restarts} times", LOGS)
    return ok("oauth2-proxy", value)


def _secrets(secrets: Mapping[str, Any]) -> str:
    for name in (CLIENT_SECRET, COOKIE_SECRET):
        found = secrets.get(name) or {"present": False}
        if not found["present"] or not found["size"]:
            return f"the credential {name} is missing"
        if found["white_space"]:
            return f"the credential {name} begins or ends with white space, such as a newline"
    size = secrets[COOKIE_SECRET]["size"]
    return "" if size == COOKIE_BYTES else f"the credential {COOKIE_SECRET} has {size} bytes instead of {COOKIE_BYTES}"


def provider(facts: Mapping[str, Any]) -> CheckResult:
    """Check that the VM reaches the provider, and that its endpoints are those of the configuration."""
    configured, found = part(facts, "configuration"), facts.get("provider") or {"error": "no answer"}
    issuer = configured["issuer"]
    if "error" in found:
        return fail(
            "provider",
            f"{found['error']}. New sign-ins at {issuer} fail now. Signed-in users, and tokens that are signed with a"
            " known key, are accepted",
            "restore the connection from the VM to the provider, or wait for the provider",
        )
    moved = [name for name in ENDPOINTS if found.get(name) != configured[name]]
    if moved:
        changes = ", ".join(f"{name} is now {found.get(name)}" for name in moved)
        return fail("provider", f"{issuer} changed its endpoints: {changes}", CONFIGURE)
    return ok("provider", f"{issuer} answers the VM")


def sign_in(endpoint: Endpoint, facts: Mapping[str, Any], hostname: str) -> CheckResult:
    """Check where the server sends a browser that signs in."""
    configured = part(facts, "configuration")
    expected = f"https://{hostname}/oauth2/callback"
    answer = endpoint.request("GET", "/oauth2/start?rd=%2F", authenticated=False)
    target = urlsplit(answer.headers.get("Location", ""))
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    place = f"{target.scheme}://{target.netloc}{target.path}"
    if answer.status_code != 302 or place != configured["authorization_endpoint"].split("?")[0]:
        return fail(
            "sign-in", f"/oauth2/start answers HTTP {answer.status_code} and not a redirect to the provider", LOGS
        )
    if query.get("redirect_uri") != expected:
        return fail("sign-in", f"the redirect URI is {query.get('redirect_uri')} and not {expected}", CONFIGURE)
    if query.get("code_challenge_method") != "S256" or not query.get("nonce"):
        return fail("sign-in", "the request to the provider has no nonce or no S256 code challenge", CONFIGURE)
    return ok("sign-in", f"client {query.get('client_id')}; the provider must list the redirect URI {expected}")
