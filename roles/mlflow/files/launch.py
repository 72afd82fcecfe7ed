# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Start the MLflow server of a slot, with secrets from systemd credentials.

The directory of this file is the slot. Its link `release` selects the release, its `server.json` holds configuration
and environment. Both were copied at the last cutover to the slot. Later changes of the desired state have no effect.

The database password is written to a libpq password file, the administrator's password to MLflow's authentication
configuration. Only the service can read these files, in its runtime directory in memory. The passwords are never
arguments or environment variables. The keys that sign forms and encrypt stored secrets are in the environment of the
server's processes: MLflow reads them only from there.

The program starts in any Python and then replaces itself by the Python of the release.
"""

from __future__ import annotations

import base64
import configparser
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

WEBHOOK_CREDENTIAL = "mlflow.webhook-encryption-key"
KEK_CREDENTIAL = "mlflow.crypto-kek-passphrase"
KEYS = ("mlflow.flask-secret-key", WEBHOOK_CREDENTIAL, KEK_CREDENTIAL)
SECRETS = ("mlflow.database-uri", "mlflow.admin-password", *KEYS)
DATABASE_CA = "mlflow.database-ca"
MINIMAL_PASSWORD_LENGTH = 12
FERNET_KEY_BYTES = 32


class ConfigurationError(Exception):
    """A credential is missing or not valid."""


def read_credentials(directory: Path) -> dict[str, str]:
    """Return the credentials in the credentials directory of systemd."""
    values = {}
    for name in SECRETS:
        path = directory / name
        if not path.exists():
            raise ConfigurationError(
                f"credential {name} is missing. Run site.yml, which creates the secret and has this VM fetch it. If"
                " credentials_items is set, it must name the credential. Then run"
                " `systemctl status mlflow-credentials.service`, or put the credential into /etc/credstore"
            )
        values[name] = path.read_text(encoding="utf-8").rstrip("\r\n")
        if not values[name]:
            raise ConfigurationError(f"credential {name} is empty")
    if len(values["mlflow.admin-password"]) < MINIMAL_PASSWORD_LENGTH:
        raise ConfigurationError(
            f"credential mlflow.admin-password has fewer than {MINIMAL_PASSWORD_LENGTH} characters"
        )
    check_webhook_key(key_in_use(WEBHOOK_CREDENTIAL, values))
    key_in_use(KEK_CREDENTIAL, values)
    return values


def key_ring(text: str) -> list[str]:
    """Return the keys of a credential with one key on each line: the key in use, then earlier keys."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def key_in_use(name: str, values: dict[str, str]) -> str:
    """Return the first key of a credential. For an empty key, MLflow would use a random or a public key."""
    keys = key_ring(values[name])
    if not keys:
        raise ConfigurationError(f"credential {name} is empty")
    return keys[0]


def check_webhook_key(key: str) -> None:
    """Raise ConfigurationError unless the key is a Fernet key. MLflow would end with a traceback during its import."""
    try:
        length = len(base64.urlsafe_b64decode(key))
    except ValueError:
        length = 0
    if length != FERNET_KEY_BYTES:
        raise ConfigurationError(
            f"the first line of the credential {WEBHOOK_CREDENTIAL} is not a Fernet key"
            f" ({FERNET_KEY_BYTES} bytes in URL-safe base64). Store the output of `openssl rand -base64 32 | tr +/ -_`"
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that no other user can read at any moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as handle:
        handle.write(text)


def split_database_uri(uri: str, auth_database: str) -> tuple[str, str, str]:
    """Return the URIs of both databases without a password, and the line for the libpq password file."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except ArgumentError:
        # The original message contains the whole URI.
        raise ConfigurationError("credential mlflow.database-uri is not a database URI") from None
    if url.get_backend_name() != "postgresql" or not url.database:
        raise ConfigurationError(
            "credential mlflow.database-uri is not of the form postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE"
        )
    # The default driver of postgresql:// depends on the SQLAlchemy release.
    url = url.set(drivername="postgresql+psycopg2")
    password, user = url.password or "", url.username or "*"
    url = url._replace(password=None)
    escaped = [part.replace("\\", "\\\\").replace(":", "\\:") for part in (user, password)]
    line = f"*:*:*:{escaped[0]}:{escaped[1]}\n"
    tracking, auth = (each.render_as_string(hide_password=False) for each in (url, url.set(database=auth_database)))
    return tracking, auth, line


def auth_configuration(database_uri: str, password: str, settings: dict[str, Any]) -> str:
    """Return the text of MLflow's authentication configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    values = {
        "default_permission": settings["default_permission"],
        "database_uri": database_uri,
        "admin_username": settings["admin_username"],
        "admin_password": password,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": str(settings["auth_cache_ttl_seconds"]),
    }
    # MLflow reads the file with interpolation.
    parser["mlflow"] = {key: value.replace("%", "%%") for key, value in values.items()}
    lines = [f"{key} = {value}" for key, value in parser["mlflow"].items()]
    return "\n".join(["[mlflow]", *lines, ""])


def encryption_environment(secrets: dict[str, str]) -> dict[str, str]:
    """Return the variables with the keys for stored secrets. MLflow's defaults are a random and a public key."""
    return {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": key_in_use(WEBHOOK_CREDENTIAL, secrets),
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": key_in_use(KEK_CREDENTIAL, secrets),
        # Part of the key. encryption.py rotates the passphrase and keeps the version.
        "MLFLOW_CRYPTO_KEK_VERSION": "1",
    }


def refuse_to_migrate(uri: str, auth_uri: str) -> None:
    """Raise ConfigurationError if a database has another schema than this release. MLflow would migrate it."""
    import mlflow
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool

    package = Path(mlflow.__file__).parent
    places = {
        "alembic_version": (uri, package / "store" / "db_migrations"),
        # MLflow 2 does not have this table. Then only the tracking database is compared.
        "alembic_version_auth": (auth_uri, package / "server" / "auth" / "db" / "migrations"),
    }
    for table, (database, scripts) in places.items():
        try:
            with create_engine(database, poolclass=NullPool).connect() as connection:
                known = inspect(connection).has_table(table)
                revision = connection.execute(text(f"SELECT version_num FROM {table}")).scalar() if known else None  # noqa: S608
        except OperationalError as error:
            raise ConfigurationError(f"the database does not answer: {str(error.orig).splitlines()[0]}") from None
        head = ScriptDirectory(str(scripts)).get_current_head()
        if revision not in (None, head):
            raise ConfigurationError(
                f"{table} of the database is at {revision}, and this release needs {head}."
                " Set mlflow_version to the release that created the database, then run playbooks/upgrade.yml"
            )


def follow_admin_password() -> None:
    """Set the administrator's password to the one of the credential, if they differ."""
    from mlflow.server import auth

    username, password = auth.auth_config.admin_username, auth.auth_config.admin_password
    if hasattr(auth, "bootstrap_admin_user"):
        auth.bootstrap_admin_user()
    else:  # MLflow 2
        auth.store.init_db(auth.auth_config.database_uri)
        auth.create_admin_user(username, password)
    if not auth.store.authenticate_user(username, password):
        auth.store.update_user(username, password=password, is_admin=True)
        print(f"The password of {username} was set to the one of the credential mlflow.admin-password", flush=True)


def check_temporary_directory(directory: str) -> None:
    """Raise ConfigurationError if the directory is not writable. Python would silently use another directory."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(f"mlflow_temporary_directory: {directory}: {error.strerror}") from None


def server_arguments(settings: dict[str, Any], runtime: Path, major: int) -> list[str]:
    """Return the arguments of `mlflow` for a server on the socket in `runtime`."""
    path, graceful = runtime / "mlflow.sock", settings["graceful_shutdown_timeout"]
    if major >= 3:
        options = f"--uds {path} --loop uvloop --http httptools --timeout-graceful-shutdown {graceful}"
        listen = ["--uvicorn-opts", options]
    else:
        # gunicorn also listens on the host and port of MLflow, so replace this TCP port by a second Unix socket.
        # Threads without a time limit for a request, because an upload may take long.
        options = f"--bind unix:{path} --graceful-timeout {graceful} --timeout 0 --worker-class gthread"
        options += f" --threads {settings['threads']}"
        listen = ["--gunicorn-opts", options, "--host", f"unix:{runtime / 'gunicorn'}", "--port", "1"]
    workers = str(settings["workers"])
    artifacts = ["--serve-artifacts", "--artifacts-destination", settings["artifacts_destination"]]
    return ["server", "--app-name", "basic-auth", *artifacts, "--workers", workers, *listen]


def use_server_package(slot: Path, threads: int) -> None:
    """Add the slot's package mlflow_gcp_server to the import path of this process and of its child processes.

    It comes before the packages of the release, so that its entry points have precedence.
    """
    os.environ["PYTHONPATH"] = str(slot)
    os.environ["MLFLOW_GCP_SERVER_THREADS"] = str(threads)
    sys.path.insert(0, str(slot))


def enter_release(slot: Path, settings: dict[str, Any]) -> None:
    """Replace this process by the Python of the release with the slot's environment, unless already done."""
    # Resolve the link, so that a later child process never runs another release.
    release = (slot / "release").resolve()
    if Path(sys.prefix) != release:
        python = str(release / "bin" / "python")
        environment = {**os.environ, **{name: str(value) for name, value in settings["environment"].items()}}
        os.execve(python, [python, "-I", __file__], environment)  # noqa: S606


def main() -> None:
    """Prepare the files and the environment and become `mlflow`."""
    slot = Path(__file__).parent
    settings = json.loads((slot / "server.json").read_text(encoding="utf-8"))
    enter_release(slot, settings)
    runtime = Path(os.environ["RUNTIME_DIRECTORY"])
    credentials = Path(os.environ["CREDENTIALS_DIRECTORY"])
    try:
        check_temporary_directory(os.environ["TMPDIR"])
        secrets = read_credentials(credentials)
        uri, auth_uri, line = split_database_uri(secrets["mlflow.database-uri"], settings["auth_database"])
    except ConfigurationError as error:
        sys.exit(f"MLflow cannot start: {error}")
    write_private(runtime / "pgpass", line)
    write_private(runtime / "auth.ini", auth_configuration(auth_uri, secrets["mlflow.admin-password"], settings))
    os.environ["PGPASSFILE"] = str(runtime / "pgpass")
    # The CA for sslmode=verify-ca or verify-full in the URI.
    if (credentials / DATABASE_CA).exists():
        os.environ["PGSSLROOTCERT"] = str(credentials / DATABASE_CA)
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(runtime / "auth.ini")
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets["mlflow.flask-secret-key"]
    os.environ |= encryption_environment(secrets)
    try:
        refuse_to_migrate(uri, auth_uri)
    except ConfigurationError as error:
        sys.exit(f"MLflow cannot start: {error}")
    follow_admin_password()

    from mlflow.cli import cli
    from mlflow.version import VERSION

    major = int(VERSION.split(".")[0])
    # The package needs an ASGI server, which MLflow 2 does not have.
    if major >= 3:
        use_server_package(slot, settings["threads"])
    sys.argv = ["mlflow", *server_arguments(settings, runtime, major)]
    cli()


if __name__ == "__main__":
    main()
