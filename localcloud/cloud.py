# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The shared object of a local cloud: state, clock, tokens, permissions, operations, faults and the engine."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.accounts import ServiceAccounts
from localcloud.auth import Auth, Principal
from localcloud.engine.base import Engine
from localcloud.faults import Faults
from localcloud.operations import Operations, pacific
from localcloud.permissions import Permissions, project_resource
from localcloud.profile import Profiles
from localcloud.projects import Projects
from localcloud.propagation import Propagation
from localcloud.store import Store

Json = dict[str, Any]

PROJECT = "mlflow-local"
PROJECT_NUMBER = "100000000001"
OWNER = "owner"


_AT_START: list[Callable[[Cloud], None]] = []
_AT_ACTIVATION: dict[str, list[Callable[[Cloud, str], None]]] = {}


def at_start(function: Callable[[Cloud], None]) -> Callable[[Cloud], None]:
    """Register a function that reconciles a service's documents with the engine when the cloud starts.

    The function also runs while the cloud serves, after an outage of the engine. It must not touch resources with an
    unfinished operation.
    """
    _AT_START.append(function)
    return function


def at_activation(host: str) -> Callable[[Callable[[Cloud, str], None]], Callable[[Cloud, str], None]]:
    """Register a function that runs when Service Usage enables an API: `@at_activation("compute.googleapis.com")`.

    The function runs in the transaction that enables the API, each time the API is enabled.
    """

    def register(function: Callable[[Cloud, str], None]) -> Callable[[Cloud, str], None]:
        _AT_ACTIVATION.setdefault(host, []).append(function)
        return function

    return register


class Clock:
    """The time of the local cloud. Tests may replace it."""

    def time(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    def now(self, offset: float = 0.0) -> str:
        """Return the time plus `offset` seconds, as RFC 3339 in UTC with milliseconds."""
        moment = datetime.datetime.fromtimestamp(self.time() + offset, datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def pacific(self) -> str:
        """Return the time as Compute Engine writes it."""
        return pacific(self.now())


@dataclass(frozen=True)
class Settings:
    """The home directory and the URL of a local cloud.

    `home` holds its state. `url` is its address on the control node; the owner's key file names it as the token URI.
    """

    home: pathlib.Path
    url: str = "http://127.0.0.1:8787"

    @property
    def credentials(self) -> pathlib.Path:
        """Return the path of the owner's key file."""
        return self.home / "credentials.json"


class Cloud:
    """All parts that a handler or an operation's step may use."""

    def __init__(self, settings: Settings, engine: Engine, *, clock: Clock | None = None) -> None:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings = settings
        self.engine = engine
        self.clock = clock or Clock()
        self.store = Store(settings.home / "state.sqlite")
        self.faults = Faults()
        self.profiles = Profiles(self.store)
        self.propagation = Propagation(self.profiles, self.clock)
        self.projects = Projects(self.store)
        self.auth = Auth(self.store, self.clock)
        self.permissions = Permissions(self.store, self.projects, self.clock, self.propagation)
        self.custom_roles = self.permissions.custom_roles
        self.accounts = ServiceAccounts(self.store, self.permissions, self.clock, self.propagation)
        self.operations = Operations(self)

    def start(self) -> None:
        """Create the first project if there is none, and resume interrupted operations.

        Load the services before: they register the operations' steps.
        """
        self._bootstrap()
        self.reconcile()
        self.operations.resume()

    def reconcile(self) -> None:
        """Reconcile every service's documents with the engine, after a start or an outage of the engine."""
        for function in _AT_START:
            function(self)

    def activate(self, project: str, host: str) -> None:
        """Enable an API in a project and create its default resources. Call it inside a transaction."""
        if not self.projects.enabled(project, host):
            self.propagation.begin("api_enablement", f"{project}/{host}", project)
        self.projects.enable(project, host)
        for function in _AT_ACTIVATION.get(host, ()):
            function(self, project)

    def close(self) -> None:
        """Close the state. Unfinished operations resume at the next start."""
        self.operations.close()
        self.store.close()

    def user_credentials(self, email: str, quota_project: str | None = None) -> Json:
        """Log a user in; return the file for GOOGLE_APPLICATION_CREDENTIALS, with or without a quota project.

        The file's type names its token service. With `type` set to `authorized_user`, the document is the file that
        `gcloud auth application-default login` writes; it works for clients that resolve oauth2.googleapis.com to the
        local cloud.
        """
        if "@" not in email or Principal(email).is_user is False:
            raise ValueError("email is the address of a user, such as someone@example.com")
        document = {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/local/providers/local",
            "client_id": "local.apps.googleusercontent.com",
            "client_secret": "local",
            "refresh_token": self.auth.login(email.lower()),
            "token_url": f"{self.settings.url}/oauth2/token",
        }
        return document | ({"quota_project_id": quota_project} if quota_project else {})

    def _bootstrap(self) -> None:
        email = f"{OWNER}@{PROJECT}.iam.gserviceaccount.com"
        with self.store.transaction():
            if self.projects.get(PROJECT) is None:
                self.projects.add(PROJECT, PROJECT_NUMBER, "MLflow local", self.clock.now(), {}, None)
            if self.accounts.get(email) is None:
                self.accounts.create(PROJECT, OWNER, {"displayName": "Owner of the local project"})
                binding = {"role": "roles/owner", "members": [f"serviceAccount:{email}"]}
                self.permissions.set_policy(project_resource(PROJECT), {"bindings": [binding]})
            if self._key_file_works(email):
                return
            key_file, _ = self.accounts.create_key(email, f"{self.settings.url}/oauth2/token")
        write_private(self.settings.credentials, json.dumps(key_file, indent=2) + "\n")

    def _key_file_works(self, email: str) -> bool:
        try:
            document = json.loads(self.settings.credentials.read_text())
            key_id = document["private_key_id"]
        except (OSError, ValueError, LookupError, TypeError):
            return False
        wanted = f"{self.settings.url}/oauth2/token"
        return document.get("token_uri") == wanted and self.auth.keys.public_key(email, key_id) is not None


def write_private(path: pathlib.Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
