# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The launcher: its output is read by the same parsers as in production."""

from __future__ import annotations

import configparser
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflowctl import credentials, launch
from mlflowctl.credentials import FRONT_END_SECRET, ConfigurationError
from mlflowctl.errors import FailedError

from tests.unit.mlflowctl.served import BASIC_FUNCTION, IDENTITY, IDENTITY_FUNCTION, SECRET, write_configuration

FERNET_KEY = Fernet.generate_key().decode()
ODD = "pa:ss\\w%rd@/#?"
SETTINGS = {
    "default_permission": "READ",
    "admin_username": "admin",
    "app_name": "basic-auth",
    "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    "auth_cache_ttl_seconds": 60,
    "artifacts_destination": "gs://bucket/with space",
    "graceful_shutdown_timeout": 30,
    "workers": 2,
    "threads": 14,
}


def test_authentication_configuration_survives_interpolation() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(launch.auth_configuration("postgresql+psycopg2://a%40b@h/d", ODD, SETTINGS))
    section = dict(parser["mlflow"])
    assert section["admin_password"] == ODD
    assert section["database_uri"] == "postgresql+psycopg2://a%40b@h/d"
    assert section["default_permission"] == "READ"
    assert section["auth_cache_ttl_seconds"] == "60"


def write(directory: Path, **changes: str) -> Path:
    values = {
        "mlflow.database-uri": "u\n",
        "mlflow.admin-password": "long-enough-password",
        "mlflow.flask-secret-key": "k",
        "mlflow.webhook-encryption-key": f"{FERNET_KEY}\n",
        "mlflow.crypto-kek-passphrase": "p",
    }
    for name, value in {**values, **changes}.items():
        (directory / name).write_text(value, encoding="utf-8")
    return directory


def test_a_trailing_newline_is_removed(tmp_path: Path) -> None:
    assert launch.read_credentials(write(tmp_path))["mlflow.database-uri"] == "u"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mlflow.admin-password": "short"}, "fewer than 12"),
        ({"mlflow.flask-secret-key": "\n"}, "mlflow.flask-secret-key is empty"),
        # MLflow would use its public default passphrase.
        ({"mlflow.crypto-kek-passphrase": " \n "}, "mlflow.crypto-kek-passphrase is empty"),
        # MLflow would end with a traceback.
        ({"mlflow.webhook-encryption-key": "k" * 44}, "mlflow.webhook-encryption-key is not a Fernet key"),
        ({"mlflow.webhook-encryption-key": FERNET_KEY[:-4]}, "openssl rand -base64 32"),
        ({"mlflow.webhook-encryption-key": "ü" * 44}, "is not a Fernet key"),
    ],
)
def test_invalid_credentials_are_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        launch.read_credentials(write(tmp_path, **changes))


def test_the_error_for_an_invalid_key_does_not_contain_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        launch.read_credentials(write(tmp_path, **{"mlflow.webhook-encryption-key": "hunter2"}))
    assert "hunter2" not in str(error.value)


def test_stored_secrets_are_encrypted_with_keys_of_the_deployment(tmp_path: Path) -> None:
    """By default each process of MLflow generates a key for webhooks, and the key for API keys is public."""
    rings = {"mlflow.webhook-encryption-key": f"{FERNET_KEY}\nolder\n", "mlflow.crypto-kek-passphrase": "new\r\nolder"}
    assert launch.encryption_environment(launch.read_credentials(write(tmp_path, **rings))) == {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": FERNET_KEY,
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": "new",
        "MLFLOW_CRYPTO_KEK_VERSION": "1",
    }


@pytest.mark.parametrize("name", ["mlflow.webhook-encryption-key", "mlflow.crypto-kek-passphrase"])
def test_the_error_for_a_missing_key_names_site_yml(tmp_path: Path, name: str) -> None:
    """A deployment by an earlier release of this collection, or with its own credentials_items, has no such key."""
    (write(tmp_path) / name).unlink()
    with pytest.raises(ConfigurationError, match=rf"{name} is missing\. Run site\.yml.*credentials_items"):
        launch.read_credentials(tmp_path)


def test_missing_credential(tmp_path: Path) -> None:
    (write(tmp_path) / "mlflow.database-uri").unlink()
    with pytest.raises(ConfigurationError, match=r"mlflow\.database-uri is missing"):
        launch.read_credentials(tmp_path)


def test_the_secret_of_nginx_is_needed_with_single_sign_on_only(tmp_path: Path) -> None:
    assert FRONT_END_SECRET not in launch.read_credentials(write(tmp_path))
    with pytest.raises(ConfigurationError, match=r"mlflow\.front-end-secret is missing\. Run site\.yml"):
        launch.read_credentials(tmp_path, single_sign_on=True)
    write(tmp_path, **{FRONT_END_SECRET: f"{SECRET}\n"})
    assert launch.read_credentials(tmp_path, single_sign_on=True)[FRONT_END_SECRET] == SECRET


def test_the_package_gets_its_settings_in_a_private_file() -> None:
    settings = json.loads(launch.package_settings(SETTINGS, {}))
    assert settings == {
        "threads": 14,
        "audit_log": True,
        "admin_username": "admin",
        "direct_transfers": None,
        "identity": None,
    }
    direct = {"minimum_bytes": 1000, "url_seconds": 900}
    assert (
        json.loads(launch.package_settings({**SETTINGS, "direct_transfers": direct}, {}))["direct_transfers"] == direct
    )
    with_rules = {**SETTINGS, "identity": IDENTITY, "audit_log": False}
    settings = json.loads(launch.package_settings(with_rules, {FRONT_END_SECRET: SECRET}))
    assert settings["identity"] == {**IDENTITY, "secret": SECRET}
    assert settings["audit_log"] is False


@pytest.mark.parametrize("version", ["2.22.4", "3.14.1", "3.9.0rc1"])
def test_an_old_release_does_not_start_with_single_sign_on(version: str) -> None:
    launch.refuse_old_release(version, SETTINGS)
    with pytest.raises(FailedError, match=rf"MLflow {version} does not support\. Set mlflow_version to 3\.15 or newer"):
        launch.refuse_old_release(version, {**SETTINGS, "identity": IDENTITY})
    launch.refuse_old_release("3.15.0", {**SETTINGS, "identity": IDENTITY})


PROGRAM = "from mlflowctl import launch; launch.use_server_package()"
NO_RULES = {**IDENTITY, "domains": [], "service_accounts": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"authorization_function": "no_such_module:f"}, "cannot import authorization_function no_such_module:f"),
        ({"authorization_function": "mlflow_gcp_server.identity:f"}, "has no attribute 'f'"),
        ({"authorization_function": BASIC_FUNCTION}, f"identity needs authorization_function {IDENTITY_FUNCTION}"),
        ({"identity": NO_RULES}, "so every identity would be refused"),
    ],
)
def test_the_start_fails_with_wrong_settings(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """MLflow would import the function at the first request: /health would answer 200, other routes 500."""
    environment = write_configuration(tmp_path, single_sign_on=True, **changes)
    environment["PYTHONPATH"] = str(launch.PROGRAM)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("mlflowctl.errors.FailedError: MLflow cannot start: ")
    assert message in last
    assert SECRET not in done.stderr


def test_private_files_are_private_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    credentials.write_private(path, "new")
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.read_text() == "new"


def test_each_major_release_gets_its_options() -> None:
    new = launch.server_arguments(SETTINGS, Path("/run/mlflow-blue"), 3)
    assert new[new.index("--uvicorn-opts") + 1].startswith("--uds /run/mlflow-blue/mlflow.sock ")
    assert "--gunicorn-opts" not in new
    old = launch.server_arguments(SETTINGS, Path("/run/mlflow-blue"), 2)
    assert old[old.index("--gunicorn-opts") + 1].startswith("--bind unix:/run/mlflow-blue/mlflow.sock ")
    assert "--uvicorn-opts" not in old
    assert old[old.index("--host") + 1].startswith("unix:"), "no TCP port"
    for arguments in (old, new):
        assert arguments[arguments.index("--artifacts-destination") + 1] == "gs://bucket/with space"


def test_the_launcher_continues_in_the_release_with_the_environment_of_the_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "releases" / "3"
    release.mkdir(parents=True)
    (tmp_path / "release").symlink_to(release)
    calls = []
    monkeypatch.setattr(launch.os, "execve", lambda *arguments: calls.append(arguments))
    launch.enter_release(tmp_path, {"environment": {"POOL": 10}})
    (program, arguments, environment) = calls.pop()
    # Not the path of the link, whose target may change before a worker is started.
    assert program == arguments[0] == str(release / "bin" / "python")
    assert arguments[1:] == ["-I", str(launch.PROGRAM), "launch", tmp_path.name]
    assert environment["POOL"] == "10"
    monkeypatch.setattr(launch.sys, "prefix", str(release))
    launch.enter_release(tmp_path, {"environment": {}})
    assert not calls


def test_a_read_only_temporary_directory_is_refused(tmp_path: Path) -> None:
    """Python would silently use /tmp, which may be memory."""
    launch.check_temporary_directory(str(tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match=r"mlflow_temporary_directory: /.*/none: No such"):
        launch.check_temporary_directory(str(tmp_path / "none"))


def database(path: Path, table: str, revision: str) -> str:
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
        connection.execute(f"INSERT INTO {table} VALUES (?)", [revision])
    connection.close()
    return f"sqlite:///{path}"


def test_a_database_of_another_release_is_refused(tmp_path: Path) -> None:
    """MLflow would migrate an older database at its start."""
    import mlflow
    from alembic.script import ScriptDirectory

    package = Path(mlflow.__file__).parent
    head = ScriptDirectory(str(package / "store" / "db_migrations")).get_current_head()
    assert head
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    launch.refuse_to_migrate(empty, empty)
    same = database(tmp_path / "same.db", "alembic_version", head)
    launch.refuse_to_migrate(same, empty)
    older = database(tmp_path / "older.db", "alembic_version", "0584bdc529eb")
    with pytest.raises(ConfigurationError, match=f"is at 0584bdc529eb, and this release needs {head}"):
        launch.refuse_to_migrate(older, empty)
    users = database(tmp_path / "users.db", "alembic_version_auth", "8606fa83a998")
    with pytest.raises(ConfigurationError, match=r"playbooks/upgrade\.yml"):
        launch.refuse_to_migrate(same, users)


def test_an_own_application_needs_no_password_of_an_administrator(tmp_path: Path) -> None:
    (write(tmp_path) / "mlflow.admin-password").unlink()
    assert "mlflow.admin-password" not in launch.read_credentials(tmp_path, administrator=False)


def test_secret_variables_have_the_values_of_their_credentials(tmp_path: Path) -> None:
    (tmp_path / "mlflow.environment-token").write_text("value\n")
    settings = {"secret_environment": {"TOKEN": "mlflow.environment-token"}}
    assert launch.secret_environment(tmp_path, settings) == {"TOKEN": "value"}
    (tmp_path / "mlflow.environment-token").unlink()
    with pytest.raises(ConfigurationError, match=r"mlflow\.environment-token is missing"):
        launch.secret_environment(tmp_path, settings)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the environment of an own application after the preparation of its start."""
    write(tmp_path, **{"mlflow.database-uri": "postgresql://me:hidden@db/mlflow", "mlflow.environment-token": "value"})
    (tmp_path / "mlflow.admin-password").unlink()
    environment: dict[str, str] = {
        "RUNTIME_DIRECTORY": str(tmp_path),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    monkeypatch.setattr(launch.os, "environ", environment)
    monkeypatch.setattr(launch, "require_application", lambda _: None)
    monkeypatch.setattr(launch, "refuse_to_migrate", lambda *_: None)
    own = {"administrator": False, "app_name": "own", "auth_database": "mlflow_auth"}
    own |= {"application_database": "mlflow_application", "application_database_variable": "OWN_DATABASE"}
    # Validation refuses a name of MLflow. If it did not, MLflow's own value would count.
    secrets = {"TOKEN": "mlflow.environment-token", "MLFLOW_BACKEND_STORE_URI": "mlflow.environment-token"}
    launch.prepare(SETTINGS | own | {"secret_environment": secrets})
    return launch.os.environ  # type: ignore[return-value]


def test_an_own_application_gets_its_database_without_the_password(prepared: dict[str, str], tmp_path: Path) -> None:
    assert prepared["OWN_DATABASE"] == "postgresql+psycopg2://me@db/mlflow_application"
    assert "hidden" not in str(prepared)
    assert "hidden" in (tmp_path / "pgpass").read_text()


def test_an_own_application_gets_its_secrets_and_no_configuration_of_mlflow(
    prepared: dict[str, str], tmp_path: Path
) -> None:
    assert prepared["TOKEN"] == "value"
    assert prepared["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg2://me@db/mlflow"
    assert "MLFLOW_AUTH_CONFIG_PATH" not in prepared
    assert not (tmp_path / "auth.ini").exists()
