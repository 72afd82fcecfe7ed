# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Decisions and messages about an upgrade and a rollback by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _cutover
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._cutover import Cutover, Failure
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflowctl import Answer, CommandError

SLOTS = {"blue": {"release": "/new", "version": "3.18.0"}, "green": {"release": "/old", "version": "3.17.2"}}
PREVIOUS = {"id": "x", "release": "/old", "version": "3.17.2", "migrated": True}
COUNTS = {"serving": {"runs": 24, "users": 1}, "before": {"runs": 23}, "upgrade": "x"}


def status(active: str = "blue", **more: Any) -> dict[str, Any]:
    return {"active": active, "slots": SLOTS, "previous": PREVIOUS, "result": None, **more}


class Program:
    """A program with scripted answers by the first word of the command."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = {"status": Answer(0, status()), "ready": Answer(0), **answers}
        self.asked: list[str] = []

    def run(self, *words: str) -> Answer:
        self.asked.append(" ".join(words))
        return self.answers[words[0].replace("-", "_")]

    def read(self, *words: str) -> dict[str, Any]:
        answer = self.run(*words)
        if answer.code:
            raise CommandError(answer.cause)
        return answer.document


# Rollback by hand


@pytest.mark.parametrize(
    ("previous", "kept_by", "refused"),
    [
        (PREVIOUS, "x", ""),
        (PREVIOUS, "y", "do not exist any more"),
        (PREVIOUS, None, "do not exist any more"),
        (PREVIOUS | {"migrated": False}, None, ""),
        (None, None, "There is no release to roll back to: MLflow 3.18.0"),
    ],
)
def test_a_rollback_needs_the_databases_of_its_upgrade(previous: Any, kept_by: str | None, refused: str) -> None:
    found = _cutover.refusal(status(previous=previous), {"upgrade": kept_by})
    assert (refused in found) if refused else found == ""


def test_the_lost_rows_are_listed() -> None:
    found = _cutover.consequences(status(), COUNTS)
    assert found[:2] == [
        "MLflow 3.18.0 → 3.17.2",
        "The databases become those of the upgrade x. Rows now and then:",
    ]
    assert found[2:4] == ["runs: 24 now, 23 then (+1)", "users: 1 now, 0 then (+1)"]


def test_without_a_migration_no_row_is_counted() -> None:
    program = Program(status=Answer(0, status(previous=PREVIOUS | {"migrated": False})))
    _status, lines = Cutover(program).plan_rollback()
    assert "No data is lost." in lines[-1]
    assert program.asked == ["status"]


def test_a_rollback_that_is_not_possible_is_refused_before_any_change() -> None:
    program = Program(run_job=Answer(0, COUNTS | {"upgrade": None}))
    with pytest.raises(CommandError, match="Restore a backup"):
        Cutover(program).plan_rollback()
    assert program.asked == ["status", "run-job --release /new schema counts"]


def test_a_rollback_ends_with_a_readiness_check() -> None:
    program = Program(cutover=Answer(0, {"held_seconds": 1.5}))
    assert Cutover(program).rollback(60) == {"held_seconds": 1.5}
    assert program.asked[-2:] == ["cutover rollback --timeout 60", "ready --artifacts --timeout 120"]


@pytest.mark.parametrize(
    ("answer", "active", "told"),
    [
        (
            Answer(5, {"id": "x", "step": "restore", "cause": "not done after 3600 s"}),
            "blue",
            "The rollback is still in progress after upgrade_timeout_seconds (3600 s), in step restore. MLflow may be"
            " in maintenance mode until it ends. Wait on the VM: sudo mlflowctl cutover wait",
        ),
        (
            Answer(1, {"id": "x", "step": "start", "cause": "the databases are restored, but it crashed"}),
            "green",
            "The rollback failed in step start: the databases are restored, but it crashed. The databases are restored,"
            " and systemd starts MLflow 3.17.2 again and again. To see why MLflow does not start:"
            " journalctl -u 'mlflow@*' on the VM. The current databases are kept on the instance as NAME_failed.",
        ),
        (
            Answer(1, {"id": "x", "step": "drain", "cause": "it was interrupted."}),
            "blue",
            "The rollback failed in step drain: it was interrupted. MLflow 3.18.0 is still the active release. To check"
            " it: sudo mlflowctl ready on the VM.",
        ),
        (
            Answer(2, {}, "usage\nmlflowctl: error\n"),
            "blue",
            "The rollback failed: mlflowctl: error. MLflow 3.18.0 is still the active release. To check it: sudo"
            " mlflowctl ready on the VM.",
        ),
    ],
    ids=["in progress", "databases restored", "as before", "no document"],
)
def test_a_failed_rollback_describes_the_current_state(answer: Answer, active: str, told: str) -> None:
    assert _cutover.failed_rollback(status(), status(active), answer, 3600) == told


# Failed upgrade

FAILURE = Failure("3.17.2", "3.18.0", step="Start the cutover", task_message="no route.", id="x")


def explained(result: dict[str, Any] | None, *, active: str = "green", ready: Answer | None = None) -> str:
    """Return the message without its beginning."""
    told = _cutover.failed_upgrade(status(active, result=result), ready or Answer(0), FAILURE)
    beginning, _, rest = told.partition('": ')
    assert beginning.startswith('The upgrade from MLflow 3.17.2 to 3.18.0 failed at "')
    return beginning.rpartition('"')[2] + ": " + rest


def ended(**changes: Any) -> dict[str, Any]:
    """Return the result of a cutover."""
    timings = {"start": 20.2, "move": 0.2, "watch": 41.4, "back": 9.0}
    nothing = {"id": "x", "ok": False, "step": "watch", "moved": False, "kept_failed": False}
    return {**nothing, "cause": "it crashed", "timings": timings, **changes}


AS_BEFORE = "MLflow 3.17.2 is active with the same data as before. Remove the cause and run this playbook again."
AGAIN = (
    " To try MLflow 3.18.0 again: -e upgrade_again=true. With upgrade_channel pinned set mlflow_version to 3.17.2, or"
    " site.yml selects the newer release again."
)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, f"Start the cutover: no route. {AS_BEFORE}"),
        (ended(), f"cutover, watch: it crashed. {AS_BEFORE}"),
        (ended(id="an earlier one", moved=True, kept_failed=True), f"Start the cutover: no route. {AS_BEFORE}"),
        (
            ended(moved=True, kept_failed=True),
            "cutover, watch: it crashed. MLflow 3.17.2 is active with the data from before the cutover. The data of the"
            " 42 s after the cutover is kept in the databases NAME_failed until the next rollback." + AGAIN,
        ),
        (
            ended(moved=True),
            "cutover, watch: it crashed. MLflow 3.17.2 is active. The databases were not exchanged, so no data is lost."
            + AGAIN,
        ),
    ],
    ids=["no cutover", "not moved", "earlier", "databases restored", "databases not exchanged"],
)
def test_a_failed_upgrade_describes_the_data(result: dict[str, Any] | None, told: str) -> None:
    assert explained(result) == told


def test_a_failure_after_the_cutover_names_the_new_release() -> None:
    assert explained(ended(ok=True, moved=True, step=None, cause=None), active="blue") == (
        "Start the cutover: no route. The cutover itself was completed: MLflow 3.18.0 is active. Remove the cause and"
        " run this playbook again, which completes the remaining steps."
    )


def test_a_server_that_is_not_ready_is_named_first() -> None:
    told = explained(ended(), ready=Answer(1, {}, "MLflow is not ready after 120 s.\n"))
    assert told == (
        "cutover, watch: it crashed. MLflow 3.17.2 is active but not ready: MLflow is not ready after 120 s. Run"
        " playbooks/doctor.yml."
    )


def test_an_explanation_waits_for_the_rollback_of_the_vm() -> None:
    program = Program(cutover=Answer(1), status=Answer(0, status("green")))
    assert AS_BEFORE in Cutover(program).explain(FAILURE, 60)
    assert program.asked == ["cutover wait --timeout 60", "ready --artifacts --timeout 120", "status"]


@pytest.mark.parametrize(
    ("message", "output", "cause"),
    [
        ("it hangs", ["INFO a", "it hangs"], "it hangs"),
        ("failed", ["much", "more"], "failed: much more"),
        ("failed", ["1", "2", "3", " ", "4 "], "failed: 2 3 4"),
        ("failed", [], "failed"),
        ("failed", ["ERROR: hash", "more", "words", "of", "pip"], "failed: ERROR: hash"),
        ("", [], "no message"),
    ],
    ids=["mlflowctl", "another program", "last lines", "no output", "pip", "nothing"],
)
def test_the_cause_is_the_output_of_the_program(message: str, output: list[str], cause: str) -> None:
    assert Failure("3.17.2", "3.18.0", step="Build", task_message=message, output=output).cause == cause


def test_the_message_has_downtime_and_backup_if_there_are_any() -> None:
    failure = dataclasses.replace(
        FAILURE, downtime={"measured": True, "downtime_seconds": 1.5}, backup="mlflow upgrade 3.17.2 to 3.18.0"
    )
    told = _cutover.failed_upgrade(status("green"), Answer(0), failure)
    assert told.endswith("The server did not answer for 1.5 s. Backup: mlflow upgrade 3.17.2 to 3.18.0.")
    not_measured = dataclasses.replace(FAILURE, downtime={"measured": False, "downtime_seconds": 0})
    assert "did not answer" not in _cutover.failed_upgrade(status("green"), Answer(0), not_measured)


# Successful upgrade

HEADS = {"tracking": {"database": "t1", "code": "t2"}, "auth": {"database": "a1", "code": "a2"}}
UPGRADE: dict[str, Any] = {
    "version_before": "3.17.2",
    "version": "3.18.0",
    "schemas": HEADS,
    "result": {"migrated": True, "held_seconds": 2.5},
    "downtime": {"measured": True, "downtime_seconds": 2.7, "answers": 30, "failures": {"HTTP 503": 20, "x": 1}},
    "backup": "mlflow upgrade 3.17.2 to 3.18.0",
    "rehearsal_seconds": 3.4,
    "removed": ["3.16.0-0", "3.16.1-0"],
}


def test_the_report_of_an_upgrade() -> None:
    assert _cutover.report(UPGRADE) == [
        "MLflow:    3.17.2 → 3.18.0",
        "Schema:    t1 → t2, users a1 → a2",
        "Downtime:  2.7 s measured from the control node (30 answers, 21 refused), 2.5 s of maintenance mode",
        "Backup:    mlflow upgrade 3.17.2 to 3.18.0",
        "Rehearsal: migrated in 3.4 s",
        "Removed:   3.16.0-0, 3.16.1-0",
        "Rollback:  ansible-playbook playbooks/rollback.yml",
    ]


def test_the_report_of_an_upgrade_with_an_own_application() -> None:
    """MLflow's authentication database is empty, so the schema job does not report it."""
    heads = {"tracking": HEADS["tracking"]}
    assert _cutover.report(UPGRADE | {"schemas": heads})[1] == "Schema:    t1 → t2"


def test_the_report_of_an_upgrade_without_backup_migration_and_measurement() -> None:
    nothing = {"downtime": {}, "backup": "", "rehearsal_seconds": 0, "removed": []}
    assert _cutover.report(UPGRADE | nothing | {"result": {"migrated": False, "held_seconds": 0}})[1:6] == [
        "Schema:    t2, unchanged",
        "Downtime:  not measured, because the control node does not reach the server; 0 s of maintenance mode",
        "Backup:    none (upgrade_backup is off)",
        "Rehearsal: none (upgrade_rehearse is off)",
        "Removed:   no old release",
    ]
