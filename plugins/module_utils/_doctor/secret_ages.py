# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the age of the secrets."""

from __future__ import annotations

from collections.abc import Sequence

from .cloud import DAY, Cloud, duration, seconds
from .remedies import ROTATE, SITE
from .results import CheckResult, fail, ok, warn


def secret_ages(cloud: Cloud, names: Sequence[str], now: float, warn_days: float) -> CheckResult:
    """Check the age of the newest enabled version of each secret."""
    ages: dict[str, float] = {}
    for name in names:
        path = f"v1/projects/{cloud.project}/secrets/{name}/versions"
        versions = cloud.items("secretmanager", path, "versions", filter="state:ENABLED")
        if not versions:
            return fail("secrets", f"{name} has no enabled version", f"create a version: {SITE}")
        ages[name] = now - max(seconds(version["createTime"]) for version in versions)
    oldest = max(ages, key=lambda name: ages[name])
    old = [name for name, age in ages.items() if age > warn_days * DAY]
    if old:
        return warn("secrets", ", ".join(f"{name} {duration(ages[name])} old" for name in old), ROTATE)
    return ok("secrets", f"{len(ages)} secrets, the oldest {duration(ages[oldest])} old ({oldest})")
