# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identity tokens of service accounts: metadata server, key file, impersonation and federation."""

from __future__ import annotations

from typing import Any

from google.auth import compute_engine, impersonated_credentials
from google.auth.transport import Request
from google.oauth2 import service_account

from mlflow_gcp_auth.errors import AuthenticationError
from mlflow_gcp_auth.settings import CREDENTIALS_FILE, IMPERSONATE
from mlflow_gcp_auth.source import Source

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def metadata_server(audience: str, request: Request) -> Source:
    """Return the service account of a VM instance, a Cloud Run service or a Vertex AI job."""

    def get() -> str:
        # google-auth asks for format=full: only such a token has an e-mail address.
        return _token(
            compute_engine.IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True), request
        )

    return Source(
        "the service account of the metadata server",
        "Attach a service account to this VM instance, Cloud Run service or Vertex AI job.",
        get,
    )


def key_file(credentials: Any, audience: str, request: Request) -> Source:
    """Return the service account of a key file."""

    def get() -> str:
        tokens = service_account.IDTokenCredentials(
            credentials.signer,
            credentials.service_account_email,
            # No public attribute has the token endpoint of the key file.
            credentials._token_uri,
            audience,
        )
        return _token(tokens, request)

    return Source(
        f"the key of the service account {credentials.service_account_email}",
        f"Check that the key in {CREDENTIALS_FILE} is neither deleted nor disabled, and that the clock of this computer"
        " is right.",
        get,
    )


def impersonated(credentials: Any, email: str, audience: str, request: Request) -> Source:
    """Return a service account that other credentials impersonate."""

    def get() -> str:
        target = impersonated_credentials.Credentials(credentials, email, _SCOPES)
        return _id_token_of(target, audience, request)

    return Source(
        f"the impersonated service account {email}",
        f"{IMPERSONATE} selects this account. Give the account of your credentials the role"
        f" roles/iam.serviceAccountOpenIdTokenCreator on {email} and enable the API iamcredentials.googleapis.com.",
        get,
    )


def impersonated_by_file(credentials: Any, audience: str, request: Request) -> Source:
    """Return the service account of a credentials file that `gcloud … --impersonate-service-account` wrote."""
    email = credentials.service_account_email
    return Source(
        f"the impersonated service account {email}",
        f"Give your account the role roles/iam.serviceAccountOpenIdTokenCreator on {email} and enable the API"
        " iamcredentials.googleapis.com.",
        lambda: _id_token_of(credentials, audience, request),
    )


def federated(credentials: Any, audience: str, request: Request) -> Source:
    """Return the service account of a workload identity federation, such as a workflow of GitHub Actions.

    The federated identity requests the token itself. The unchanged credentials would use an access token of the service
    account, which would then need a role on itself.
    """
    email = credentials.service_account_email
    if not email:
        raise AuthenticationError(
            "The federated credentials have no service account, and Google issues identity tokens to service accounts"
            f" only. Set the input service_account of google-github-actions/auth, or {IMPERSONATE}."
        )

    def get() -> str:
        info = {name: value for name, value in credentials.info.items() if "service_account_impersonation" not in name}
        target = impersonated_credentials.Credentials(type(credentials).from_info(info), email, _SCOPES)
        return _id_token_of(target, audience, request)

    return Source(
        f"the service account {email} of the workload identity federation",
        f"Give the federated principal the role roles/iam.workloadIdentityUser on {email}. Enable the APIs"
        " sts.googleapis.com and iamcredentials.googleapis.com. In GitHub Actions, set the permission id-token: write.",
        get,
    )


def _id_token_of(target: Any, audience: str, request: Request) -> str:
    tokens = impersonated_credentials.IDTokenCredentials(target, audience, include_email=True)
    return _token(tokens, request)


def _token(credentials: Any, request: Request) -> str:
    credentials.refresh(request)
    return str(credentials.token)
