# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Locked requirements: the lock of an MLflow release, and a lock with additional packages of the user.

Uses neither Ansible nor a package index.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

# The lock of the release decides about these packages.
MLFLOW = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^]]*\])?==(?P<version>[^\s;\\]+)")
HASH = "--hash=sha256:"


@dataclass(frozen=True)
class Requirement:
    """A requirement of a lock: the text of its lines, with the hashes."""

    name: str
    text: str


def normalized(name: str) -> str:
    """Return the name of a package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(lock: str) -> tuple[list[Requirement], list[str]]:
    """Return the requirements of a lock, and the first lines that are not a pinned requirement with hashes."""
    blocks: list[list[str]] = []
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[:1].isspace() and blocks:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    found, wrong = [], []
    for block in blocks:
        text, pin = "\n".join(block), PIN.match(block[0])
        if pin and HASH in text:
            found.append(Requirement(normalized(pin["name"]), text))
        else:
            wrong.append(block[0].rstrip(" \\"))
    return found, wrong


def problem(extra: str) -> str:
    """Return why a lock cannot be added to the lock of a release, empty if it can. The text follows a file name."""
    found, wrong = parse(extra)
    if wrong:
        return f"has lines that are not a pinned package with hashes ({'; '.join(wrong[:3])})"
    if not found:
        return "contains no package"
    if own := sorted(MLFLOW & {each.name for each in found}):
        return f"contains {', '.join(own)}, which the lock of the release contains already"
    return ""


def merge(lock: str, extra: str) -> str:
    """Return the lock to install. For a package in both locks, the version in `extra` counts."""
    added = parse(extra)[0]
    names = {each.name for each in added}
    kept = parse(lock)[0]
    return "\n".join([*(each.text for each in kept if each.name not in names), *(each.text for each in added), ""])


def release_name(version: str, lock: str, extra: str) -> str:
    """Return the name of the directory of a release on the VM. It depends on the version and on both locks."""
    # Without the last line end, as in the names of existing releases.
    text = lock.rstrip() + (f"\n{extra.rstrip()}" if extra.strip() else "")
    return f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
