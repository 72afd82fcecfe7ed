# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a cutover and their rollback.

The journal records each step before it starts. After a crash, recovery reads the journal and undoes every recorded
step. Each undo is idempotent. Recovery rolls back to the old slot until the new slot has passed its last check
(`committed`). From then on it completes the cutover.

Exception: the command `rollback` restores the databases of an earlier release. Recovery completes this cutover as soon
as the restore may have started.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ExitCode, FailedError
from ..system import PROGRAM, PYTHON, System
from .database import Database
from .journal import Entry, Journal
from .slots import NAMES, Slots, other
from .traffic import Traffic

Answer = TypeVar("Answer")


class Switch:
    """A cutover of the traffic from one slot to the other."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.slots = Slots(system)
        self.traffic = Traffic(system)
        self.journal = Journal(system)
        self.database = Database(system)

    # --- Called by mlflow-switch.service

    def run(self) -> None:
        """Recover an interrupted cutover, then perform the requested one."""
        if self.journal.entry():
            self.recover()
        request = self.journal.load("request")
        if request is None:
            return
        old = self.slots.active()
        if old is None:
            self._end(request, "no slot is active. Run systemctl start mlflow.service")
            return
        entry = Entry(**request, old=old, new=other(old), old_ran=self.slots.running(old))
        self.journal.drop("approval")
        self.journal.step(entry, "snapshot")
        self.journal.drop("request")
        try:
            self._forward(entry)
        except FailedError as error:
            self._fail(entry, str(error), error.code)

    def recover(self, *, succeeded: bool = False) -> None:
        """Complete an interrupted cutover or roll it back. `succeeded`: the last cutover was not interrupted."""
        entry = self.journal.entry()
        if entry:
            self.database.end_orphan()
            if entry.committed:
                self._finish(entry)
            else:
                self._fail(entry, "the cutover was interrupted", 1)
        # A request that arrives while the unit ends is not interrupted: `ask` starts the unit again for it.
        elif (request := self.journal.load("request")) and not succeeded:
            self._end(request, "the cutover was interrupted before it began")

    # --- Cutover

    def _forward(self, entry: Entry) -> None:
        new, options = entry.new, entry.options
        back_to = self.journal.load("previous") if entry.kind == "rollback" else None
        if entry.kind == "rollback":
            if back_to is None:
                raise FailedError("there is no release to roll back to", ExitCode.REFUSED)
            self.slots.want_release(back_to["release"])
        self.slots.stop(new)
        self.slots.take(new)
        if back_to:
            migration = bool(back_to["migrated"])
        else:
            self.journal.step(entry, "compare")
            migration = self._compare(entry)
        if migration:
            self._exchange_databases(entry, back_to)
        self.journal.step(entry, "start")
        self.slots.start(new)
        self.journal.step(entry, "check")
        self._ready(new, *(["--smoke"] if entry.kind != "reload" else ["--artifacts"]), timeout=60)
        # Remember the process until the end of the watch. After a crash during the drain, systemd has restarted the
        # server, and its state alone would look healthy.
        life = self.slots.life(new)
        if options.get("approval_timeout"):
            self._wait_for_go(entry, life)
        self.journal.step(entry, "move", moved=True)
        self._release_hold(entry, new)
        if not migration:
            self._drain(entry, "drain")
        if options.get("watch"):
            self._watch(entry, life)
        self.journal.step(entry, "finish", committed=True)
        self._finish(entry)

    def _compare(self, entry: Entry) -> bool:
        """Return whether the databases need a migration; refuse the migration during a reload."""
        release, settings = self._release(entry.new), self.slots.settings(entry.new)
        if release == self.slots.release(entry.old):
            return False
        migration = self._in_time(entry, lambda left: self.database.migration(release, settings, left=left))
        if migration and entry.kind == "reload":
            version = self.slots.version(release)
            raise FailedError(
                f"MLflow {version} needs another database schema. Run playbooks/upgrade.yml", ExitCode.REFUSED
            )
        return migration

    def _exchange_databases(self, entry: Entry, back_to: dict[str, Any] | None) -> None:
        """Start maintenance mode, stop the old server, then migrate copies or restore the kept databases."""
        settings = self.slots.settings(entry.new)
        self.journal.step(entry, "hold", migration=True, held_since=self._system.now())
        self.traffic.hold()
        self._drain(entry, "drain")
        self.journal.step(entry, "stop")
        self.slots.stop(entry.old)
        new = self._release(entry.new)
        if back_to:
            self.journal.step(entry, "restore", databases=True)
            done = self.database.ask(new, settings, "restore", "--keep-failed", "--id", back_to["id"])
            if not done["restored"]:
                self.journal.step(entry, "restore", databases=False)
                raise FailedError(
                    "the databases that the upgrade kept do not exist. Restore a backup", ExitCode.REFUSED
                )
        else:
            self.journal.step(entry, "copy", databases=True)
            self._in_time(entry, lambda left: self._copy(entry, settings, left))
            self.journal.step(entry, "migrate")
            self._in_time(entry, lambda left: self.database.ask(new, settings, "migrate", left=left))

    def _copy(self, entry: Entry, settings: dict[str, Any], left: float | None) -> dict[str, Any]:
        # `copy` drops the databases that an earlier migration kept, so its release is no longer available for rollback.
        if (self.journal.load("previous") or {}).get("migrated"):
            self.journal.drop("previous")
        return self.database.ask(self._release(entry.old), settings, "copy", "--id", entry.id, left=left)

    def _in_time(self, entry: Entry, deed: Callable[[float | None], Answer]) -> Answer:
        """Call `deed` with the remaining seconds of the cutover's time limit; fail when the limit is reached.

        Clients get no answers during copy and migration, so this time is limited here: the control node may be gone.
        The time of a rollback is not limited.
        """
        limit = entry.options.get("timeout")
        if not limit:
            return deed(None)
        deadline = entry.started + limit
        left = deadline - self._system.now()
        try:
            if left > 0:
                return deed(left)
        except FailedError:
            if self._system.now() < deadline:
                raise
        raise FailedError(
            f"{entry.step} did not end within the {limit:.0f} s that an upgrade may take (upgrade_timeout_seconds)"
        )

    def _release(self, slot: str) -> str:
        release = self.slots.release(slot)
        if release is None:
            raise FailedError(f"the slot {slot} has no release")
        return release

    def _drain(self, entry: Entry, step: str) -> None:
        self.journal.step(entry, step)
        timeout = entry.options.get("drain")
        if timeout is None:
            timeout = self.slots.settings(entry.old)["drain_timeout"]
        left = self.traffic.drain(entry.old, timeout)
        if left:
            print(f"{left} requests are still in flight after {timeout:.0f} s", flush=True)

    def _ready(self, slot: str, *arguments: str, timeout: float) -> None:
        command = [PYTHON, "-I", str(PROGRAM), "ready", "--slot", slot, "--timeout", f"{timeout:.0f}"]
        self._system.run(*command, *arguments)

    def _wait_for_go(self, entry: Entry, life: str | None) -> None:
        timeout = float(entry.options["approval_timeout"])
        self.journal.step(entry, "ready")
        deadline = self._system.now() + timeout
        while (self.journal.load("approval") or {}).get("id") != entry.id:
            if self._system.now() > deadline:
                raise FailedError(f"no approval from the control node within {timeout:.0f} s")
            self._check_life(entry, life)
            self._system.sleep(0.2)

    def _check_life(self, entry: Entry, life: str | None) -> None:
        if life is None or self.slots.life(entry.new) != life:
            raise FailedError(f"the new server crashed: {self.slots.last_log_lines(entry.new)}")

    def _watch(self, entry: Entry, life: str | None) -> None:
        self.journal.step(entry, "watch")
        start = self._system.now()
        rounds = 0
        while self._system.now() < start + float(entry.options["watch"]):
            self._check_life(entry, life)
            if rounds % 5 == 0:
                try:
                    self._ready(entry.new, "--artifacts", timeout=10)
                except FailedError as error:
                    # If the server has crashed, report the crash: it is the cause.
                    self._check_life(entry, life)
                    raise FailedError(f"the new server is no longer ready: {error}") from None
            rounds += 1
            self._system.sleep(1)
        self._check_life(entry, life)

    def _release_hold(self, entry: Entry, slot: str) -> None:
        """Send the traffic to a slot and end maintenance mode."""
        self.slots.activate(slot)
        self.traffic.move(slot)
        if entry.held_since is not None:
            entry.held_seconds = round(entry.held_seconds + self._system.now() - entry.held_since, 3)
            self.journal.step(entry, entry.step, held_since=None)

    def _finish(self, entry: Entry) -> None:
        """Complete the cutover: record the release for a rollback and stop the old slot."""
        self._release_hold(entry, entry.new)
        # The slot does not run after a power cut.
        if not self.slots.running(entry.new):
            self.slots.start_later(entry.new)
        old = self.slots.release(entry.old)
        if entry.kind == "upgrade" and old != self.slots.release(entry.new):
            document = {"id": entry.id, "release": old, "version": self.slots.version(old), "migrated": entry.migration}
            self.journal.save("previous", document)
            self.journal.drop("rolled_back")
        elif entry.kind == "rollback":
            self._remember_way_back(old)
            self.journal.drop("previous")
        self.slots.stop(entry.old)
        self._result(entry)

    def _remember_way_back(self, release: str | None) -> None:
        """Record a rolled-back release. The role upgrade reads `status` and does not select it again automatically."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._system.now()))
        self.journal.save("rolled_back", {"version": self.slots.version(release), "since": since})

    # --- Rollback

    def _fail(self, entry: Entry, cause: str, code: int) -> None:
        """Roll back to the old slot: databases, configuration, traffic."""
        # Keep the first cause if the rollback is interrupted.
        failure = entry.failure or {"step": entry.step, "cause": cause, "code": code}
        if entry.failure is None:
            self.journal.step(entry, "back", failure=failure)
            print(f"{entry.kind} {entry.id}: {failure['step']}: {cause}. Rolling back", flush=True)
        if entry.databases and entry.kind == "rollback":
            if self._lead_on(entry):
                return
            # The cutover was killed before the databases were exchanged, and the kept databases do not exist.
            self.journal.step(entry, "back", databases=False)
        old, new = entry.old, entry.new
        if entry.databases:
            if entry.held_since is None:
                self.journal.step(entry, "back", held_since=self._system.now())
            self.traffic.hold()
            self.slots.stop(new)
            keep = ["--keep-failed"] if entry.moved else []
            settings = self.slots.settings(old)
            self.database.ask(self._release(old), settings, "restore", "--id", entry.id, *keep)
            self.journal.step(entry, "back", databases=False, kept_failed=entry.moved)
        self.slots.activate(old)
        if self.slots.running(old):
            self._release_hold(entry, old)
        self.slots.give_back(old)
        if not self.slots.running(old):
            if entry.old_ran:
                self.slots.start(old)
            else:
                # The old server did not run before the cutover either, so do not wait for it.
                self.slots.start_later(old)
        self._release_hold(entry, old)
        self.slots.stop(new)
        # Only if clients have used the release: an earlier failure had no effect on them, and a retry may succeed.
        if entry.kind == "upgrade" and entry.moved and self.slots.release(new) != self.slots.release(old):
            self._remember_way_back(self.slots.release(new))
        self._result(entry)

    def _lead_on(self, entry: Entry) -> bool:
        """Complete a rollback whose databases may be restored already; return whether they are."""
        back_to = self.journal.load("previous")
        self.traffic.hold()
        self.slots.stop(entry.old)
        self.slots.stop(entry.new)
        release, settings = self._release(entry.new), self.slots.settings(entry.new)
        if back_to:
            self.database.ask(release, settings, "restore", "--keep-failed", "--id", back_to["id"])
        heads = self.database.ask(release, settings, "heads")
        if any(each["database"] != each["code"] for each in heads.values()):
            return False
        self.slots.activate(entry.new)
        failure = None
        try:
            self.slots.start(entry.new)
        except FailedError as error:
            # systemd continues to restart the server.
            failure = {"step": "start", "cause": f"the databases are restored, but {error}", "code": 1}
        self.journal.step(entry, "finish", committed=True, moved=True, failure=failure)
        self._finish(entry)
        return True

    # --- Result

    def describe(self, slot: str) -> dict[str, Any]:
        """Return the release of a slot."""
        release = self.slots.release(slot)
        return {"slot": slot, "release": release, "version": self.slots.version(release)}

    def _result(self, entry: Entry) -> None:
        failure = entry.failure or {"step": None, "cause": None, "code": 0}
        # Records the time of the last step.
        self.journal.step(entry, "end")
        result = {
            "id": entry.id,
            "kind": entry.kind,
            "ok": not entry.failure,
            **failure,
            "from": self.describe(entry.old),
            "to": self.describe(entry.new),
            "migrated": entry.migration and not entry.failure,
            "moved": entry.moved,
            "kept_failed": entry.kept_failed,
            "held_seconds": entry.held_seconds,
            "timings": entry.timings,
            "started": entry.started,
            "finished": self._system.now(),
        }
        self.journal.save("result", result)
        self.journal.drop("approval")
        if (self.journal.load("request") or {}).get("id") == entry.id:
            self.journal.drop("request")
        self.journal.drop("journal")
        if failure["cause"]:
            print(f"{entry.kind} {entry.id} failed in step {failure['step']}: {failure['cause']}", flush=True)

    def _end(self, request: dict[str, Any], cause: str) -> None:
        """Record the failure of a cutover that has not started."""
        if active := self.slots.active():
            self.slots.give_back(active)
        keys = {"id": request["id"], "kind": request["kind"], "started": request["started"]}
        nothing = {"migrated": False, "moved": False, "kept_failed": False, "held_seconds": 0.0, "timings": {}}
        ends = {"from": None, "to": None, "finished": self._system.now()}
        failure = {"ok": False, "step": "begin", "cause": cause, "code": 1}
        self.journal.save("result", {**keys, **nothing, **ends, **failure})
        self.journal.drop("request")

    # --- Called by the units of MLflow

    def start(self) -> None:
        """Start the active slot; on a new VM, create the first one from the desired state."""
        if self.journal.entry() or self.journal.load("request"):
            # A power cut interrupted a cutover. Its recovery starts the right slot.
            self._system.run("systemctl", "start", "--no-block", "mlflow-switch.service")
            return
        slot = self.slots.active()
        if slot is None:
            slot = NAMES[0]
            self.slots.take(slot)
            self.slots.activate(slot)
        self.slots.start_later(slot)

    def started(self, slot: str) -> None:
        """Send the traffic to a slot that has become ready, if it is the active one and not in maintenance mode."""
        entry = self.journal.entry()
        if slot == self.slots.active() and not (entry and entry.held_since is not None):
            self.traffic.move(slot)
