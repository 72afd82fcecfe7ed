# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Blue/green cutover between the two slots of the MLflow server, without losing a request.

    status      active slot, desired state, cutover in progress, result of the last cutover (JSON)
    reload      start the desired state in the idle slot, move the traffic, stop the old slot
    upgrade     the same with migration, smoke test, approval (`go`) and watch time; returns at once
    wait        wait until the cutover is ready for approval, or done (JSON)
    go          approve the move of the traffic
    rollback    roll back to the release before the last upgrade; restore its databases if the upgrade migrated them
    prune       remove old releases that are not needed for a rollback
    schema      run schema.py in the Python of a release: heads, size, counts (JSON)

The systemd units call start, started, run and recover.

Exit codes: 0 done; 1 failed and rolled back; 2 timeout, in progress; 3 refused; 4 another cutover is in progress.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bluegreen.database import READING
from bluegreen.machine import FailedError, Machine
from bluegreen.slots import NAMES
from bluegreen.switching import Switch

TIMEOUT, BUSY = 2, 4
UNIT = "mlflow-switch.service"


@contextmanager
def lock(machine: Machine, name: str, *, wait: bool) -> Iterator[bool]:
    """Hold a lock; yield whether this process got it."""
    machine.paths.state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(machine.paths.state / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
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


def ask(switch: Switch, machine: Machine, kind: str, options: dict[str, Any]) -> str:
    """Request a cutover from its unit, which outlives this program; return the ID of the cutover."""
    with lock(machine, "ask", wait=True):
        if busy := under_way(switch):
            # The unit may have failed.
            machine.run("systemctl", "start", "--no-block", UNIT)
            raise FailedError(f"another cutover is in progress: {busy}. Run switch.py status", BUSY)
        now = machine.now()
        name = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(now)) + secrets.token_hex(2)
        switch.journal.save("request", {"id": name, "kind": kind, "options": options, "started": now})
        # Repeat the start until the unit has read the request: systemd ignores a start of a unit that is just ending.
        while machine.now() < now + 30 and (switch.journal.load("request") or {}).get("id") == name:
            machine.run("systemctl", "start", "--no-block", UNIT)
            machine.sleep(0.2)
    return name


def wait(switch: Switch, machine: Machine, name: str | None, until: str, timeout: float) -> tuple[int, dict[str, Any]]:
    """Wait for a cutover, by default the current or the last; return the exit code and a document for the user."""
    name = name or under_way(switch)
    deadline = machine.now() + timeout
    while True:
        result, entry = switch.journal.load("result"), switch.journal.entry()
        if result and not (entry and entry.id == result["id"]) and (name is None or result["id"] == name):
            return int(result["code"]), result
        if entry and until == "ready" and entry.step == "ready" and name == entry.id:
            return 0, {"id": name, "step": "ready", "migration": entry.migration, "timings": entry.timings}
        if name is None:
            return 1, {"id": None, "cause": "no cutover was ever requested"}
        if machine.now() > deadline:
            step = entry.step if entry else None
            return TIMEOUT, {"id": name, "step": step, "cause": f"not {until} after {timeout:.0f} s"}
        machine.sleep(0.2)


def status(switch: Switch) -> dict[str, Any]:
    """Return the document of `status`."""
    slots, journal, active = switch.slots, switch.journal, switch.slots.active()
    entry, request = journal.entry(), journal.load("request")
    try:
        wanted, unseen = slots.wanted_release(), slots.unseen(active) if active else []
    except FailedError:
        wanted, unseen = None, []
    return {
        "active": active,
        "slots": {name: {**switch.describe(name), "running": slots.running(name)} for name in NAMES},
        "traffic": switch.traffic.target(),
        "held": bool(entry and entry.held_since is not None),
        "wanted": {"release": wanted, "version": slots.version(wanted), "unseen": unseen},
        "previous": journal.load("previous"),
        # The release that was rolled back since the last upgrade.
        "rolled_back": journal.load("rolled_back"),
        "phase": entry.step if entry else "asked" if request else "idle",
        "id": entry.id if entry else request["id"] if request else None,
        "result": journal.load("result"),
    }


def reload(switch: Switch, machine: Machine, *, needed: bool) -> int:
    """Cut over to the desired state and print the result."""
    active = switch.slots.active()
    if needed and active and switch.slots.running(active) and not switch.slots.unseen(active):
        print("Nothing to do: the active slot runs the desired state")
        return 0
    settings = switch.slots.settings(active) if active else {}
    # Start of both slots, check of the new one, drain of the old one.
    patience = 2 * settings.get("start_timeout", 300) + settings.get("drain_timeout", 300) + 120
    if under_way(switch):
        wait(switch, machine, None, "done", patience)
    code, result = wait(switch, machine, ask(switch, machine, "reload", {}), "done", patience)
    return tell(code, result)


def tell(code: int, result: dict[str, Any]) -> int:
    """Print the result of a cutover as text."""
    if code == 0:
        print(f"MLflow {result['to']['version']} is active in the slot {result['to']['slot']}")
    else:
        place = f" in step {result['step']}" if result.get("step") else ""
        print(f"The cutover failed{place}: {result['cause']}", file=sys.stderr)
        if code != TIMEOUT:
            print("The previous server stays active.", file=sys.stderr)
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Blue/green cutover between the two slots of the MLflow server")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("status", "go", "start", "run", "recover"):
        commands.add_parser(name)
    commands.add_parser("started").add_argument("slot", choices=NAMES)
    commands.add_parser("reload").add_argument("--needed", action="store_true", help="only if a change is pending")
    upgrade = commands.add_parser("upgrade")
    upgrade.add_argument("--go-timeout", type=float, default=60.0, help="seconds to wait for `go`; 0: do not wait")
    upgrade.add_argument("--watch", type=float, default=60.0, help="roll back after a crash within these seconds")
    upgrade.add_argument("--timeout", type=float, help="seconds until the databases are migrated; default: no limit")
    upgrade.add_argument("--drain", type=float, help="seconds for in-flight requests; default: mlflow_drain_timeout")
    waiting = commands.add_parser("wait")
    waiting.add_argument("--for", dest="until", choices=["ready", "done"], default="done")
    waiting.add_argument("--id", help="default: the current or the last cutover")
    waiting.add_argument("--timeout", type=float, default=600.0)
    rollback = commands.add_parser("rollback")
    rollback.add_argument("--drain", type=float, help="seconds for in-flight requests; default: mlflow_drain_timeout")
    rollback.add_argument("--timeout", type=float, default=1200.0)
    prune = commands.add_parser("prune")
    prune.add_argument("--keep", type=int, required=True)
    prune.add_argument("--interrupted", action="store_true", help="also incomplete releases")
    schema = commands.add_parser("schema")
    schema.add_argument("question", choices=READING)
    schema.add_argument("--release", help="directory of a release; default: the desired release")
    return parser.parse_args(arguments)


def perform(options: argparse.Namespace, machine: Machine) -> int:
    """Run the command; return the exit code."""
    switch, command = Switch(machine), options.command
    if command in ("run", "recover"):
        with lock(machine, "run", wait=False) as mine:
            if not mine:
                raise FailedError("another cutover is in progress. Run switch.py status", BUSY)
            # systemd passes the result of ExecStart= to ExecStopPost=.
            well = os.environ.get("SERVICE_RESULT") == "success"
            switch.run() if command == "run" else switch.recover(ended_well=well)
    elif command == "start":
        switch.start()
    elif command == "started":
        switch.started(options.slot)
    elif command == "status":
        print(json.dumps(status(switch), indent=1))
    elif command == "reload":
        return reload(switch, machine, needed=options.needed)
    elif command == "upgrade":
        chosen = {name: getattr(options, name) for name in ("go_timeout", "watch", "timeout", "drain")}
        print(json.dumps({"id": ask(switch, machine, "upgrade", chosen)}))
    elif command == "wait":
        code, document = wait(switch, machine, options.id, options.until, options.timeout)
        print(json.dumps(document, indent=1))
        return code
    elif command == "go":
        entry = switch.journal.entry()
        if entry is None or entry.step != "ready":
            step = entry.step if entry else "idle"
            raise FailedError(f"no cutover waits for an approval; the step is {step}. Run switch.py status", 3)
        switch.journal.save("go", {"id": entry.id})
    elif command == "rollback":
        name = ask(switch, machine, "rollback", {"drain": options.drain})
        code, document = wait(switch, machine, name, "done", options.timeout)
        print(json.dumps(document, indent=1))
        return code
    elif command == "prune":
        previous = switch.journal.load("previous") or {}
        protected = {previous.get("release", "")}
        print(json.dumps({"removed": switch.slots.prune(options.keep, protected, interrupted=options.interrupted)}))
    elif command == "schema":
        active = switch.slots.active()
        settings = switch.slots.settings(active) if active else {}
        release = options.release or switch.slots.wanted_release()
        print(json.dumps(switch.database.ask(release, settings.get("auth_database", "mlflow_auth"), options.question)))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    try:
        return perform(parse(arguments), Machine())
    except FailedError as error:
        print(f"switch.py: {error}", file=sys.stderr)
        return int(error.code)


if __name__ == "__main__":
    sys.exit(main())
