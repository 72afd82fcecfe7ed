# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks for mlflow_users and mlflow_roles: their order, and the passwords, with fake modules.

tests/unit/modules/test_mlflow_real_server.py runs the tasks with a real MLflow server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles import noting
from tests.unit.roles.noting import collection, note, play

MODULES = ("gcp_address", "gcp_iam_member", "gcp_secret", "mlflow_lock", "mlflow_permission", "mlflow_role")
ROLES = [
    {"name": "readers", "permissions": [{"resource_type": "prompt", "resource_pattern": "*", "permission": "READ"}]},
    {"name": "old", "state": "absent"},
]
EDIT = {"resource_type": "experiment", "experiment_name": "churn", "permission": "EDIT"}
USERS = [
    {"name": "alice", "roles": ["readers"], "permissions": [EDIT], "secret_accessors": ["user:alice@example.com"]},
    {"name": "bob", "is_admin": True},
    {"name": "carol", "state": "absent"},
]
ALICE, ADMIN = "password-of-alice", "password-of-the-admin"


@dataclass
class Accounts:
    """The roles in a temporary collection. MLflow has the users `existing`, or does not answer if they are None."""

    folder: Path
    existing: list[str] | None = field(default_factory=lambda: ["admin", "bob", "carol"])
    address: str | None = "192.0.2.7"
    admin: str | None = ADMIN
    role: str = "mlflow"

    def __post_init__(self) -> None:
        roles = collection(self.folder, self.role, ("secrets",), noted=("uri", "command", "systemd_service"))
        if self.role != "mlflow":
            (roles / "mlflow").symlink_to(noting.ROOT / "roles" / "mlflow")
        vm = ("command", "systemd_service", "mlflow_credentials", "mlflowctl")
        note(self.folder, (*MODULES, "mlflow_user", "uri", *vm))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the calls of the modules, in order."""
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]

    def calls(self, *names: str) -> list[tuple[str, str, str]]:
        """Return module, object and state of the calls that change something."""
        changing = [call for call in self.asked if call["module"] in names and not call.get("return_payload")]
        return [
            (
                call["module"],
                call.get("name") or call.get("user") or call["resource"],
                call.get("state") or call.get("older_versions") or "",
            )
            for call in changing
        ]

    def __call__(self, *, check: bool = False, fails: bool = False, hosts: str = "localhost", **settings: Any) -> str:
        """Run the role; return the output on one line."""
        listed = {"status": 200, "json": {"users": [{"username": name} for name in self.existing or []]}}
        answers: list[Any] = [
            ({"module": "uri"}, {"status": 401, "msg": "Unauthorized"} if self.existing is None else listed),
            ({"module": "gcp_address"}, {"resource": {"address": self.address} if self.address else {}}),
            ({"return_payload": True, "name": "mlflow-admin-password"}, {"payload": self.admin}),
            ({"return_payload": True, "name": "mlflow-user-alice"}, {"payload": ALICE}),
        ]
        given = {
            "deployment_project": "my-project",
            "deployment_state_directory": str(self.folder / "state"),
            "mlflow_roles": ROLES,
            "mlflow_users": USERS,
            **settings,
        }
        role = {"name": f"mlops.mlflow_gcp.{self.role}"} | ({"tasks_from": "users"} if self.role == "mlflow" else {})
        done = play(self.folder, hosts, role, answers, given, check=check)
        assert (done.returncode != 0) is fails
        return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Accounts, str]:
    """Return a run with the output of -vvv."""
    accounts = Accounts(tmp_path_factory.mktemp("usual"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(noting.VERBOSITY, "3")
        return accounts, accounts()


def test_roles_come_before_users_and_deletions_come_last(usual: tuple[Accounts, str]) -> None:
    accounts, _said = usual
    assert accounts.calls(*MODULES[1:], "mlflow_user") == [
        ("gcp_secret", "mlflow-user-alice", ""),
        ("gcp_secret", "mlflow-user-bob", ""),
        ("gcp_secret", "mlflow-user-alice", ""),
        ("gcp_iam_member", "mlflow-user-alice", ""),
        ("mlflow_role", "readers", ""),
        ("mlflow_user", "alice", ""),
        ("mlflow_user", "bob", ""),
        ("mlflow_permission", "alice", ""),
        ("mlflow_user", "carol", "absent"),
        ("gcp_secret", "mlflow-user-carol", "absent"),
        ("mlflow_role", "old", "absent"),
    ]


def test_only_a_new_user_gets_a_password(usual: tuple[Accounts, str]) -> None:
    """The stored password of a user who existed before would be wrong."""
    accounts, _said = usual
    (stored,) = (call for call in accounts.asked if call.get("payload"))
    assert (stored["name"], stored["payload_policy"], len(stored["payload"])) == ("mlflow-user-alice", "if_absent", 40)
    users = {call["name"]: call for call in accounts.asked if call["module"] == "mlflow_user"}
    assert {name: call.get("password") for name, call in users.items()} == {"alice": ALICE, "bob": None, "carol": None}
    assert users["alice"]["update_password"] == "on_create"
    assert users["alice"]["roles"] == ["readers"]
    assert users["bob"]["is_admin"] is True
    assert "roles" not in users["bob"]
    connection = {"tracking_uri": "https://192.0.2.7", "tracking_username": "admin", "tracking_password": ADMIN}
    assert users["bob"].items() >= (connection | {"ca_path": str(accounts.folder / "state" / "ca.pem")}).items()


def test_a_certificate_of_ones_own_needs_the_host_name_and_no_ca(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts(deployment_hostname="mlflow.example.com", certificates_file="/etc/own.pem")
    for call in accounts.asked:
        if call["module"] in ("mlflow_user", "uri"):
            assert call.get("tracking_uri", call.get("url", "")).startswith("https://mlflow.example.com")
            assert "ca_path" not in call


@pytest.mark.parametrize("missing", [{"address": None, "admin": None}, {"existing": None}])
def test_check_mode_plans_everything_without_a_server(tmp_path: Path, missing: dict[str, Any]) -> None:
    accounts = Accounts(tmp_path, **missing)
    said = accounts(check=True)
    assert "Roles to create: readers." in said
    assert "Users to create: alice, bob." in said
    assert accounts.calls("mlflow_role", "mlflow_user", "mlflow_permission") == []
    assert all(call["check"] for call in accounts.asked if call["module"].startswith("gcp_"))
    # Two secrets with a payload each are in the plan.
    assert len(accounts.calls("gcp_secret")) == 4


def test_a_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    said = Accounts(tmp_path, existing=None)(fails=True)
    assert (
        "Cannot read the users of MLflow at https://192.0.2.7: Unauthorized. No role and no user was changed." in said
    )


def test_without_entries_no_request_is_sent(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts(mlflow_roles=[], mlflow_users=[])
    assert accounts.asked == []


def test_no_password_is_shown(usual: tuple[Accounts, str]) -> None:
    accounts, said = usual
    secrets = {ALICE, ADMIN, *(call["payload"] for call in accounts.asked if call.get("payload"))}
    assert len(secrets) == 3
    assert [secret for secret in secrets if secret in said] == []


def test_a_rotation_of_users_replaces_only_their_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(noting.VERBOSITY, "3")
    accounts = Accounts(tmp_path, role="rotate")
    said = accounts(hosts="mlflow-server", rotate_users="alice")
    assert accounts.calls(*MODULES[1:], "mlflow_user", "mlflowctl", "command") == [
        ("gcp_secret", "mlflow-user-alice", ""),
        ("mlflow_user", "alice", ""),
        ("gcp_secret", "mlflow-user-alice", "disabled"),
    ]
    (user,) = (call for call in accounts.asked if call["module"] == "mlflow_user")
    assert (user["password"], user.get("update_password")) == (ALICE, None)
    (stored,) = (call["payload"] for call in accounts.asked if call.get("payload"))
    assert len(stored) == 40
    assert [secret for secret in (ALICE, ADMIN, stored) if secret in said] == []
    # The fake modules are actions, so the connection is that of the host to which the task is delegated.
    assert "mlflow-server -> localhost" in said


@pytest.mark.parametrize("name", ["carol", "dave"])
def test_a_rotation_of_an_unknown_user_is_refused(tmp_path: Path, name: str) -> None:
    accounts = Accounts(tmp_path, role="rotate")
    said = accounts(fails=True, hosts="mlflow-server", rotate_users=["alice", name])
    assert (
        f"rotate_users contains {name}. Use only users of mlflow_users with a password in Secret Manager: alice" in said
    )
    assert accounts.asked == []
