# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The shared object of a local cloud, and the functions that services register with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.access.accounts import ServiceAccounts
from localcloud.access.auth import Auth
from localcloud.access.credentials import Credentials
from localcloud.access.grants import Grants
from localcloud.access.logins import Logins
from localcloud.access.oauth_clients import OAuthClients
from localcloud.access.permissions import Permissions
from localcloud.access.projects import Projects
from localcloud.access.users import Users
from localcloud.core.calls import CallLog
from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.core.faults import Faults
from localcloud.core.profile import Profiles
from localcloud.core.propagation import Propagation
from localcloud.core.settings import PROJECT, PROJECT_NUMBER, Settings
from localcloud.core.store import Store
from localcloud.core.traits import Traits
from localcloud.engine.base import Engine
from localcloud.framework.operations import Operations

Json = dict[str, Any]
Step = Callable[["Work"], "Json | None"]

_STEPS: dict[str, Step] = {}
_ON_ERROR: dict[str, Callable[[Work], None]] = {}
_AT_START: list[Callable[[Cloud], None]] = []
_AT_ACTIVATION: dict[str, list[Callable[[Cloud, str], None]]] = {}


def step(name: str, *, on_error: Callable[[Work], None] | None = None) -> Callable[[Step], Step]:
    """Register the function that does an operation's work: `@step("secretmanager.secrets.copy")`.

    The function gets a `Work`. Its return value becomes the operation's `response`. An ApiError becomes the operation's
    error; `on_error` is called before.
    """

    def register(function: Step) -> Step:
        _STEPS[name] = function
        if on_error is not None:
            _ON_ERROR[name] = on_error
        return function

    return register


def at_start(function: Callable[[Cloud], None]) -> Callable[[Cloud], None]:
    """Register a function that reconciles a service's documents with the engine when the cloud starts.

    The function also runs while the cloud serves, after an outage of the engine. It must not touch resources with an
    unfinished operation.
    """
    _AT_START.append(function)
    return function


def at_activation(host: str) -> Callable[[Callable[[Cloud, str], None]], Callable[[Cloud, str], None]]:
    """Register a function that runs when an API is enabled in a project: `@at_activation(api.host)`.

    The function runs in the transaction that enables the API, each time the API is enabled.
    """

    def register(function: Callable[[Cloud, str], None]) -> Callable[[Cloud, str], None]:
        _AT_ACTIVATION.setdefault(host, []).append(function)
        return function

    return register


@dataclass(frozen=True)
class Work:
    """The arguments of a step: the cloud, the operation's document and the arguments of `Operations.start`."""

    cloud: Cloud
    operation: Json
    args: Json


class Cloud:
    """All parts that a handler or an operation's step may use: state, clock, tokens, policies, operations, engine."""

    def __init__(
        self, settings: Settings, engine: Engine, traits: Traits | None = None, *, clock: Clock | None = None
    ) -> None:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings = settings
        self.engine = engine
        self.traits = traits or Traits()
        self.clock = clock or Clock()
        self.calls = CallLog(self.clock)
        self.store = Store(settings.home / "state.sqlite")
        self.faults = Faults()
        self.profiles = Profiles(self.store, self.traits.durations)
        self.propagation = Propagation(self.profiles, self.clock)
        self.projects = Projects(self.store, self.traits.initial_apis)
        self.auth = Auth(self.store, self.clock, self.profiles)
        self.grants = Grants(self.store, self.clock)
        self.users = Users(self.store, self.auth, self.grants)
        self.oauth_clients = OAuthClients(self.store)
        self.permissions = Permissions(
            self.store,
            self.projects,
            self.clock,
            self.propagation,
            self.traits.numbered_hosts,
            self.traits.resource_types,
        )
        self.custom_roles = self.permissions.custom_roles
        self.accounts = ServiceAccounts(self.store, self.permissions, self.clock, self.propagation)
        self.credentials = Credentials(settings, self.accounts, self.permissions, self.auth)
        self.logins = Logins(settings, self.users, self.grants, self.oauth_clients)
        self.operations = Operations(self.store, self.clock, self.profiles, self._run_step)

    def start(self) -> None:
        """Create the first project if there is none, and resume interrupted operations.

        Load the services before: they register the operations' steps.
        """
        with self.store.transaction():
            if self.projects.get(PROJECT) is None:
                self.projects.add(PROJECT, PROJECT_NUMBER, "MLflow local", self.clock.now(), {}, None)
            self.credentials.add_owner()
            self.users.add_defaults()
        self.credentials.write_owner_key()
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

    def _run_step(self, operation: Json) -> Json | None:
        work, name = Work(self, operation, operation["args"]), operation["step"]
        try:
            fault = self.faults.take(operation["method"], operation["target"], operation=True)
            if fault is not None:
                raise fault.error()
            if operation.get("cancelled"):
                raise ApiError(499, "CANCELLED", "The operation was cancelled.")
            return _STEPS[name](work)
        except ApiError:
            if name in _ON_ERROR:
                _ON_ERROR[name](work)
            raise
