# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Requests for cutovers: ask for one, wait for it, approve it. The unit mlflow-switch.service performs the cutover."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import build
from ..errors import ExitCode, FailedError
from ..system import System
from .switching import Switch

UNIT = "mlflow-switch.service"


@contextmanager
def lock(system: System, name: str, *, wait: bool) -> Iterator[bool]:
    """Hold a lock; yield whether this process got it."""
    system.paths.state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(system.paths.state / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def under_way(switch: Switch) -> str | None:
    """Return the ID of the requested or running cutover."""
    entry, request = switch.journal.entry(), switch.journal.load("request")
    return entry.id if entry else request["id"] if request else None


def ask(switch: Switch, system: System, kind: str, options: dict[str, Any]) -> str:
    """Request a cutover from its unit, which outlives this program; return the ID of the cutover."""
    with lock(system, "ask", wait=True):
        if busy := under_way(switch):
            # The unit may have failed.
            system.run("systemctl", "start", "--no-block", UNIT)
            raise FailedError(f"another cutover is in progress: {busy}. Run mlflowctl status", ExitCode.BUSY)
        now = system.now()
        name = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(now)) + secrets.token_hex(2)
        switch.journal.save("request", {"id": name, "kind": kind, "options": options, "started": now})
        # Repeat the start until the unit has read the request: systemd ignores a start of a unit that is just ending.
        while system.now() < now + 30 and (switch.journal.load("request") or {}).get("id") == name:
            system.run("systemctl", "start", "--no-block", UNIT)
            system.sleep(0.2)
    return name


def upgrade(switch: Switch, system: System, release: str, options: dict[str, Any]) -> str:
    """Select a release and request the upgrade to it; return the ID of the cutover. Empty: the desired release."""
    before = switch.slots.wanted_release()
    if release:
        switch.slots.want_release(release)
    try:
        return ask(switch, system, "upgrade", options)
    except FailedError:
        switch.slots.want_release(before)
        raise


def wait(switch: Switch, system: System, name: str | None, until: str, timeout: float) -> tuple[int, dict[str, Any]]:
    """Wait for a cutover, by default the current or the last; return the exit code and a document for the user."""
    name = name or under_way(switch)
    deadline = system.now() + timeout
    while True:
        result, entry = switch.journal.load("result"), switch.journal.entry()
        if result and not (entry and entry.id == result["id"]) and (name is None or result["id"] == name):
            return int(result["code"]), result
        if entry and until == "ready" and entry.step == "ready" and name == entry.id:
            return 0, {"id": name, "step": "ready", "migration": entry.migration, "timings": entry.timings}
        if name is None:
            return 1, {"id": None, "cause": "no cutover was ever requested"}
        if system.now() > deadline:
            step = entry.step if entry else None
            return ExitCode.TIMEOUT, {"id": name, "step": step, "cause": f"not {until} after {timeout:.0f} s"}
        system.sleep(0.2)


def reload(switch: Switch, system: System, *, needed: bool) -> tuple[int, dict[str, Any]]:
    """Cut over to the desired state; return the exit code and the result. `needed`: only if a change is pending."""
    active = switch.slots.active()
    if needed and active and switch.slots.running(active) and not switch.slots.unseen(active):
        return 0, {"changed": False}
    settings = switch.slots.settings(active) if active else {}
    # Start of both slots, check of the new one, drain of the old one.
    patience = 2 * settings.get("start_timeout", 300) + settings.get("drain_timeout", 300) + 120
    if under_way(switch):
        wait(switch, system, None, "done", patience)
    code, result = wait(switch, system, ask(switch, system, "reload", {}), "done", patience)
    return code, {**result, "changed": True}


def explain(code: int, result: dict[str, Any]) -> str:
    """Return the cause of a failed cutover."""
    place = f" in step {result['step']}" if result.get("step") else ""
    active = "" if code == ExitCode.TIMEOUT else ". The previous server stays active"
    return f"the cutover failed{place}: {result['cause']}{active}"


def approve(switch: Switch) -> None:
    """Approve the move of the traffic."""
    entry = switch.journal.entry()
    if entry is None or entry.step != "ready":
        step = entry.step if entry else "idle"
        raise FailedError(
            f"no cutover waits for an approval; the step is {step}. Run mlflowctl status", ExitCode.REFUSED
        )
    switch.journal.save("approval", {"id": entry.id})


def perform(switch: Switch, system: System, *, recover: bool) -> None:
    """Perform the requested cutover, or complete or undo an interrupted one. Called by the unit."""
    with lock(system, "run", wait=False) as mine:
        if not mine:
            raise FailedError("another cutover is in progress. Run mlflowctl status", ExitCode.BUSY)
        if recover:
            # systemd passes the result of ExecStart= to ExecStopPost=.
            switch.recover(succeeded=os.environ.get("SERVICE_RESULT") == "success")
        else:
            switch.run()


def prune(switch: Switch, system: System, keep: int, *, interrupted: bool) -> list[str]:
    """Remove unused releases and versions of the program; return the names of the removed releases."""
    previous = switch.journal.load("previous") or {}
    # The build of an interrupted run may still be running.
    interrupted = interrupted and not build.running(system)
    removed = switch.slots.prune(keep, {previous.get("release", "")}, interrupted=interrupted)
    # A cutover may have begun with a version that is not used any more.
    if not under_way(switch):
        switch.slots.prune_programs()
    return removed
