# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the VM: its state, its systemd units and its disks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._client import Json
from .cloud import Cloud
from .facts import part
from .remedies import CONFIGURE, SITE
from .results import CheckResult, fail, graded, ok, one_line, warn

GIGABYTE = 1_000_000_000
# Failed units with one of these words in their name affect users of MLflow.
OURS = ("mlflow", "nginx")
# Failures of these units do not affect users.
BACKGROUND = ("mlflow-acme.service", "mlflow-gc.service")


def vm(cloud: Cloud, name: str, facts: Json) -> CheckResult:
    """Check that the VM runs and accepts SSH connections."""
    status = str(cloud.instance(name).get("status"))
    if status != "RUNNING":
        verb = "resume" if status == "SUSPENDED" else "start"
        command = f"gcloud compute instances {verb} {name} --zone={cloud.zone} --project={cloud.project}"
        return fail("vm", f"{name} is {status}", f"{command}, or {SITE}")
    if "error" in facts:
        return fail(
            "vm",
            f"{name} is RUNNING, but its facts cannot be read over SSH: {one_line(facts['error'], 200)}",
            "run the doctor from an address in infrastructure_ssh_source_ranges, with the state directory of this"
            f" deployment. To read the host keys again: {CONFIGURE}",
        )
    return ok("vm", f"{name} is RUNNING and accepts SSH connections")


def units(facts: Mapping[str, Any]) -> CheckResult:
    """Check for failed units, and that the required units are active."""
    found = part(facts, "units")
    failed, idle = list(found["failed"]), [name for name, state in found["needed"].items() if state != "active"]
    if not failed and not idle:
        return ok("units", f"no failed unit; {', '.join(sorted(found['needed']))} active")
    value = ", ".join(
        [f"{name} failed" for name in failed]
        + [f"{name} is {found['needed'][name]}" for name in idle if name not in failed]
    )
    first = (failed + idle)[0]
    remedy = f"on the VM: journalctl -u {first} -n 50; then systemctl restart {first}"
    serious = bool(idle) or any(word in name for name in failed if name not in BACKGROUND for word in OURS)
    return fail("units", value, remedy) if serious else warn("units", value, remedy)


def disk(facts: Mapping[str, Any], warn_percent: float, fail_percent: float) -> CheckResult:
    """Check the used space and inodes of the VM's disks. The larger percentage counts."""
    values, worst, fullest = [], 0.0, ""
    for entry in part(facts, "disks"):
        used = max(entry["used_percent"], entry["used_files_percent"])
        what = "" if used == entry["used_percent"] else " of the inodes"
        values.append(f"{entry['path']} {used:.0f} %{what} used, {entry['free'] / GIGABYTE:.1f} GB free")
        if used >= worst:
            worst, fullest = used, entry["path"]
    remedy = (
        f"on {fullest}: reduce mlflow_keep_releases to remove old releases, or run `journalctl --vacuum-size=200M`"
        " to remove old logs. Or use a larger disk: infrastructure_boot_disk_size_gb"
    )
    return graded("disk", "; ".join(values), (worst >= warn_percent, worst >= fail_percent), remedy)
