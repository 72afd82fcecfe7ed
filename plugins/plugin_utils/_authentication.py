# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the role variable ``mlflow_authentication``, and all data that depends on the value.

Each value has a role with the tasks that depend on the value: the entry points. See docs/decisions/0031.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._choice import COLLECTION, choose


@dataclass(frozen=True)
class Secret:
    """A secret of an authentication mode.

    A generated value has `length` letters and digits. With 0, the role of the mode stores the value of the role
    variable `variable`. The entry point `rotate` of `rotation_role` replaces the value, so two modes can share a secret
    with its rotation.
    """

    name: str
    title: str
    rotation_role: str
    unit: str = "mlflow"
    length: int = 40
    variable: str = ""

    @property
    def suffix(self) -> str:
        """Return the ID in Secret Manager without the name of the deployment."""
        return self.name.replace("_", "-")

    @property
    def credential(self) -> str:
        """Return the name of the systemd credential. Its first part is the unit that loads the credential."""
        return f"{self.unit}.{self.suffix}"


@dataclass(frozen=True)
class Authentication:
    """An authentication mode."""

    name: str
    role: str
    # Task files of the role that other roles include.
    entry_points: tuple[str, ...]
    secrets: tuple[Secret, ...]
    # The password of MLflow's administrator, as whom the readiness check and the doctor send requests. None: an own
    # application has users of its own, and both send only requests without a credential.
    identity: Secret | None
    # Settings of MLflow: the option --app-name (empty: mlflow_app_name), and authorization_function of the
    # authentication configuration.
    app_name: str
    authorization_function: str
    # Message of nginx for a request without a valid credential.
    unauthenticated_message: str
    # Whether nginx verifies identities and passes them to MLflow. Then the rules mlflow_identity_* apply, users of
    # `mlflow_users` get no passwords, and MLflow must be SINGLE_SIGN_ON_VERSION or newer.
    single_sign_on: bool = False
    # Role variable with the issuer of the identity provider.
    issuer_variable: str = ""
    # Systemd credentials of MLflow that the VM itself creates.
    vm_credentials: tuple[str, ...] = ()


# roles/mlflowctl/files/mlflowctl/launch.py refuses older releases too.
SINGLE_SIGN_ON_VERSION = "3.15.0"
ADMIN_PASSWORD = Secret("admin_password", title="administrator's password", rotation_role="authentication_basic")
BASIC = Authentication(
    name="basic",
    role="authentication_basic",
    entry_points=("nginx", "rotate"),
    secrets=(ADMIN_PASSWORD,),
    identity=ADMIN_PASSWORD,
    app_name="basic-auth",
    authorization_function="mlflow.server.auth:authenticate_request_basic_auth",
    unauthenticated_message="Give the name and the password of an MLflow user.",
)
CLIENT_SECRET = Secret(
    "oauth2_proxy_client_secret",
    title="secret of the OAuth client",
    rotation_role="authentication_oauth2_proxy",
    unit="oauth2-proxy",
    length=0,
    variable="authentication_oauth2_proxy_client_secret",
)
COOKIE_SECRET = Secret(
    "oauth2_proxy_cookie_secret",
    title="key of the session cookies",
    rotation_role="authentication_oauth2_proxy",
    unit="oauth2-proxy",
    # OAuth2-Proxy accepts 16, 24 or 32 bytes.
    length=32,
)
OAUTH2_PROXY = Authentication(
    name="oauth2_proxy",
    role="authentication_oauth2_proxy",
    entry_points=("validate", "store", "prepare", "nginx", "rotate", "examine", "remove"),
    secrets=(ADMIN_PASSWORD, CLIENT_SECRET, COOKIE_SECRET),
    identity=ADMIN_PASSWORD,
    # Entry point of the package mlflow_gcp_server with this name.
    app_name="basic-auth",
    authorization_function="mlflow_gcp_server.identity:authenticate",
    unauthenticated_message=(
        "Sign in: open this URL in a browser, send an ID token (MLFLOW_TRACKING_AUTH=google or MLFLOW_TRACKING_TOKEN),"
        " or give the name and the password of an MLflow user."
    ),
    single_sign_on=True,
    issuer_variable="authentication_oauth2_proxy_issuer",
    vm_credentials=("mlflow.front-end-secret",),
)
APPLICATION = Authentication(
    name="application",
    role="authentication_application",
    entry_points=("nginx",),
    secrets=(),
    identity=None,
    app_name="",
    authorization_function="",
    unauthenticated_message="Give a credential that the application of this server accepts, or sign in.",
)
AUTHENTICATIONS: Mapping[str, Authentication] = {each.name: each for each in (BASIC, OAUTH2_PROXY, APPLICATION)}


def find(value: object) -> Authentication:
    """Return the mode for a value of `mlflow_authentication`."""
    return choose("mlflow_authentication", value, AUTHENTICATIONS)


def former_secrets(mode: Authentication) -> list[Secret]:
    """Return the secrets that a deployment may have from another mode."""
    kept = {secret.name for secret in mode.secrets}
    others = {secret.name: secret for other in AUTHENTICATIONS.values() for secret in other.secrets}
    return [secret for name, secret in others.items() if name not in kept]


def settings(mode: Authentication) -> dict[str, Any]:
    """Return the data of a mode that does not depend on the deployment."""
    return {
        "name": mode.name,
        "role": f"{COLLECTION}.{mode.role}",
        "administrator": mode.identity is not None,
        "app_name": mode.app_name,
        "authorization_function": mode.authorization_function,
        "single_sign_on": mode.single_sign_on,
        "credentials": [
            *(secret.credential for secret in mode.secrets if secret.unit == "mlflow"),
            *mode.vm_credentials,
        ],
        "unauthenticated_message": mode.unauthenticated_message,
    }


def identity_rules(mode: Authentication, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the rules for identities from the variables of the role `mlflow`, None without single sign-on."""
    if not mode.single_sign_on:
        return None
    lists = ("admins", "admin_groups", "domains", "service_accounts")
    return {name: list(values[f"mlflow_identity_{name}"]) for name in lists} | {
        "require_hosted_domain": bool(values["mlflow_identity_require_hosted_domain"])
    }


def describe(mode: Authentication, secrets: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the fact. `secrets` has the ID of each secret, `values` the role variables."""
    return settings(mode) | {
        # Entry points that not all modes have are included only if they are in this list.
        "entry_points": list(mode.entry_points),
        # Roles that remove from the VM what a former mode installed there.
        "former_roles": [
            f"{COLLECTION}.{other.role}"
            for other in AUTHENTICATIONS.values()
            if other != mode and "remove" in other.entry_points
        ],
        "identity": {
            "username": values["mlflow_admin_username"] if mode.identity else "",
            "secret": secrets[mode.identity.name] if mode.identity else "",
        },
        "issuer": str(values[mode.issuer_variable]) if mode.issuer_variable else "",
        "secrets": [
            {"name": secret.name, "secret": secrets[secret.name], "length": secret.length} for secret in mode.secrets
        ],
    }
