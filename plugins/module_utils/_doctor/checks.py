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

from .. import _auth
from .._client import Client, Json
from . import certificates, database, server, sign_in, vm
from .address import address
from .artifact import ARTIFACT, artifact
from .authentication import authentication
from .clock import clock, vm_skew
from .cloud import Cloud
from .drift import drift
from .endpoint import IMPORT_ERROR as REQUESTS_ERROR
from .endpoint import Endpoint, new_session
from .facts import facts_of, part
from .release import advisories, release
from .remedies import LOGS, SITE
from .results import FAIL, OK, CheckResult, NotCheckedError, guarded, ok, warn
from .run import TemporaryRun, run, temporary_run
from .secret_ages import secret_ages

IMPORT_ERROR = _auth.IMPORT_ERROR or REQUESTS_ERROR or certificates.IMPORT_ERROR

# Maximum time for one response of Google's services, including repeated requests.
API_SECONDS = 60.0
# The order of the check results: from the outside to the inside, then future problems.
NAMES = (
    *("address", "certificate", "ca", "authentication", "sign-in", "run", "artifact", "clock"),
    *(
        "vm",
        "units",
        "server",
        "oauth2-proxy",
        "provider",
        "schema",
        "encryption",
        "signed-urls",
        "connections",
        "disk",
        "database",
        "database-disk",
    ),
    *("backups", "temporary", "release", "advisories", "secrets", "drift"),
)
WRITING = ("run", "artifact")
# Checks of single authentication modes.
OF_MODES = {"oauth2_proxy": ("sign-in", "oauth2-proxy", "provider")}


class Checks:
    """All checks of one deployment. Shared data is read once, and every check that needs it reports a failed read."""

    def __init__(self, params: Json, client: Callable[[], Client], *, check_mode: bool) -> None:
        self.params, self.limits, self.client = params, params["limits"], client
        self.facts = facts_of(params["vm_facts"])
        self.name, self.now = params["name"], time.time()
        self.mode: Json = params["authentication"] or {"name": "", "examined": {}}
        self.mode_facts = sign_in.facts_of(self.mode["examined"])
        others = {name for mode, names in OF_MODES.items() if mode != self.mode["name"] for name in names}
        self.names = [name for name in NAMES if name not in others]
        # Check mode skips only the checks that write.
        self.skipped = [
            name for name in self.names if name in params["skip"] or (check_mode and name in WRITING) or self._off(name)
        ]
        self._instance: Json | Exception | None = None

    def _off(self, name: str) -> bool:
        needs = {"drift": "plan", "advisories": "advisories_url", "secrets": "secrets"}
        # Without a user, the doctor cannot write.
        needs |= dict.fromkeys(WRITING, "password_secret")
        return name in needs and not self.params[needs[name]]

    def cloud(self) -> Cloud:
        """Return Google's APIs, with a new deadline for each use."""
        project, region, zone = (self.params[name] for name in ("project", "region", "zone"))
        return Cloud(self.client(), project, region, zone, _auth.AuthOptions.of(self.params))

    def database(self) -> Json:
        """Return the Cloud SQL instance, which is read once."""
        if self._instance is None:
            self._instance = _kept(lambda: self.cloud().database(f"{self.name}-database"))
        if isinstance(self._instance, Exception):
            raise self._instance
        return self._instance

    def endpoint(self) -> Endpoint:
        """Return the deployment from the point of view of its clients."""
        return Endpoint(
            host=self.params["hostname"],
            address=_kept(lambda: self.cloud().address(f"{self.name}-address")),
            ca_file=self.params["ca_file"],
            source=self.params["certificate_source"],
            username=self.params["username"],
            password=_kept(self._password),
        )

    def _password(self) -> str:
        secret = self.params["password_secret"]
        return self.cloud().secret(secret).rstrip("\r\n") if secret else ""

    def results(self) -> list[CheckResult]:
        """Return the results of all checks that were not skipped."""
        found = [*self._from_outside(), *self._on_vm(), *self._in_cloud(), *self._of_release()]
        return sorted(found, key=lambda result: NAMES.index(result.name))

    def _one(self, name: str, check: Callable[[], CheckResult]) -> Iterator[CheckResult]:
        if name in self.names and name not in self.skipped:
            yield guarded(name, check, SITE)

    def _limits(self, name: str, unit: str) -> tuple[float, float]:
        return self.limits[f"{name}_warn_{unit}"], self.limits[f"{name}_fail_{unit}"]

    def _from_outside(self) -> Iterator[CheckResult]:
        """Run the checks that send requests to the deployment as a client."""
        client = self.endpoint()
        reached = guarded("address", lambda: address(client, self.params["managed_zone"]), SITE)
        if "address" not in self.skipped:
            yield reached

        def if_reached(check: Callable[[], CheckResult]) -> Callable[[], CheckResult]:
            # Without a connection every check would wait for its own timeout.
            def checked() -> CheckResult:
                if reached.state == FAIL:
                    raise NotCheckedError("the deployment accepts no connection", "see the check address")
                return check()

            return checked

        days = self._limits("certificate", "days")
        yield from self._one("certificate", if_reached(lambda: certificates.certificate(client, *days)))
        ca_days = self._limits("ca", "days")
        own_ca = self.params["ca_file"] if client.source == "ca" else ""
        yield from self._one("ca", lambda: certificates.ca(own_ca, self.now, *ca_days))
        yield from self._one("authentication", if_reached(lambda: authentication(client)))
        host = str(self.mode["examined"].get("hostname") or "")
        yield from self._one("sign-in", if_reached(lambda: sign_in.sign_in(client, self.mode_facts, host)))
        seconds = self._limits("clock", "seconds")
        yield from self._one("clock", lambda: clock(client, *vm_skew(self.facts), *seconds))
        yield from self._writing(client, if_reached)

    def _writing(
        self,
        client: Endpoint,
        if_reached: Callable[[Callable[[], CheckResult]], Callable[[], CheckResult]],
    ) -> Iterator[CheckResult]:
        """Run the checks that write, with one temporary run."""
        names = [name for name in WRITING if name not in self.skipped]
        if not names:
            return
        found: dict[str, CheckResult] = {}

        def work() -> CheckResult:
            with temporary_run(client, self._delete_artifact) as made:
                for name in names:
                    found[name] = guarded(name, partial(self._write, name, client, made), SITE)
            return ok("", "")

        outcome = guarded("", if_reached(work), LOGS)
        for name in names:
            result = found.get(name)
            # Without a run nothing was checked. A run that could not be deleted is reported instead of a success.
            yield result if result and (result.state != OK or outcome.state == OK) else replace(outcome, name=name)

    def _write(self, name: str, client: Endpoint, made: TemporaryRun) -> CheckResult:
        if name == "run":
            return run(client, made)
        return artifact(client, made, self.params["artifact_megabytes"])

    def _delete_artifact(self, artifact_uri: str) -> None:
        """Delete the artifact of a run if the server did not delete it, or if a doctor was killed."""
        place, _scheme, bucket = self.params["artifact_store"].partition("://")
        scheme, _colon, folder = artifact_uri.partition(":")
        if (place, scheme) != ("gs", "mlflow-artifacts"):
            return
        name, _slash, root = bucket.rstrip("/").partition("/")
        # Usually the server has deleted the artifact. A failed deletion is in the result of the check artifact.
        with suppress(Exception):
            self.cloud().delete_object(name, f"{root}/{folder.strip('/')}/{ARTIFACT}".lstrip("/"))

    def _on_vm(self) -> Iterator[CheckResult]:
        """Check the facts that were collected on the VM."""
        facts, disks = self.facts, self._limits("disk", "percent")
        yield from self._one("vm", lambda: vm.vm(self.cloud(), f"{self.name}-server", facts))
        yield from self._one("units", lambda: vm.units(facts))
        yield from self._one("disk", lambda: vm.disk(facts, *disks))
        yield from self._one("server", lambda: server.server(facts))
        version = str(self.mode["examined"].get("version") or "")
        yield from self._one("oauth2-proxy", lambda: sign_in.service(self.mode_facts, version))
        yield from self._one("provider", lambda: sign_in.provider(self.mode_facts))
        yield from self._one("schema", lambda: server.schema(facts))
        yield from self._one("encryption", lambda: server.encryption(facts))
        yield from self._one("signed-urls", lambda: server.signed_urls(facts))
        percent = self._limits("connections", "percent")
        yield from self._one("connections", lambda: database.connections(facts, *percent))
        yield from self._one("database-disk", lambda: database.database_disk(facts, self.database(), *disks))

    def _in_cloud(self) -> Iterator[CheckResult]:
        """Check the resources of the deployment through Google's APIs."""
        yield from self._one("database", lambda: database.database(self.database(), self.params["project"]))
        hours = self._limits("backup", "hours")
        yield from self._one("backups", lambda: database.backups(self.cloud(), self.database(), self.now, *hours))
        yield from self._one("temporary", lambda: database.temporary(self.cloud(), self.name, self.now))
        days = self.limits["secret_warn_days"]
        yield from self._one("secrets", lambda: secret_ages(self.cloud(), self.params["secrets"], self.now, days))
        plan = self.params["plan"]
        output = str(plan.get("stdout") or plan.get("stderr") or plan.get("msg") or "")
        yield from self._one("drift", lambda: drift(output, int(plan.get("rc", 1))))

    def _of_release(self) -> Iterator[CheckResult]:
        """Check the deployed release and its packages."""
        minimum = self.params["minimum_version"]
        yield from self._one("release", lambda: release(part(self.facts, "release")["version"], minimum))
        yield from self._one("advisories", self._advisories)

    def _advisories(self) -> CheckResult:
        try:
            packages = part(self.facts, "release")["packages"]
        except NotCheckedError as error:
            return warn("advisories", f"not checked: {error}", error.remedy)
        with new_session() as session:
            return advisories(session, self.params["advisories_url"], packages, self.params["advisories_accepted"])


def _kept(read: Callable[[], Any]) -> Any:
    """Return the result of a read, or its error."""
    try:
        return read()
    except Exception as error:
        return error
