# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role variables ``mlflow_users`` and ``mlflow_roles``: secrets of users, and the release that the entries need.

The fact is computed before the argument specification is checked, so entries of a wrong type are ignored here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflow_grants import ROLES, first_release
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import (
    SINGLE_SIGN_ON_VERSION,
    Authentication,
)

# Direct permissions on all kinds of objects. Older releases have them only on experiments and models.
DIRECT_PERMISSIONS = (3, 13)


def secret_id(deployment: str, user: str) -> str:
    """Return the ID of the secret with a user's password.

    Secret Manager accepts only letters, digits, hyphens and underscores. Another name gets a hash, so that two users
    never share a secret.
    """
    part = user
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", user):
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", user)[:190].strip("-")
        part = f"{readable}-{hashlib.sha256(user.encode()).hexdigest()[:8]}"
    return f"{deployment}-user-{part}"


def named(entries: object) -> list[Mapping[str, Any]]:
    """Return the entries of a list that have a name."""
    return [each for each in mappings(entries) if each.get("name") and isinstance(each["name"], str)]


def mappings(entries: object) -> list[Mapping[str, Any]]:
    """Return the mappings of a list."""
    return [each for each in entries if isinstance(each, Mapping)] if isinstance(entries, list) else []


def is_present(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry should exist."""
    return bool(entry.get("state", "present") == "present")


def describe(users: object, deployment: str, mode: Authentication) -> list[dict[str, Any]]:
    """Return the part of the fact. `has_password` is false in a mode in which people sign in elsewhere."""
    return [
        {
            "name": user["name"],
            "state": "present" if is_present(user) else "absent",
            "secret": secret_id(deployment, user["name"]),
            "has_password": not mode.single_sign_on,
            "secret_accessors": user.get("secret_accessors") or [],
        }
        for user in named(users)
    ]


def _releases(entries: object) -> Iterator[tuple[int, int]]:
    for entry in filter(is_present, named(entries)):
        for each in filter(is_present, mappings(entry.get("permissions"))):
            yield first_release(str(each.get("resource_type")), str(each.get("permission")))


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def required_release(roles: object, users: object, *, single_sign_on: bool = False) -> dict[str, str]:
    """Return the oldest release of MLflow that supports the entries and the authentication, and their role variables.

    Both are empty if every release supports them.
    """
    direct = list(_releases(users))
    needed = {
        "mlflow_authentication": [_numbers(SINGLE_SIGN_ON_VERSION)] if single_sign_on else [],
        "mlflow_roles": [ROLES, *_releases(roles)] if named(roles) else [],
        "mlflow_users": [ROLES, *direct, *([DIRECT_PERMISSIONS] if direct else [])] if named(users) else [],
    }
    releases = [release for each in needed.values() for release in each]
    version = "{}.{}.0".format(*max(releases)) if releases else ""
    return {"version": version, "variables": " and ".join(name for name, each in needed.items() if each)}
