# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rules for identities (mlflow_identity_*) that are not valid, or that would admit strangers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._authentication import find
from ._context import Values

DOMAINS, SERVICE_ACCOUNTS = "mlflow_identity_domains", "mlflow_identity_service_accounts"
ADMINS, ADMIN_GROUPS = "mlflow_identity_admins", "mlflow_identity_admin_groups"
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
# mlflow_gcp_server/identity_rules.py on the VM refuses the same addresses.
LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
MAXIMAL_LENGTH = 254
# The ID of a project of a domain is DOMAIN:PROJECT, its service accounts are @PROJECT.DOMAIN.iam.gserviceaccount.com.
PROJECT = re.compile(r"@[a-z][a-z0-9-]{4,28}[a-z0-9](\.[a-z0-9-]+)*\.iam\.gserviceaccount\.com")
GOOGLE_ROBOTS = "gserviceaccount.com"
# Everybody can get an address of these domains.
# fmt: off
PUBLIC = frozenset({
    "126.com", "163.com", "aol.com", "comcast.net", "fastmail.com", "free.fr", "gmail.com", "googlemail.com",
    "hey.com", "icloud.com", "laposte.net", "libero.it", "live.com", "mac.com", "mail.com", "mail.ru", "me.com",
    "msn.com", "naver.com", "orange.fr", "proton.me", "protonmail.com", "qq.com", "rediffmail.com",
    "rocketmail.com", "sina.com", "t-online.de", "tuta.com", "tutanota.com", "web.de", "ymail.com", "zoho.com",
})
# fmt: on
PUBLIC_NAMES = re.compile(r"(gmx|hotmail|outlook|yahoo|yandex)\.[a-z]{2,3}(\.[a-z]{2})?")


def is_address(text: str) -> bool:
    """Return whether a text is an e-mail address. Upper and lower case are the same."""
    local, at, domain = text.lower().rpartition("@")
    if not at:
        return False
    # The lower case of some other characters is an ASCII letter.
    return bool(
        text.isascii() and len(text) <= MAXIMAL_LENGTH and LOCAL_PART.fullmatch(local) and DOMAIN.fullmatch(domain)
    )


def _domain(domain: str) -> str:
    """Return why a domain is refused, or an empty text."""
    name = domain.lower()
    if not DOMAIN.fullmatch(name):
        return "is not a domain such as example.com. Name each domain, without wildcard and without @"
    if name in PUBLIC or PUBLIC_NAMES.fullmatch(name):
        return (
            "is a public mail domain, in which everybody can get an address. Use a domain of your organization, or"
            f" name single accounts in {SERVICE_ACCOUNTS}"
        )
    if name == GOOGLE_ROBOTS or name.endswith(f".{GOOGLE_ROBOTS}"):
        return f"has service accounts of everybody. Name the service accounts in {SERVICE_ACCOUNTS}"
    return ""


def _domains(values: Values) -> Iterable[str]:
    for domain in values[DOMAINS]:
        if why := _domain(domain):
            yield f"{DOMAINS}: '{domain}' {why}."


def _service_accounts(values: Values) -> Iterable[str]:
    for account in values[SERVICE_ACCOUNTS]:
        if not is_address(account) and not PROJECT.fullmatch(account.lower()):
            yield (
                f"{SERVICE_ACCOUNTS}: '{account}' is neither an address nor @PROJECT.iam.gserviceaccount.com, the"
                " service accounts of a project. Correct the entry."
            )


def _admins(values: Values) -> Iterable[str]:
    domains = {domain.lower() for domain in values[DOMAINS]}
    accounts = {account.lower() for account in values[SERVICE_ACCOUNTS]}
    for admin in values[ADMINS]:
        domain = admin.lower().rpartition("@")[2]
        if not is_address(admin):
            yield f"{ADMINS}: '{admin}' is not an e-mail address. Correct the entry."
        elif domain not in domains and not accounts & {admin.lower(), f"@{domain}"}:
            yield (
                f"{ADMINS}: '{admin}' could not sign in. Add its domain to {DOMAINS}, or the address to"
                f" {SERVICE_ACCOUNTS}."
            )


def _admin_groups(values: Values) -> Iterable[str]:
    for group in values[ADMIN_GROUPS]:
        if not group.strip() or group != group.strip() or re.search(r"[,\x00-\x1f\x7f]", group):
            yield f"{ADMIN_GROUPS}: '{group}' is not the name of a group. A name has no comma and no space at its ends."


def _nobody(values: Values) -> Iterable[str]:
    mode = find(values["mlflow_authentication"])
    if mode.single_sign_on and not values[DOMAINS] and not values[SERVICE_ACCOUNTS]:
        yield (
            f"{DOMAINS} is empty, so every person would be refused with mlflow_authentication '{mode.name}'. Name the"
            " domains of your organization, such as [example.com]."
        )


def refusals(values: Values) -> list[str]:
    """Return a message for each refused entry, in every authentication mode."""
    checks = (_domains, _service_accounts, _admins, _admin_groups, _nobody)
    return [message for check in checks for message in check(values)]
