# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The URI of the databases: what jobs and MLflow connect to, and that no message contains the password."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from mlflowctl import database_uri
from mlflowctl.credentials import ConfigurationError
from mlflowctl.database_uri import Login
from sqlalchemy.engine import make_url

ODD = "pa:ss\\w%rd@/#?"
URI = "postgresql+psycopg2://mlflow:p%40ss@10.0.0.3/mlflow?sslmode=verify-ca&options=-crole%3Dmlflow_owner"


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the options of connections."""
    options: list[dict[str, Any]] = []

    class Connection:
        def __init__(self, **given: Any) -> None:
            options.append(given)

    monkeypatch.setattr(psycopg, "connect", Connection)
    return options


def credentials(folder: Path, uri: str = URI, *, ca: bool = True) -> Path:
    (folder / "mlflow.database-uri").write_text(f"{uri}\n")
    if ca:
        (folder / "mlflow.database-ca").write_text("PEM")
    return folder


def test_the_uri_for_mlflow_holds_no_password() -> None:
    uri = f"postgresql+psycopg2://ml%3Aflow:{quote(ODD, safe='')}@10.0.0.3:5432/mlflow?sslmode=verify-ca&sslrootcert=/x"
    databases = database_uri.parse(uri, "mlflow_auth")
    for database in databases.names:
        text = databases.without_password(database)
        url = make_url(text)
        assert (url.username, url.password) == ("ml:flow", None)
        assert (url.host, url.port, url.database) == ("10.0.0.3", 5432, database)
        assert dict(url.query) == {"sslmode": "verify-ca", "sslrootcert": "/x"}
        assert ODD not in text
        assert quote(ODD, safe="") not in text
    assert databases.names == ("mlflow", "mlflow_auth")
    assert databases.password_line == "*:*:*:ml\\:flow:pa\\:ss\\\\w%rd@/#?\n"


def test_the_driver_is_explicit() -> None:
    databases = database_uri.parse("postgresql://mlflow:x@host/mlflow", "a")
    assert make_url(databases.without_password("mlflow")).drivername == "postgresql+psycopg2"


@pytest.mark.parametrize(
    "uri", ["hunter2", "sqlite:///hunter2.db", "mysql://a:hunter2@b/c", "postgresql://a:hunter2@b"]
)
def test_the_error_for_an_invalid_uri_does_not_contain_it(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow\.database-uri") as error:
        database_uri.read(credentials(tmp_path, uri), "mlflow_auth")
    assert "hunter2" not in str(error.value)


def test_a_missing_uri_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow\.database-uri is missing"):
        database_uri.read(tmp_path, "mlflow_auth")


def test_a_job_connects_as_the_server_does(tmp_path: Path, connected: list[dict[str, Any]]) -> None:
    database_uri.read(credentials(tmp_path), "mlflow_auth").connect("mlflow_auth")
    (options,) = connected
    assert (options["user"], options["password"], options["host"]) == ("mlflow", "p@ss", "10.0.0.3")
    assert (options["dbname"], options["sslmode"]) == ("mlflow_auth", "verify-ca")
    assert options["options"] == "-crole=mlflow_owner"
    assert options["sslrootcert"] == str(tmp_path / "mlflow.database-ca")


def test_a_session_may_act_as_the_user_instead_of_the_owner(tmp_path: Path, connected: list[dict[str, Any]]) -> None:
    database_uri.read(credentials(tmp_path), "mlflow_auth").connect("mlflow", as_owner=False)
    assert "options" not in connected[0]


def test_a_lost_connection_is_detected(tmp_path: Path, connected: list[dict[str, Any]]) -> None:
    """The options apply to sessions of jobs and to engines that migrations create from the URL."""
    databases = database_uri.read(credentials(tmp_path), "mlflow_auth")
    databases.connect("mlflow")
    assert database_uri.KEEPALIVES.items() <= connected[0].items()
    assert database_uri.KEEPALIVES.items() <= dict(databases.url.query).items()


def test_options_of_the_credential_have_precedence(tmp_path: Path) -> None:
    uri = "postgresql://mlflow:x@10.1.2.3/mlflow?keepalives_idle=5&sslrootcert=/own.pem"
    query = database_uri.read(credentials(tmp_path, uri), "mlflow_auth").url.query
    assert (query["keepalives_idle"], query["keepalives_count"]) == ("5", "6")
    assert query["sslrootcert"] == "/own.pem"


def test_another_server_with_the_same_user(tmp_path: Path) -> None:
    """The rehearsal of a migration."""
    found = database_uri.read(credentials(tmp_path), "mlflow_auth", Login(host="10.0.0.9", ca="/ca.pem")).url
    assert (found.host, found.username, found.password) == ("10.0.0.9", "mlflow", "p@ss")
    assert (found.query["options"], found.query["sslrootcert"]) == ("-crole=mlflow_owner", "/ca.pem")


def test_the_user_of_a_backup_with_the_same_password(tmp_path: Path) -> None:
    found = database_uri.read(credentials(tmp_path), "mlflow_auth", Login(user="former")).url
    assert (found.username, found.password) == ("former", "p@ss")
    assert "options" not in found.query
    login = Login(user="former", session_options="-crole=former_owner")
    assert database_uri.read(tmp_path, "mlflow_auth", login).url.query["options"] == "-crole=former_owner"


def test_the_database_of_an_own_application_is_one_of_the_databases(tmp_path: Path) -> None:
    """Upgrades copy it, a rollback restores it, and a rotation changes the owner of its tables."""
    found = database_uri.read(credentials(tmp_path), "mlflow_auth", application_database="mlflow_application")
    assert found.names == ("mlflow", "mlflow_auth", "mlflow_application")
    assert found.without_password("mlflow_application").partition("?")[0].endswith("/mlflow_application")
