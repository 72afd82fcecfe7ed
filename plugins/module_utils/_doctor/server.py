# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the MLflow server with the facts of the VM: slots, schema and stored secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .facts import part
from .remedies import CONFIGURE, SITE, UPGRADE
from .results import CheckResult, fail, ok, one_line, warn

STATUS = "mlflowctl status"


def server(facts: Mapping[str, Any]) -> CheckResult:
    """Check which of the two slots is active, and the result of the last cutover."""
    status = part(facts, "switch")
    active = str(status.get("active") or "")
    slots: Mapping[str, Any] = status.get("slots") or {}
    active_slot: Mapping[str, Any] = slots.get(active) or {}
    value = "; ".join(_slot(name, slot, name == active) for name, slot in sorted(slots.items()))
    if not active_slot.get("running"):
        remedy = "on the VM: systemctl start mlflow.service; journalctl -u 'mlflow@*' -n 100"
        return fail("server", f"no slot is active: {value or 'the VM reported no slot'}", remedy)
    phase = str(status.get("phase") or "idle")
    if status.get("held"):
        remedy = f"a migration ends automatically; otherwise, on the VM: {STATUS}, then systemctl start mlflow-switch"
        return fail("server", f"maintenance mode, phase {phase}; {value}", remedy)
    if phase != "idle":
        return warn("server", f"a cutover is running, phase {phase}; {value}", "wait, then run the doctor again")
    if status.get("traffic", active) != active:
        remedy = "on the VM: systemctl restart mlflow.service"
        return fail("server", f"nginx sends requests to {status['traffic'] or 'no slot'}; {value}", remedy)
    last: Mapping[str, Any] = status.get("result") or {}
    if last.get("ok") is False:
        cause = one_line(last.get("cause") or "no cause was recorded", 160)
        failed = f"the last {last.get('kind', 'cutover')} failed: {cause}"
        return warn("server", f"{value}; {failed}", f"remove the cause, then run {UPGRADE}")
    if unseen := (status.get("wanted") or {}).get("unseen"):
        return warn("server", f"{value}; changed since the server started: {', '.join(unseen)}", CONFIGURE)
    return ok("server", value)


def _slot(name: str, slot: Mapping[str, Any], active: bool) -> str:
    state = "active" if active and slot.get("running") else "running" if slot.get("running") else "stopped"
    version = slot.get("version") or "empty"
    return f"{name} {version} {state}"


def schema(facts: Mapping[str, Any]) -> CheckResult:
    """Check that both databases have the schema of the desired release."""
    heads = part(facts, "heads")
    values, states = [], []
    # An own application replaces MLflow's authentication database.
    for name in ("tracking", "auth") if "auth" in heads else ("tracking",):
        has, code = heads[name].get("database"), heads[name].get("code")
        if has == code:
            values.append(f"{name} {has}")
            continue
        known = bool(heads[name].get("known"))
        states.append(known)
        unknown = "" if known else f" and does not know {has}"
        values.append(f"{name} {has or 'empty'}, but the release has {code}{unknown}")
    value = "; ".join(values)
    if not states:
        return ok("schema", value)
    if all(states):
        return fail("schema", value, f"migrate the database: {UPGRADE}")
    return fail(
        "schema",
        value,
        "a newer release migrated the database: deploy that release (mlflow_version),"
        " or restore a backup: ansible-playbook playbooks/restore.yml",
    )


def encryption(facts: Mapping[str, Any]) -> CheckResult:
    """Check that the current keys decrypt the secrets of webhooks and of the gateway in the database."""
    found = part(facts, "encryption")
    values, unreadable, earlier = [], [], []
    for kind, title in {"webhooks": "webhook", "gateway": "gateway"}.items():
        counts = found[kind]
        total = int(counts["current"]) + len(counts["earlier"]) + len(counts["unreadable"])
        values.append(f"{title} secrets: {counts['current']} of {total} use the current key")
        earlier += [f"{title} {name}" for name in counts["earlier"]]
        unreadable += [f"{title} {name}" for name in counts["unreadable"]]
    value = "; ".join(values)
    if unreadable:
        remedy = (
            "add the keys that encrypted them to the secrets of this deployment, then run site.yml; or"
            " enter the gateway's API keys again and run"
            " `ansible-playbook playbooks/rotate.yml -e rotate_what=webhook_encryption_key"
            " -e rotate_unreadable_webhooks=disabled`: docs/operations/stored-secrets.md"
        )
        return fail("encryption", f"{value}; no key decrypts {', '.join(unreadable)}", remedy)
    if earlier:
        return fail("encryption", f"{value}; encrypted with an earlier or public key: {', '.join(earlier)}", CONFIGURE)
    return ok("encryption", value)


def signed_urls(facts: Mapping[str, Any]) -> CheckResult:
    """Check that the server can create signed URLs for direct transfers. Without them it streams the artifacts."""
    found = part(facts, "signed_urls")
    if not found["used"]:
        return ok("signed-urls", "not used, the server streams all artifacts")
    if not found["cause"]:
        return ok("signed-urls", "the IAM Credentials API signs for the VM")
    value = f"the server streams all artifacts, the IAM Credentials API does not sign: {one_line(found['cause'], 200)}"
    remedy = f"{SITE} enables the API and grants the role; to stream without this check: mlflow_direct_transfers: false"
    return warn("signed-urls", value, remedy)
