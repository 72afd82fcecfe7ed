# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the facts that roles/doctor/files/examine.py collected on the VM. Pure: no HTTP, no Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._doctor_rows import Row, UnexaminedError, fail, graded, ok, one_line, warn

Json = dict[str, Any]
GIGABYTE = 1_000_000_000
# Failed units with one of these words in their name affect users of MLflow.
OURS = ("mlflow", "nginx")
# Failures of these units do not affect users.
BACKGROUND = ("mlflow-gc.service",)
UPGRADE = "ansible-playbook playbooks/upgrade.yml"
CONFIGURE = "ansible-playbook playbooks/configure.yml"
SWITCH = "python3 /opt/mlflow/libexec/switch.py"


def part(facts: Mapping[str, Any], name: str) -> Any:
    """Return a part of the facts. Raise UnexaminedError if the VM or this part could not be examined."""
    if "error" in facts:
        raise UnexaminedError("nobody could look at the machine", "see the row machine")
    found = facts.get(name)
    if found is None:
        raise UnexaminedError(f"the machine tells nothing about {name}", CONFIGURE)
    if isinstance(found, dict) and set(found) == {"error"}:
        raise UnexaminedError(one_line(found["error"]), CONFIGURE)
    return found


def disk(facts: Mapping[str, Any], warn_percent: float, fail_percent: float) -> Row:
    """Check the used space and inodes of the VM's disks. The larger percentage counts."""
    values, worst, fullest = [], 0.0, ""
    for entry in part(facts, "disks"):
        used = max(entry["used_percent"], entry["used_files_percent"])
        what = "" if used == entry["used_percent"] else " of its files"
        values.append(f"{entry['path']} {used:.0f} %{what} used, {entry['free'] / GIGABYTE:.1f} GB free")
        if used >= worst:
            worst, fullest = used, entry["path"]
    remedy = (
        f"on {fullest}: a lower mlflow_keep_releases removes old releases, `journalctl --vacuum-size=200M` logs;"
        " or a larger disk: infrastructure_boot_disk_size_gb"
    )
    return graded("disk", "; ".join(values), (worst >= warn_percent, worst >= fail_percent), remedy)


def units(facts: Mapping[str, Any]) -> Row:
    """Check for failed units, and that the required units are active."""
    found = part(facts, "units")
    failed, idle = list(found["failed"]), [name for name, state in found["needed"].items() if state != "active"]
    if not failed and not idle:
        return ok("units", f"none failed; {', '.join(sorted(found['needed']))} active")
    told = ", ".join(
        [f"{name} failed" for name in failed]
        + [f"{name} is {found['needed'][name]}" for name in idle if name not in failed]
    )
    first = (failed + idle)[0]
    remedy = f"on the machine: journalctl -u {first} -n 50; then systemctl restart {first}"
    serious = bool(idle) or any(word in name for name in failed if name not in BACKGROUND for word in OURS)
    return fail("units", told, remedy) if serious else warn("units", told, remedy)


def server(facts: Mapping[str, Any]) -> Row:
    """Check which of the two slots is active, and the result of the last cutover."""
    status = part(facts, "switch")
    active = str(status.get("active") or "")
    slots: Mapping[str, Any] = status.get("slots") or {}
    serving: Mapping[str, Any] = slots.get(active) or {}
    told = "; ".join(_slot(name, slot, name == active) for name, slot in sorted(slots.items()))
    if not serving.get("running"):
        remedy = "on the machine: systemctl start mlflow.service; journalctl -u 'mlflow@*' -n 100"
        return fail("server", f"no slot serves: {told or 'none is known'}", remedy)
    phase = str(status.get("phase") or "idle")
    if status.get("held"):
        remedy = f"a migration ends by itself; else on the machine: {SWITCH} status, then systemctl start mlflow-switch"
        return fail("server", f"requests are held, phase {phase}; {told}", remedy)
    if phase != "idle":
        return warn("server", f"a switch is at work, phase {phase}; {told}", "wait, and examine again")
    if status.get("traffic", active) != active:
        remedy = "on the machine: systemctl restart mlflow.service"
        return fail("server", f"requests go to {status['traffic'] or 'no slot'}; {told}", remedy)
    last: Mapping[str, Any] = status.get("result") or {}
    if last.get("ok") is False:
        cause = one_line(last.get("cause") or "no cause is recorded", 160)
        return warn(
            "server", f"{told}; the last {last.get('kind', 'switch')} failed: {cause}", f"mend it, then {UPGRADE}"
        )
    if unseen := (status.get("wanted") or {}).get("unseen"):
        return warn("server", f"{told}; changed since it started: {', '.join(unseen)}", CONFIGURE)
    return ok("server", told)


def _slot(name: str, slot: Mapping[str, Any], active: bool) -> str:
    state = "serves" if active and slot.get("running") else "runs" if slot.get("running") else "stopped"
    version = slot.get("version") or "empty"
    return f"{name} {version} {state}"


def schema(facts: Mapping[str, Any]) -> Row:
    """Check that both databases have the schema of the desired release."""
    heads = part(facts, "heads")
    told, states = [], []
    for name in ("tracking", "auth"):
        has, code = heads[name].get("database"), heads[name].get("code")
        if has == code:
            told.append(f"{name} {has}")
            continue
        known = bool(heads[name].get("known"))
        states.append(known)
        told.append(
            f"{name} {has or 'empty'} where the release has {code}" + ("" if known else ", which it does not know")
        )
    value = "; ".join(told)
    if not states:
        return ok("schema", value)
    if all(states):
        return fail("schema", value, f"migrate, with a way back: {UPGRADE}")
    return fail(
        "schema",
        value,
        "a newer release has migrated it: deploy that release (mlflow_version),"
        " or restore: ansible-playbook playbooks/restore.yml",
    )


def stored_secrets(facts: Mapping[str, Any]) -> Row:
    """Check that the keys in use decrypt the secrets of webhooks and of the gateway in the database."""
    found = part(facts, "encryption")
    kinds = {"webhooks": "webhook", "gateway": "gateway"}
    told, unreadable, earlier = [], [], []
    for kind, title in kinds.items():
        rows = found[kind]
        total = int(rows["current"]) + len(rows["earlier"]) + len(rows["unreadable"])
        told.append(f"{title}: {rows['current']} of {total} under the key in use")
        earlier += [f"{title} {name}" for name in rows["earlier"]]
        unreadable += [f"{title} {name}" for name in rows["unreadable"]]
    value = "; ".join(told)
    if unreadable:
        remedy = (
            "add the keys that encrypted them to the secrets of this deployment, then run site.yml; or"
            " enter the gateway's API keys again and run"
            " `ansible-playbook playbooks/rotate.yml -e rotate_what=webhook_encryption_key"
            " -e rotate_unreadable_webhooks=disabled`: docs/operations/stored-secrets.md"
        )
        return fail("encryption", f"{value}; no key decrypts {', '.join(unreadable)}", remedy)
    if earlier:
        return fail("encryption", f"{value}; an earlier or public key encrypts {', '.join(earlier)}", CONFIGURE)
    return ok("encryption", value)


def connections(facts: Mapping[str, Any], warn_percent: float, fail_percent: float) -> Row:
    """Check the percentage of the allowed database connections that are in use."""
    size = part(facts, "size")
    used, allowed = int(size["connections"]["used"]), int(size["connections"]["allowed"])
    percent = 100 * used / max(allowed, 1)
    remedy = (
        "fewer or smaller pools (mlflow_workers, mlflow_database_max_overflow),"
        " or a larger tier: infrastructure_database_tier"
    )
    bad = (percent >= warn_percent, percent >= fail_percent)
    return graded("connections", f"{used} of {allowed} ({percent:.0f} %)", bad, remedy)


def database_disk(
    facts: Mapping[str, Any], instance: Mapping[str, Any], warn_percent: float, fail_percent: float
) -> Row:
    """Check the size of the databases against the instance's disk, or against the limit of its automatic growth."""
    held = int(part(facts, "size")["bytes"])
    settings = instance.get("settings", {})
    size = int(settings.get("dataDiskSizeGb") or 0) * 1024**3
    grows, limit = bool(settings.get("storageAutoResize")), int(settings.get("storageAutoResizeLimit") or 0)
    room = limit * 1024**3 if grows and limit else size
    percent = 100 * held / room if room else 0.0
    growth = f", grows to {limit} GB" if grows and limit else ", grows by itself" if grows else ", does not grow"
    value = f"databases hold {held / GIGABYTE:.2f} GB of {size // 1024**3} GB{growth}"
    if grows and not limit:
        return ok("database-disk", value)
    bad = (percent >= warn_percent, percent >= fail_percent)
    return graded("database-disk", value, bad, "a larger disk: infrastructure_database_disk_size_gb")


def skew(facts: Mapping[str, Any]) -> tuple[float | None, bool | None]:
    """Return by how many seconds the VM's clock is ahead, and whether it is synchronized. None if unknown."""
    try:
        seen = part(facts, "clock")
        before, after, stamp = float(facts["asked_at"]), float(facts["answered_at"]), float(seen["time"])
    except (UnexaminedError, KeyError, TypeError, ValueError):
        return None, None
    ahead = stamp - after if stamp > after else stamp - before if stamp < before else 0.0
    return ahead, seen.get("synchronized")
