# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A local cloud in this process, on a random port, with an engine in memory."""

from __future__ import annotations

import functools
import json
import pathlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import google.auth.transport.requests
import requests
import uvicorn
from cryptography.hazmat.primitives import serialization
from google.auth import external_account_authorized_user
from google.auth.crypt import RSASigner
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from localcloud.core.settings import PROJECT, Settings
from localcloud.core.sockets import bound
from localcloud.engine import fake
from localcloud.engine.base import Listener
from localcloud.engine.fake import fake_engine
from localcloud.framework.cloud import Cloud
from localcloud.server.app import App
from localcloud.server.process import listeners, registry

PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
APIS = ("cloudresourcemanager", "compute", "iam", "iamcredentials", "secretmanager", "servicenetworking", "sqladmin")


@functools.cache
def checked(key: str) -> Any:
    """Load a private key once: each load includes a slow check."""
    return serialization.load_pem_private_key(key.encode(), password=None)


@dataclass
class Local:
    """A running local cloud; `restart` replaces all objects, as a new process would, and keeps the state."""

    home: pathlib.Path
    port: int = 0
    door: Callable[[Any], Any] = lambda application: application
    """Wraps the ASGI application, for tests that intercept calls."""
    cloud: Cloud = field(init=False)
    app: App = field(init=False)
    _listeners: list[Listener] = field(init=False)
    _server: uvicorn.Server = field(init=False)
    _thread: threading.Thread = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings(self.home, self.url)

    def start(self) -> None:
        listening = bound("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        routes = registry()
        self.cloud = Cloud(self.settings, fake_engine(), routes.traits)
        self.app = App(self.cloud, routes)
        self.cloud.start()
        self._listeners = listeners(fake, self.app)
        for listener in self._listeners:
            listener.start()
        config = uvicorn.Config(self.door(self.app.asgi), log_level="warning", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        for listener in self._listeners:
            listener.stop()
        self.cloud.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def enable(self, *names: str, project: str = PROJECT) -> None:
        """Enable APIs without a call of Service Usage."""
        for name in names:
            self.cloud.projects.enable(project, f"{name}.googleapis.com")

    def credentials(self) -> service_account.Credentials:
        """Return the owner's credentials for google-auth."""
        info = json.loads((self.home / "credentials.json").read_text())
        return service_account.Credentials(
            RSASigner(checked(info["private_key"]), info["private_key_id"]),
            info["client_email"],
            info["token_uri"],
            scopes=[PLATFORM],
        )

    def session(self) -> Session:
        """Return a session as the owner."""
        session = Session(self, google.auth.transport.requests.AuthorizedSession(self.credentials()))
        session.http.get(f"{self.url}/localcloud/health")
        return session

    def user(self, email: str, *roles: str, quota_project: str | None = None) -> dict[str, Any]:
        """Create a user with roles on the project; return the credentials file of a gcloud login."""
        self.grant(f"user:{email}", *roles)
        return self.cloud.logins.log_in(email, quota_project)

    def session_of(self, file: dict[str, Any]) -> Session:
        """Return a session with a user's credentials."""
        made = external_account_authorized_user.Credentials.from_info(file)
        return Session(self, google.auth.transport.requests.AuthorizedSession(made))

    def session_as(self, email: str, *scopes: str) -> Session:
        """Return a session as another service account, with a token of these scopes (default: cloud-platform)."""
        token = self.cloud.auth.issue_access_token(email, list(scopes or (PLATFORM,))).token
        return Session(self, google.auth.transport.requests.AuthorizedSession(user_credentials.Credentials(token)))

    def account(self, name: str, *roles: str) -> str:
        """Create a service account with roles on the project; return its email."""
        email = str(self.cloud.accounts.create(PROJECT, name, {})["email"])
        self.grant(f"serviceAccount:{email}", *roles)
        return email

    def grant(self, member: str, *roles: str, project: str = PROJECT) -> None:
        """Give a member roles on a project."""
        resource = f"//cloudresourcemanager.googleapis.com/projects/{project}"
        policy = self.cloud.permissions.policy(resource, 3)
        policy.setdefault("bindings", []).extend({"role": role, "members": [member]} for role in roles)
        self.cloud.permissions.set_policy(resource, policy)

    def other_project(self, project: str = "other-project", number: str = "100000000099") -> str:
        """Create another project, with the APIs that the console enables in a new project."""
        self.cloud.projects.add(project, number, project, self.cloud.clock.now(), {}, None)
        return project


@dataclass
class Session:
    """Requests against the local cloud, by path."""

    local: Local
    http: requests.Session

    def call(self, verb: str, path: str, code: int = 200, **options: Any) -> Any:
        """Send a request, assert the status, return the answer's JSON (or text)."""
        response = self.http.request(verb, self.local.url + path, **options)
        assert response.status_code == code, f"{verb} {path}: {response.status_code} {response.text}"
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return response.json() if is_json else response.text
