# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the Cloud SQL instance: its state, connections, disk and backups, and temporary instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._client import Json
from .._sql import start_command
from .cloud import HOUR, Cloud, duration, seconds
from .facts import part
from .remedies import BACKUP, SITE
from .results import FAIL, WARN, CheckResult, fail, graded, ok, one_line, warn

GIGABYTE = 1_000_000_000
# Values of the label "purpose" in the roles backup and upgrade. A drill may take the 6 h of backup_timeout_seconds.
TEMPORARY = ("restore-drill", "upgrade-rehearsal")
TEMPORARY_HOURS = 12.0


def database(instance: Json, project: str) -> CheckResult:
    """Check the state of the Cloud SQL instance."""
    name, state = instance.get("name"), instance.get("state")
    if instance.get("settings", {}).get("activationPolicy", "ALWAYS") == "NEVER":
        return fail("database", f"{name} is stopped", start_command(str(name), project))
    if state != "RUNNABLE":
        page = f"https://console.cloud.google.com/sql/instances?project={project}"
        return fail("database", f"{name} is {state}", f"MAINTENANCE ends automatically; otherwise see {page}")
    return ok("database", f"{name} is RUNNABLE, {instance.get('databaseVersion')}")


def connections(facts: Mapping[str, Any], warn_percent: float, fail_percent: float) -> CheckResult:
    """Check the percentage of the allowed database connections that are in use."""
    size = part(facts, "size")
    used, allowed = int(size["connections"]["used"]), int(size["connections"]["allowed"])
    percent = 100 * used / max(allowed, 1)
    remedy = (
        "use fewer or smaller connection pools (mlflow_workers, mlflow_database_max_overflow),"
        " or a larger tier: infrastructure_database_tier"
    )
    exceeded = (percent >= warn_percent, percent >= fail_percent)
    return graded("connections", f"{used} of {allowed} ({percent:.0f} %)", exceeded, remedy)


def database_disk(
    facts: Mapping[str, Any], instance: Mapping[str, Any], warn_percent: float, fail_percent: float
) -> CheckResult:
    """Check the size of the databases against the instance's disk, or against the limit of its automatic growth."""
    used = int(part(facts, "size")["bytes"])
    settings = instance.get("settings", {})
    size = int(settings.get("dataDiskSizeGb") or 0) * 1024**3
    grows, limit = bool(settings.get("storageAutoResize")), int(settings.get("storageAutoResizeLimit") or 0)
    room = limit * 1024**3 if grows and limit else size
    percent = 100 * used / room if room else 0.0
    growth = f"grows to {limit} GB" if grows and limit else "grows automatically" if grows else "does not grow"
    value = f"databases use {used / GIGABYTE:.2f} GB of {size // 1024**3} GB, the disk {growth}"
    if grows and not limit:
        return ok("database-disk", value)
    exceeded = (percent >= warn_percent, percent >= fail_percent)
    return graded("database-disk", value, exceeded, "use a larger disk: infrastructure_database_disk_size_gb")


def backups(cloud: Cloud, instance: Json, now: float, warn_hours: float, fail_hours: float) -> CheckResult:
    """Check the age of the newest successful backup, automatic or on demand, and whether backups are enabled."""
    configuration = instance.get("settings", {}).get("backupConfiguration") or {}
    if not configuration.get("enabled"):
        return fail("backups", "automatic backups are off", f"enable automatic backups: {SITE}")
    runs = cloud.items("sql", f"v1/projects/{cloud.project}/instances/{instance['name']}/backupRuns")
    good = sorted((run for run in runs if run.get("status") == "SUCCESSFUL"), key=_finished, reverse=True)
    if not good:
        age = now - seconds(instance["createTime"])
        first = f"the first automatic backup starts after {configuration.get('startTime')} UTC"
        value = f"no backup yet; the instance is {duration(age)} old, {first}"
        state = WARN if age < fail_hours * HOUR else FAIL
        return CheckResult("backups", state, value, f"create a backup: {BACKUP}")
    kinds = [str(run.get("type", "AUTOMATED")).lower().replace("_", " ") for run in good]
    counts = f"{kinds.count('automated')} automated, {kinds.count('on demand')} on demand"
    recovery = bool(configuration.get("pointInTimeRecoveryEnabled"))
    age = now - _finished(good[0])
    value = f"newest {duration(age)} old ({counts}), point-in-time recovery {'on' if recovery else 'OFF'}"
    failed = [run for run in runs if run.get("status") == "FAILED" and _finished(run) > _finished(good[0])]
    if failed:
        message = one_line((failed[0].get("error") or {}).get("message", ""), 100)
        value += f"; {len(failed)} newer failed: {message}"
    late = age > warn_hours * HOUR or bool(failed)
    if not late and not recovery:
        return warn("backups", value, f"enable point-in-time recovery: {SITE}")
    remedy = f"create a backup: {BACKUP}. For automatic backups, see the operations of the instance"
    return graded("backups", value, (late, age > fail_hours * HOUR), remedy)


def _finished(run: Json) -> float:
    stamp = run.get("endTime") or run.get("windowStartTime") or run.get("enqueuedTime")
    return seconds(stamp) if stamp else 0.0


def temporary(cloud: Cloud, name: str, now: float) -> CheckResult:
    """Check for Cloud SQL instances of interrupted rehearsals and drills, also from other control nodes."""
    ages = {
        instance["name"]: now - seconds(instance["createTime"])
        for instance in cloud.items("sql", f"v1/projects/{cloud.project}/instances")
        if instance["name"].startswith((f"{name}-drill-", f"{name}-rehearsal-"))
        and (instance.get("settings", {}).get("userLabels") or {}).get("purpose") in TEMPORARY
    }
    left = [each for each, age in ages.items() if age > TEMPORARY_HOURS * HOUR]
    if left:
        value = ", ".join(
            f"Cloud SQL instance {each} of an interrupted run, {duration(ages[each])} old" for each in left
        )
        return warn("temporary", value, f"gcloud sql instances delete {' '.join(left)} --project={cloud.project}")
    used = f"{', '.join(ages)}: a drill or a rehearsal may be running"
    return ok("temporary", used if ages else "no Cloud SQL instance of an interrupted drill or rehearsal")
