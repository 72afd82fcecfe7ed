# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A rotation of encryption keys: the order of the steps, and the resulting secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.unit.roles import noting
from tests.unit.roles.noting import collection, note, play

RINGS = ["webhook_encryption_key", "crypto_kek_passphrase"]
SECRETS = {"mlflow-webhook-encryption-key": "old webhook key", "mlflow-crypto-kek-passphrase": "old\nolder"}
FOUND = {
    "webhooks": {"current": 2, "earlier": [], "unreadable": ["ci (w-1)"]},
    "gateway": {"current": 1, "earlier": [], "unreadable": []},
    "changed": True,
}


@dataclass
class Role:
    """The role in a temporary collection with fake modules for Google and the VM."""

    folder: Path
    answers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        collection(self.folder, "rotate", noted=("command", "systemd_service"))
        own = ("mlflow_credentials", "mlflowctl", "command", "systemd_service")
        note(self.folder, ("gcp_secret", "gcp_sql_user", "mlflow_lock", *own))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the calls of the modules, in order."""
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]

    def __call__(self, *, fails: bool = False, **settings: Any) -> str:
        """Run the role; return the output on one line."""
        stored = {name: {"payload": payload, "version": "2"} for name, payload in SECRETS.items()}
        uri = "postgresql+psycopg2://mlflow:secret@10.0.0.3/mlflow"
        answers = [
            *self.answers,
            ({"module": "gcp_secret", "older_versions": "disabled"}, {"version": "2"}),
            *(({"module": "gcp_secret", "name": name}, answer) for name, answer in stored.items()),
            ({"module": "gcp_secret"}, {"payload": uri, "version": "1"}),
            ({"command": "stored-secrets"}, {"rc": 0, "result": FOUND}),
            (
                {"command": "status"},
                {"rc": 0, "result": {"traffic": "blue", "wanted": {"unseen": []}, "uptime_seconds": 90}},
            ),
            ({"argv": "find"}, {"stdout": ""}),
        ]
        given = {
            "deployment_project": "my-project",
            "deployment_state_directory": str(self.folder / "state"),
            "credentials_project": "my-project",
            "credentials_items": [
                {"name": "mlflow.webhook-encryption-key", "secret": "mlflow-webhook-encryption-key"},
                {"name": "mlflow.crypto-kek-passphrase", "secret": "mlflow-crypto-kek-passphrase"},
            ],
            "rotate_what": RINGS,
            **settings,
        }
        done = play(self.folder, "mlflow-server", {"name": "mlops.mlflow_gcp.rotate"}, answers, given, check=False)
        assert (done.returncode != 0) is fails
        return " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def role(tmp_path: Path) -> Role:
    return Role(tmp_path)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Role, str]:
    """Return a rotation of the keys with the output of -vvv."""
    role = Role(tmp_path_factory.mktemp("usual"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(noting.VERBOSITY, "3")
        return role, role()


def steps(role: Role) -> list[str]:
    """Return the steps on the VM, in order."""
    found = []
    for call in role.asked:
        if call["module"] == "mlflowctl":
            found.append(" ".join(call["command"]))
        elif call["module"] == "mlflow_credentials":
            found.append("fetch")
        elif call.get("state") == "reloaded":
            found.append("reload")
    return found


def test_rows_are_re_encrypted_at_the_cutover_and_after_it(usual: tuple[Role, str]) -> None:
    """The new process cannot decrypt rows under the old key, which the old process writes until it has drained."""
    role, said = usual
    assert [step for step in steps(role) if step != "status"] == [
        "run-job stored-secrets check",
        # The state after an interrupted rotation.
        "fetch",
        "run-job stored-secrets reencrypt",
        "fetch",
        "run-job --after-cutover stored-secrets reencrypt",
        "reload",
        "run-job stored-secrets reencrypt",
    ]
    assert "encryption key of webhook secrets: new; re-encrypted rows: 2" in said
    assert "passphrase of gateway secrets: new; re-encrypted rows: 1" in said
    assert "webhook secrets that no key decrypts: ci (w-1): kept" in said


def test_a_new_key_comes_before_the_earlier_ones(usual: tuple[Role, str]) -> None:
    """Rows use the old key until they are re-encrypted. Rows in a backup always use it."""
    role, said = usual
    stored = {call["name"]: call["payload"] for call in role.asked if call.get("payload")}
    assert set(stored) == set(SECRETS)
    for name, former in SECRETS.items():
        new, _, rest = stored[name].partition("\n")
        assert (rest, new in former, new in said) == (former, False, False)
    Fernet(stored["mlflow-webhook-encryption-key"].partition("\n")[0])
    # By number, because the alias of the latest version may lag.
    (fetched,) = (call for call in role.asked if call["module"] == "mlflow_credentials" and "items" in call)
    assert {item["name"]: item["version"] for item in fetched["items"]} == {
        "mlflow.webhook-encryption-key": "2",
        "mlflow.crypto-kek-passphrase": "2",
    }


def test_no_key_is_shown(usual: tuple[Role, str]) -> None:
    """With -vvv, Ansible prints the items of a loop. The keys must not appear there."""
    role, said = usual
    keys = {line for call in role.asked for line in str(call.get("payload", "")).splitlines()}
    assert len(keys) == 5
    assert [key for key in keys - {"old", "older"} if key in said] == []
    assert "older" not in said.replace("older_versions", "")


def test_unreadable_webhooks_are_disabled_where_that_is_asked_for(role: Role) -> None:
    role(rotate_unreadable_webhooks="disabled")
    commands = [call["command"] for call in role.asked if "reencrypt" in call.get("command", [])]
    assert ["--disable-unreadable-webhooks" in argv for argv in commands] == [True, False, True]
    role(rotate_unreadable_webhooks="disabled", rotate_what=["crypto_kek_passphrase"])
    assert "--disable-unreadable-webhooks" not in json.dumps(role.asked)


def test_a_deployment_without_keys_is_told_to_run_site(role: Role) -> None:
    """An earlier release of this collection made it. No secret is created, and the VM is not contacted."""
    role.answers = [({"module": "gcp_secret", "name": "mlflow-crypto"}, {"payload": None, "version": None})]
    said = role(fails=True)
    assert "Project my-project has no secret mlflow-crypto-kek-passphrase." in said
    assert "Run site.yml first, or remove crypto_kek_passphrase from rotate_what." in said
    assert {call["module"] for call in role.asked} == {"gcp_secret"}
    assert all(call["check"] for call in role.asked if call["name"] in SECRETS)


def test_the_administrator_password_is_set_after_the_cutover_and_by_its_version(role: Role) -> None:
    """The caches of verified passwords must be new, and the alias of the latest version may lag."""
    items = [{"name": "mlflow.admin-password", "secret": "mlflow-admin-password"}]
    role.answers = [({"module": "gcp_secret", "name": "mlflow-admin-password"}, {"version": "7"})]
    said = role(rotate_what=["admin_password"], credentials_items=items)
    first_reload = steps(role).index("reload")
    assert [step for step in steps(role)[first_reload:] if step != "status"] == [
        "reload",
        "fetch",
        "run-job rotate administrator",
        "reload",
    ]
    fetched = [call["items"] for call in role.asked if call["module"] == "mlflow_credentials" and call.get("items")]
    assert fetched == [[items[0] | {"version": "7"}]]
    assert "MLflow accepts version 7 of" in said
    (password,) = (call["payload"] for call in role.asked if call.get("payload"))
    assert len(password) == 40
    assert password not in said


def test_a_name_that_no_rotation_has_is_refused(role: Role) -> None:
    said = role(fails=True, rotate_what=["admin_pasword"])
    assert "rotate_what contains admin_pasword. Use only: database_password, admin_password," in said
    assert role.asked == []
