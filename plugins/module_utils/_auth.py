# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Create one authorized requests session from the common options. Uses Google's libraries, but not Ansible."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import google.auth
    import google.auth.external_account
    import google.auth.external_account_authorized_user
    import google.auth.impersonated_credentials
    import google.oauth2.credentials
    import google.oauth2.service_account
    from google.auth.transport.requests import AuthorizedSession

    IMPORT_ERROR: str | None = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    from requests import Session

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class AuthOptions:
    """Authentication options. ``impersonate_service_account`` may be a comma-separated chain, the target last."""

    auth_kind: str = "application"
    service_account_file: str | None = None
    access_token: str | None = field(default=None, repr=False)
    impersonate_service_account: str | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> AuthOptions:
        """Return the authentication options from the parameters of a module or plugin."""
        return cls(
            auth_kind=params.get("auth_kind") or "application",
            service_account_file=params.get("service_account_file"),
            access_token=params.get("access_token"),
            impersonate_service_account=params.get("impersonate_service_account"),
        )


def credentials(options: AuthOptions, project: str = "", environ: Mapping[str, str] | None = None) -> Any:
    """Return google-auth credentials. Raises google.auth.exceptions.GoogleAuthError, OSError or ValueError."""
    environ = os.environ if environ is None else environ
    source = _source(options)
    if not options.impersonate_service_account:
        return _with_quota_project(source, project, environ)
    # The impersonating account may have no role in the target project, so its token request must not count for it.
    *delegates, target = [part.strip() for part in options.impersonate_service_account.split(",")]
    override = environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS")
    endpoint = (
        f"{override.rstrip('/')}/v1/projects/-/serviceAccounts/{target}:generateAccessToken" if override else None
    )
    return google.auth.impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=source,
        target_principal=target,
        target_scopes=list(SCOPES),
        delegates=delegates,
        iam_endpoint_override=endpoint,
    )


def _source(options: AuthOptions) -> Any:
    if options.auth_kind == "access_token":
        if not options.access_token:
            raise ValueError("auth_kind=access_token needs access_token")
        token = options.access_token.strip()
        if not re.fullmatch(r"[!-~]+", token):  # requests would refuse it later with a message that quotes the token
            raise ValueError("access_token contains characters that a token cannot have, such as spaces")
        return google.oauth2.credentials.Credentials(token=token)  # type: ignore[no-untyped-call]
    if options.auth_kind == "service_account_file":
        if not options.service_account_file:
            raise ValueError("auth_kind=service_account_file needs service_account_file")
        return google.oauth2.service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            Path(options.service_account_file).expanduser(), scopes=SCOPES
        )
    return google.auth.default(scopes=SCOPES)[0]


def _with_quota_project(source: Any, project: str, environ: Mapping[str, str]) -> Any:
    """Return credentials with which the requests of a user count for the target project.

    Some APIs must be enabled in the caller's project, and gcloud writes an arbitrary project into a user's file. The
    requests of a service account count for its own project.
    """
    quota_project = environ.get("GOOGLE_CLOUD_QUOTA_PROJECT") or project
    return source.with_quota_project(quota_project) if quota_project and _of_user(source) else source


def _of_user(source: Any) -> bool:
    if isinstance(source, google.auth.external_account.Credentials):  # a workload, a person or a service account
        return not source.service_account_email
    if isinstance(source, google.auth.impersonated_credentials.Credentials):  # from a file of gcloud
        return source.quota_project_id is not None
    users = (google.oauth2.credentials.Credentials, google.auth.external_account_authorized_user.Credentials)
    return isinstance(source, users)


def session(options: AuthOptions, project: str = "", environ: Mapping[str, str] | None = None) -> Session:
    """Return a requests session that fetches, refreshes and sends the access token automatically."""
    authorized: Session = AuthorizedSession(credentials(options, project, environ))  # type: ignore[no-untyped-call]
    return authorized


def with_self_signed_tokens(authorized: Session) -> Session | None:
    """Return a session that signs its tokens with the key of a service account, or None for other credentials.

    Each module is a process and would exchange a signed token for an access token: one more request and connection.
    https://google.aip.dev/auth/4111
    """
    source = getattr(authorized, "credentials", None)
    if not isinstance(source, google.oauth2.service_account.Credentials):
        return None
    signed: Session = AuthorizedSession(source.with_always_use_jwt_access(True))  # type: ignore[no-untyped-call]
    return signed


def without_quota_project(authorized: Session) -> Session | None:
    """Return a session whose requests name no quota project, or None if the given session already names none."""
    source = getattr(authorized, "credentials", None)
    if not getattr(source, "quota_project_id", None):
        return None
    other: Session = AuthorizedSession(source.with_quota_project(None))  # type: ignore[no-untyped-call, union-attr]
    return other
