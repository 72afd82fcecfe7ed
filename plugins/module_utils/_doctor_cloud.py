# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check a deployment through Google's APIs: VM, database, backups, secrets. Only reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from ._advice import advice
from ._auth import AuthOptions
from ._client import Client, GoogleError, Json
from ._doctor_rows import FAIL, WARN, Row, UnexaminedError, fail, graded, ok, one_line, warn
from ._sql import start_command

HOUR, DAY = 3600.0, 86400.0
# Values of the label "purpose" in the roles backup and upgrade. A drill may take the 6 h of backup_timeout_seconds.
TEMPORARY = ("restore-drill", "upgrade-rehearsal")
TEMPORARY_HOURS = 12.0
SITE = "ansible-playbook site.yml"
BACKUP = "ansible-playbook playbooks/backup.yml"


def seconds(stamp: str) -> float:
    """Return an API's timestamp as seconds since 1970."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _age(age: float) -> str:
    return f"{age / HOUR:.1f} h" if age < 2 * DAY else f"{age / DAY:.0f} days"


@dataclass
class Cloud:
    """Resources of one deployment."""

    client: Client
    project: str
    region: str
    zone: str
    auth: AuthOptions | None = None  # for messages

    def get(self, api: str, path: str, **params: str) -> Json:
        """Get a resource. An error has a remedy."""
        try:
            return self.client.get(api, path, params)
        except GoogleError as error:
            raise UnexaminedError(one_line(error), self._remedy(error)) from error

    def items(self, api: str, path: str, key: str = "items", **params: str) -> list[Json]:
        """Return every item of a list. An error has a remedy."""
        try:
            return list(self.client.items(api, path, key, params))
        except GoogleError as error:
            raise UnexaminedError(one_line(error), self._remedy(error)) from error

    def _remedy(self, error: GoogleError) -> str:
        return f"it is not there: {SITE}" if error.code == 404 else advice(error, self.project, self.auth)

    def address(self, name: str) -> str:
        """Return the static address."""
        return str(self.get("compute", f"projects/{self.project}/regions/{self.region}/addresses/{name}")["address"])

    def secret(self, name: str) -> str:
        """Return the payload of a secret's latest version."""
        path = f"v1/projects/{self.project}/secrets/{name}/versions/latest:access"
        return base64.b64decode(self.get("secretmanager", path)["payload"]["data"]).decode()

    def database(self, name: str) -> Json:
        """Return the Cloud SQL instance."""
        return self.get("sql", f"v1/projects/{self.project}/instances/{name}")

    def instance(self, name: str) -> Json:
        """Return the VM."""
        return self.get("compute", f"projects/{self.project}/zones/{self.zone}/instances/{name}")

    def remove_object(self, bucket: str, name: str) -> None:
        """Delete an object. The bucket's lifecycle removes its generation later, because a backup may need it."""
        self.client.request("DELETE", "storage", f"b/{bucket}/o/{quote(name, safe='')}")


def machine(cloud: Cloud, name: str, facts: Json) -> Row:
    """Check that the VM runs and accepts SSH connections."""
    found = cloud.instance(name)
    status = str(found.get("status"))
    if status != "RUNNING":
        verb = "resume" if status == "SUSPENDED" else "start"
        start = f"gcloud compute instances {verb} {name} --zone={cloud.zone} --project={cloud.project}"
        return fail("machine", f"{name} is {status}", f"{start}, or {SITE}")
    if "error" in facts:
        return fail(
            "machine",
            f"{name} is RUNNING, and could not be examined over SSH: {one_line(facts['error'], 200)}",
            "deploy from an address in infrastructure_ssh_source_ranges, with this deployment's state directory;"
            " ansible-playbook playbooks/configure.yml reads the host keys anew",
        )
    return ok("machine", f"{name} is RUNNING, SSH answers")


def database(instance: Json, project: str) -> Row:
    """Check the state of the Cloud SQL instance."""
    state, version = instance.get("state"), instance.get("databaseVersion")
    policy = instance.get("settings", {}).get("activationPolicy", "ALWAYS")
    name = instance.get("name")
    if policy == "NEVER":
        start = start_command(str(name), project)
        return fail("database", f"{name} is stopped", start)
    if state != "RUNNABLE":
        where = f"https://console.cloud.google.com/sql/instances?project={project}"
        return fail("database", f"{name} is {state}", f"MAINTENANCE passes by itself; else look at {where}")
    return ok("database", f"{name} is RUNNABLE, {version}")


def backups(cloud: Cloud, instance: Json, now: float, warn_hours: float, fail_hours: float) -> Row:
    """Check the age of the newest successful backup, automatic or on demand, and whether backups are enabled."""
    configuration = instance.get("settings", {}).get("backupConfiguration") or {}
    if not configuration.get("enabled"):
        return fail("backups", "automatic backups are off", f"switch them on again: {SITE}")
    runs = cloud.items("sql", f"v1/projects/{cloud.project}/instances/{instance['name']}/backupRuns")
    good = sorted((run for run in runs if run.get("status") == "SUCCESSFUL"), key=_finished, reverse=True)
    kinds = [str(run.get("type", "AUTOMATED")).lower().replace("_", " ") for run in good]
    told = f"{kinds.count('automated')} automated, {kinds.count('on demand')} on demand"
    remedy = f"make one now: {BACKUP}; automatic ones: look at the instance's operations"
    recovery = bool(configuration.get("pointInTimeRecoveryEnabled"))
    if not good:
        age = now - seconds(instance["createTime"])
        young = age < fail_hours * HOUR
        first = f"the first automatic one comes after {configuration.get('startTime')} UTC"
        value = f"none yet; the instance is {_age(age)} old, {first}"
        return Row("backups", WARN if young else FAIL, value, f"make one now: {BACKUP}")
    age = now - _finished(good[0])
    value = f"newest {_age(age)} old ({told}), point in time recovery {'on' if recovery else 'OFF'}"
    failed = [run for run in runs if run.get("status") == "FAILED" and _finished(run) > _finished(good[0])]
    if failed:
        value += f"; {len(failed)} newer failed: {one_line((failed[0].get('error') or {}).get('message', ''), 100)}"
    late = age > warn_hours * HOUR or bool(failed)
    if not late and not recovery:
        return warn("backups", value, f"switch point in time recovery on again: {SITE}")
    return graded("backups", value, (late, age > fail_hours * HOUR), remedy)


def temporary(cloud: Cloud, name: str, now: float) -> Row:
    """Check for Cloud SQL instances of interrupted rehearsals and drills, also from other control nodes."""
    found = [
        instance
        for instance in cloud.items("sql", f"v1/projects/{cloud.project}/instances")
        if instance["name"].startswith((f"{name}-drill-", f"{name}-rehearsal-"))
        and (instance.get("settings", {}).get("userLabels") or {}).get("purpose") in TEMPORARY
    ]
    ages = {instance["name"]: now - seconds(instance["createTime"]) for instance in found}
    left = [each for each, age in ages.items() if age > TEMPORARY_HOURS * HOUR]
    if left:
        value = ", ".join(f"Cloud SQL instance {each} of an interrupted run, {_age(ages[each])} old" for each in left)
        return warn("temporary", value, f"gcloud sql instances delete {' '.join(left)} --project={cloud.project}")
    used = f"{', '.join(ages)}: a drill or a rehearsal may be running"
    return ok("temporary", used if ages else "no Cloud SQL instance of an interrupted drill or rehearsal")


def _finished(run: Json) -> float:
    stamp = run.get("endTime") or run.get("windowStartTime") or run.get("enqueuedTime")
    return seconds(stamp) if stamp else 0.0


def secret_ages(cloud: Cloud, names: Sequence[str], now: float, warn_days: float) -> Row:
    """Check the age of the newest enabled version of each secret."""
    ages: dict[str, float] = {}
    for name in names:
        path = f"v1/projects/{cloud.project}/secrets/{name}/versions"
        versions = cloud.items("secretmanager", path, "versions", filter="state:ENABLED")
        if not versions:
            return fail("secrets", f"{name} has no enabled version", f"make one: {SITE}")
        ages[name] = now - max(seconds(version["createTime"]) for version in versions)
    oldest = max(ages, key=lambda name: ages[name])
    old = [name for name, age in ages.items() if age > warn_days * DAY]
    if old:
        value = ", ".join(f"{name} {_age(ages[name])} old" for name in old)
        return warn("secrets", value, "ansible-playbook playbooks/rotate.yml")
    return ok("secrets", f"{len(ages)}, the oldest {_age(ages[oldest])} old ({oldest})")
