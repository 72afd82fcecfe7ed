# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check for drift with the plan of playbooks/provision.yml in the format of the callback plugin ``plan``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .remedies import SITE
from .results import CheckResult, NotCheckedError, fail, ok, one_line, warn

Json = dict[str, Any]
# Resources that control access. Drift in them is urgent. Kind of resource → fields; an empty tuple means all fields.
URGENT: Mapping[str, tuple[str, ...]] = {
    "firewall rule": (),
    "IAM member": (),
    "roles/": (),  # the title of an IAM member begins with the role
    "bucket": (),
    "private services access": (),
    "service account": ("disabled", "missing"),
    "instance": ("status", "tags", "metadata", "networkInterface", "serviceAccount", "canIpForward", "missing"),
    "Cloud SQL instance": ("settings.activationPolicy", "settings.connectorEnforcement", "settings.ipConfiguration"),
}


def drift(printed: str, code: int) -> CheckResult:
    """Check that the infrastructure matches the role variables."""
    entries = [_entry(line) for line in printed.splitlines() if line.startswith("{")]
    failures = [entry for entry in entries if entry.get("event") == "failed"]
    if failures:
        cause = f"{failures[0].get('task')}: {one_line(failures[0].get('msg', ''), 200)}"
        raise NotCheckedError(f"the plan failed at the task {cause}", f"{SITE} --check --diff")
    if code != 0 or not any(entry.get("event") == "end" for entry in entries):
        output = one_line(printed[-300:]) or "no output"
        raise NotCheckedError(f"the plan ended with exit code {code}: {output}", f"{SITE} --check --diff")
    changes = [entry for entry in entries if entry.get("event") == "changed"]
    if not changes:
        return ok("drift", "the infrastructure matches the role variables")
    names = list(dict.fromkeys(_name(change) for change in changes))
    value = f"{len(names)} differ: {'; '.join(names[:8])}{'; …' if len(names) > 8 else ''}"
    remedy = f"show the differences: {SITE} --check --diff; revert the differences: {SITE}"
    return (fail if any(map(_urgent, changes)) else warn)("drift", value, remedy)


def _entry(line: str) -> Json:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _urgent(change: Json) -> bool:
    what, fields = str(change.get("what", "")), [str(field) for field in change.get("fields") or ()]
    for kind, urgent in URGENT.items():
        if what.startswith(kind) and (not urgent or any(field.startswith(urgent) for field in fields)):
            return True
    return False


def _name(change: Json) -> str:
    what = str(change.get("what") or change.get("task"))
    fields = ", ".join(change.get("fields") or ())
    return f"{what} ({fields})" if fields else what
