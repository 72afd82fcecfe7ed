# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Drift: the plan of playbooks/provision.yml, as the callback plugin ``plan`` prints it, as a row."""

from __future__ import annotations

import json
from typing import Any

from ._doctor_rows import Row, UnexaminedError, fail, ok, one_line, warn

Json = dict[str, Any]
# What keeps strangers out; a difference here cannot wait.
GUARDS = ("firewall rule", "IAM member", "bucket", "private services access")
SITE = "ansible-playbook site.yml"


def drift(printed: str, code: int) -> Row:
    """Whether the infrastructure is as the settings have it."""
    entries = [_entry(line) for line in printed.splitlines() if line.startswith("{")]
    failures = [entry for entry in entries if entry.get("event") == "failed"]
    if failures:
        told = f"{failures[0].get('task')}: {one_line(failures[0].get('msg', ''), 200)}"
        raise UnexaminedError(f"the plan ends at {told}", f"{SITE} --check --diff")
    if code != 0 or not any(entry.get("event") == "end" for entry in entries):
        told = one_line(printed[-300:]) or "nothing was printed"
        raise UnexaminedError(f"the plan ends with exit code {code}: {told}", f"{SITE} --check --diff")
    changes = [entry for entry in entries if entry.get("event") == "changed"]
    if not changes:
        return ok("drift", "the infrastructure is as the settings have it")
    names = list(dict.fromkeys(_told(change) for change in changes))
    value = f"{len(names)} differ: {'; '.join(names[:8])}{'; …' if len(names) > 8 else ''}"
    remedy = f"see what differs: {SITE} --check --diff; put it back: {SITE}"
    guarding = any(str(change.get("what", "")).startswith(GUARDS) for change in changes)
    return fail("drift", value, remedy) if guarding else warn("drift", value, remedy)


def _entry(line: str) -> Json:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _told(change: Json) -> str:
    what = str(change.get("what") or change.get("task"))
    fields = ", ".join(change.get("fields") or ())
    return f"{what} ({fields})" if fields else what
