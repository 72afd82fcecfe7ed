# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Kernel settings of the host that the local cloud needs. The former values are stored and restored."""

from __future__ import annotations

import json
from pathlib import Path

from localcloud.engine.base import EngineError

FORWARDING = "net/ipv4/ip_forward"
BRIDGE_FILTER = "net/bridge/bridge-nf-call-iptables"
SHARED = (FORWARDING, BRIDGE_FILTER)
"""Settings of the whole host. All others belong to our own interfaces and are removed with them."""

_ROOT = Path("/proc/sys")


def write(name: str, value: str, *, required: bool = True) -> None:
    """Set a kernel setting, unless it already has the value."""
    path = _ROOT / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        if required:
            raise EngineError(f"cannot set {path} to {value}: {error} (the local cloud needs root)") from error


def remember(home: Path) -> None:
    """Store the current values of the settings that will be enabled. Stored values are kept."""
    off = {name: "0" for name in SHARED if not _is_on(name)}
    new = off | _remembered(home)
    if new != _remembered(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        _file(home).write_text(json.dumps(new))


def put_back(home: Path) -> None:
    """Restore the stored values. Settings that were on stay on."""
    for name, value in _remembered(home).items():
        write(name, value, required=False)
    _file(home).unlink(missing_ok=True)


def _is_on(name: str) -> bool:
    """Return whether a setting is on. A missing setting (kernel module not loaded) counts as off."""
    try:
        return (_ROOT / name).read_text().strip() != "0"
    except OSError:
        return False


def _file(home: Path) -> Path:
    return home / "sysctls.json"


def _remembered(home: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(_file(home).read_text())
    except (OSError, ValueError):  # never written, or truncated
        return {}
    return found
