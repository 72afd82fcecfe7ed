# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check for drift with the plan of playbooks/provision.yml, printed by the callback plugin ``plan``."""

from __future__ import annotations

from collections.abc import Mapping

from .._plan import CREATE, Change, load
from .remedies import SITE
from .results import CheckResult, NotCheckedError, fail, ok, one_line, warn

# Resources that control access. Drift in them is urgent. Kind of resource → fields; an empty tuple means all fields.
URGENT: Mapping[str, tuple[str, ...]] = {
    "firewall rule": (),
    "IAM member": (),
    "roles/": (),  # the title of an IAM member begins with the role
    "bucket": (),
    "private services access": (),
    "record set": (),
    "service account": ("disabled", "missing"),
    "instance": ("status", "tags", "metadata", "networkInterface", "serviceAccount", "canIpForward", "missing"),
    "Cloud SQL instance": ("settings.activationPolicy", "settings.connectorEnforcement", "settings.ipConfiguration"),
}


def drift(printed: str, code: int) -> CheckResult:
    """Check that the infrastructure matches the role variables."""
    plan = load(printed)
    if code != 0 and plan and plan.failures:
        failure = plan.failures[-1]
        cause = f"{failure.task}: {one_line(failure.msg, 200)}"
        raise NotCheckedError(f"the plan failed at the task {cause}", f"{SITE} --check --diff")
    if code != 0 or not plan:
        output = one_line(printed[-300:]) or "no output"
        raise NotCheckedError(f"the plan ended with exit code {code}: {output}", f"{SITE} --check --diff")
    if not plan.changes:
        return ok("drift", "the infrastructure matches the role variables")
    names = [_name(change) for change in plan.changes]
    value = f"{len(names)} differ: {'; '.join(names[:8])}{'; …' if len(names) > 8 else ''}"
    remedy = f"show the differences: {SITE} --check --diff; revert the differences: {SITE}"
    return (fail if any(map(_urgent, plan.changes)) else warn)("drift", value, remedy)


def _differences(change: Change) -> tuple[str, ...]:
    return ("missing",) if change.action == CREATE else change.fields


def _urgent(change: Change) -> bool:
    for kind, urgent in URGENT.items():
        found = change.resource.startswith(kind)
        if found and (not urgent or any(field.startswith(urgent) for field in _differences(change))):
            return True
    return False


def _name(change: Change) -> str:
    fields = ", ".join(_differences(change))
    return f"{change.resource} ({fields})" if fields else change.resource
