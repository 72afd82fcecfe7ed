# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the host's kernel that the local cloud needs; how they were found is remembered, and put back."""

from __future__ import annotations

import json
from pathlib import Path

from localcloud.engine.base import EngineError

FORWARDING = "net/ipv4/ip_forward"
BRIDGE_FILTER = "net/bridge/bridge-nf-call-iptables"
SHARED = (FORWARDING, BRIDGE_FILTER)
"""Those of the whole host. The others are of interfaces of our own, and go with them."""

_ROOT = Path("/proc/sys")


def write(name: str, value: str, *, required: bool = True) -> None:
    """Set it, unless it is so already."""
    path = _ROOT / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        if required:
            raise EngineError(f"cannot set {path} to {value}: {error} (the local cloud needs root)") from error


def remember(home: Path) -> None:
    """Keep how the host has those that are about to be switched on; what is remembered already stays."""
    off = {name: "0" for name in SHARED if not _is_on(name)}
    new = off | _remembered(home)
    if new != _remembered(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        _file(home).write_text(json.dumps(new))


def put_back(home: Path) -> None:
    """Have them as they were found; those that were on stay on."""
    for name, value in _remembered(home).items():
        write(name, value, required=False)
    _file(home).unlink(missing_ok=True)


def _is_on(name: str) -> bool:
    """One that is not there, because its kernel module is not loaded, is as good as off."""
    try:
        return (_ROOT / name).read_text().strip() != "0"
    except OSError:
        return False


def _file(home: Path) -> Path:
    return home / "sysctls.json"


def _remembered(home: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(_file(home).read_text())
    except (OSError, ValueError):  # never written, or cut off in the middle
        return {}
    return found
