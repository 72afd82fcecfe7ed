# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Plan a restore, check its rows, and describe backups, restores and drills."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.text.formatters import bytes_to_human

# A dependency of ansible-core. The import test of ansible-test runs without it.
with contextlib.suppress(ImportError):
    from packaging.version import Version

Json = dict[str, Any]
# Tables whose numbers of rows a user understands.
COUNTED = ("runs", "experiments", "registered_models", "model_versions", "logged_models", "trace_info", "users")
SHOWN = 5  # differences and lost artifacts in a message


def _schemas(databases: Mapping[str, Json]) -> Json:
    return {name: {key: value for key, value in found.items() if key != "tables"} for name, found in databases.items()}


def _changes(now: Mapping[str, Json], then: Mapping[str, Json]) -> list[str]:
    changes = []
    for database, found in now.items():
        before = then.get(database, {}).get("tables", {})
        for table in COUNTED:
            rows, old = found["tables"].get(table, [None])[0], before.get(table, ["?"])[0]
            if rows is not None and rows != old:
                changes.append(f"{table.replace('_', ' ')} {rows} now, {old} then")
    return changes


def lost_artifacts(artifacts: Json) -> str:
    """Describe the artifacts that backup_restore_lost=skip does not restore."""
    number = artifacts["objects"]["lost"]
    return f", {number} are lost and cannot be restored: {', '.join(artifacts['lost'][:SHOWN])}" if number else ""


def plan(
    record: Json,
    rows: Json,
    artifacts: Json,
    *,
    deployment: str,
    source: str,
    others: str,
    migrate: bool,
    backup_first: bool,
    earlier_backup: str,
) -> Json:
    """Compare a backup with the deployment; return the consequences of a restore, and the problem that prevents it.

    `rows` is the result of `mlflowctl count-rows`, `artifacts` the result of gcp_bucket_restore in check mode.
    `earlier_backup` is the backup from before an interrupted restore that can undo both.
    """
    then: Json = record["rows"]["before"]
    # A record without row counts has no schema revisions. The schema then counts as equal unless `migrate` is set.
    same_schema = not then or _schemas(then) == _schemas(rows["databases"])
    changes, objects = _changes(rows["databases"], then), artifacts["objects"]
    if earlier_backup:
        undo = f"The data from before the interrupted restore is in backup {earlier_backup}."
    elif backup_first:
        undo = "The current data is backed up first. Data that clients log during this backup is lost."
    else:
        undo = "The restore cannot be undone, because backup_restore_backup_first is false."
    consequences = [
        f"{deployment} would be restored from backup {record['name']} of {source}, created at {record['time']}.",
        f"Data that was logged, registered or changed since then is lost{': ' if changes else ''}{', '.join(changes)}.",
        f"Artifacts: {objects['copied']} are restored, {objects['same']} are unchanged, {objects['other']} that the"
        " backup does not contain are"
        f" {'kept' if others == 'keep' else 'deleted (they stay as noncurrent versions)'}{lost_artifacts(artifacts)}.",
        undo,
        "The server is in maintenance mode during the restore.",
    ]
    return {
        "same_schema": same_schema,
        "consequences": " ".join(consequences),
        "problem": "" if same_schema else _other_schema(record, rows["version"], migrate=migrate),
    }


def _other_schema(record: Json, installed: str, *, migrate: bool) -> str:
    made_by = record["release"]["version"]
    # A record without row counts does not name the release.
    older = made_by == "" or Version(made_by) <= Version(installed)
    if older and migrate:
        return ""
    remedy = (
        f"To migrate the restored database to the schema of MLflow {installed}, add -e backup_restore_migrate=true."
        if older
        else f"First install the release of the backup: set mlflow_version to {made_by} and run playbooks/upgrade.yml."
    )
    return (
        f"Backup {record['name']} was made by MLflow {made_by}, and MLflow {installed} with another schema is"
        f" installed. {remedy} Nothing was changed."
    )


def restored_rows(result: Json, *, backup: str, accept: bool | None) -> Json:
    """Return the summary of the restored rows, and the problem if they differ from the backup.

    `accept` allows differences. None: differences cannot be accepted.
    """
    compared: Json = result.get("compared") or {"wrong": [], "exact": 0, "between": 0}
    wrong: list[str] = compared["wrong"]
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    different = "; ".join(wrong[:SHOWN]) + more
    counts = [rows[0] for database in result["databases"].values() for rows in database["tables"].values()]
    parts = [
        f"{sum(counts)} rows in {len(counts)} tables",
        f"{compared['exact']} tables equal to the backup",
        *([f"{compared['between']} changed during the backup and within its limits"] if compared["between"] else []),
        *([f"different but accepted: {different}"] if wrong else []),
    ]
    problem = ""
    if wrong and not accept:
        problem = f"The restored rows differ from the rows of backup {backup}: {different}."
        if accept is not None:
            problem += " To start the server in spite of the differences, add -e backup_restore_accept_rows=true."
    return {"summary": ", ".join(parts), "problem": problem}


def created(backup: Json) -> str:
    """Describe a new backup."""
    counted = ""
    if backup["rows"]:
        tables = [rows[0] for found in backup["rows"].values() for rows in found["tables"].values()]
        counted = f", {sum(tables)} rows"
    return (
        f"Created backup {backup['name']} of {backup['deployment']} in {backup['seconds']:.0f} s: database of"
        f" {backup['time']} (backup run {backup['run']}{counted}), {backup['objects']} artifacts of"
        f" {bytes_to_human(backup['bytes'])}, recorded in {backup['url']}. To restore it: ansible-playbook"
        f" playbooks/restore.yml -e backup_name={backup['name']} -e backup_restore_confirm={backup['deployment']}"
    )


def restored(restore: Json) -> str:
    """Describe a completed restore. `undo` is the name of a backup that can undo it, or empty.

    `stopped` is the state of the stopped server with its stop time, `end` is in seconds since the epoch.
    """
    artifacts, undo = restore["artifacts"], restore["undo"]
    stopped = re.search(r"InactiveEnterTimestamp=@(\d+)", restore["stopped"])
    seconds = f"{max(0.0, restore['end'] - int(stopped[1])):.0f} s" if stopped else "an unknown time"
    objects = artifacts["objects"]
    told = (
        f"{restore['deployment']} has the data of {restore['time']} (backup {restore['name']}): {restore['rows']},"
        f" {objects['copied']} artifacts of {bytes_to_human(objects['copied_bytes'])} restored, {objects['same']}"
        f" unchanged{lost_artifacts(artifacts)}. The server was in maintenance mode for {seconds}."
    )
    if not undo:
        return told
    return f"{told} To undo the restore: -e backup_name={undo} -e backup_restore_confirm={restore['deployment']}"


def drilled(drill: Json) -> str:
    """Describe a completed drill. `begin` and `end` are seconds since the epoch, `newest` is a time as text."""
    artifacts = drill["artifacts"]
    objects = artifacts["objects"]
    newest = datetime.datetime.fromisoformat(drill["newest"]).timestamp()
    return (
        f"Backup {drill['name']} can be restored."
        f" RPO {drill['begin'] - newest:.0f} s: the age of the newest backup at the start of this drill."
        f" RTO {drill['end'] - drill['begin']:.0f} s: the duration of restore and comparison. Rows: {drill['rows']}."
        f" Artifacts: {objects['copied']} of {bytes_to_human(objects['copied_bytes'])} have the checksums of the"
        f" backup; {objects['read']} of them, {bytes_to_human(objects['read_bytes'])}, were read and are"
        f" identical{lost_artifacts(artifacts)}."
        f" {drill['instance']} and {drill['bucket']} are deleted."
    )
