# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Start the MLflow server of a slot, with secrets from systemd credentials.

The slot's link `release` selects the release, its link `program` the version of this program, and its `server.json`
holds configuration and environment. All three were set at the last cutover to the slot. Later changes of the desired
state have no effect.

Passwords and the secret of nginx are written to private files: the database password to a libpq password file, the
administrator's password to MLflow's authentication configuration, the secret to the settings of the package
mlflow_gcp_server. Only the service can read these files, in its runtime directory in memory. They are never arguments
or environment variables. The keys that sign forms and encrypt stored secrets are in the environment of the server's
processes: MLflow reads them only from there. The same applies to the secrets of an own application.

The command starts in any Python and then replaces itself by the Python of the release.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import credentials as store
from . import database_uri
from .credentials import (
    ADMIN_PASSWORD,
    DATABASE_CA,
    DATABASE_URI,
    FORM_KEY,
    FRONT_END_SECRET,
    KEK_PASSPHRASES,
    WEBHOOK_KEYS,
    ConfigurationError,
)
from .errors import FailedError
from .system import PROGRAM, Paths

MINIMAL_PASSWORD_LENGTH = 12
# Directory of the package that MLflow imports.
SERVER_MODULES = PROGRAM / "server"
# Since this release, MLflow asks authorization_function on all routes. Earlier releases refuse some of them.
SINGLE_SIGN_ON_VERSION = (3, 15)


def read_credentials(directory: Path, *, administrator: bool = True, single_sign_on: bool = False) -> dict[str, str]:
    """Return the credentials of the server, without the earlier keys. An own application has no administrator."""
    names = [DATABASE_URI, FORM_KEY, *([FRONT_END_SECRET] if single_sign_on else [])]
    values = {name: store.read(directory, name) for name in names}
    if administrator:
        values[ADMIN_PASSWORD] = store.read(directory, ADMIN_PASSWORD)
        if len(values[ADMIN_PASSWORD]) < MINIMAL_PASSWORD_LENGTH:
            raise ConfigurationError(f"credential {ADMIN_PASSWORD} has fewer than {MINIMAL_PASSWORD_LENGTH} characters")
    # For an empty key, MLflow would use a random or a public key.
    return values | {name: store.key_ring(directory, name)[0] for name in (WEBHOOK_KEYS, KEK_PASSPHRASES)}


def auth_configuration(database_uri: str, password: str, settings: dict[str, Any]) -> str:
    """Return the text of MLflow's authentication configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    values = {
        "default_permission": settings["default_permission"],
        "database_uri": database_uri,
        "admin_username": settings["admin_username"],
        "admin_password": password,
        "authorization_function": settings["authorization_function"],
        "auth_cache_ttl_seconds": str(settings["auth_cache_ttl_seconds"]),
    }
    # MLflow reads the file with interpolation.
    parser["mlflow"] = {key: value.replace("%", "%%") for key, value in values.items()}
    lines = [f"{key} = {value}" for key, value in parser["mlflow"].items()]
    return "\n".join(["[mlflow]", *lines, ""])


def encryption_environment(secrets: dict[str, str]) -> dict[str, str]:
    """Return the variables with the keys for stored secrets. MLflow's defaults are a random and a public key."""
    return {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": secrets[WEBHOOK_KEYS],
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": secrets[KEK_PASSPHRASES],
        # Part of the key. stored_secrets.py rotates the passphrase and keeps the version.
        "MLFLOW_CRYPTO_KEK_VERSION": "1",
    }


def secret_environment(directory: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Return the variables of `mlflow_secret_environment` with the values of their credentials."""
    names: dict[str, str] = settings.get("secret_environment", {})
    return {variable: store.read(directory, credential) for variable, credential in names.items()}


def require_application(name: str) -> None:
    """Raise ConfigurationError unless a package of the release has the application."""
    found = sorted({entry.name for entry in importlib.metadata.entry_points(group="mlflow.app")})
    if name not in found:
        raise ConfigurationError(
            f"no package of the release has the application {name} (mlflow_app_name). The release has"
            f" {', '.join(found)}. Add the package of the application to mlflow_extra_requirements_file"
        )


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
    return ["server", "--app-name", settings["app_name"], *artifacts, "--workers", workers, *listen]


def package_settings(settings: dict[str, Any], secrets: dict[str, str]) -> str:
    """Return the settings of the package mlflow_gcp_server, with the secret of nginx."""
    identity = settings.get("identity")
    values = {
        "threads": settings["threads"],
        "audit_log": settings.get("audit_log", True),
        "admin_username": settings["admin_username"],
        "direct_transfers": settings.get("direct_transfers"),
        "identity": identity and {**identity, "secret": secrets[FRONT_END_SECRET]},
    }
    return json.dumps(values, indent=2)


def refuse_old_release(version: str, settings: dict[str, Any]) -> None:
    """Raise FailedError if this release cannot serve the authentication mode."""
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if settings.get("identity") and numbers < SINGLE_SIGN_ON_VERSION:
        needed = ".".join(map(str, SINGLE_SIGN_ON_VERSION))
        raise FailedError(
            f"MLflow cannot start: mlflow_authentication has single sign-on, which MLflow {version} does not support."
            f" Set mlflow_version to {needed} or newer, or set mlflow_authentication to basic. Then run site.yml"
        )


def use_server_package() -> None:
    """Add the package mlflow_gcp_server to the import path of this process and of its child processes.

    It comes before the packages of the release, so that its entry points have precedence. Raise FailedError if its
    settings or the authorization function are not usable: a worker process would fail at each start, or at its first
    request.
    """
    os.environ["PYTHONPATH"] = str(SERVER_MODULES)
    sys.path.insert(0, str(SERVER_MODULES))
    package = importlib.import_module("mlflow_gcp_server.app")
    try:
        package.check()
    except package.SettingsError as error:
        raise FailedError(f"MLflow cannot start: {error}") from error


def enter_release(slot: Path, settings: dict[str, Any]) -> None:
    """Replace this process by the Python of the release with the slot's environment, unless already done."""
    # Resolve the link, so that a later child process never runs another release.
    release = (slot / "release").resolve()
    if Path(sys.prefix) != release:
        python = str(release / "bin" / "python")
        environment = {**os.environ, **{name: str(value) for name, value in settings["environment"].items()}}
        os.execve(python, [python, "-I", str(PROGRAM), "launch", slot.name], environment)  # noqa: S606


def prepare(settings: dict[str, Any]) -> None:
    """Write the private files of MLflow and set its environment. Refuse a database of another release."""
    runtime = Path(os.environ["RUNTIME_DIRECTORY"])
    credentials = store.directory()
    check_temporary_directory(os.environ["TMPDIR"])
    administrator = settings.get("administrator", True)
    secrets = read_credentials(credentials, administrator=administrator, single_sign_on=bool(settings.get("identity")))
    databases = database_uri.parse(
        secrets[DATABASE_URI], settings["auth_database"], settings.get("application_database", "")
    )
    uri, auth_uri = (databases.without_password(name) for name in (databases.tracking, databases.auth))
    store.write_private(runtime / "pgpass", databases.password_line)
    store.write_private(runtime / "package.json", package_settings(settings, secrets))
    if administrator:
        store.write_private(runtime / "auth.ini", auth_configuration(auth_uri, secrets[ADMIN_PASSWORD], settings))
        os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(runtime / "auth.ini")
    else:
        require_application(settings["app_name"])
    # Before MLflow's own variables, so that no secret can replace one of them.
    os.environ |= secret_environment(credentials, settings)
    if variable := settings.get("application_database_variable"):
        os.environ[variable] = databases.without_password(databases.application)
    os.environ["PGPASSFILE"] = str(runtime / "pgpass")
    # The CA for sslmode=verify-ca or verify-full in the URI.
    if (credentials / DATABASE_CA).exists():
        os.environ["PGSSLROOTCERT"] = str(credentials / DATABASE_CA)
    os.environ["MLFLOW_GCP_SERVER_SETTINGS"] = str(runtime / "package.json")
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets[FORM_KEY]
    os.environ |= encryption_environment(secrets)
    refuse_to_migrate(uri, auth_uri)


def launch(name: str) -> None:
    """Prepare the files and the environment and become `mlflow`."""
    slot = Paths().slots / name
    settings = json.loads((slot / "server.json").read_text(encoding="utf-8"))
    enter_release(slot, settings)
    from mlflow.version import VERSION

    refuse_old_release(VERSION, settings)
    try:
        prepare(settings)
    except FailedError as error:
        raise FailedError(f"MLflow cannot start: {error}") from None
    if settings.get("administrator", True):
        follow_admin_password()

    from mlflow.cli import cli

    major = int(VERSION.split(".")[0])
    # The package needs an ASGI server, which MLflow 2 does not have.
    if major >= 3:
        use_server_package()
    sys.argv = ["mlflow", *server_arguments(settings, Path(os.environ["RUNTIME_DIRECTORY"]), major)]
    cli()
