# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Decide which identities of the identity provider become users of MLflow, and which of them are administrators.

The rules are the role variables mlflow_identity_*. Pure functions: no request, no database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
)
MAXIMAL_LENGTH = 254
"""Maximal length of an address (RFC 5321). MLflow's column for user names has 255 characters."""
SERVICE_ACCOUNTS = "gserviceaccount.com"
"""Domain above the domains of Google's service accounts."""


class RefusedError(Exception):
    """An identity is not a user of this server. The message names the address and the rule."""


@dataclass(frozen=True)
class Rules:
    """The role variables mlflow_identity_*. Addresses and domains are in lower case."""

    domains: frozenset[str]
    service_accounts: frozenset[str]
    """Addresses, or `@PROJECT.iam.gserviceaccount.com` for all service accounts of a project."""
    admins: frozenset[str]
    admin_groups: frozenset[str]
    require_hosted_domain: bool


@dataclass(frozen=True)
class Identity:
    """An identity as the identity provider names it."""

    address: str
    groups: frozenset[str] = frozenset()
    hosted_domain: str = ""
    """The claim `hd` of Google: the organization that manages the account. Empty for private accounts."""


@dataclass(frozen=True)
class User:
    """The user of MLflow for an identity."""

    username: str
    is_admin: bool


def decide(rules: Rules, identity: Identity) -> User:
    """Return the user for an identity, or raise RefusedError."""
    address = identity.address.lower()
    # The lower case of some other characters is an ASCII letter: the address of another person.
    if not (identity.address.isascii() and len(address) <= MAXIMAL_LENGTH and ADDRESS.fullmatch(address)):
        raise RefusedError(
            f"The identity provider sent {identity.address[:MAXIMAL_LENGTH]!r}, which is not an e-mail address."
            " Ask the administrator of this server to request the scope and the claim email."
        )
    domain = address.rpartition("@")[2]
    if not _is_listed_service_account(rules, address, domain):
        _check_person(rules, address, domain, identity.hosted_domain.lower())
    return User(address, address in rules.admins or not rules.admin_groups.isdisjoint(identity.groups))


def _is_listed_service_account(rules: Rules, address: str, domain: str) -> bool:
    if address in rules.service_accounts or f"@{domain}" in rules.service_accounts:
        return True
    # Everybody can create service accounts, so no domain admits them.
    if domain == SERVICE_ACCOUNTS or domain.endswith(f".{SERVICE_ACCOUNTS}"):
        raise RefusedError(f"{address} is refused: the service account is not in mlflow_identity_service_accounts.")
    return False


def _check_person(rules: Rules, address: str, domain: str, hosted_domain: str) -> None:
    if domain not in rules.domains:
        raise RefusedError(f"{address} is refused: the domain {domain} is not in mlflow_identity_domains.")
    if rules.require_hosted_domain and hosted_domain != domain:
        found = f"is {hosted_domain}" if hosted_domain else "is missing"
        raise RefusedError(
            f"{address} is refused: the claim hd {found}, so the organization {domain} does not manage the account"
            " (mlflow_identity_require_hosted_domain)."
        )
