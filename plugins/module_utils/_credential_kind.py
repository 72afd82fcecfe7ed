# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Find the kind of credentials that a process would use, and whether they depend on a user's session.

Uses the order of google.auth.default, but not google-auth, so that it also runs on a host without google-auth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# These types contain the refresh token of a person. Sources: google-auth `_default.py`,
# https://docs.cloud.google.com/docs/authentication/application-default-credentials
USER_TYPES = frozenset({"authorized_user", "external_account_authorized_user"})
METADATA = "metadata"
_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_DEFAULT_FILE = "application_default_credentials.json"


class CredentialsFileError(Exception):
    """The credentials file cannot be read or has an unknown form."""


@dataclass(frozen=True)
class Credentials:
    """The credentials of a process: a file of one ``kind``, or the metadata server of the VM (``file`` is None)."""

    kind: str
    file: str | None = None
    source_kind: str | None = None
    """With ``impersonated_service_account``: the kind of the impersonating credentials."""
    impersonates: str | None = None
    """The service account of CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT."""

    @property
    def of_a_user(self) -> bool:
        """Return whether the credentials end with the session of a person."""
        return self.kind in USER_TYPES or self.source_kind in USER_TYPES

    def __str__(self) -> str:
        """Describe the credentials without any secret."""
        described = f"{self.kind} of {self.file}" if self.file else "metadata server of the VM"
        if self.source_kind:
            described += f", impersonated by {self.source_kind}"
        if self.impersonates:
            described += f", impersonating {self.impersonates}"
        return described


def find(environment: Mapping[str, str], home: str) -> Credentials:
    """Return the credentials that the playbooks would use with this environment and home directory."""
    impersonates = environment.get("CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT") or None
    path = _file(environment, home)
    if path is None:
        return Credentials(METADATA, impersonates=impersonates)
    content = _content(path)
    source = content.get("source_credentials")
    source_kind = source.get("type") if isinstance(source, dict) else None
    return Credentials(content["type"], str(path), str(source_kind) if source_kind else None, impersonates)


def _file(environment: Mapping[str, str], home: str) -> Path | None:
    """Return the credentials file, or None if google.auth would ask the metadata server."""
    kind = environment.get("GCP_AUTH_KIND") or "application"
    named = environment.get("GCP_SERVICE_ACCOUNT_FILE" if kind == "service_account_file" else _VARIABLE)
    if named:
        return Path(named.replace("~", home, 1) if named.startswith("~/") else named)
    folder = environment.get("CLOUDSDK_CONFIG")
    default = (Path(folder) if folder else Path(home, ".config", "gcloud")) / _DEFAULT_FILE
    return default if default.is_file() else None


def _content(path: Path) -> dict[str, Any]:
    # Errors must not quote the content, because it contains secrets.
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CredentialsFileError(f"Cannot read the credentials file {path}: {error.strerror}.") from None
    except ValueError:
        raise CredentialsFileError(f"The credentials file {path} is not JSON.") from None
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise CredentialsFileError(f"The credentials file {path} has no type, so Google's libraries refuse it.")
    return content
