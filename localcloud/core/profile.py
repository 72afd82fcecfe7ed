# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Profiles: latencies and propagation delays of the local cloud, for one project or for all.

The profile `none` has no delays. The profile `google` has delays in proportion to the real service's. Each value of a
profile is a switch and can be set alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from localcloud.core.store import Store

Json = dict[str, Any]

_LATENCIES = ("none", "google")
_FOUR_DAYS = 4 * 24 * 3600.0
EVERYWHERE = "*"


@dataclass(frozen=True)
class Profile:
    """The switches of a profile. Durations are seconds of the real service; `seconds` multiplies them by `scale`."""

    name: str = "none"
    scale: float = 1.0
    latency: str = "none"
    """The durations of operations: none, or as at google."""
    storage_call: float = 0.0
    """Duration of each call of Cloud Storage."""
    api_enablement: float = 0.0
    """After an API is enabled, every third call still gets 403 SERVICE_DISABLED for this long."""
    service_accounts: float = 0.0
    """A new service account is unknown to IAM, to policies and to Compute Engine for this long."""
    service_agents: float = 0.0
    """The service agent of Service Networking cannot work for this long after its API is first enabled."""
    iam_grants: float = 0.0
    """A new binding of an IAM policy grants nothing for this long."""
    producers: float = _FOUR_DAYS
    """A deleted Cloud SQL instance keeps its private services connection in use for this long."""
    id_token: float = 3600.0
    """The lifetime of an ID token. The scale does not change it."""
    sql_first_backup: bool = False
    """Cloud SQL starts an automatic backup after the creation of an instance with point-in-time recovery."""
    sql_invalid_state: bool = False
    """Every second conflict of Cloud SQL has the reason invalidState instead of operationInProgress."""

    def seconds(self, switch: str) -> float:
        """Return the duration of a switch on the local cloud: `profile.seconds("service_agents")`."""
        return float(getattr(self, switch)) * self.scale


PROFILES: Mapping[str, Profile] = {
    "none": Profile(),
    "google": Profile(
        name="google",
        latency="google",
        storage_call=0.08,
        api_enablement=60.0,
        service_accounts=20.0,
        service_agents=60.0,
        iam_grants=60.0,
        sql_first_backup=True,
        sql_invalid_state=True,
    ),
}


class Profiles:
    """The profile of each project, and a default for projects without a profile. Survives a restart.

    `durations` are the seconds of operations at Google, by pattern over methods. The first pattern that matches counts.
    """

    def __init__(self, store: Store, durations: Mapping[str, float] | None = None) -> None:
        self._store = store
        self._durations = durations or {}
        self._documents = store.collection("localcloud.profiles")

    def of(self, project: str | None) -> Profile:
        """Return a project's profile."""
        document = (self._documents.get(project) if project else None) or self._documents.get(EVERYWHERE) or {}
        return Profile(**document)

    def duration(self, project: str | None, method: str) -> float:
        """Return the seconds that an operation of a method takes in addition to its real work."""
        profile = self.of(project)
        patterns = self._durations if profile.latency == "google" else {}
        return next((s * profile.scale for pattern, s in patterns.items() if fnmatchcase(method, pattern)), 0.0)

    def change(self, document: Json, project: str = EVERYWHERE) -> Profile:
        """Set switches of a project's profile. With `name`, replace the profile first.

        Raises TypeError or ValueError for an unknown switch or a wrong value.
        """
        values = dict(document)
        with self._store.transaction():
            profile = self.of(project)
            if "name" in values:
                profile = PROFILES.get(str(values.pop("name"))) or _fail(f"name is one of {', '.join(PROFILES)}")
            profile = replace(profile, **{name: _checked(name, value) for name, value in values.items()})
            self._documents.put(project, asdict(profile))
        return profile


def _checked(name: str, value: Any) -> Any:
    switches = {field.name: field.default for field in fields(Profile)}
    if name not in switches:
        raise ValueError(f"{name} is no switch. Switches: {', '.join(switches)}")
    default = switches[name]
    if name == "latency":
        return value if value in _LATENCIES else _fail(f"latency is one of {', '.join(_LATENCIES)}")
    if isinstance(default, bool):
        return value if isinstance(value, bool) else _fail(f"{name} is true or false")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        _fail(f"{name} is a number that is not negative")
    if name == "id_token" and value < 1:
        _fail("id_token is at least 1 second")
    return float(value)


def _fail(message: str) -> Any:
    raise ValueError(message)
