# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Each route that MLflow registers, for each kind of caller, in the modes with and without single sign-on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.unit.mlflowctl.served import ADMIN, ADMIN_PASSWORD, SECRET, Served, password, person, served

pytestmark = pytest.mark.server

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
MODES = {"basic": False, "oauth2_proxy": True}
ROLES = ("stranger", "reader", "owner", "admin")
PASSWORD = "password-of-a-user"
BOSS = "boss@example.com"
PUBLIC = ("/health", "/static-files/", "/server-info", "/mlflow/server-info")
TOKEN = "Bearer eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImJvc3NAZXhhbXBsZS5jb20ifQ."
# Headers with which other front ends pass an identity, and spellings of ours. The secret is the right one where the
# header must be ignored for its name.
FORGED = [
    ("X-MLflow-Authorization", f"Identity wrong-secret {BOSS}"),
    ("X-MLFLOW-AUTHORIZATION", f"identity  {BOSS}"),
    ("X_MLflow_Authorization", f"Identity {SECRET} {BOSS}"),
    ("X-MLflow_Authorization", f"Identity {SECRET} {BOSS}"),
    ("Authorization", f"Identity {SECRET} {BOSS}"),
    ("X-MLflow-Identity-Email", BOSS),
    ("X-MLflow-Identity-Groups", "mlflow-admins"),
    ("X_MLFLOW_IDENTITY_GROUPS", "mlflow-admins"),
    ("x-mlflow_identity-domain", "example.com"),
    ("X-Forwarded-Email", BOSS),
    ("X_Forwarded_Email", BOSS),
    ("X-Forwarded-User", "admin"),
    ("X-Auth-Request-Email", BOSS),
    ("Remote-User", "admin"),
    ("X-Goog-Authenticated-User-Email", f"accounts.google.com:{BOSS}"),
    ("X-Goog-IAP-JWT-Assertion", TOKEN.removeprefix("Bearer ")),
]
CREDENTIAL = re.compile("(?i)(x-mlflow-)?authorization")
PROBES = [("GET", f"{V2}/users/current"), ("GET", "/api/2.0/mlflow-artifacts/artifacts"), ("POST", "/v1/traces")]

Table = dict[tuple[str, str], dict[str, int]]


def headers(role: str, *, single_sign_on: bool) -> dict[str, str]:
    """Return the credential of a role. The administrator always has a password."""
    if role == "admin":
        return {"Authorization": password(ADMIN, ADMIN_PASSWORD)}
    address = f"{role}@example.com"
    return person(address) if single_sign_on else {"Authorization": password(address, PASSWORD)}


class Subject:
    """A server with an experiment, a run and a model of the owner, which the reader may read."""

    def __init__(self, server: Served, routes: list[dict[str, Any]]) -> None:
        self.server, self.routes = server, routes
        for role in ROLES[:3]:
            if server.single_sign_on:
                assert self.ask(role, "GET", f"{V2}/users/current").status == 200
            else:
                user = {"username": f"{role}@example.com", "password": PASSWORD}
                server.admin("POST", f"{V2}/users/create", user)
        experiment = self.create("experiments/create", {"name": "owned"})["experiment_id"]
        run = self.create("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
        self.create("registered-models/create", {"name": "model"})
        self.values = {"experiment_id": experiment, "experiment_ids": experiment, "run_id": run, "run_uuid": run}
        self.values |= {"name": "model", "experiment_name": "owned", "path": "", "artifact_path": f"{experiment}/{run}"}
        for kind, identifier in (("experiment", experiment), ("registered_model", "model")):
            grant = {"username": "reader@example.com", "resource_type": kind, "resource_id": identifier}
            server.admin("POST", f"{V3}/users/permissions/grant", {**grant, "permission": "READ"})

    def create(self, path: str, body: Any) -> Any:
        answer = self.ask("owner", "POST", f"{V2}/{path}", body)
        assert answer.status == 200, answer.body
        return answer.json()

    def ask(self, role: str, method: str, path: str, body: Any = None) -> Any:
        return self.server.ask(method, path, headers(role, single_sign_on=self.server.single_sign_on), body)

    def request(self, route: Mapping[str, Any]) -> tuple[str, Any]:
        """Return path and body of a request: of the owner's objects if it only reads, of missing ones otherwise."""
        reads = route["method"] == "GET"
        values = self.values if reads else {}
        path = re.sub(
            r"<(?:\w+:)?(\w+)>|\{(\w+)(?::\w+)?\}",
            lambda found: str(values.get(found[1] or found[2]) or "missing"),
            route["path"],
        )
        query = "&".join(f"{name}={value}" for name, value in values.items())
        return (f"{path}?{query}", None) if reads else (path, {})

    def statuses(self, callers: Mapping[str, Mapping[str, str]], *, twins: bool = True) -> Table:
        """Return the status of each protected route for each caller. A twin has the function of a route below /api."""
        table: Table = {}
        paths = {route["path"] for route in self.routes}
        for route in self.routes:
            twin = route["path"].startswith("/ajax-api/") and route["path"].replace("/ajax-api/", "/api/", 1) in paths
            if route["public"] or (twin and not twins):
                continue
            path, body = self.request(route)
            row = table[route["method"], route["path"]] = {}
            for caller, sent in callers.items():
                row[caller] = self.server.ask(route["method"], path, sent, body).status
        return table


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Subject]]:
    """Return a server for each mode. One runs at a time."""
    found = {}
    with ExitStack() as stack:
        for mode, single_sign_on in MODES.items():
            folder = tmp_path_factory.mktemp(mode)
            arguments = {"ROUTES": str(folder / "routes.json"), "factory": "tests.unit.mlflowctl.served_app:create_app"}
            server = stack.enter_context(served(folder, single_sign_on=single_sign_on, **arguments))
            found[mode] = Subject(server, json.loads((folder / "routes.json").read_text()))
        yield found


@pytest.fixture(scope="module")
def tables(subjects: dict[str, Subject]) -> dict[str, Table]:
    """Return the status of each route and role, for each mode."""
    found = {}
    for mode, subject in subjects.items():
        single_sign_on = subject.server.single_sign_on
        callers = {role: headers(role, single_sign_on=single_sign_on) for role in ROLES}
        found[mode] = subject.statuses(callers, twins=False)
    return found


def test_the_application_has_both_kinds_of_routes(subjects: dict[str, Subject]) -> None:
    for subject in subjects.values():
        paths = {route["path"] for route in subject.routes}
        assert {f"{V2}/runs/create", "/graphql", "/v1/traces", "/gateway/{endpoint_name}/mlflow/invocations"} <= paths
        assert len(subject.routes) > 400
        public = {route["path"] for route in subject.routes if route["public"]}
        assert [path for path in public if not path.startswith(PUBLIC) and not path.endswith(PUBLIC)] == []
    first, second = (subject.routes for subject in subjects.values())
    assert first == second


@pytest.mark.parametrize("mode", MODES)
def test_no_route_serves_a_request_without_a_valid_credential(subjects: dict[str, Subject], mode: str) -> None:
    """All forged headers at once on each route: each alone would be refused more easily."""
    forged: dict[str, str] = {}
    for name, value in FORGED:
        if not name.lower().endswith("authorization") or "_" in name:
            forged[name] = value
    callers = {
        "anonymous": {},
        "forged": forged,
        "forged secret": {**forged, **person(BOSS, groups="mlflow-admins", secret=f"{SECRET}x")},
        "token": {"Authorization": TOKEN},
    }
    if mode == "basic":
        callers["identity"] = person(BOSS)
    table = subjects[mode].statuses(callers)
    assert {route: row for route, row in table.items() if set(row.values()) != {401}} == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "value"), FORGED)
def test_a_forged_header_alone_is_no_identity(subjects: dict[str, Subject], mode: str, name: str, value: str) -> None:
    subject = subjects[mode]
    for method, path in PROBES:
        answer = subject.server.ask(method, path, {name: value})
        assert answer.status == 401
        assert answer.json()["error_code"] == "UNAUTHENTICATED"
        challenge = {key.lower(): text for key, text in answer.headers.items()}["www-authenticate"]
        assert challenge == ('Bearer realm="mlflow"' if subject.server.single_sign_on else 'Basic realm="mlflow"')


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "value"), [pair for pair in FORGED if not re.fullmatch("(?i)(x-mlflow-)?authorization", pair[0])]
)
def test_a_forged_header_does_not_change_the_user(
    subjects: dict[str, Subject], mode: str, name: str, value: str
) -> None:
    subject = subjects[mode]
    sent = headers("stranger", single_sign_on=subject.server.single_sign_on)
    # nginx overwrites its own headers, so only other spellings arrive.
    if name not in sent:
        answer = subject.server.ask("GET", f"{V2}/users/current", {**sent, name: value})
        assert answer.json()["user"] | {"id": 0} == {"id": 0, "username": "stranger@example.com", "is_admin": False}


def test_each_route_decides_alike_in_both_modes(tables: dict[str, Table]) -> None:
    """The mode decides who the caller is, and nothing else."""
    basic, proxy = tables["basic"], tables["oauth2_proxy"]
    assert {route: (row, proxy[route]) for route, row in basic.items() if row != proxy[route]} == {}


@pytest.mark.parametrize("mode", MODES)
def test_more_permissions_open_more_routes(tables: dict[str, Table], mode: str) -> None:
    wrong = {}
    for route, row in tables[mode].items():
        refused = [row[role] in (401, 403) for role in ROLES]
        # Who may less is refused first: 403 before 200.
        if refused != sorted(refused, reverse=True) or 401 in row.values():
            wrong[route] = row
    assert wrong == {}


EXPECTED = {
    ("GET", f"{V2}/experiments/get"): (403, 200, 200, 200),
    ("GET", f"{V2}/experiments/get-by-name"): (403, 200, 200, 200),
    ("GET", f"{V2}/runs/get"): (403, 200, 200, 200),
    ("GET", f"{V2}/artifacts/list"): (403, 200, 200, 200),
    ("GET", f"{V2}/registered-models/get"): (403, 200, 200, 200),
    ("GET", f"{V2}/users/current"): (200, 200, 200, 200),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("route", EXPECTED, ids=lambda route: route[1])
def test_the_roles_get_what_they_may(tables: dict[str, Table], mode: str, route: tuple[str, str]) -> None:
    assert tuple(tables[mode][route].values()) == EXPECTED[route]
