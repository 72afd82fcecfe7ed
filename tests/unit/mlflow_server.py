# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted MLflow server: the expected requests in order, with their responses."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import responses

from tests.unit.harness import Json, Play

URI = "https://mlflow.test"
ADMIN, ADMIN_PASSWORD = "admin", "password-of-the-admin"
V2, V3 = "api/2.0/mlflow", "api/3.0/mlflow"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class MlflowScript:
    """Expected requests in order. Each must be sent, and no other request is allowed."""

    def __init__(self, script: responses.RequestsMock) -> None:
        self.script = script

    def expect(
        self,
        method: str,
        path: str,
        answer: Json | str | Exception | None = None,
        *,
        status: int = 200,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        authorization: str = basic(ADMIN, ADMIN_PASSWORD),
        workspace: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Expect a request with exactly this JSON body, query and credentials, and answer it."""

        def matches(request: Any) -> tuple[bool, str]:
            sent = json.loads(request.body) if request.body else None
            seen = (
                dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)),
                sent,
                request.headers["Authorization"],
                request.headers.get("X-MLFLOW-WORKSPACE"),
            )
            expected = (dict(query or {}), body, authorization, workspace)
            return seen == expected, f"sent {seen}, expected {expected}"

        content: dict[str, Any] = {"body": answer} if isinstance(answer, (str, Exception)) else {"json": answer or {}}
        self.script.add(method, f"{URI}/{path}", status=status, match=[matches], headers=dict(headers or {}), **content)

    def get(self, path: str, answer: Json | None, **query: str) -> None:
        """Expect a GET. None is answered as MLflow answers for an object that does not exist."""
        if answer is None:
            self.fails("GET", path, 404, "RESOURCE_DOES_NOT_EXIST", query=query)
        else:
            self.expect("GET", path, answer, query=query)

    def fails(
        self, method: str, path: str, status: int, reason: str, message: str = "not possible", **kwargs: Any
    ) -> None:
        """Expect a request and answer with an error of MLflow."""
        self.expect(method, path, {"error_code": reason, "message": message}, status=status, **kwargs)

    def workspace(self, name: str) -> None:
        """Expect that a workspace is read, and answer that it exists."""
        self.expect("GET", f"{V3}/workspaces/{name}", {"workspace": {"name": name}}, workspace=name)

    def user(self, name: str, *, number: int = 7, is_admin: bool = False) -> None:
        """Expect that a user is read, and answer that it exists."""
        self.get(f"{V2}/users/get", {"user": {"id": number, "username": name, "is_admin": is_admin}}, username=name)

    def no_user(self, name: str) -> None:
        """Expect that a user is read, and answer that it does not exist."""
        self.get(f"{V2}/users/get", None, username=name)

    def checks(self, name: str, password: str, *, correct: bool) -> None:
        """Expect the check of a user's password."""
        answer: Json | str = {"user": {"id": 7, "username": name, "is_admin": False}} if correct else "You are not"
        where = {"query": {"username": name}, "authorization": basic(name, password)}
        self.expect("GET", f"{V2}/users/get", answer, status=200 if correct else 401, **where)


class PlayMlflow:
    """Run a module with the connection of the scripted server."""

    def __init__(self, play: Play) -> None:
        self.play = play

    def __call__(self, module: Any, **params: Any) -> Json:
        google = dict.fromkeys(("project", "auth_kind", "access_token"))
        connection = {"tracking_uri": URI, "tracking_username": ADMIN, "tracking_password": ADMIN_PASSWORD}
        result = self.play(module, **google, **connection | params)
        assert ADMIN_PASSWORD not in json.dumps(result)
        return result
