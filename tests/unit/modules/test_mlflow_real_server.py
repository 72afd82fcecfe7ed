# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The modules for users, roles and permissions with a real MLflow server: each change once, then no change."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflow_client import MlflowClient, MlflowError, basic
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_permission, mlflow_role, mlflow_user

from tests.unit.harness import Json
from tests.unit.mlflow_server import ADMIN, ADMIN_PASSWORD, V2, V3, PlayMlflow
from tests.unit.roles.noting import collection, note, play

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
FIRST, SECOND = "first-password-of-alice", "second-password-of-alice"
SETTINGS = """
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/users.db
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 600
"""
# MLflow's password hash is slow by design. One worker process removes a changed password from its cache immediately.
START_SECONDS = 300  # with the creation of two databases, on a busy host


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an MLflow server with authentication and new databases."""
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "auth.ini").write_text(SETTINGS.format(folder=folder, admin=ADMIN))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "key-of-the-test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    options = ["--app-name=basic-auth", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    stores = [f"--backend-store-uri=sqlite:///{folder}/runs.db", f"--artifacts-destination={folder}/artifacts"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(BIN / "mlflow"), "server", *options, *stores],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, server, folder / "log")
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    pytest.fail(f"MLflow does not answer:\n{log.read_text()}")


@pytest.fixture
def server(uri: str) -> MlflowClient:
    return MlflowClient(uri, basic(ADMIN, ADMIN_PASSWORD))


def contents(server: MlflowClient) -> Json:
    """Return all users with their roles, and all roles with their permissions."""
    return server.get(f"{V2}/users/list") | server.get(f"{V3}/roles/list")


Once = Callable[..., Json]


@pytest.fixture
def once(play_mlflow: PlayMlflow, uri: str, server: MlflowClient) -> Once:
    """Return a function that plans a change, makes it, and checks that a second run makes no change."""

    def run(module: Any, **params: Any) -> Json:
        before = contents(server)
        planned = play_mlflow(module, check=True, tracking_uri=uri, **params)
        assert planned["changed"]
        assert contents(server) == before
        result = play_mlflow(module, tracking_uri=uri, **params)
        assert result["changed"]
        assert result["diff"] == planned["diff"]
        again = play_mlflow(module, tracking_uri=uri, **params)
        assert not again["changed"]
        assert again["resource"] == result["resource"]
        return result

    return run


def status(uri: str, password: str, user: str = "alice", *, write: bool = False) -> int:
    """Return the HTTP status of a request of a user that reads or changes the experiment Default."""
    who = (user, password)
    if write:
        body = {"experiment_id": "0", "key": "k", "value": "v"}
        return requests.post(f"{uri}/{V2}/experiments/set-experiment-tag", json=body, auth=who, timeout=60).status_code
    return requests.get(f"{uri}/{V2}/experiments/get?experiment_id=0", auth=who, timeout=60).status_code


def on_default(permission: str) -> Json:
    return {"resource_type": "experiment", "experiment_name": "Default", "permission": permission}


def test_users_roles_and_permissions_take_effect(uri: str, once: Once, server: MlflowClient) -> None:
    empty = contents(server)
    everything = {"resource_type": "prompt", "resource_pattern": "*", "permission": "USE"}
    once(mlflow_role, name="readers", description="Read", permissions=[on_default("READ"), everything])
    once(mlflow_role, name="editors", permissions=[on_default("EDIT")])
    once(mlflow_user, name="alice", password=FIRST, roles=["readers"])
    assert (status(uri, FIRST), status(uri, FIRST, write=True)) == (200, 403)

    result = once(mlflow_user, name="alice", password=SECOND, roles=["editors"])
    assert result["diff"]["after"] == {"password": "(hidden, changed)", "roles": ["editors"]}
    assert (status(uri, FIRST), status(uri, SECOND), status(uri, SECOND, write=True)) == (401, 200, 200)

    once(mlflow_role, name="editors", description="Only read", permissions=[on_default("READ"), everything])
    assert status(uri, SECOND, write=True) == 403
    once(mlflow_role, name="editors", permissions=[everything])
    assert status(uri, SECOND) == 403

    direct = {"user": "alice", "resource_type": "experiment", "experiment_name": "Default"}
    once(mlflow_permission, **direct, permission="EDIT")
    assert status(uri, SECOND, write=True) == 200
    once(mlflow_permission, **direct, permission="READ")
    assert (status(uri, SECOND), status(uri, SECOND, write=True)) == (200, 403)
    once(mlflow_user, name="alice", roles=[])  # the direct permission remains
    assert status(uri, SECOND) == 200
    once(mlflow_permission, **direct, state="absent")
    assert status(uri, SECOND) == 403

    once(mlflow_user, name="alice", is_admin=True)
    assert status(uri, SECOND, write=True) == 200
    once(mlflow_user, name="alice", is_admin=False)
    assert status(uri, SECOND) == 403

    once(mlflow_permission, user="alice", resource_type="run", resource_id="*", permission="DENY")
    once(mlflow_user, name="alice", state="absent")
    assert status(uri, SECOND) == 401
    for name in ("readers", "editors"):
        once(mlflow_role, name=name, state="absent")
    assert contents(server) == empty


def test_the_user_of_the_connection_changes_its_password(uri: str, play_mlflow: PlayMlflow, once: Once) -> None:
    once(mlflow_user, name="boss", password=FIRST, is_admin=True)
    result = play_mlflow(
        mlflow_user, name="boss", password=SECOND, tracking_uri=uri, tracking_username="boss", tracking_password=FIRST
    )
    assert result["changed"]
    assert status(uri, SECOND, "boss") == 200
    once(mlflow_user, name="boss", state="absent")


def test_errors_are_mlflows(uri: str, play_mlflow: PlayMlflow, server: MlflowClient) -> None:
    result = play_mlflow(mlflow_user, fails=True, tracking_uri=uri, name="bob", password="short")
    assert f"Cannot create user bob of {uri}: Password must be at least 12 characters. (HTTP 400" in result["msg"]
    result = play_mlflow(mlflow_user, fails=True, tracking_uri=uri, tracking_username="nobody", name="bob")
    assert "Check tracking_username and tracking_password" in result["msg"]
    with pytest.raises(MlflowError) as raised:  # MLflow's answer has the hash of the password
        server.request("POST", f"{V2}/users/create", {"username": ADMIN, "password": FIRST})
    assert str(raised.value) == f"User (username={ADMIN}) already exists. (HTTP 400, RESOURCE_ALREADY_EXISTS)"
    assert (raised.value.code, server.version()) == (409, (3, 17))
    team = MlflowClient(uri, basic(ADMIN, ADMIN_PASSWORD), workspace="team")
    with pytest.raises(MlflowError, match="FEATURE_DISABLED"):
        contents(team)


PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  module_defaults:
    group/mlops.mlflow_gcp.mlflow:
      tracking_uri: "{{ lookup('env', 'URI') }}"
      tracking_username: admin
      tracking_password: "{{ lookup('env', 'ADMIN_PASSWORD') }}"
  tasks:
    - name: Create the role
      mlops.mlflow_gcp.mlflow_role:
        name: team
        permissions: [{resource_type: experiment, resource_pattern: "*", permission: READ}]
    - name: Create the user
      mlops.mlflow_gcp.mlflow_user: {name: carol, password: "{{ lookup('env', 'PASSWORD') }}", roles: [team]}
    - name: Grant the permission
      mlops.mlflow_gcp.mlflow_permission:
        {user: carol, resource_type: registered_model, resource_id: churn, permission: EDIT}
"""


def test_the_action_group_sets_the_connection(uri: str, tmp_path: Path, server: MlflowClient) -> None:
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "URI": uri,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
        "PASSWORD": FIRST,
    }

    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "localhost,", "-vvv", "--diff", "playbook.yml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for secret in (ADMIN_PASSWORD, FIRST):
        assert secret not in done.stdout + done.stderr
    assert "changed=3 " in done.stdout
    assert json.dumps(contents(server)).count('"churn"') == 2  # in the list of roles, and below the user


ACCOUNTS: Json = {
    "mlflow_roles": [
        {
            "name": "readers",
            "permissions": [{"resource_type": "experiment", "experiment_name": "Default", "permission": "READ"}],
        },
        {"name": "interns", "permissions": []},
    ],
    "mlflow_users": [
        {"name": "dora", "roles": ["readers"]},
        {
            "name": "erik@example.com",
            "permissions": [{"resource_type": "experiment", "resource_id": "0", "permission": "EDIT"}],
        },
    ],
}


@pytest.fixture
def accounts(uri: str, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs the role for these accounts, with fake modules for Google; returns the recap.

    The server has no TLS, so the connection of the role is replaced.
    """
    collection(tmp_path, "mlflow", ("secrets",))
    note(tmp_path, ("gcp_address", "gcp_iam_member", "gcp_secret", "mlflowctl"))
    for module in ("mlflow_permission", "mlflow_role", "mlflow_user"):
        target = tmp_path / "ansible_collections/mlops/mlflow_gcp/plugins/modules"
        target.mkdir(exist_ok=True)
        (target / f"{module}.py").symlink_to(ROOT / "plugins" / "modules" / f"{module}.py")
    connection = {"tracking_uri": uri, "tracking_username": ADMIN, "tracking_password": ADMIN_PASSWORD}

    def run(changed: Json, *, check: bool = False) -> str:
        settings = {"deployment_project": "my-project", "__mlflow_connection": connection, **ACCOUNTS, **changed}
        secrets = [({"name": "dora"}, {"payload": FIRST}), ({"module": "gcp_secret"}, {"payload": SECOND})]
        answers = [({"module": "gcp_address"}, {"resource": {"address": "127.0.0.1"}}), *secrets]
        role = {"name": "mlops.mlflow_gcp.mlflow", "tasks_from": "users"}
        done = play(tmp_path, "localhost", role, answers, settings, check=check)
        assert done.returncode == 0
        return done.stdout

    return run


def test_the_role_variables_describe_the_accounts(uri: str, server: MlflowClient, accounts: Callable[..., str]) -> None:
    """The fake modules never report a change."""
    empty = contents(server)
    assert "changed=3 " in accounts({}, check=True)  # also the permission of the user that does not exist yet
    assert contents(server) == empty
    assert "changed=3 " in accounts({})
    assert (status(uri, FIRST, "dora"), status(uri, FIRST, "dora", write=True)) == (200, 403)
    assert status(uri, SECOND, "erik@example.com", write=True) == 200
    assert "changed=0 " in accounts({})
    gone = [{"name": name, "state": "absent"} for name in ("dora", "erik@example.com")]
    roles = [{"name": name, "state": "absent"} for name in ("readers", "interns")]
    accounts({"mlflow_users": gone, "mlflow_roles": roles})
    assert status(uri, FIRST, "dora") == 401
    assert contents(server) == empty
