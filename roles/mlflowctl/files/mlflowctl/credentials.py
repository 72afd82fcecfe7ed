# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The credentials of the server, which systemd passes to services and jobs."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from .errors import FailedError

DATABASE_URI = "mlflow.database-uri"
DATABASE_CA = "mlflow.database-ca"
ADMIN_PASSWORD = "mlflow.admin-password"  # noqa: S105
FRONT_END_SECRET = "mlflow.front-end-secret"  # noqa: S105
FORM_KEY = "mlflow.flask-secret-key"
WEBHOOK_KEYS = "mlflow.webhook-encryption-key"
KEK_PASSPHRASES = "mlflow.crypto-kek-passphrase"
FERNET_KEY_BYTES = 32


class ConfigurationError(FailedError):
    """A credential is missing or not valid."""


def directory() -> Path:
    """Return the credentials directory of this process."""
    if "CREDENTIALS_DIRECTORY" not in os.environ:
        raise FailedError("this command needs the credentials of the server. Run: mlflowctl run-job COMMAND")
    return Path(os.environ["CREDENTIALS_DIRECTORY"])


def read(credentials: Path, name: str) -> str:
    """Return the text of a credential."""
    path = credentials / name
    if not path.exists():
        raise ConfigurationError(
            f"credential {name} is missing. Run site.yml, which creates the secret and has this VM fetch it. If"
            " credentials_items is set, it must name the credential. Then run"
            " `systemctl status mlflow-credentials.service`, or put the credential into /etc/credstore"
        )
    value = path.read_text(encoding="utf-8").rstrip("\r\n")
    if not value:
        raise ConfigurationError(f"credential {name} is empty")
    return value


def key_ring(credentials: Path, name: str) -> list[str]:
    """Return the keys of a credential with one key on each line: the key in use, then earlier keys."""
    keys = [line.strip() for line in read(credentials, name).splitlines() if line.strip()]
    if not keys:
        raise ConfigurationError(f"credential {name} is empty")
    if name == WEBHOOK_KEYS:
        check_webhook_key(keys[0])
    return keys


def check_webhook_key(key: str) -> None:
    """Raise ConfigurationError unless the key is a Fernet key. MLflow would end with a traceback during its import."""
    try:
        length = len(base64.urlsafe_b64decode(key))
    except ValueError:
        length = 0
    if length != FERNET_KEY_BYTES:
        raise ConfigurationError(
            f"the first line of the credential {WEBHOOK_KEYS} is not a Fernet key"
            f" ({FERNET_KEY_BYTES} bytes in URL-safe base64). Store the output of `openssl rand -base64 32 | tr +/ -_`"
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that no other user can read at any moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as handle:
        handle.write(text)
