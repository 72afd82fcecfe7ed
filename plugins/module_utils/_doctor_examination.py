# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run all checks of one deployment in their order. A failed check does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from . import _doctor_cloud as cloud_side
from . import _doctor_front as front_side
from . import _doctor_machine as machine_side
from . import _doctor_plan as plan_side
from . import _doctor_release as release_side
from ._auth import AuthOptions
from ._client import Client, Json
from ._doctor_rows import Row, UnexaminedError, guarded, ok, warn

with suppress(ImportError):  # reported by the module
    import requests

IMPORT_ERROR = front_side.IMPORT_ERROR

# Maximum time for one response of Google's services, including repeated requests.
API_SECONDS = 60.0
SITE = "ansible-playbook site.yml"
# The order of the check results: from the outside to the inside, then future problems.
NAMES = (
    *("address", "certificate", "authority", "sign-in", "run", "artifact", "clock"),
    *("machine", "units", "server", "schema", "encryption", "connections", "disk", "database", "database-disk"),
    *("backups", "temporary", "release", "advisories", "secrets", "drift"),
)
WRITING = ("run", "artifact")


class Examination:
    """All checks of one deployment. Shared data is read once, and every check that needs it reports a failed read."""

    def __init__(self, params: Json, client: Callable[[], Client], *, check_mode: bool) -> None:
        self.params, self.limits, self.client = params, params["limits"], client
        self.facts: Json = params["machine"] or {"error": "nobody looked"}
        self.name, self.now = params["name"], time.time()
        # Check mode skips only the checks that write.
        self.skipped = [
            name for name in NAMES if name in params["skip"] or (check_mode and name in WRITING) or self._off(name)
        ]
        self._instance: Json | Exception | None = None

    def _off(self, name: str) -> bool:
        needs = {"drift": "plan", "advisories": "advisories_url", "secrets": "secrets"}
        return name in needs and not self.params[needs[name]]

    def cloud(self) -> cloud_side.Cloud:
        """Return Google's APIs, with a new deadline for each use."""
        project, region, zone = (self.params[name] for name in ("project", "region", "zone"))
        return cloud_side.Cloud(self.client(), project, region, zone, AuthOptions.of(self.params))

    def database(self) -> Json:
        """Return the Cloud SQL instance, which is read once."""
        if self._instance is None:
            self._instance = _kept(lambda: self.cloud().database(f"{self.name}-database"))
        if isinstance(self._instance, Exception):
            raise self._instance
        return self._instance

    def front(self) -> front_side.Front:
        """Return the deployment from the point of view of its clients."""
        return front_side.Front(
            host=self.params["hostname"],
            address=_kept(lambda: self.cloud().address(f"{self.name}-address")),
            authority=self.params["authority"],
            username=self.params["username"],
            password=_kept(lambda: self.cloud().secret(f"{self.name}-admin-password").rstrip("\r\n")),
        )

    def rows(self) -> list[Row]:
        """Return the results of all checks that were not skipped."""
        found = list(self._outside()) + list(self._inside())
        return sorted(found, key=lambda row: NAMES.index(row.name))

    def _one(self, name: str, check: Callable[[], Row], remedy: str = SITE) -> Iterator[Row]:
        if name not in self.skipped:
            yield guarded(name, check, remedy)

    def _outside(self) -> Iterator[Row]:
        front, limits = self.front(), self.limits
        reached = guarded("address", lambda: front_side.address(front), SITE)
        if "address" not in self.skipped:
            yield reached

        def if_reached(check: Callable[[], Row]) -> Callable[[], Row]:
            # Without a connection every check would wait for its own timeout.
            def checked() -> Row:
                if reached.state == "fail":
                    raise UnexaminedError("nothing answers", "see the row address")
                return check()

            return checked

        days = limits["certificate_warn_days"], limits["certificate_fail_days"]
        yield from self._one("certificate", if_reached(lambda: front_side.certificate(front, *days)))
        own = bool(self.params["authority"])
        ends = limits["authority_warn_days"], limits["authority_fail_days"]
        path = self.params["authority"]
        yield from self._one("authority", lambda: front_side.authority(path, own, self.now, *ends))
        yield from self._one("sign-in", if_reached(lambda: front_side.sign_in(front)))
        seconds = limits["clock_warn_seconds"], limits["clock_fail_seconds"]
        skew = machine_side.skew(self.facts)
        yield from self._one("clock", lambda: front_side.clock(front, *skew, *seconds))
        yield from self._writing(front, reached.state != "fail")

    def _writing(self, front: front_side.Front, reached: bool) -> Iterator[Row]:
        names = [name for name in WRITING if name not in self.skipped]
        if not names:
            return
        found: dict[str, Row] = {}

        def work() -> Row:
            if not reached:
                raise UnexaminedError("nothing answers", "see the row address")
            with front_side.marked_run(front, self._forget) as traces:
                for name in names:
                    found[name] = guarded(name, partial(self._write, name, front, traces), SITE)
            return ok("", "")

        outcome = guarded("", work, front_side.LOGS)
        for name in names:
            row = found.get(name)
            # Without a run nothing was checked. A run that could not be deleted is reported instead of a success.
            yield row if row and (row.state != "ok" or outcome.state == "ok") else replace(outcome, name=name)

    def _write(self, name: str, front: front_side.Front, traces: front_side.Traces) -> Row:
        if name == "run":
            return front_side.run(front, traces)
        return front_side.artifact(front, traces, self.params["artifact_megabytes"])

    def _forget(self, artifact_uri: str) -> None:
        """Delete the artifact of a run if the server did not delete it, or if a doctor was killed."""
        place, _scheme, bucket = self.params["artifacts"].partition("://")
        scheme, _colon, folder = artifact_uri.partition(":")
        if (place, scheme) != ("gs", "mlflow-artifacts"):
            return
        name, _slash, root = bucket.rstrip("/").partition("/")
        # Usually the server has deleted the artifact. A failed deletion is in the result of the check artifact.
        with suppress(Exception):
            self.cloud().remove_object(name, f"{root}/{folder.strip('/')}/{front_side.ARTIFACT}".lstrip("/"))

    def _inside(self) -> Iterator[Row]:
        facts, limits, instance = self.facts, self.limits, f"{self.name}-server"
        disks = limits["disk_warn_percent"], limits["disk_fail_percent"]
        uses = limits["connections_warn_percent"], limits["connections_fail_percent"]
        hours = limits["backup_warn_hours"], limits["backup_fail_hours"]
        yield from self._one("machine", lambda: cloud_side.machine(self.cloud(), instance, facts))
        yield from self._one("units", lambda: machine_side.units(facts))
        yield from self._one("server", lambda: machine_side.server(facts))
        yield from self._one("schema", lambda: machine_side.schema(facts))
        yield from self._one("encryption", lambda: machine_side.stored_secrets(facts))
        yield from self._one("connections", lambda: machine_side.connections(facts, *uses))
        yield from self._one("disk", lambda: machine_side.disk(facts, *disks))
        project = self.params["project"]
        yield from self._one("database", lambda: cloud_side.database(self.database(), project))
        yield from self._one("database-disk", lambda: machine_side.database_disk(facts, self.database(), *disks))
        yield from self._one("backups", lambda: cloud_side.backups(self.cloud(), self.database(), self.now, *hours))
        yield from self._one("temporary", lambda: cloud_side.temporary(self.cloud(), self.name, self.now))
        minimum = self.params["minimum_version"]
        yield from self._one("release", lambda: release_side.release(self._release()["version"], minimum))
        yield from self._one("advisories", self._advisories)
        secrets, old = self.params["secrets"], limits["secret_warn_days"]
        yield from self._one("secrets", lambda: cloud_side.secret_ages(self.cloud(), secrets, self.now, old))
        plan = self.params["plan"]
        yield from self._one("drift", lambda: plan_side.drift(str(plan.get("stdout", "")), int(plan.get("rc", 1))))

    def _release(self) -> Json:
        found: Json = machine_side.part(self.facts, "release")
        return found

    def _advisories(self) -> Row:
        try:
            packages = self._release()["packages"]
        except UnexaminedError as error:
            return warn("advisories", f"not examined: {error}", error.remedy)
        accepted = self.params["advisories_accepted"]
        with requests.Session() as session:
            return release_side.advisories(session, self.params["advisories_url"], packages, accepted)


def _kept(read: Callable[[], Any]) -> Any:
    """Return the result of a read, or its error."""
    try:
        return read()
    except Exception as error:
        return error
