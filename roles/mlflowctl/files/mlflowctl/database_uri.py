# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The URI of the databases: the credential mlflow.database-uri, its variations and its connections.

The credential names the tracking database. The authentication database and the database of an own application are on
the same server, with other names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import credentials as store
from .credentials import DATABASE_CA, DATABASE_URI, ConfigurationError

# Options of libpq: detect a lost connection (failover, lost route) after 90 s instead of hours.
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}


@dataclass(frozen=True)
class Login:
    """Another server or user than those of the credential, with the same password. Empty: as in the credential."""

    host: str = ""
    user: str = ""
    # Options of libpq for this user. They replace those of the credential, which may name a role of the other user.
    session_options: str = ""
    # File with the CA certificate of the other server.
    ca: str = ""


@dataclass(frozen=True)
class Databases:
    """The databases of the server. The names of the first two may be the same."""

    tracking: str
    auth: str
    # SQLAlchemy's URL of the tracking database, with its password.
    url: Any
    # Database of an own application, which migrates it itself. Empty in the other authentication modes.
    application: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names without duplicates."""
        return tuple(name for name in dict.fromkeys((self.tracking, self.auth, self.application)) if name)

    def without_password(self, database: str) -> str:
        """Return the URI of a database for MLflow, which shows its URI in messages."""
        url = self.url._replace(password=None).set(database=database)
        return str(url.render_as_string(hide_password=False))

    @property
    def password_line(self) -> str:
        """The line of the libpq password file."""
        parts = (self.url.username or "*", self.url.password or "")
        user, password = (part.replace("\\", "\\\\").replace(":", "\\:") for part in parts)
        return f"*:*:*:{user}:{password}\n"

    def connect(self, database: str, *, application: str = "mlflowctl", as_owner: bool = True) -> Any:
        """Connect with autocommit. Without `as_owner`, the session acts as the user, not as the role in the URI."""
        import psycopg2

        arguments, options = self.url.get_dialect()().create_connect_args(self.url.set(database=database))
        options |= {"connect_timeout": 30, "application_name": application}
        if not as_owner:
            options.pop("options", None)
        connection = psycopg2.connect(*arguments, **options)
        connection.autocommit = True
        return connection


def parse(uri: str, auth_database: str, application_database: str = "") -> Databases:
    """Return the databases of a URI. Raise ConfigurationError, without the URI, if the URI is not valid."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except ArgumentError:
        # The original message contains the whole URI.
        raise ConfigurationError(f"credential {DATABASE_URI} is not a database URI") from None
    if url.get_backend_name() != "postgresql" or not url.database:
        raise ConfigurationError(
            f"credential {DATABASE_URI} is not of the form postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE"
        )
    # The default driver of postgresql:// depends on the SQLAlchemy release.
    url = url.set(drivername="postgresql+psycopg2")
    return Databases(str(url.database), auth_database, url, application_database)


def read(
    credentials: Path, auth_database: str, login: Login | None = None, *, application_database: str = ""
) -> Databases:
    """Return the databases of the credentials for a job."""
    databases = parse(store.read(credentials, DATABASE_URI), auth_database, application_database)
    url, login = databases.url, login or Login()
    query = dict(url.query)
    if login.ca:
        query["sslrootcert"] = login.ca
    elif (credentials / DATABASE_CA).exists():
        query.setdefault("sslrootcert", str(credentials / DATABASE_CA))
    if login.host:
        url = url.set(host=login.host)
    if login.user:
        url = url.set(username=login.user)
        query.pop("options", None)
        if login.session_options:
            query["options"] = login.session_options
    # In the URL, because migrations create engines from it.
    return replace(databases, url=url.set(query={**KEEPALIVES, **query}))
