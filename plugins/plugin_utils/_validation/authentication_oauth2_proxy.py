# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role authentication_oauth2_proxy that are not valid."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from ...module_utils._oauth2_proxy_configuration import console_steps, malformed_secret
from ._context import Context, Values

PREFIX = "authentication_oauth2_proxy_"
# 7.15.5 closed two ways around the authentication, and 7.15.6 repaired the change.
LEAST_VERSION = (7, 15, 6)
HOST = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]", re.IGNORECASE)
# A dollar sign would be replaced by a variable of the environment.
WORD = re.compile(r"[^\s\"'\\$]+")
ADDRESS = re.compile(r"[^\s@\"',#]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+", re.IGNORECASE)
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
CHECKSUM = re.compile(r"h1:[A-Za-z0-9+/]{43}=")
SESSION_HOURS = (1, 168)
# Everybody can get an address in these domains.
PUBLIC_DOMAINS = """
126.com 163.com aol.com comcast.net duck.com fastmail.com free.fr gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net
googlemail.com hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.fr hushmail.com icloud.com libero.it live.com
mac.com mail.com mail.ru mailbox.org me.com msn.com naver.com orange.fr outlook.com outlook.de pm.me posteo.de
proton.me protonmail.com qq.com rediffmail.com t-online.de tuta.com tutanota.com web.de yahoo.co.jp yahoo.co.uk
yahoo.com yahoo.de yahoo.fr yandex.com yandex.ru ymail.com zoho.com
"""


def _of(values: Values, name: str) -> str:
    return str(values[PREFIX + name] or "")


def _version(values: Values, context: Context) -> str:
    version = _of(values, "version")
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version)
    least = ".".join(map(str, LEAST_VERSION))
    if found and int(found[1]) == LEAST_VERSION[0] and tuple(map(int, found.groups())) >= LEAST_VERSION:
        return ""
    return (
        f"{PREFIX}version is '{version}'. Older releases than {least} let requests pass without authentication, and a"
        f" new major version has another configuration. Set {PREFIX}version to {least} or a newer"
        f" {LEAST_VERSION[0]}.x."
    )


def _source(values: Values, context: Context) -> str:
    source, url, sha256 = _of(values, "source"), _of(values, "url"), _of(values, "sha256")
    if sha256 and not SHA256.fullmatch(sha256):
        return f"{PREFIX}sha256 is '{sha256}', which is no SHA-256 checksum. Give 64 hexadecimal digits."
    checksum = _of(values, "checksum")
    if checksum and not CHECKSUM.fullmatch(checksum):
        return f"{PREFIX}checksum is '{checksum}'. Give the checksum of the Go module as in go.sum, such as h1:…=."
    if source == "url" and not (url.startswith("https://") and sha256):
        return (
            f"{PREFIX}source is url, but {PREFIX}url is '{url}' and {PREFIX}sha256 is '{sha256}'. Give the https URL"
            " of the archive of a release for Linux, and its SHA-256 checksum from the release page."
        )
    file = Path(_of(values, "file")).expanduser()
    if source == "file" and not (file.is_absolute() and file.is_file()):
        return (
            f"{PREFIX}source is file, but {PREFIX}file is '{_of(values, 'file')}', which is no file on the control"
            " node. Give the absolute path of the program or of the archive of a release."
        )
    return ""


def is_address(host: str) -> bool:
    """Return whether a host name is an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _hostname(values: Values, context: Context) -> str:
    host = _of(values, "hostname")
    if HOST.fullmatch(host) and not is_address(host):
        return ""
    cause = "an IP address" if is_address(host) else "empty" if not host else "no DNS name"
    return (
        f"{PREFIX}hostname (deployment_hostname) is '{host}', which is {cause}. Browsers need a DNS name to come back"
        " from the provider: Google refuses a redirect URI with an IP address. Set deployment_hostname to a DNS name,"
        " and let the name resolve to the static address of the deployment."
    )


def _client(values: Values, context: Context) -> str:
    client, secret = _of(values, "client_id"), _of(values, "client_secret")
    if not client:
        return f"{PREFIX}client_id is empty. {console_steps(_of(values, 'hostname'))}"
    if not WORD.fullmatch(client):
        return f"{PREFIX}client_id is {json.dumps(client)}. Give the client ID of the provider, without white space."
    if cause := malformed_secret(secret):
        return (
            f"{PREFIX}client_secret {cause}. The provider would refuse every sign-in. Remove it; in a file, use"
            " lookup('ansible.builtin.file', …), which removes the newline at the end."
        )
    return ""


def _provider(values: Values, context: Context) -> str:
    issuer, scopes = _of(values, "issuer"), [str(scope) for scope in values[f"{PREFIX}scopes"]]
    parts = urlsplit(issuer)
    if parts.scheme != "https" or not parts.netloc or parts.query or parts.fragment or not WORD.fullmatch(issuer):
        return (
            f"{PREFIX}issuer is '{issuer}'. Give the https URL of the issuer of the provider, such as"
            " https://accounts.google.com."
        )
    if not {"openid", "email"} <= set(scopes) or not all(WORD.fullmatch(scope) for scope in scopes):
        return f"{PREFIX}scopes is {json.dumps(scopes)}. It must contain openid and email. Add the missing scopes."
    audiences = [str(name) for name in values[f"{PREFIX}extra_audiences"]]
    if wrong := [name for name in audiences if not WORD.fullmatch(name)]:
        return f"{PREFIX}extra_audiences contains {json.dumps(wrong)}. Give client IDs or URLs without white space."
    claim = _of(values, "groups_claim")
    if not WORD.fullmatch(claim):
        return f"{PREFIX}groups_claim is '{claim}'. Give the name of a claim, such as groups."
    least, most = SESSION_HOURS
    if not least <= int(values[f"{PREFIX}session_hours"]) <= most:
        return (
            f"{PREFIX}session_hours is {values[f'{PREFIX}session_hours']}. A session cannot be revoked. Set it to"
            f" {least} to {most} hours."
        )
    return ""


def _identities(values: Values, context: Context) -> str:
    rules = values[f"{PREFIX}rules"] or {}
    domains = [str(domain) for domain in rules.get("domains") or []]
    accounts = [str(account) for account in rules.get("service_accounts") or []]
    admins = [str(address) for address in rules.get("admins") or []]
    of_projects = [account.removeprefix("@") for account in accounts if account.startswith("@")]
    addresses = [*admins, *(account for account in accounts if not account.startswith("@"))]
    for domain in [*domains, *of_projects]:
        if domain.lower() in PUBLIC_DOMAINS.split():
            return (
                f"mlflow_identity_domains contains {domain}, in which everybody can get an address. List the domains"
                " of your organisation. For single people, list their addresses in mlflow_identity_admins or as"
                " service accounts."
            )
        if not HOST.fullmatch(domain):
            return (
                f"mlflow_identity_domains contains '{domain}', which is no domain. Wildcards would accept everybody"
                " who has an account at the provider. List each domain, such as example.com."
            )
    if wrong := [address for address in addresses if not ADDRESS.fullmatch(address)]:
        return (
            f"These are no e-mail addresses: {', '.join(wrong)}. Correct mlflow_identity_admins or …_service_accounts."
        )
    if not domains and not addresses:
        return (
            "No identity is accepted: mlflow_identity_domains and mlflow_identity_admins are empty. Set"
            " mlflow_identity_domains to the mail domains of your organisation."
        )
    if wrong := [group for group in map(str, rules.get("admin_groups") or []) if "," in group]:
        return f"mlflow_identity_admin_groups contains {', '.join(wrong)}. A comma separates groups: use another group."
    return ""


CHECKS = (_version, _source, _hostname, _client, _provider, _identities)


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable."""
    return [message for check in CHECKS if (message := check(values, context))]
