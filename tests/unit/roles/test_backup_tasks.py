# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks that select, make and delete backups: the real role with fake modules."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.noting import ROOT, collection, note, play

LOCK_MODULES = ("mlflow_lock", "mlflow_state_info")
STOPPED = "ActiveState=inactive\nInactiveEnterTimestamp=@1795266000"
RUNS = "ActiveState=active\nInactiveEnterTimestamp=@1795266000"
ROWS = {"mlflow": {"tables": {"runs": [3, "7"]}, "revision": "r1"}}


def record(name: str, day: int, deployment: str = "my-project/mlflow") -> dict[str, Any]:
    return {
        "format": "mlops.mlflow_gcp/backup/1",
        "name": name,
        "deployment": deployment,
        "time": f"2020-11-{day:02}T00:00:00.000Z",
        "release": {"version": "3.1.0"},
        "database": {
            "instance": "mlflow-database",
            "backup": str(day),
            "description": f"mlflow backup {name}",
            "user": "mlflow",
            "query": "sslmode=verify-ca",
            "version": "POSTGRES_17",
            "tier": "db-f1-micro",
            "edition": "ENTERPRISE",
            "disk_size_gb": 10,
        },
        "artifacts": {"name": f"backups/{name}/artifacts.ndjson.gz"},
        "rows": {"before": ROWS, "after": ROWS},
    }


def encrypted(**unreadable: list[str]) -> dict[str, Any]:
    """Return the program's output about the secrets that MLflow stores."""
    kinds = {kind: {"unreadable": unreadable.get(kind, [])} for kind in ("webhooks", "gateway")}
    return {"rc": 0, "result": {**kinds, "changed": True}}


@dataclass
class Role:
    """The role in a temporary collection with fake modules for Google and the VM."""

    folder: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    server: str = RUNS
    rows: dict[str, Any] = field(default_factory=lambda: {"version": "3.1.0", "databases": ROWS})
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    encryption: dict[str, Any] = field(default_factory=lambda: encrypted())
    unfinished: dict[str, Any] | None = None
    """The record of an unfinished restore before the run."""

    def __post_init__(self) -> None:
        collection(self.folder, "backup", ["infrastructure"], noted=("command", "systemd_service"))
        real = (path.stem for path in (ROOT / "plugins" / "modules").glob("gcp_*.py"))
        note(self.folder, (*real, "mlflow_credentials", "mlflowctl", "command", *LOCK_MODULES, "systemd_service"))
        self.state.mkdir()

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def left(self) -> dict[str, Any] | None:
        """Return the record of an unfinished restore after the run."""
        left = self.unfinished
        for call in self.asked:
            if call["module"] == "gcp_bucket_object" and call["name"] == "deployments/my-project/mlflow/restore.json":
                left = json.loads(call["content"]) if "content" in call else None
        return left

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the calls of the modules, in order, without those for the lock."""
        calls = [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]
        return [call for call in calls if call["module"] not in LOCK_MODULES]

    def made(self) -> list[str]:
        """Return the database backups that were made."""
        return [
            call["description"]
            for call in self.asked
            if call["module"] == "gcp_sql_backup" and call.get("state") != "absent" and not call["check"]
        ]

    def deleted(self) -> list[str]:
        """Return the deleted backups and objects."""
        return [
            call.get("description") or call["name"]
            for call in self.asked
            if call.get("state") == "absent" and not call["check"]
        ]

    def restored(self) -> list[str]:
        """Return the database backups that were restored."""
        return [call["backup_id"] for call in self.asked if call["module"] == "gcp_sql_restore" and not call["check"]]

    def __call__(self, tasks: str, *, fails: bool = False, check: bool = False, **settings: Any) -> str:
        """Run the role; return the output on one line."""
        listed = [{"content": json.dumps(made), "timeCreated": made["time"]} for made in self.records]
        uri = "postgresql+psycopg2://mlflow:secret@10.0.0.3/mlflow?sslmode=verify-ca"
        run = {"id": "99", "startTime": "2026-11-30T00:00:00.000Z", "description": "new"}
        settings_of = {"tier": "t", "edition": "e", "dataDiskSizeGb": "10"}
        counts = dict.fromkeys(("same", "copied", "copied_bytes", "other", "lost", "read", "read_bytes"), 0)
        there = [
            ({"module": "gcp_bucket_objects_info", "prefix": made["name"] + "/"}, {"objects": [one]})
            for made, one in zip(self.records, listed, strict=True)
        ]
        answers = [
            *self.answers,
            *there,
            ({"module": "gcp_bucket_objects_info", "prefix": "backups/"}, {"objects": []}),
            ({"module": "gcp_bucket_objects_info"}, {"objects": listed}),
            ({"module": "gcp_secret"}, {"payload": uri, "version": "1"}),
            ({"module": "gcp_sql_backup"}, {"resource": run, "backups": []}),
            ({"module": "gcp_sql_instance"}, {"resource": {"settings": settings_of, **settings_of_instance()}}),
            ({"module": "gcp_bucket_manifest"}, {"manifest": {"objects": 1, "bytes": 1}}),
            ({"module": "gcp_bucket_restore"}, {"objects": counts}),
            ({"module": "gcp_sql_user"}, {"resource": {}}),
            ({"command": "idle"}, {"result": {"units": {"mlflow-switch.service": "inactive"}}}),
            ({"argv": "InactiveEnterTimestamp"}, {"stdout": self.server}),
            ({"command": "count-rows"}, {"rc": 0, "result": self.rows}),
            ({"command": "stored-secrets"}, self.encryption),
        ]
        given = {"deployment_project": "my-project", "deployment_state_directory": str(self.state), **settings}
        role = {"name": "mlops.mlflow_gcp.backup", "tasks_from": tasks}
        records = {"restore": self.unfinished} if self.unfinished else {}
        done = play(self.folder, "localhost", role, answers, given, check=check, records=records)
        assert (done.returncode != 0) is fails
        return " ".join((done.stdout + done.stderr).split())


def settings_of_instance() -> dict[str, str]:
    return {"databaseVersion": "POSTGRES_17", "region": "europe-west1"}


@pytest.fixture
def role(tmp_path: Path) -> Role:
    return Role(tmp_path)


CONFIRM = {"backup_restore_confirm": "my-project/mlflow"}
SIBLING = "my-project/sibling"


def test_a_repeated_restore_keeps_the_first_backup_of_the_replaced_state(role: Role) -> None:
    role.records = [record("before-restore-old", 9), record("monday", 8)]
    said = role("restore", fails=True)
    assert "-e backup_name=monday -e backup_restore_confirm=my-project/mlflow" in said
    assert "The current data is backed up first. Data that clients log during this backup is lost. The server" in said
    assert not role.made()

    role.answers = [({"module": "gcp_bucket_restore", "check": False}, {"failed": True, "msg": "cut off"})]
    role.server = STOPPED
    said = role("restore", fails=True, **CONFIRM)
    assert role.restored() == ["8"]
    assert "continue the restore: -e backup_name=monday -e backup_restore_confirm=my-project/mlflow" in said
    (made,) = role.made()
    left = role.left()
    assert left
    assert made == f"mlflow backup {left['before']}"
    assert (left["backup"], left["source"]) == ("monday", "my-project/mlflow")

    role.unfinished = left
    assert "To continue the restore: -e backup_name=monday" in role("restore", fails=True, **CONFIRM)
    assert not role.restored()

    role.records.insert(0, record(left["before"], 10))
    role.answers = []
    said = role("restore", backup_name="monday", **CONFIRM)
    assert role.restored() == ["8"]
    assert not role.made()
    assert f"To undo the restore: -e backup_name={left['before']} -e backup_restore_confirm=my-project/mlflow" in said
    assert role.left() is None


def test_a_server_that_ran_since_has_something_to_lose(role: Role) -> None:
    role.records = [record("before-restore-old", 9), record("monday", 8)]
    role.unfinished = {
        "backup": "monday",
        "source": "x/y",
        "before": "before-restore-old",
        "stopped": STOPPED,
        "again": "",
    }
    said = role("restore", backup_name="monday", **CONFIRM)
    (made,) = role.made()
    assert made != "mlflow backup before-restore-old"
    assert f"To undo the restore: -e backup_name={made.removeprefix('mlflow backup ')}" in said


def run_of(description: str, day: int = 9, time: str = "", **changes: str) -> dict[str, Any]:
    time = time or f"2020-11-{day:02}T12:00:00.000Z"
    return {"type": "ON_DEMAND", "status": "SUCCESSFUL", "description": description, "enqueuedTime": time} | changes


DATABASE_BACKUPS: list[dict[str, Any]] = [
    {"description": "mlflow backup orphan"},
    {"description": "mlflow backup orphan", "status": "FAILED"},
    {"description": "mlflow backup c"},
    {"description": "mlflow backup being made", "time": "2099-01-01T00:00:00.000Z"},
    {"description": "mlflow backup of another bucket", "day": 1},
    {"description": "mlflow backup gone", "status": "DELETED"},
    {"description": "mlflow upgrade 3.1.0"},
    {"description": "mlflow backup daily", "type": "AUTOMATED"},
]


def test_backups_of_an_interrupted_restore_are_kept(role: Role) -> None:
    """tests/unit/module_utils/test_backups.py has the other cases."""
    regular = [record("c", 9), record("before-restore-1", 8), record("b", 7), record("before-restore-2", 6)]
    role.records = [*regular, record("theirs", 1, SIBLING)]
    role.unfinished = {"backup": "b", "source": "x/y", "before": "before-restore-2", "stopped": "", "again": ""}
    role.answers = [({"module": "gcp_sql_backup"}, {"backups": [run_of(**one) for one in DATABASE_BACKUPS]})]
    role("delete_old_backups", backup_keep=1, backup_restore_from=SIBLING, backup_restore_bucket="their-backups")
    assert role.deleted() == [
        "mlflow backup before-restore-1",
        "backups/before-restore-1/artifacts.ndjson.gz",
        "backups/before-restore-1/backup.json",
        "mlflow backup orphan",
    ]
    assert {call["bucket"] for call in role.asked if "bucket" in call} == {"my-project-mlflow-backups"}


def test_check_mode_names_the_backups_that_a_real_run_deletes(role: Role) -> None:
    there = [record("b", 9), record("a", 8), record("before-restore-1", 7)]
    orphans = [{"description": "mlflow backup orphan"}, {"description": "mlflow backup c"}]
    backups = {"backups": [run_of(**one) for one in orphans]}

    def named(*, check: bool) -> list[str]:
        """Return the deletions after the role has read the records."""
        calls = role.asked
        while "match" not in calls.pop(0):
            pass
        gone = [call for call in calls if call.get("state") == "absent" and call["check"] is check]
        names = [call.get("description") or call["name"] for call in gone]
        return [name for name in names if name != "mlflow backup "]  # the call that lists all backups

    role.answers = [({"module": "gcp_sql_backup", "state": "absent"}, backups)]
    role.records = there
    role("main", check=True, backup_name="c", backup_keep=2)
    planned = named(check=True)
    role.records = [record("c", 10), *there]
    role("delete_old_backups", backup_keep=2)
    assert planned == named(check=False)
    assert "backups/a/backup.json" in planned

    # The backup exists already, so the number of backups stays the same.
    role("main", check=True, backup_name="c", backup_keep=2)
    assert planned == named(check=True)


def test_objects_of_a_killed_run_are_not_part_of_the_backup(role: Role) -> None:
    role("main", backup_name="monday")
    assert role.deleted() == ["mlflow backup monday", "backups/monday/artifacts.ndjson.gz"]
    calls = [call["module"] for call in role.asked]
    assert calls.index("gcp_sql_backup") < calls.index("gcp_bucket_object") < calls.index("mlflowctl"), calls
    assert role.made() == ["mlflow backup monday"]


def test_a_misspelt_name_is_told_before_anything_is_made(role: Role) -> None:
    role.answers = [({"module": "gcp_secret"}, {"version": None, "payload": None})]
    said = role("main", fails=True, deployment_name="mlfow", backup_count_rows=False)
    assert "Project my-project has no secrets mlfow-database-uri, mlfow-database-ca" in said
    assert "Correct deployment_name, or run site.yml first" in said
    assert {call["module"] for call in role.asked} == {"gcp_bucket_objects_info", "gcp_secret"}


@pytest.mark.parametrize("tasks", ["main", "restore"])
def test_a_stopped_database_is_told_before_anything_is_made(role: Role, tasks: str) -> None:
    """The run failed later, with a message of PostgreSQL's client, when it counted the rows."""
    stopped = "Cloud SQL instance mlflow-database is stopped"
    role.answers = [({"module": "gcp_sql_instance_info"}, {"failed": True, "msg": stopped})]
    role.records = [record("monday", 8)] if tasks == "restore" else []
    assert stopped in role(tasks, fails=True)
    (asked,) = [call for call in role.asked if call["module"] == "gcp_sql_instance_info"]
    assert (asked["name"], asked["require_running"]) == ("mlflow-database", True)
    changes = {"mlflowctl", "gcp_sql_backup", "gcp_sql_restore", "gcp_bucket"}
    assert not changes & {call["module"] for call in role.asked}


KEYS = ["mlflow-webhook-encryption-key", "mlflow-crypto-kek-passphrase"]


def test_a_deployment_without_encryption_keys_can_be_backed_up(role: Role) -> None:
    """An earlier release of this collection made it. Users back up before they run a newer site.yml."""
    role.answers = [({"module": "gcp_secret", "name": name}, {"version": None, "payload": None}) for name in KEYS]
    role("main", backup_name="monday")
    assert role.made() == ["mlflow backup monday"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (encrypted(), ""),
        (
            encrypted(webhooks=["ci (w-1)"], gateway=["openai (s-1)"]),
            "No key of my-project/mlflow decrypts these stored secrets: ci (w-1), openai (s-1)",
        ),
        (
            {"rc": 1, "result": {}, "msg": "credential mlflow.crypto-kek-passphrase is missing or empty."},
            "Stored secrets were not re-encrypted: credential mlflow.crypto-kek-passphrase is missing or empty.",
        ),
    ],
    ids=["all readable", "of another deployment", "no keys"],
)
def test_a_restore_re_encrypts_stored_secrets_before_the_server_starts(
    role: Role, answer: dict[str, Any], told: str
) -> None:
    """The stored secrets of a backup use keys from before a rotation, or keys of another deployment."""
    role.records, role.encryption = [record("monday", 8)], answer
    said = role("restore", backup_name="monday", **CONFIRM)
    assert (told in said) if told else ("stored secrets:" not in said)
    calls = [json.dumps(call) for call in role.asked]
    stop, at, start = (
        next(number for number, call in enumerate(calls) if word in call)
        for word in ('"stopped"', "reencrypt", '"started"')
    )
    assert stop < at < start
    assert "my-project/mlflow has the data of" in said


WRONG = {"compared": {"wrong": ["mlflow.runs: 2 rows, was 3 rows"], "exact": 7, "between": 0}}


def test_other_rows_are_served_only_where_accepted(role: Role) -> None:
    role.records = [record("monday", 8)]
    role.rows |= WRONG
    said = role("restore", fails=True, backup_name="monday", **CONFIRM)
    assert (
        "mlflow.runs: 2 rows, was 3 rows. To start the server in spite of the differences, add -e backup_restore"
        in said
    )
    said = role("restore", backup_name="monday", backup_restore_accept_rows=True, **CONFIRM)
    assert "7 tables equal to the backup, different but accepted: mlflow.runs: 2 rows, was 3 rows" in said


def test_a_drill_that_finds_a_difference_fails_and_deletes_its_resources(role: Role) -> None:
    role.records = [record("monday", 8)]
    role.rows |= WRONG
    database = {"ipAddresses": [{"type": "PRIVATE", "ipAddress": "10.0.0.9"}], "serverCaCert": {"cert": "CA"}}
    role.answers = [
        ({"module": "gcp_bucket_object", "content": "instance"}, {"resource": {}}),
        ({"module": "gcp_sql_instance", "name": "drill"}, {"resource": database}),
    ]
    said = role("drill", fails=True)
    assert "The restored rows differ from the rows of backup monday: mlflow.runs: 2 rows, was 3 rows." in said
    created = [
        call for call in role.asked if call["module"] in ("gcp_sql_instance", "gcp_bucket") and "drill" in call["name"]
    ]
    names = {(call["module"], call["name"]) for call in created if call.get("state") != "absent"}
    assert len(names) == 2
    assert {(call["module"], call["name"]) for call in created if call.get("state") == "absent"} == names
    assert role.deleted()[-1] == "deployments/my-project/mlflow/temporary-drill.json"


def test_a_backup_of_a_newer_release_is_refused_before_anything_is_changed(role: Role) -> None:
    newer = {"mlflow": {"tables": {"runs": [3, "7"]}, "revision": "r2"}}
    role.records = [record("monday", 8) | {"rows": {"before": newer, "after": newer}, "release": {"version": "99.0.0"}}]
    said = role("restore", fails=True, backup_name="monday", **CONFIRM)
    assert "First install the release of the backup: set mlflow_version to 99.0.0 and run playbooks/upgrade.yml" in said
    changes = {"gcp_sql_backup", "gcp_sql_restore", "gcp_bucket_restore", "gcp_bucket", "systemd_service"}
    assert not changes & {call["module"] for call in role.asked if not call["check"]}


def test_a_backup_that_does_not_know_its_schema_is_migrated_where_told_to(role: Role) -> None:
    role.records = [record("monday", 8) | {"rows": {"before": {}, "after": {}}, "release": {"version": ""}}]
    role.answers = [({"command": "ready"}, {"failed": True, "msg": "it does not answer"})]
    assert "add -e backup_restore_migrate=true" in role("restore", fails=True, backup_name="monday", **CONFIRM)
    assert not [call for call in role.asked if "migrate" in call.get("command", [])]
    role.answers = []
    role("restore", backup_name="monday", backup_restore_migrate=True, **CONFIRM)
    assert [call for call in role.asked if "migrate" in call.get("command", [])]


def test_another_deployment_s_backup_is_restored_only_where_it_is_meant(role: Role) -> None:
    """The newest backup in the bucket belongs to another deployment. The drill selects its backup in the same way.

    tests/unit/module_utils/test_backups.py has the other cases.
    """
    role.records = [record("theirs", 9, SIBLING), record("monday", 8)]
    assert "would be restored from backup monday of my-project/mlflow" in role("restore", check=True)
    assert {call["module"] for call in role.asked if not call["check"]} == {"command", "mlflowctl"}, "they only read"

    meant = "-e backup_restore_from=my-project/sibling -e backup_restore_bucket=my-project-mlflow-backups to the"
    said = role("drill", fails=True, backup_name="theirs")
    assert "There is no backup 'theirs' of my-project/mlflow in gs://my-project-mlflow-backups/backups." in said
    assert f"The backup of this name belongs to my-project/sibling. To use such a backup, add {meant}" in said
    assert {call["module"] for call in role.asked} == {"gcp_bucket_objects_info"}
    options = {"backup_restore_from": SIBLING, "backup_restore_bucket": "my-project-mlflow-backups"}
    assert "Backup theirs of my-project/sibling" in role("drill", check=True, **options)


def test_a_new_deployment_goes_back_to_the_backup_of_the_old_one(role: Role) -> None:
    role.records = [record("monday", 8, "old-project/mlflow")]
    role("restore", backup_restore_from="old-project/mlflow", backup_restore_backup_first=False, **CONFIRM)
    read = [call["bucket"] for call in role.asked if call["module"] == "gcp_bucket_objects_info"]
    assert read == ["old-project-mlflow-backups"]
    assert role.restored() == ["8"]


def test_another_deployment_s_name_is_not_taken(role: Role) -> None:
    role.records = [record("monday", 8, SIBLING)]
    said = role("main", fails=True, backup_name="monday")
    assert (
        "Cannot create backup 'monday' of my-project/mlflow: gs://my-project-mlflow-backups/backups has a backup"
        in said
    )
    assert "which belongs to my-project/sibling" in said
    assert {call["module"] for call in role.asked} == {"gcp_bucket_objects_info"}
    role.records = [record("monday", 8)]
    assert "Backup monday of my-project/mlflow exists since" in role("main", backup_name="monday")


def test_timeouts_are_passed_on_and_lost_objects_may_be_skipped(role: Role) -> None:
    role.records = [record("monday", 8)]
    counts = {"same": 1, "copied": 2, "copied_bytes": 3, "other": 4, "lost": 1}
    role.answers = [({"module": "gcp_bucket_restore", "lost": "skip"}, {"objects": counts, "lost": ["1/model.pkl"]})]
    said = role("restore", backup_name="monday", backup_timeout_seconds=77, backup_restore_lost="skip", **CONFIRM)
    slow = ("gcp_sql_backup", "gcp_sql_restore", "gcp_bucket_manifest", "gcp_bucket_restore")
    asked = {(call["module"], call["timeout"]) for call in role.asked if call["module"] in slow and not call["check"]}
    assert asked == {(name, 77) for name in slow}
    assert said.count("1 are lost and cannot be restored: 1/model.pkl") == 2
