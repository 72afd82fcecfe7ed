# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that run as root or in the unit of a slot. Each returns its document and exit code."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import build as builder
from . import examine as examination
from . import launch as launcher
from . import ready as readiness
from .cutover import requests
from .cutover import status as cutover_status
from .cutover.switching import Switch
from .errors import ExitCode
from .system import System

Answer = tuple[Any, int]
SERVER = "mlflow.service"
# Units during which no purge may run: a cutover, and a backup that counts rows.
PURGE_BLOCK = "mlflow-backup.service"
EXCLUSIVE = ("mlflow-switch.service", PURGE_BLOCK)
MIB = 1024 * 1024


def _switch() -> tuple[Switch, System]:
    system = System()
    return Switch(system), system


def status(options: argparse.Namespace) -> Answer:
    """Return the status of the deployment."""
    return cutover_status.status(_switch()[0]), ExitCode.DONE


def ready(options: argparse.Namespace) -> Answer:
    """Wait until the server is ready."""
    chosen = {"artifacts": options.artifacts, "with_smoke": options.smoke}
    return readiness.ready(options.slot, options.timeout, **chosen), ExitCode.DONE


def examine(options: argparse.Namespace) -> Answer:
    """Return the state of the VM."""
    return examination.examine(System(), options.paths), ExitCode.DONE


def build(options: argparse.Namespace) -> Answer:
    """Build a release from the locked requirements in the standard input."""
    release = builder.Release(options.name, options.version, options.python, options.pip_argument)
    run = builder.here if options.here else builder.in_unit
    return run(System(), release, builder.Locks.parse(sys.stdin.read())), ExitCode.DONE


def prune(options: argparse.Namespace) -> Answer:
    """Remove old releases."""
    removed = requests.prune(*_switch(), options.keep, interrupted=options.interrupted)
    return {"removed": removed, "changed": bool(removed)}, ExitCode.DONE


def idle(options: argparse.Namespace) -> Answer:
    """Return whether the server runs and no exclusive operation is in progress. systemd reads the exit code."""
    names = (SERVER, *EXCLUSIVE)
    show = ["systemctl", "show", "--property=ActiveState", "--value", *names]
    states = subprocess.run(show, capture_output=True, text=True, check=True).stdout.split()
    units = dict(zip(names, states, strict=True))
    found = units[SERVER] == "active" and all(units[name] in ("inactive", "failed") for name in EXCLUSIVE)
    document = None if options.quiet else {"idle": found, "units": units}
    return document, ExitCode.DONE if found else ExitCode.FAILED


def block_purge(options: argparse.Namespace) -> Answer:
    """Stop a running purge and allow no other one. The block is a unit, so it ends even if its owner is gone."""
    subprocess.run(["systemctl", "stop", PURGE_BLOCK], check=False, capture_output=True)
    block = ["systemd-run", f"--unit={PURGE_BLOCK}", "--collect", "--quiet"]
    subprocess.run([*block, f"--property=RuntimeMaxSec={options.seconds}", "/usr/bin/sleep", "infinity"], check=True)
    subprocess.run(["systemctl", "stop", "mlflow-gc*.service"], check=True)
    return {"blocked": True}, ExitCode.DONE


def allow_purge(options: argparse.Namespace) -> Answer:
    """Remove the block. It may have ended at its time limit."""
    subprocess.run(["systemctl", "stop", PURGE_BLOCK], check=False, capture_output=True)
    return {"blocked": False}, ExitCode.DONE


def disk(options: argparse.Namespace) -> Answer:
    """Return the size of the active release and the free space for another one, in MiB."""
    switch, system = _switch()
    active = switch.slots.active()
    used = examination.size(Path(switch.slots.release(active) or "")) if active else 0
    free = shutil.disk_usage(system.paths.releases).free
    return {"release_mib": used // MIB, "free_mib": free // MIB}, ExitCode.DONE


def launch(options: argparse.Namespace) -> Answer:
    """Become the server of a slot. Returns only when the server has ended."""
    launcher.launch(options.slot)
    return None, ExitCode.DONE


def start_slot(options: argparse.Namespace) -> Answer:
    """Start the active slot."""
    _switch()[0].start()
    return None, ExitCode.DONE


def slot_started(options: argparse.Namespace) -> Answer:
    """Send the traffic to a slot that has become ready."""
    _switch()[0].started(options.slot)
    return None, ExitCode.DONE


def reload(options: argparse.Namespace) -> Answer:
    """Cut over to the desired state."""
    code, result = requests.reload(*_switch(), needed=options.needed)
    if code:
        print(requests.explain(code, result), file=sys.stderr)
    return result, code


def upgrade(options: argparse.Namespace) -> Answer:
    """Request an upgrade."""
    chosen = {"approval_timeout": options.approval_timeout}
    chosen |= {name: getattr(options, name) for name in ("watch", "timeout", "drain")}
    return {"id": requests.upgrade(*_switch(), options.release, chosen), "changed": True}, ExitCode.DONE


def _waited(code: int, document: dict[str, Any]) -> Answer:
    if code:
        print(document["cause"], file=sys.stderr)
    return document, code


def wait(options: argparse.Namespace) -> Answer:
    """Wait for a cutover."""
    code, document = requests.wait(*_switch(), options.id, options.until, options.timeout)
    return _waited(code, document)


def approve(options: argparse.Namespace) -> Answer:
    """Approve the move of the traffic."""
    requests.approve(_switch()[0])
    return {"changed": True}, ExitCode.DONE


def rollback(options: argparse.Namespace) -> Answer:
    """Roll back to the release before the last upgrade."""
    switch, system = _switch()
    name = requests.ask(switch, system, "rollback", {"drain": options.drain})
    code, document = requests.wait(switch, system, name, "done", options.timeout)
    return _waited(code, {**document, "changed": True})


def run_cutover(options: argparse.Namespace) -> Answer:
    """Perform the requested cutover."""
    requests.perform(*_switch(), recover=False)
    return None, ExitCode.DONE


def recover(options: argparse.Namespace) -> Answer:
    """Complete or undo an interrupted cutover."""
    requests.perform(*_switch(), recover=True)
    return None, ExitCode.DONE
