# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Move the traffic between the two slots of the MLflow server, without losing a request.

    status      what serves, what is wanted, what is under way, how the last switch ended (JSON)
    reload      serve what is wanted: start it in the idle slot, move the traffic, stop the old one
    upgrade     the same with migration, smoke test, `go` and a time of watching; returns at once
    wait        until the switch is ready for `go`, or done (JSON)
    go          the traffic may move
    rollback    back to the release before the last upgrade, and to its databases where that migrated them
    prune       remove old releases that nothing can go back to
    schema      ask schema.py in a release's Python: heads, size, counts (JSON)

For units: start, started, run, recover.

Exit codes: 0 done; 1 failed, everything is as before; 2 timeout, still under way; 3 refused; 4 another is under way.
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
    """Hold one of our locks; tell whether that succeeded."""
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
    """Return the ID of the switch under way."""
    entry, request = switch.journal.entry(), switch.journal.load("request")
    return entry.id if entry else request["id"] if request else None


def ask(switch: Switch, machine: Machine, kind: str, options: dict[str, Any]) -> str:
    """Have a switch performed by its unit, which outlives this program; return its ID."""
    with lock(machine, "ask", wait=True):
        if busy := under_way(switch):
            # Should its unit have given up.
            machine.run("systemctl", "start", "--no-block", UNIT)
            raise FailedError(f"another switch is under way: {busy}. Look at switch.py status", BUSY)
        now = machine.now()
        name = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(now)) + secrets.token_hex(2)
        switch.journal.save("request", {"id": name, "kind": kind, "options": options, "started": now})
        # Until it is taken: a unit that is just ending takes the start for the one that it is done with.
        while machine.now() < now + 30 and (switch.journal.load("request") or {}).get("id") == name:
            machine.run("systemctl", "start", "--no-block", UNIT)
            machine.sleep(0.2)
    return name


def wait(switch: Switch, machine: Machine, name: str | None, until: str, timeout: float) -> tuple[int, dict[str, Any]]:
    """Wait for a switch, by default the one under way or the last; return the exit code and what there is to tell."""
    name = name or under_way(switch)
    deadline = machine.now() + timeout
    while True:
        result, entry = switch.journal.load("result"), switch.journal.entry()
        if result and not (entry and entry.id == result["id"]) and (name is None or result["id"] == name):
            return int(result["code"]), result
        if entry and until == "ready" and entry.step == "ready" and name == entry.id:
            return 0, {"id": name, "step": "ready", "migration": entry.migration, "timings": entry.timings}
        if name is None:
            return 1, {"id": None, "cause": "no switch was ever asked for"}
        if machine.now() > deadline:
            step = entry.step if entry else None
            return TIMEOUT, {"id": name, "step": step, "cause": f"not {until} after {timeout:.0f} s"}
        machine.sleep(0.2)


def status(switch: Switch) -> dict[str, Any]:
    """Return all there is to know."""
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
        # The release that was gone back from since the last upgrade.
        "rolled_back": journal.load("rolled_back"),
        "phase": entry.step if entry else "asked" if request else "idle",
        "id": entry.id if entry else request["id"] if request else None,
        "result": journal.load("result"),
    }


def reload(switch: Switch, machine: Machine, *, needed: bool) -> int:
    """Switch to what is wanted and tell how that ended."""
    active = switch.slots.active()
    if needed and active and switch.slots.running(active) and not switch.slots.unseen(active):
        print("Nothing to do: what is wanted serves")
        return 0
    settings = switch.slots.settings(active) if active else {}
    # Of each slot its start, the new one's check, the drain of the old one.
    patience = 2 * settings.get("start_timeout", 300) + settings.get("drain_timeout", 300) + 120
    if under_way(switch):
        wait(switch, machine, None, "done", patience)
    code, result = wait(switch, machine, ask(switch, machine, "reload", {}), "done", patience)
    return tell(code, result)


def tell(code: int, result: dict[str, Any]) -> int:
    """Print how a switch ended, for people."""
    if code == 0:
        print(f"MLflow {result['to']['version']} serves from the slot {result['to']['slot']}")
    else:
        place = f" in step {result['step']}" if result.get("step") else ""
        print(f"The switch failed{place}: {result['cause']}", file=sys.stderr)
        if code != TIMEOUT:
            print("What served before serves as before.", file=sys.stderr)
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Move the traffic between the two slots of the MLflow server")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("status", "go", "start", "run", "recover"):
        commands.add_parser(name)
    commands.add_parser("started").add_argument("slot", choices=NAMES)
    commands.add_parser("reload").add_argument("--needed", action="store_true", help="only if something is unseen")
    upgrade = commands.add_parser("upgrade")
    upgrade.add_argument("--go-timeout", type=float, default=60.0, help="seconds to wait for `go`; 0: do not wait")
    upgrade.add_argument("--watch", type=float, default=60.0, help="seconds in which a crash leads back")
    upgrade.add_argument("--timeout", type=float, help="seconds until the databases are migrated; default: no limit")
    upgrade.add_argument("--drain", type=float, help="seconds for requests under way; default: mlflow_drain_timeout")
    waiting = commands.add_parser("wait")
    waiting.add_argument("--for", dest="until", choices=["ready", "done"], default="done")
    waiting.add_argument("--id", help="default: the switch under way, or the last one")
    waiting.add_argument("--timeout", type=float, default=600.0)
    rollback = commands.add_parser("rollback")
    rollback.add_argument("--drain", type=float, help="seconds for requests under way; default: mlflow_drain_timeout")
    rollback.add_argument("--timeout", type=float, default=1200.0)
    prune = commands.add_parser("prune")
    prune.add_argument("--keep", type=int, required=True)
    prune.add_argument("--interrupted", action="store_true", help="also releases that were never completed")
    schema = commands.add_parser("schema")
    schema.add_argument("question", choices=READING)
    schema.add_argument("--release", help="directory of a release; default: the one that is wanted")
    return parser.parse_args(arguments)


def perform(options: argparse.Namespace, machine: Machine) -> int:
    """Do what the command line says; return the exit code."""
    switch, command = Switch(machine), options.command
    if command in ("run", "recover"):
        with lock(machine, "run", wait=False) as mine:
            if not mine:
                raise FailedError("a switch is being performed right now", BUSY)
            # systemd tells ExecStopPost= how ExecStart= ended.
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
            raise FailedError(f"no switch waits for it; the step is {entry.step if entry else 'idle'}", 3)
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
