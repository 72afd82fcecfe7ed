# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Select a backup, and find the backups to delete.

A record, backups/NAME/backup.json, marks a complete backup. A bucket may have records of several deployments.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
FORMAT = "mlops.mlflow_gcp/backup/1"
# Backups that a restore creates of the replaced data. They may contain damaged data, so they are used only by name.
REPLACED = "before-restore-"


def parse(objects: Iterable[Mapping[str, Any]]) -> list[Json]:
    """Return the records in the objects of the bucket."""
    return [json.loads(found["content"]) for found in objects]


def of_deployment(records: Iterable[Json], deployment: str) -> list[Json]:
    """Return the records of a deployment, newest first."""
    return sorted(
        (each for each in records if each["deployment"] == deployment), key=lambda each: each["time"], reverse=True
    )


def regular(records: Iterable[Json]) -> list[Json]:
    """Return the records without the backups of replaced data."""
    return [each for each in records if not each["name"].startswith(REPLACED)]


def select(records: Sequence[Json], *, name: str, deployment: str, bucket: str) -> Json:
    """Return the backup, the time of the newest backup, and the problem if there is no such backup.

    An empty name selects the newest backup.
    """
    ours = of_deployment(records, deployment)
    candidates = regular(ours) if name == "" else [each for each in ours if each["name"] == name]
    backup = candidates[0] if candidates else {}
    newest = (regular(ours) or [backup])[0].get("time", "")
    if backup.get("format") == FORMAT:
        return {"backup": backup, "newest": newest, "problem": ""}
    others = [each for each in records if each["deployment"] != deployment]
    owners = {each["deployment"] for each in (regular(others) if name == "" else others) if name in ("", each["name"])}
    problem = _missing(name, deployment, bucket, [each["name"] for each in ours], sorted(owners))
    return {"backup": backup, "newest": newest, "problem": problem}


def _missing(name: str, deployment: str, bucket: str, names: list[str], owners: list[str]) -> str:
    named = f" '{name}'" if name else ""
    sentences = [f"There is no backup{named} of {deployment} in gs://{bucket}/backups."]
    if owners:
        owner = owners[0] if len(owners) == 1 else "PROJECT/NAME"
        sentences += [
            f"The backup of this name belongs to {', '.join(owners)}."
            if name
            else f"The bucket has backups of {', '.join(owners)}.",
            f"To use such a backup, add -e backup_restore_from={owner} -e backup_restore_bucket={bucket} to the"
            " command.",
        ]
    sentences += [
        f"Existing backups: {', '.join(names)}. Set backup_name to one of them."
        if names
        else "Create a backup with playbooks/backup.yml, or set backup_restore_from to PROJECT/NAME of another"
        " deployment.",
        "If the records of that deployment are in another bucket, set backup_restore_bucket to its"
        " infrastructure_backups_bucket.",
    ]
    return " ".join(sentences)


def expired(records: Sequence[Json], *, keep: int, in_use: Iterable[str]) -> list[Json]:
    """Return the backups of a deployment to delete. `in_use` has the names of backups that must stay.

    A backup of replaced data does not count for `keep`. It expires when it is older than all kept backups.
    """
    counted, in_use = regular(records), set(in_use)
    kept, old = counted[:keep], counted[keep:]
    if len(kept) == keep:
        old += [each for each in records if each["name"].startswith(REPLACED) and each["time"] < kept[-1]["time"]]
    return [each for each in old if each["name"] not in in_use]


def unrecorded(
    runs: Iterable[Mapping[str, Any]], records: Sequence[Json], *, prefix: str, now: datetime.datetime
) -> list[str]:
    """Return the descriptions of Cloud SQL backups of this deployment that have no record.

    A backup of the last day may belong to a current run. The record of a backup older than all records may be in
    another bucket, if infrastructure_backups_bucket was changed.
    """
    yesterday = (now - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    first = min((each["time"] for each in records), default="9")
    recorded = {each["database"]["description"] for each in records}
    found = [
        run["description"]
        for run in runs
        if run.get("type") == "ON_DEMAND"
        and run.get("status") in ("SUCCESSFUL", "FAILED")
        and run.get("description", "").startswith(prefix)
        and first < run.get("enqueuedTime", "") < yesterday
    ]
    return [each for each in dict.fromkeys(found) if each not in recorded]


def expiry(
    records: Iterable[Json],
    runs: Iterable[Mapping[str, Any]],
    *,
    deployment: str,
    keep: int,
    in_use: Iterable[str],
    planned: str,
    prefix: str,
    now: datetime.datetime,
) -> Json:
    """Return the records of expired backups, and the Cloud SQL backups without a record.

    `planned` is the name of a backup that check mode does not create, but that counts for `keep`.
    """
    ours = of_deployment(records, deployment)
    if planned:
        time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        ours.insert(0, {"name": planned, "time": time, "database": {"description": prefix + planned}})
    return {
        "backups": expired(ours, keep=keep, in_use=in_use),
        "unrecorded": unrecorded(runs, ours, prefix=prefix, now=now),
    }
