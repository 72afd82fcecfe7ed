# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of this package: a private file that the launcher writes before MLflow starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .identity_rules import Rules

VARIABLE = "MLFLOW_GCP_SERVER_SETTINGS"
"""Environment variable with the path of the file."""
MINIMAL_SECRET_LENGTH = 32


class SettingsError(Exception):
    """The settings are not valid. The server must not start."""


@dataclass(frozen=True)
class Identity:
    """How identities are accepted that nginx verified."""

    secret: str
    """The secret with which nginx proves an identity."""
    rules: Rules


@dataclass(frozen=True)
class DirectTransfers:
    """Transfers of artifacts between client and bucket, with signed URLs."""

    minimum_bytes: int
    """Smaller artifacts are downloaded through the server."""
    url_seconds: int
    """Validity of a URL."""


@dataclass(frozen=True)
class Settings:
    """The settings of all worker processes."""

    threads: int
    """Maximal number of concurrent requests of a worker process."""
    audit_log: bool
    """Whether each authentication decision is logged."""
    admin_username: str
    """MLflow's administrator, whose account identities never change."""
    identity: Identity | None
    """None: only MLflow's own user names and passwords are accepted."""
    direct_transfers: DirectTransfers | None = None
    """None: all artifacts are transferred through the server."""


def _rules(values: Mapping[str, Any]) -> Rules:
    lists = {}
    for name in ("admins", "admin_groups", "domains", "service_accounts"):
        value = values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise SettingsError(f"identity.{name} must be a list of texts: {value!r}")
        # Only the names of groups are case-sensitive.
        lists[name] = frozenset(value if name == "admin_groups" else (item.lower() for item in value))
    required = values.get("require_hosted_domain")
    if not isinstance(required, bool):
        raise SettingsError(f"identity.require_hosted_domain must be true or false: {required!r}")
    if not lists["domains"] and not lists["service_accounts"]:
        raise SettingsError(
            "identity.domains and identity.service_accounts are empty, so every identity would be refused"
        )
    if "*" in lists["domains"]:
        raise SettingsError("identity.domains has '*', which would admit every account of the identity provider")
    return Rules(require_hosted_domain=required, **lists)


def _identity(values: Mapping[str, Any]) -> Identity:
    secret = values.get("secret")
    if not isinstance(secret, str) or len(secret) < MINIMAL_SECRET_LENGTH or " " in secret:
        raise SettingsError(f"identity.secret must have at least {MINIMAL_SECRET_LENGTH} characters and no space")
    return Identity(secret, _rules(values))


def parse(values: Mapping[str, Any]) -> Settings:
    """Return the settings, or raise SettingsError with the name of the wrong value. Never quotes the secret."""
    identity = values.get("identity")
    direct = values.get("direct_transfers")
    return Settings(
        threads=int(values["threads"]),
        audit_log=bool(values["audit_log"]),
        admin_username=str(values["admin_username"]),
        identity=None if identity is None else _identity(identity),
        direct_transfers=None
        if direct is None
        else DirectTransfers(int(direct["minimum_bytes"]), int(direct["url_seconds"])),
    )


def read() -> Settings:
    """Read the file of the launcher."""
    path = Path(os.environ[VARIABLE])
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is not readable: {type(error).__name__}: {error}") from None
