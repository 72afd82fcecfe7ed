# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Decisions and messages about an upgrade and a rollback by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ._mlflowctl import DONE, TIMEOUT, Answer, CommandError, Program

Json = dict[str, Any]
READY_SECONDS = "120"
NOTHING_TO_ROLL_BACK = (
    "There is no release to roll back to: MLflow {version} is the first release, is the result of a rollback, or a"
    " later upgrade with a migration (also a failed one) replaced the kept databases. To restore a backup of the whole"
    " deployment, run playbooks/restore.yml."
)
DATABASES_MISSING = (
    "MLflow {previous} needs the databases that the upgrade {id} kept as NAME_before, and they do not exist any more."
    " Nothing was changed. Restore a backup with playbooks/restore.yml."
)


def sentence(text: str) -> str:
    """Return a text without its final period."""
    return text.rstrip(". \n")


def active(status: Json) -> Json:
    """Return the active slot in a status."""
    slot: Json = status["slots"][status["active"]]
    return slot


# --- Rollback by hand


def refusal(status: Json, counts: Json | None) -> str:
    """Return why no rollback is possible, or an empty text. `counts` is the document of `schema counts`."""
    previous = status["previous"]
    if previous is None:
        return NOTHING_TO_ROLL_BACK.format(version=active(status)["version"])
    if previous["migrated"] and (counts or {}).get("upgrade") != previous["id"]:
        return DATABASES_MISSING.format(previous=previous["version"], id=previous["id"])
    return ""


def consequences(status: Json, counts: Json | None) -> list[str]:
    """Describe the data that a rollback removes from the active databases."""
    previous = status["previous"]
    lines = [f"MLflow {active(status)['version']} → {previous['version']}"]
    if not previous["migrated"]:
        return [*lines, "The databases stay, because the upgrade did not change their schema. No data is lost."]
    found = counts or {}
    before: Json = found.get("before") or {}
    lines += [f"The databases become those of the upgrade {previous['id']}. Rows now and then:"]
    for table, rows in found["serving"].items():
        then = before.get(table, 0)
        lines.append(f"{table}: {rows} now, {then} then ({rows - then:+d})")
    return [
        *lines,
        "Artifacts stay in the bucket. The current databases are kept on the instance as NAME_failed.",
    ]


def failed_rollback(before: Json, after: Json, answer: Answer, seconds: int) -> str:
    """Describe a failed rollback. `before` and `after` are the status around it."""
    result, previous = answer.document, before["previous"]
    step, why = result.get("step"), sentence(result.get("cause") or answer.cause)
    if answer.code == TIMEOUT:
        return (
            f"The rollback is still in progress after upgrade_timeout_seconds ({seconds} s), in step {step or 'begin'}."
            " MLflow may be in maintenance mode until it ends. Wait on the VM: sudo mlflowctl cutover wait"
        )
    if active(after)["release"] == previous["release"]:
        return (
            f"The rollback failed in step {step or '?'}: {why}. The databases are restored, and systemd starts MLflow"
            f" {previous['version']} again and again. To see why MLflow does not start: journalctl -u 'mlflow@*' on the"
            " VM. The current databases are kept on the instance as NAME_failed."
        )
    place = f" in step {step}" if step else ""
    return (
        f"The rollback failed{place}: {why}. MLflow {active(before)['version']} is still the active release. To check"
        " it: sudo mlflowctl ready on the VM."
    )


# --- Failed upgrade


@dataclass(frozen=True)
class Failure:
    """A failed upgrade, as the control node knows it."""

    version_before: str
    version: str
    step: str
    # The message of the failed task, and the output of its program.
    task_message: str
    output: Sequence[str] = ()
    # The cutover of this run. Empty if it was not requested.
    id: str = ""
    downtime: Json = field(default_factory=dict)
    # Description of the backup of this run. Empty if there is none.
    backup: str = ""

    @property
    def cause(self) -> str:
        """The message and the output. pip prints its error first, most other programs print it last."""
        message = self.task_message.strip()
        lines = [line.strip() for line in self.output if line.strip()]
        # The message of mlflowctl is the last line of its output.
        if message and message in lines:
            return message
        errors = [line for line in lines if line.startswith("ERROR")]
        return ": ".join(filter(None, [message, " ".join(errors[:2] or lines[-3:])])) or "no message"


def _data(result: Json, version: str, *, moved: bool) -> str:
    timings = result.get("timings") or {}
    # Seconds in which clients used the new release, including its stop.
    worked = round(timings.get("move", 0) + timings.get("watch", 0))
    if result.get("ok"):
        return (
            f"The cutover itself was completed: MLflow {version} is active. Remove the cause and run this playbook"
            " again, which completes the remaining steps."
        )
    if moved and result.get("kept_failed"):
        return (
            f"MLflow {version} is active with the data from before the cutover. The data of the {worked} s after the"
            " cutover is kept in the databases NAME_failed until the next rollback."
        )
    if moved:
        return f"MLflow {version} is active. The databases were not exchanged, so no data is lost."
    return f"MLflow {version} is active with the same data as before. Remove the cause and run this playbook again."


def failed_upgrade(status: Json, ready: Answer, failure: Failure) -> str:
    """Describe a failed upgrade after the VM has rolled back."""
    result: Json = status["result"] or {}
    # The result of this run, not of an earlier run.
    if not failure.id or result.get("id") != failure.id:
        result = {}
    version = active(status)["version"]
    step = f"cutover, {result['step']}" if result.get("step") else failure.step
    why = sentence(result.get("cause") or failure.cause)
    moved = bool(result.get("moved")) and version != failure.version
    lines = [f'The upgrade from MLflow {failure.version_before} to {failure.version} failed at "{step}": {why}.']
    if ready.code != DONE:
        lines.append(f"MLflow {version} is active but not ready: {sentence(ready.cause)}. Run playbooks/doctor.yml.")
    else:
        lines.append(_data(result, version, moved=moved))
    if moved:
        lines.append(
            f"To try MLflow {failure.version} again: -e upgrade_again=true. With upgrade_channel pinned set"
            f" mlflow_version to {version}, or site.yml selects the newer release again."
        )
    if failure.downtime.get("measured"):
        lines.append(f"The server did not answer for {failure.downtime['downtime_seconds']} s.")
    if failure.backup:
        lines.append(f"Backup: {failure.backup}.")
    return " ".join(lines)


# --- Successful upgrade


def _schema(heads: Json, *, migrated: bool) -> str:
    # An own application may replace MLflow's authentication database.
    tracking, auth = heads["tracking"], heads.get("auth")
    if not migrated:
        return f"{tracking['code']}, unchanged"
    users = f", users {auth['database']} → {auth['code']}" if auth else ""
    return f"{tracking['database']} → {tracking['code']}{users}"


def _downtime(result: Json, downtime: Json) -> str:
    held = f"{result['held_seconds']} s of maintenance mode"
    if not downtime.get("measured"):
        return f"not measured, because the control node does not reach the server; {held}"
    refused = sum(downtime["failures"].values())
    return (
        f"{downtime['downtime_seconds']} s measured from the control node"
        f" ({downtime['answers']} answers, {refused} refused), {held}"
    )


def report(upgrade: Json) -> list[str]:
    """Describe a successful upgrade, one line for each topic."""
    result: Json = upgrade["result"]
    backup, seconds = upgrade["backup"], upgrade["rehearsal_seconds"]
    return [
        f"MLflow:    {upgrade['version_before']} → {upgrade['version']}",
        f"Schema:    {_schema(upgrade['schemas'], migrated=result['migrated'])}",
        f"Downtime:  {_downtime(result, upgrade['downtime'])}",
        f"Backup:    {backup or 'none (upgrade_backup is off)'}",
        f"Rehearsal: {f'migrated in {seconds} s' if seconds else 'none (upgrade_rehearse is off)'}",
        f"Removed:   {', '.join(upgrade['removed']) or 'no old release'}",
        "Rollback:  ansible-playbook playbooks/rollback.yml",
    ]


# --- Steps on the VM


class Cutover:
    """Operations on the program of this VM."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def plan_rollback(self) -> tuple[Json, list[str]]:
        """Return the status and the consequences of a rollback. Raise CommandError if it is not possible."""
        status = self._program.read("status")
        counts = None
        if (status["previous"] or {}).get("migrated"):
            release = active(status)["release"]
            counts = self._program.read("run-job", "--release", release, "schema", "counts")
        if why := refusal(status, counts):
            raise CommandError(why)
        return status, consequences(status, counts)

    def rollback(self, seconds: int) -> Json:
        """Roll back; return the result of the cutover. Raise CommandError if the rollback fails."""
        before = self._program.read("status")
        answer = self._program.run("cutover", "rollback", "--timeout", str(seconds))
        if answer.code:
            raise CommandError(failed_rollback(before, self._program.read("status"), answer, seconds))
        self._program.read("ready", "--artifacts", "--timeout", READY_SECONDS)
        return answer.document

    def explain(self, failure: Failure, seconds: int) -> str:
        """Wait for the end of a failed upgrade; return the message."""
        self._program.run("cutover", "wait", "--timeout", str(seconds))
        ready = self._program.run("ready", "--artifacts", "--timeout", READY_SECONDS)
        return failed_upgrade(self._program.read("status"), ready, failure)
