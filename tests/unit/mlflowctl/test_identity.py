# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""How MLflow learns the user of a request with single sign-on, and where MLflow checks a password."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response, request
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from mlflow_gcp_server import app as package
from mlflow_gcp_server import identity
from mlflow_gcp_server.caller import CALLER, Caller
from mlflow_gcp_server.credentials import basic
from mlflow_gcp_server.flask_routes import FlaskRoutes
from mlflow_gcp_server.identity import PasswordCheck, authenticate
from mlflow_gcp_server.limit import Credential
from mlflow_gcp_server.settings import parse

from tests.unit.mlflowctl.served import IDENTITY, SECRET

RIGHT, WRONG = Credential("admin", "right"), Credential("admin", "wrong")
PATH = "/api/2.0/mlflow/runs/search"


class Mlflow:
    """MLflow's check of passwords. Records the paths of its requests and its threads."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.threads: list[threading.Thread] = []
        self.broken = False

    def check(self) -> Any:
        self.paths.append(request.path)
        self.threads.append(threading.current_thread())
        if self.broken:
            raise MlflowException("the database does not answer")
        sent = request.authorization
        return sent if sent and sent.password == RIGHT.password else Response("wrong", 401)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mlflow]:
    found = Mlflow()
    monkeypatch.setattr(auth, "authenticate_request_basic_auth", found.check)
    token = CALLER.set(None)
    yield found
    CALLER.reset(token)


def serve(caller: Caller | None) -> list[Any]:
    """Send a request through the check of passwords; return what MLflow got."""
    reached = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    CALLER.set(caller)
    asyncio.run(PasswordCheck(application)({"type": "http"}, print, print))  # type: ignore[arg-type]
    return reached


def test_a_password_is_checked_in_a_thread_once(mlflow: Mlflow) -> None:
    caller = Caller("admin", RIGHT)
    assert serve(caller) == [{"type": "http"}]
    assert [each is threading.main_thread() for each in mlflow.threads] == [False]
    assert authenticate() is caller.authorization
    assert (caller.authorization.username, len(mlflow.paths)) == ("admin", 1)


def test_a_wrong_password_is_refused_by_mlflow(mlflow: Mlflow) -> None:
    assert serve(Caller("admin", WRONG)) == [{"type": "http"}]
    assert authenticate().status_code == 401
    assert len(mlflow.paths) == 1


def test_an_identity_needs_no_check(mlflow: Mlflow) -> None:
    assert serve(Caller("alice@example.com")) == serve(None) == [{"type": "http"}]
    assert mlflow.paths == []


def test_mlflow_reports_an_unreachable_database(mlflow: Mlflow) -> None:
    mlflow.broken = True
    assert serve(Caller("admin", RIGHT)) == [{"type": "http"}]
    with pytest.raises(MlflowException, match="does not answer"):
        authenticate()


@pytest.mark.parametrize(
    ("header", "path"),
    [(basic(RIGHT), PATH), (b"Bearer sk-key-of-the-provider", "/"), (basic(WRONG), "/"), (b"", "/")],
)
def test_the_password_of_the_caller_is_checked(mlflow: Mlflow, header: bytes, path: str) -> None:
    """In the request itself if it has this password, otherwise in another one."""
    CALLER.set(Caller("admin", RIGHT))
    with auth.app.test_request_context(PATH, headers={"Authorization": header.decode()} if header else {}):
        assert authenticate().username == "admin"
    assert mlflow.paths == [path]


def test_a_request_without_a_caller_is_refused(mlflow: Mlflow) -> None:
    assert authenticate().status_code == 401


@pytest.mark.parametrize("single_sign_on", [False, True])
def test_only_mlflows_fastapi_application_needs_a_check_in_a_thread(
    single_sign_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server.fastapi_app import create_fastapi_app

    native = create_fastapi_app()
    auth.add_fastapi_permission_middleware(native)
    monkeypatch.setattr(auth, "create_app", lambda: native)
    settings = {"threads": 1, "audit_log": False, "admin_username": "admin"}
    application = package._mlflow(
        parse(settings | ({"identity": IDENTITY | {"secret": SECRET}} if single_sign_on else {}))
    )
    assert isinstance(application, FlaskRoutes)
    assert isinstance(application._app, identity.PasswordCheck) == single_sign_on
    assert not isinstance(application._direct, identity.PasswordCheck)
