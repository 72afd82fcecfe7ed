# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identities at a real MLflow server: accounts, permissions, and the headers for model providers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
from mlflow_gcp_server.accounts import synchronize
from mlflow_gcp_server.identity_rules import User

from tests.unit.mlflowctl.served import (
    ADMIN,
    ADMIN_PASSWORD,
    JOB_TOKEN,
    SECRET,
    Answer,
    Served,
    password,
    person,
    served,
)

pytestmark = pytest.mark.server

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
ALICE, BOB, BOSS = (f"{name}@example.com" for name in ("alice", "bob", "boss"))
TRACE = "tr-0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # The stand-in for a model provider listens on the loopback interface.
    allowed = {
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http,https",
    }
    with served(tmp_path_factory.mktemp("mlflow"), single_sign_on=True, **allowed) as running:
        yield running


def ask(server: Served, address: str, method: str, path: str, body: Any = None, groups: str = "") -> Answer:
    return server.ask(method, path, person(address, groups=groups), body)


def create(server: Served, address: str, path: str, body: Any) -> Any:
    answer = ask(server, address, "POST", path, body)
    assert answer.status == 200, answer.body
    return answer.json()


# --- Accounts


def test_the_caller_is_the_user_of_the_identity(server: Served) -> None:
    for address, is_admin in ((ALICE, False), (BOSS, True)):
        user = ask(server, address.upper(), "GET", f"{V2}/users/current").json()["user"]
        assert (user["username"], user["is_admin"]) == (address, is_admin)
    assert server.ask("GET", f"{V2}/users/current", {"Authorization": password(ALICE, "")}).status == 401


def test_a_changed_group_takes_effect_at_the_next_request(server: Served) -> None:
    statuses = [
        ask(server, BOB, "GET", f"{V2}/experiments/get?experiment_id=0", groups=groups).status
        for groups in ("", "mlflow-admins", "others", "mlflow-admins,others", "")
    ]
    assert statuses == [403, 200, 403, 200, 403]


def test_a_deleted_user_comes_back_without_permissions(server: Served) -> None:
    experiment = create(server, "carol@example.com", f"{V2}/experiments/create", {"name": "of carol"})["experiment_id"]
    get = f"{V2}/experiments/get?experiment_id={experiment}"
    assert ask(server, "carol@example.com", "GET", get).status == 200
    assert ask(server, BOSS, "DELETE", f"{V2}/users/delete", {"username": "carol@example.com"}).status == 200
    assert ask(server, "carol@example.com", "GET", get).status == 403


def test_a_changed_permission_takes_effect_at_the_next_request(server: Served) -> None:
    get = f"{V2}/experiments/get?experiment_id=0"
    person, grant = "dora@example.com", {"resource_type": "experiment", "resource_id": "0", "permission": "READ"}
    statuses = [ask(server, person, "GET", get).status]
    for action in ("grant", "revoke", "grant"):
        body = {**grant, "username": person}
        if action == "revoke":
            del body["permission"]
        assert ask(server, BOSS, "POST", f"{V3}/users/permissions/{action}", body).status == 200
        statuses.append(ask(server, person, "GET", get).status)
    assert statuses == [403, 200, 403, 200]


def test_concurrent_first_requests_create_one_account(tmp_path: Path) -> None:
    """As worker processes do it: each thread has its own connection."""
    store = SqlAlchemyStore()
    store.init_db(f"sqlite:///{tmp_path}/users.db")
    ready = threading.Barrier(24)

    def first_request(_: int) -> None:
        ready.wait(60)
        synchronize(store, User(BOSS, is_admin=True), admin_username=ADMIN)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(first_request, range(24)))
    assert [(user.username, user.is_admin) for user in store.list_users()] == [(BOSS, True)]


# --- Permissions


class Owned:
    """The objects of a person: an experiment with a run, an artifact and a trace, and a model."""

    def __init__(self, server: Served, address: str, trace: str) -> None:
        self.address, self.trace, self.model = address, trace, f"model of {address}"
        self.experiment = create(server, address, f"{V2}/experiments/create", {"name": address})["experiment_id"]
        info = create(server, address, f"{V2}/runs/create", {"experiment_id": self.experiment})["run"]["info"]
        self.run = info["run_id"]
        self.artifacts = f"{self.experiment}/{self.run}/artifacts"
        path = f"/api/2.0/mlflow-artifacts/artifacts/{self.artifacts}/note.txt"
        assert ask(server, address, "PUT", path, b"private").status == 200
        create(server, address, f"{V2}/registered-models/create", {"name": self.model})
        version = {"name": self.model, "source": f"mlflow-artifacts:/{self.artifacts}", "run_id": self.run}
        create(server, address, f"{V2}/model-versions/create", version)
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}
        trace_info = {
            "trace_id": trace,
            "trace_location": location,
            "request_time": "2026-01-01T00:00:00Z",
            "state": "OK",
            "request_preview": f"question of {address}",
        }
        create(server, address, f"{V3}/traces", {"trace": {"trace_info": trace_info}})
        self.location = location


@pytest.fixture(scope="module")
def pair(server: Served) -> tuple[Owned, Owned]:
    return Owned(server, ALICE, TRACE), Owned(server, BOB, "tr-" + "f" * 32)


def reads(owned: Owned) -> list[tuple[str, str, Any]]:
    """Return requests that read the objects of a person."""
    artifacts = f"/api/2.0/mlflow-artifacts/artifacts/{owned.artifacts}"
    model = owned.model.replace(" ", "%20")
    return [
        ("GET", f"{V2}/experiments/get?experiment_id={owned.experiment}", None),
        ("GET", f"{V2}/experiments/get-by-name?experiment_name={owned.address}", None),
        ("GET", f"{V2}/runs/get?run_id={owned.run}", None),
        ("GET", f"{V2}/artifacts/list?run_id={owned.run}", None),
        ("GET", f"{artifacts}/note.txt", None),
        ("GET", f"/get-artifact?run_uuid={owned.run}&path=note.txt", None),
        ("GET", f"{V2}/registered-models/get?name={model}", None),
        ("GET", f"{V2}/model-versions/get?name={model}&version=1", None),
        ("GET", f"{V3}/traces/{owned.trace}", None),
        ("POST", f"{V3}/traces/search", {"locations": [owned.location]}),
    ]


def searches(owned: Owned) -> list[tuple[str, str, Any]]:
    """Return requests that list objects of everybody."""
    everything = [owned.experiment]
    return [
        ("POST", f"{V2}/experiments/search", {"max_results": 100}),
        ("POST", f"{V2}/runs/search", {"experiment_ids": everything}),
        ("GET", f"{V2}/registered-models/search", None),
        ("GET", f"{V2}/model-versions/search", None),
        ("GET", f"/api/2.0/mlflow-artifacts/artifacts?path={owned.experiment}", None),
    ]


@pytest.mark.parametrize("first", [0, 1])
def test_two_people_do_not_see_each_other(server: Served, pair: tuple[Owned, Owned], first: int) -> None:
    mine, other = pair[first], pair[1 - first]
    for method, path, body in reads(mine):
        assert ask(server, mine.address, method, path, body).status == 200, path
    for method, path, body in reads(other):
        assert ask(server, mine.address, method, path, body).status == 403, path
    for owned in (mine, other):
        for method, path, body in searches(owned):
            answer = ask(server, mine.address, method, path, body)
            assert answer.status in (200, 403), path
            for name in (other.address, other.model, other.run, other.trace, "note.txt") if owned is other else ():
                assert name.encode() not in answer.body, path


def test_an_administrator_sees_both(server: Served, pair: tuple[Owned, Owned]) -> None:
    for owned in pair:
        for method, path, body in reads(owned):
            assert ask(server, BOSS, method, path, body).status == 200, path
        answers = [ask(server, BOSS, method, path, body).body for method, path, body in searches(owned)]
        assert owned.address.encode() in answers[0]
        assert owned.run.encode() in answers[1]
        assert owned.model.encode() in answers[2]


# --- Model providers


class Provider(ThreadingHTTPServer):
    """A stand-in for a model provider. Records the headers of each request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                provider.requests.append({name.lower(): value for name, value in self.headers.items()})
                self.rfile.read(int(self.headers["Content-Length"]))
                message = {"role": "assistant", "content": "hello"}
                answer = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": "m",
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                }
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def provider(server: Served) -> Iterator[Provider]:
    """Return the provider behind the endpoint `chat` of the gateway."""
    with Provider() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        secret = {
            "secret_name": "key",
            "secret_value": {"api_key": "sk-of-the-server"},
            "provider": "openai",
            "auth_config": {"api_base": f"http://127.0.0.1:{running.server_port}/v1"},
        }
        gateway = f"{V3}/gateway"
        secret_id = create(server, BOSS, f"{gateway}/secrets/create", secret)["secret"]["secret_id"]
        definition = {"name": "model", "secret_id": secret_id, "provider": "openai", "model_name": "m"}
        created = create(server, BOSS, f"{gateway}/model-definitions/create", definition)["model_definition"]
        config = {"model_definition_id": created["model_definition_id"], "linkage_type": "PRIMARY"}
        create(server, BOSS, f"{gateway}/endpoints/create", {"name": "chat", "model_configs": [config]})
        yield running
        running.shutdown()


MESSAGES = [{"role": "user", "content": "hello"}]
ROUTES = {
    "/gateway/chat/mlflow/invocations": {"messages": MESSAGES},
    "/gateway/mlflow/v1/chat/completions": {"model": "chat", "messages": MESSAGES},
    # Forwards the headers of the client.
    "/gateway/openai/v1/chat/completions": {"model": "chat", "messages": MESSAGES},
}
CALLERS = {
    "identity": person(BOSS, groups="mlflow-admins"),
    "identity with the key of the provider": {**person(BOSS), "Authorization": "Bearer sk-of-the-client"},
    "password": {"Authorization": password(ADMIN, ADMIN_PASSWORD)},
    "password with the key of the provider": {
        "X-MLflow-Authorization": password(ADMIN, ADMIN_PASSWORD),
        "Authorization": "Bearer sk-of-the-client",
    },
    "job": {"Authorization": password(BOSS, JOB_TOKEN)},
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROUTES)
def test_a_provider_gets_no_credential_of_ours(server: Served, provider: Provider, route: str, caller: str) -> None:
    sent = {**CALLERS[caller], "Cookie": "__Host-mlflow=cookie-of-the-person; session=x", "X-Client": "seen"}
    answer = server.ask("POST", route, sent, ROUTES[route])
    assert answer.status == 200, answer.body
    got = provider.requests[-1]
    # The test would notice a forwarded header.
    assert got.get("x-client") == ("seen" if "openai" in route else None)
    assert not [name for name in got if name.startswith("x-mlflow") or name == "cookie"]
    assert got["authorization"] in ("Bearer sk-of-the-server", "Bearer sk-of-the-client")
    everything = json.dumps(got)
    for secret in (SECRET, BOSS, JOB_TOKEN, "cookie-of-the-person", password(ADMIN, ADMIN_PASSWORD)):
        assert secret not in everything


def test_the_gateway_refuses_strangers(server: Served, provider: Provider) -> None:
    before = len(provider.requests)
    for route, body in ROUTES.items():
        assert server.ask("POST", route, {"Authorization": "Bearer sk-of-the-client"}, body).status == 401
        assert ask(server, ALICE, "POST", route, body).status == 403
    assert len(provider.requests) == before


# --- Audit log


def test_the_journal_gets_the_decisions(server: Served) -> None:
    sent = {**person("eve@gmail.com"), "X-Request-ID": "request-of-eve"}
    assert server.ask("GET", f"{V2}/runs/get?run_id=x", sent).status == 403
    (line,) = (line for line in server.audit() if line["request_id"] == "request-of-eve")
    assert line | {"time": "", "reason": ""} == {
        "event": "authentication",
        "time": "",
        "user": "eve@gmail.com",
        "method": "cookie",
        "result": "forbidden",
        "status": 403,
        "verb": "GET",
        "route": f"{V2}/runs/get",
        "request_id": "request-of-eve",
        "client": "192.0.2.7",
        "reason": "",
    }
    assert SECRET not in server.log
    assert ADMIN_PASSWORD not in server.log
