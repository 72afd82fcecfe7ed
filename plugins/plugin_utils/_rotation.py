# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The secrets that a rotation can replace: the names in the role variable ``rotate_what``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import Authentication
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._choice import COLLECTION


@dataclass(frozen=True)
class Rotation:
    """A secret that the role `rotate` replaces."""

    name: str
    title: str
    # Key in `mlflow_deployment.secrets`.
    secret: str
    credential: str
    # Whether the secret contains the key in use and earlier keys.
    key_ring: bool = False


DATABASE = Rotation("database_password", "database password", "database_uri", "mlflow.database-uri")
OTHERS = (
    Rotation("flask_secret_key", "key that signs forms", "flask_secret_key", "mlflow.flask-secret-key"),
    Rotation(
        "webhook_encryption_key",
        "encryption key of webhook secrets",
        "webhook_encryption_key",
        "mlflow.webhook-encryption-key",
        key_ring=True,
    ),
    Rotation(
        "crypto_kek_passphrase",
        "passphrase of gateway secrets",
        "crypto_kek_passphrase",
        "mlflow.crypto-kek-passphrase",
        key_ring=True,
    ),
    Rotation("certificate", "TLS certificate", "certificate", "nginx.certificate"),
)


def describe(mode: Authentication, secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the part of the fact. `role` is the role of the authentication with the tasks, or empty: `rotate`.

    `variable` is the role variable with the new value, or empty: the value is generated.
    """

    def own(rotation: Rotation) -> dict[str, Any]:
        return {
            "name": rotation.name,
            "title": rotation.title,
            "secret": secrets[rotation.secret],
            "credential": rotation.credential,
            "key_ring": rotation.key_ring,
            "variable": "",
            "role": "",
        }

    of_the_authentication = [
        {
            "name": secret.name,
            "title": secret.title,
            "secret": secrets[secret.name],
            "credential": secret.credential,
            "key_ring": False,
            "variable": secret.variable,
            "role": f"{COLLECTION}.{secret.rotation_role}",
        }
        for secret in mode.secrets
    ]
    return [own(DATABASE), *of_the_authentication, *map(own, OTHERS)]
