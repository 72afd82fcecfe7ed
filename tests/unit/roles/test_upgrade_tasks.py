# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A run of the role upgrade without a newer release completes the steps of an interrupted run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.noting import ROOT, collection, note, play

LOCK_MODULES = ("mlflow_lock", "mlflow_state_info")
LOCK = "mlflow==3.18.0 --hash=sha256:00\n"
SAME = {"refused": "", "message": "MLflow 3.18.0 is deployed. The channel pinned has no newer release."}


@dataclass
class Role:
    """The role in a temporary collection with fake modules for Google and the VM."""

    folder: Path
    serves: str = "3.18.0"
    release: dict[str, Any] = field(
        default_factory=lambda: {"version": "3.18.0", "upgrade": False, "skipped": {}, **SAME}
    )
    rolled_back: dict[str, str] | None = None
    removed: list[str] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)
    others: list[dict[str, str]] = field(default_factory=list)
    """Backup runs in addition to the upgrade backups."""
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    """Answers before the usual ones."""
    records: dict[str, Any] = field(default_factory=dict)
    """Records of the deployment, which are read with the lock."""

    def __post_init__(self) -> None:
        roles = collection(self.folder, "upgrade", ("infrastructure", "mlflow"), noted=["command"])
        for path in (*(roles / "upgrade" / "tasks").iterdir(), roles / "upgrade" / "vars" / "main.yml"):
            text = path.read_text(encoding="utf-8").replace("/opt/mlflow/", f"{self.machine}/")
            path.write_text(text, encoding="utf-8")
        note(
            self.folder,
            (
                "command",
                "mlflowctl",
                "gcp_bucket",
                "gcp_bucket_object",
                "gcp_sql_backup",
                "gcp_sql_instance",
                *LOCK_MODULES,
                "mlflow_release",
                "mlflow_cutover",
            ),
        )
        (self.machine / "release").mkdir(parents=True)
        (self.machine / "release" / "requirements.txt").write_text(LOCK)
        self.state.mkdir()

    @property
    def machine(self) -> Path:
        return self.folder / "machine"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def asked(self, module: str) -> list[dict[str, Any]]:
        """Return the calls of a module, in order."""
        calls = [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]
        return [call for call in calls if call["module"] == module]

    def written(self) -> list[dict[str, Any]]:
        """Return the records that the run wrote."""
        written = [call for call in self.asked("gcp_bucket_object") if "content" in call]
        assert all(call["name"].startswith("deployments/my-project/mlflow/") for call in written)
        return [json.loads(call["content"]) for call in written]

    def prunes(self) -> list[list[str]]:
        """Return the options of the prune command on the VM."""
        # The real module runs nothing in check mode.
        commands = [call["command"] for call in self.asked("mlflowctl") if not call["check"]]
        return [words[words.index("prune") + 1 :] for words in commands if "prune" in words]

    def __call__(
        self, *, check: bool = False, fails: bool = False, tasks: str = "main", **settings: Any
    ) -> tuple[int, str]:
        """Run the role; return the number of changes, and the output on one line."""
        slot = {"version": self.serves, "release": str(self.machine / "release")}
        status = {"active": "blue", "slots": {"blue": slot}, "rolled_back": self.rolled_back, "previous": None}
        runs = [{"description": name, "status": "SUCCESSFUL"} for name in self.backups] + self.others
        removes = {"module": "gcp_sql_backup", "state": "absent"}
        answers = [
            *self.answers,
            ({"module": "mlflow_release"}, self.release),
            ({"command": "status"}, {"rc": 0, "result": status}),
            ({"command": "prune"}, {"rc": 0, "changed": bool(self.removed), "result": {"removed": self.removed}}),
            ({"command": "wait"}, {"rc": 0, "result": {}}),
            ({"command": "ready"}, {"rc": 0, "result": {"ready": True}}),
            ({"command": "disk"}, {"rc": 0, "result": {"release_mib": 500, "free_mib": 90000}}),
            ({"command": "size"}, {"rc": 0, "result": {"connections": {"allowed": 100, "used": 10}, "bytes": 9}}),
            ({"module": "gcp_sql_instance", "state": "absent"}, {"changed": True}),
            ({"module": "gcp_bucket_object"}, {"changed": True}),
            ({"module": "gcp_sql_instance"}, {"resource": {"settings": {"dataDiskSizeGb": "10"}}}),
            *((removes | {"description": name}, {"changed": True, "backups": runs}) for name in self.backups),
            ({"module": "gcp_sql_backup"}, {"backups": runs}),
        ]
        given = {"deployment_project": "my-project", "deployment_state_directory": str(self.state), **settings}
        role = {"name": "mlops.mlflow_gcp.upgrade", "tasks_from": tasks}
        done = play(self.folder, "mlflow-server", role, answers, given, check=check, records=self.records)
        assert (done.returncode != 0) is fails
        (changed,) = re.findall(r"mlflow-server +:.* changed=(\d+)", done.stdout)
        return int(changed), " ".join(done.stdout.split())


@pytest.fixture
def role(tmp_path: Path) -> Role:
    return Role(tmp_path)


def test_a_run_that_was_killed_after_the_switch_is_brought_to_its_end(role: Role) -> None:
    """The release is pinned, and uv made its lock. site.yml finds the lock only in the record."""
    role.removed = ["3.16.0-0"]
    role.backups = [f"mlflow upgrade {number}" for number in range(4)]
    changed, said = role(mlflow_version="3.18.0", upgrade_keep_backups=3)
    assert SAME["message"] in said
    (kept,) = role.written()
    assert (kept["version"], kept["requirements"], kept["skipped"]) == ("3.18.0", LOCK, [])
    (options,) = role.prunes()
    assert options[0] == "--interrupted"
    removed = [call["description"] for call in role.asked("gcp_sql_backup") if not call["check"]]
    assert removed == ["mlflow upgrade 3"]
    assert changed == 3  # record, releases, backup

    role.removed, role.backups = [], role.backups[:3]
    role.records = {"release": kept | {"requirements_file": "requirements-3.18.0.txt"}}
    assert role(mlflow_version="3.18.0", upgrade_keep_backups=3)[0] == 0
    assert role(mlflow_version="3.18.0", upgrade_keep_backups=3, check=True)[0] == 0


def test_shipped_and_given_locks_are_not_kept(role: Role) -> None:
    role.serves = role.release["version"] = "3.17.2"
    assert role(mlflow_version="3.17.2")[0] == 0
    assert role(mlflow_version="3.18.0", mlflow_requirements_file="/srv/lock.txt", check=True)[0] == 0
    assert not role.written()


def test_check_mode_removes_nothing_and_says_which_backups_would_go(role: Role) -> None:
    role.backups = ["mlflow upgrade 1", "mlflow upgrade 0"]
    changed, said = role(check=True, mlflow_version="3.18.0", upgrade_keep_backups=1)
    assert changed == 1
    assert "(item=mlflow upgrade 0)" in said
    assert all(call["check"] for call in role.asked("gcp_sql_backup"))
    assert not role.prunes()
    assert not list(role.state.iterdir())


def test_without_backups_none_is_removed(role: Role) -> None:
    role(mlflow_version="3.18.0", upgrade_backup=False)
    assert not role.asked("gcp_sql_backup")


def test_resources_of_a_killed_rehearsal_are_removed_without_another_rehearsal(role: Role) -> None:
    role.records = {"temporary-rehearsal": {"instance": "mlflow-rehearsal-20261121"}}
    newer = {"version": "3.18.1", "upgrade": True, "skipped": {}, "requirements_file": ""} | SAME
    same = role.release
    for role.release in (newer, same):
        changed, said = role(check=True, mlflow_version="3.18.0")
        assert changed == (3 if role.release is newer else 2), said  # the upgrade itself; the instance, its record
        assert said.count("changed: [mlflow-server -> localhost]") == 2
        (asked,) = [call for call in role.asked("gcp_sql_instance") if call.get("state") == "absent"]
        assert (asked["name"], asked["check"]) == ("mlflow-rehearsal-20261121", True)
        assert all(call["check"] for call in role.asked("gcp_bucket_object"))

    assert role(mlflow_version="3.18.0")[0] == 3  # the record of the release; the instance, its record
    (asked,) = role.asked("gcp_sql_instance")
    assert (asked["name"], asked["check"]) == ("mlflow-rehearsal-20261121", False)
    (removed,) = [call for call in role.asked("gcp_bucket_object") if call.get("state") == "absent"]
    assert removed["name"] == "deployments/my-project/mlflow/temporary-rehearsal.json"


def test_only_backups_that_succeeded_are_counted_as_kept(role: Role) -> None:
    states = ["SUCCESSFUL", "FAILED", "DELETED", "SUCCESSFUL", "SUCCESSFUL"]
    runs = [{"description": f"mlflow upgrade {number}", "status": state} for number, state in enumerate(states)]
    role.others = [{"status": "SUCCESSFUL"}, {"description": "by hand", "status": "SUCCESSFUL"}, *runs]
    role(mlflow_version="3.18.0", upgrade_keep_backups=2)
    removed = [call["description"] for call in role.asked("gcp_sql_backup") if not call["check"]]
    assert removed == ["mlflow upgrade 4"]


@pytest.mark.parametrize("built", [True, False])
def test_a_release_that_is_built_needs_no_disk_space(role: Role, built: bool) -> None:
    lock = role.folder / "requirements-3.18.1.txt"
    lock.write_text("mlflow==3.18.1")
    role.release = {"version": "3.18.1", "upgrade": True, "requirements_file": str(lock)} | SAME
    if built:
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
        directory = role.machine / "releases" / f"3.18.1-{digest}"
        directory.mkdir(parents=True)
        (directory / ".complete").touch()
    # 90000 MiB are free, and the deployed release has 500 MiB.
    _changed, said = role(check=True, mlflow_version="3.18.1", upgrade_free_disk_mb=89800, fails=not built)
    refusal = "has 90000 MiB of free disk space, and the upgrade requires 90300 MiB: 500 MiB for the new release"
    assert (refusal in said) is not built


def test_a_failed_step_is_described_after_the_rollback(role: Role) -> None:
    mlflow = role.folder / "ansible_collections" / "mlops" / "mlflow_gcp" / "roles" / "mlflow"
    mlflow.unlink()
    (mlflow / "tasks").mkdir(parents=True)
    (mlflow / "tasks" / "install.yml").write_text("[]\n")
    lock = role.folder / "requirements-3.18.1.txt"
    lock.write_text("mlflow==3.18.1")
    role.release = {"version": "3.18.1", "upgrade": True, "requirements_file": str(lock)} | SAME
    role.answers = [
        ({"command": "heads"}, {"failed": True, "msg": "it hangs", "stderr_lines": ["INFO a", "it hangs"]}),
        ({"module": "mlflow_cutover"}, {"message": "The upgrade failed, and it was undone."}),
    ]
    _changed, said = role(mlflow_version="3.18.1", fails=True)
    (asked,) = role.asked("mlflow_cutover")
    assert (asked["action"], asked["failure"]) == (
        "explain",
        {
            "version_before": "3.18.0",
            "version": "3.18.1",
            "step": "Compare the schemas",
            "task_message": "it hangs",
            "output": ["INFO a", "it hangs"],
            "id": "",
            "downtime": {},
            "backup": "",
        },
    )
    assert "The upgrade failed, and it was undone." in said
    assert not role.written()


@pytest.mark.parametrize("again", [False, True])
def test_a_rolled_back_release_is_reported(role: Role, again: bool) -> None:
    role.serves, role.rolled_back = "3.17.2", {"version": "3.18.0", "since": "today"}
    role.records = {"release": {"version": "3.17.2", "skipped": ["3.19.0"], "requirements_file": "x"}}
    role.release |= {"version": "3.17.2", "refused": "3.18.0", "message": "3.18.0 was rolled back"}
    _changed, said = role(mlflow_version="3.17.2", upgrade_channel="latest", upgrade_again=again)
    (asked,) = role.asked("mlflow_release")
    assert (asked["rolled_back"], asked["recorded"]["skipped"], asked["again"]) == (role.rolled_back, ["3.19.0"], again)
    assert "3.18.0 was rolled back" in said
    assert asked["source"] == str(ROOT / "roles" / "mlflow" / "files")


def test_a_pinned_release_that_was_rolled_back_is_not_recorded(role: Role) -> None:
    """The deployed release is not the release that the user has pinned."""
    role.serves, role.rolled_back = "3.17.2", {"version": "3.18.0", "since": "today"}
    role.release |= {"version": "3.17.2", "refused": "3.18.0"}
    role(mlflow_version="3.18.0")
    assert not role.written()


OLD_RELEASE = "MLflow 3.11.1 does not support the values of mlflow_users, which need MLflow 3.12.0 or newer. Nothing"


def test_an_upgrade_to_a_release_without_roles_is_refused(role: Role) -> None:
    role.serves = "3.10.1"
    role.release |= {"version": "3.11.1", "upgrade": True, "requirements_file": ""}
    _changed, said = role(fails=True, mlflow_users=[{"name": "alice"}], upgrade_channel="minor")
    assert OLD_RELEASE in said
    commands = [call["command"] for call in role.asked("mlflowctl")]
    assert [words[:2] for words in commands] == [["cutover", "wait"], ["status"]]


def test_a_rollback_to_a_release_without_roles_is_refused(role: Role) -> None:
    plan = {"previous": {"version": "3.11.1", "release": "/x"}, "consequences": "Data would be lost."}
    role.answers = [({"action": "plan_rollback"}, plan)]
    confirmed = {"upgrade_rollback_confirm": "my-project/mlflow"}
    _changed, said = role(fails=True, tasks="rollback", mlflow_users=[{"name": "alice"}], **confirmed)
    assert OLD_RELEASE in said
    assert [call["action"] for call in role.asked("mlflow_cutover")] == ["plan_rollback"]
