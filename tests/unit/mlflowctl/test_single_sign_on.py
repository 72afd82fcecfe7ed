# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identities at the credential check: the decisions, the requests for MLflow, and the audit log."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow_gcp_server.accounts import SECONDS, Accounts
from mlflow_gcp_server.audit import Audit
from mlflow_gcp_server.caller import CALLER
from mlflow_gcp_server.check import CredentialCheck
from mlflow_gcp_server.identity_rules import Rules
from mlflow_gcp_server.limit import SignInLimit
from mlflow_gcp_server.settings import Identity
from mlflow_gcp_server.single_sign_on import SingleSignOn
from starlette.responses import PlainTextResponse

from tests.unit.mlflowctl.served import JOB_TOKEN, SECRET, password, person

ROUTE = "/api/2.0/mlflow/experiments/search"
GATEWAY = "/gateway/chat/mlflow/invocations"
RULES = Rules(
    domains=frozenset({"example.com"}),
    service_accounts=frozenset({"@robots.iam.gserviceaccount.com"}),
    admins=frozenset({"boss@example.com"}),
    admin_groups=frozenset({"mlflow-admins"}),
    require_hosted_domain=True,
)
ALICE = person("Alice@Example.com")


class Users:
    """MLflow's store of users, in memory. Records its calls."""

    def __init__(self) -> None:
        self.users: dict[str, bool] = {"admin": True}
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.passwords: list[str] = []
        self.broken = False
        self.raced = False

    def get_user(self, username: str) -> Any:
        self.calls.append(f"get {username}")
        self.threads.add(threading.current_thread().name)
        if self.broken:
            raise MlflowException("the database does not answer")
        if username not in self.users:
            raise MlflowException("not found", RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(username=username, is_admin=self.users[username])

    def create_user(self, username: str, password: str, is_admin: bool = False) -> Any:
        self.calls.append(f"create {username}")
        self.passwords.append(password)
        if self.raced:
            self.users[username] = False
            raise MlflowException("exists", RESOURCE_ALREADY_EXISTS)
        self.users[username] = is_admin
        return SimpleNamespace(username=username, is_admin=is_admin)

    def update_user(self, username: str, password: str | None = None, is_admin: bool | None = None) -> Any:
        self.calls.append(f"update {username} {is_admin}")
        self.users[username] = bool(is_admin)


class Server:
    """The credential check with single sign-on, in front of an application that records its requests."""

    def __init__(self, *, single_sign_on: bool = True) -> None:
        self.users, self.clock, self.lines = Users(), 1000.0, list[str]()
        self.requests: list[tuple[dict[str, list[str]], Any]] = []
        self.answer = PlainTextResponse("served")
        accounts = Accounts(self.users, "admin", lambda: self.clock)
        self.app = CredentialCheck(
            self._mlflow,
            limit=SignInLimit(lambda: self.clock),
            authenticate=lambda username, text: (username, text) == ("admin", "right"),
            is_public=lambda path: path == "/health",
            job_token=JOB_TOKEN,
            single_sign_on=SingleSignOn(Identity(SECRET, RULES), accounts) if single_sign_on else None,
            audit=Audit(self.lines.append, lambda: 1764444444.5),
        )

    async def _mlflow(self, scope: Any, receive: Any, send: Any) -> None:
        seen: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            seen.setdefault(name.decode(), []).append(value.decode())
        self.requests.append((seen, CALLER.get()))
        await self.answer(scope, receive, send)

    async def ask(self, sent: Mapping[str, str] | list[tuple[str, str]], path: str = ROUTE) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 1))
        pairs = list(sent.items()) if isinstance(sent, Mapping) else sent
        async with httpx.AsyncClient(transport=transport, base_url="https://mlflow.test", headers={}) as client:
            return await client.get(path, headers=[(name.encode(), value.encode()) for name, value in pairs])

    def get(self, sent: Mapping[str, str] | list[tuple[str, str]], path: str = ROUTE) -> httpx.Response:
        return asyncio.run(self.ask(sent, path))

    @property
    def headers(self) -> dict[str, list[str]]:
        """The headers of the last request that MLflow got."""
        return self.requests[-1][0]

    @property
    def audit(self) -> dict[str, Any]:
        """The last line of the audit log."""
        line: dict[str, Any] = json.loads(self.lines[-1])
        return line


@pytest.fixture
def server() -> Server:
    return Server()


# --- Accepted identities


def test_an_identity_becomes_a_user_at_the_first_request(server: Server) -> None:
    assert server.get(ALICE).text == "served"
    caller = server.requests[-1][1]
    assert (caller.username, caller.credential) == ("alice@example.com", None)
    assert server.users.users["alice@example.com"] is False
    assert len(server.users.passwords[0]) > 40
    assert CALLER.get() is None


def test_mlflow_gets_no_header_of_nginx(server: Server) -> None:
    server.get({**ALICE, "X_MLflow_Identity_Groups": "x", "x-mlflow_identity-new": "x", "X-MLflow_Authorization": "x"})
    assert not [name for name in server.headers if "mlflow" in name]
    assert SECRET not in str(server.headers)
    server.get({"X-MLflow-Identity-Groups": "x"}, path="/health")
    assert "x-mlflow-identity-groups" not in server.headers


def test_mlflow_learns_the_user_of_background_jobs(server: Server) -> None:
    """MLflow reads the user from `Authorization`. The password is empty, so it is no credential."""
    server.get(ALICE)
    assert server.headers["authorization"] == [password("alice@example.com", "")]


def test_known_users_are_not_read_at_each_request(server: Server) -> None:
    for _ in range(3):
        server.get(ALICE)
    assert server.users.calls == ["get alice@example.com", "create alice@example.com"]
    server.clock += SECONDS + 1
    server.get(ALICE)
    assert server.users.calls[2:] == ["get alice@example.com"]
    assert threading.current_thread().name not in server.users.threads


def test_concurrent_first_requests_share_one_creation(server: Server) -> None:
    async def together() -> list[httpx.Response]:
        return await asyncio.gather(*(server.ask(ALICE) for _ in range(24)))

    assert {answer.status_code for answer in asyncio.run(together())} == {200}
    assert server.users.calls == ["get alice@example.com", "create alice@example.com"]


def test_another_process_may_create_the_user_first(server: Server) -> None:
    server.users.raced = True
    assert server.get(person("boss@example.com")).status_code == 200
    assert server.users.calls == [
        "get boss@example.com",
        "create boss@example.com",
        "get boss@example.com",
        "update boss@example.com True",
    ]


def test_a_changed_group_takes_effect_at_the_next_request(server: Server) -> None:
    seen = []
    for groups in ("", "x, mlflow-admins", "", "mlflow-admins", "MLFLOW-ADMINS"):
        server.get(person("alice@example.com", groups=groups))
        seen.append(server.users.users["alice@example.com"])
    assert seen == [False, True, False, True, False]


def test_the_rules_replace_an_administrator_made_in_mlflow(server: Server) -> None:
    server.get(ALICE)
    server.users.users["alice@example.com"] = True
    server.clock += SECONDS + 1
    server.get(ALICE)
    assert server.users.users["alice@example.com"] is False


def test_the_administrator_of_the_credential_is_never_changed() -> None:
    server = Server()
    accounts = Accounts(server.users, "root@example.com")
    server.users.users["root@example.com"] = True
    server.app._single_sign_on = SingleSignOn(Identity(SECRET, RULES), accounts)
    assert server.get(person("root@example.com")).status_code == 200
    assert server.users.users["root@example.com"] is True


def test_a_deleted_user_is_created_again_if_still_allowed(server: Server) -> None:
    server.get(ALICE)
    del server.users.users["alice@example.com"]
    # The request that deletes a user passes here, so nothing is remembered.
    server.get(person("boss@example.com"), path="/api/2.0/mlflow/users/delete")
    assert server.get(ALICE).status_code == 200
    assert "alice@example.com" in server.users.users
    del server.users.users["alice@example.com"]
    assert server.get(person("alice@example.com", domain="")).status_code == 403
    assert "alice@example.com" not in server.users.users


def test_a_deletion_is_known_before_the_client_gets_the_response(server: Server) -> None:
    """Otherwise the next request of the deleted user would reach MLflow without an account."""
    server.get(ALICE)
    read = len(server.users.calls)
    seen = []

    async def delete() -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in person("boss@example.com").items()]
        path = "/api/2.0/mlflow/users/delete"
        scope = {"type": "http", "method": "DELETE", "path": path, "headers": headers, "client": ("192.0.2.1", 1)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append((await server.ask(ALICE)).status_code)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        await server.app(scope, receive, send)

    asyncio.run(delete())
    assert seen == [200]
    assert "get alice@example.com" in server.users.calls[read:]


# --- Refused identities


@pytest.mark.parametrize(
    "sent",
    [
        person("alice@example.com", secret=SECRET + "x"),
        person("alice@example.com", secret=SECRET[:-1]),
        person("alice@example.com", secret=""),
        {"X-MLflow-Authorization": f"Identity {SECRET}"},
        {"X-MLflow-Authorization": "Identity"},
        {"X-MLflow-Authorization": f"Bearer {SECRET} alice@example.com"},
        {"X-MLflow-Authorization": f"Identity {SECRET} alice@example.com" + "x" * 5000},
        {"Authorization": f"Identity {SECRET} alice@example.com"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Negotiate abc"},
        [("X-MLflow-Authorization", f"Identity {SECRET} a@example.com")] * 2,
        [*ALICE.items(), ("X-MLflow-Identity-Groups", "mlflow-admins"), ("X-MLflow-Identity-Groups", "x")],
        {},
    ],
)
def test_no_valid_credential(server: Server, sent: Any) -> None:
    """Never 500, for which clients repeat the request. Never `Basic`, for which a browser asks for a password."""
    answer = server.get(sent)
    assert (answer.status_code, server.requests, server.users.calls) == (401, [], [])
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mlflow"'
    assert server.audit["result"] == "unauthenticated"
    assert SECRET not in answer.text + server.lines[-1]


def test_an_identity_is_refused_without_single_sign_on() -> None:
    """An old configuration of nginx, or a client, may send it."""
    server = Server(single_sign_on=False)
    answer = server.get(ALICE)
    assert (answer.status_code, server.requests) == (401, [])
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="mlflow"'


def test_a_refused_identity_gets_the_rule(server: Server) -> None:
    answer = server.get(person("alice@gmail.com"))
    assert (answer.status_code, server.users.calls) == (403, [])
    assert answer.json()["error_code"] == "PERMISSION_DENIED"
    assert "alice@gmail.com is refused: the domain gmail.com is not in" in answer.json()["message"]
    assert server.audit | {"reason": ""} == server.audit | {"reason": "", "user": "alice@gmail.com", "status": 403}


def test_a_refused_browser_gets_a_page(server: Server) -> None:
    sent = {**person("<script>@gmail.com"), "Accept": "text/html,application/xhtml+xml"}
    answer = server.get(sent)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "&lt;script&gt;@gmail.com" in answer.text
    assert "<script>" not in answer.text
    assert 'href="/oauth2/sign_out?rd=/signed-out"' in answer.text


def test_the_database_does_not_answer(server: Server) -> None:
    """MLflow would answer 401 on some routes, and a client would give up."""
    server.users.broken = True
    answer = server.get(ALICE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert (server.audit["result"], server.audit["user"]) == ("unavailable", "alice@example.com")
    server.users.broken = False
    assert server.get(ALICE).status_code == 200


# --- Passwords and jobs


@pytest.mark.parametrize("single_sign_on", [False, True])
@pytest.mark.parametrize("name", ["Authorization", "X-MLflow-Authorization"])
def test_a_password_is_accepted_in_both_headers(single_sign_on: bool, name: str) -> None:
    server = Server(single_sign_on=single_sign_on)
    assert server.get({name: password("admin", "right")}).status_code == 200
    assert server.headers["authorization"] == [password("admin", "right")]
    assert "x-mlflow-authorization" not in server.headers
    caller = server.requests[-1][1]
    # MLflow checks the password again.
    assert dataclasses.astuple(caller.credential) == ("admin", "right")
    assert server.get({name: password("admin", "wrong")}).status_code == 401
    assert server.audit["reason"] == "wrong user name or password"


def test_the_own_header_comes_first(server: Server) -> None:
    sent = {**ALICE, "Authorization": password("admin", "right")}
    server.get(sent)
    assert server.requests[-1][1].username == "alice@example.com"
    assert server.headers["authorization"] == [password("alice@example.com", "")]


def test_a_job_of_mlflow_acts_for_its_user_on_the_gateway(server: Server) -> None:
    job = {"X-MLflow-Authorization": password("alice@example.com", JOB_TOKEN)}
    assert server.get(job, path=GATEWAY).status_code == 200
    caller = server.requests[-1][1]
    assert (caller.username, caller.credential) == ("alice@example.com", None)
    assert (server.audit["method"], server.audit["user"]) == ("job", "alice@example.com")
    assert server.get(job).status_code == 401


def test_mlflows_challenge_is_replaced(server: Server) -> None:
    server.answer = PlainTextResponse("no", 401, {"WWW-Authenticate": 'Basic realm="mlflow"'})
    answer = server.get(ALICE)
    assert answer.headers.get_list("WWW-Authenticate") == ['Bearer realm="mlflow"']
    assert server.audit["result"] == "unauthenticated"
    basic = Server(single_sign_on=False)
    basic.answer = server.answer
    answer = basic.get({"Authorization": password("admin", "right")})
    assert answer.headers.get_list("WWW-Authenticate") == ['Basic realm="mlflow"']


# --- The gateway, which forwards headers to model providers

KEY = "Bearer sk-key-of-the-provider"
COOKIE = {"Cookie": "__Host-mlflow=stolen; session=x"}


@pytest.mark.parametrize("path", [GATEWAY, "/gateway/openai/v1/chat/completions"])
@pytest.mark.parametrize("credential", [ALICE, {"X-MLflow-Authorization": password("admin", "right")}])
def test_the_gateway_gets_the_key_of_the_provider_only(server: Server, path: str, credential: dict[str, str]) -> None:
    assert server.get({**credential, **COOKIE, "Authorization": KEY}, path=path).status_code == 200
    assert server.headers["authorization"] == [KEY]
    assert not {"cookie", "x-mlflow-authorization"} & set(server.headers)
    assert not [name for name in server.headers if name.startswith("x-mlflow-identity")]


def test_the_gateway_gets_no_password(server: Server) -> None:
    sent = {"Authorization": password("admin", "right")}
    assert server.get(sent, path=GATEWAY).status_code == 200
    assert server.get({**ALICE, **sent}, path=GATEWAY).status_code == 200
    assert ["authorization" in seen for seen, _ in server.requests] == [False, False]


def test_without_single_sign_on_mlflow_reads_the_gateways_header() -> None:
    server = Server(single_sign_on=False)
    sent = {"X-MLflow-Authorization": password("admin", "right"), "Authorization": KEY, **COOKIE}
    assert server.get(sent, path=GATEWAY).status_code == 200
    assert server.headers["x-mlflow-authorization"] == [password("admin", "right")]
    assert server.headers["authorization"] == [KEY]
    assert "cookie" not in server.headers


# --- Audit log


def test_the_audit_log_has_a_line_for_each_decision(server: Server) -> None:
    server.get({**ALICE, "X-Request-ID": "0a1b"}, path=f"{ROUTE}?filter=secret")
    assert server.audit == {
        "event": "authentication",
        "time": "2025-11-29T19:27:24.500Z",
        "user": "alice@example.com",
        "method": "cookie",
        "result": "accepted",
        "status": 200,
        "verb": "GET",
        "route": ROUTE,
        "request_id": "0a1b",
        "client": "192.0.2.1",
    }
    server.get({})
    assert (server.audit["user"], server.audit["method"], server.audit["reason"]) == (None, None, "no credential")
    server.get({}, path="/health")
    assert len(server.lines) == 2


@pytest.mark.parametrize(
    ("status", "result"), [(200, "accepted"), (404, "accepted"), (403, "forbidden"), (500, "accepted")]
)
def test_the_result_follows_from_the_status(server: Server, status: int, result: str) -> None:
    server.answer = PlainTextResponse("", status)
    server.get({**ALICE, "X-MLflow-Identity-Method": "bearer"})
    assert (server.audit["result"], server.audit["status"], server.audit["method"]) == (result, status, "bearer")


def test_limited_passwords_are_in_the_audit_log(server: Server) -> None:
    for number in range(6):
        server.get({"Authorization": password("admin", f"guess-{number}")})
    assert (server.audit["result"], server.audit["status"], server.audit["user"]) == ("limited", 429, "admin")
    assert "guess" not in "".join(server.lines)
    assert base64.b64encode(b"admin:guess-1").decode() not in "".join(server.lines)


def test_a_client_cannot_write_its_own_line(server: Server) -> None:
    server.get({**person("alice@gmail.com"), "X-Request-ID": 'x", "user": "y'}, path="/a%0A%7B%22event%22:1%7D")
    (line,) = server.lines
    assert "\n" not in line
    assert (server.audit["route"], server.audit["user"]) == ('/a\n{"event":1}', "alice@gmail.com")
    assert len(server.audit["request_id"]) == 32


def test_a_request_without_a_response_is_in_the_audit_log(server: Server) -> None:
    async def failing(*_: Any) -> None:
        raise RuntimeError

    server.app._app = failing
    with pytest.raises(RuntimeError):
        server.get(ALICE)
    assert (server.audit["user"], server.audit["status"]) == ("alice@example.com", None)
