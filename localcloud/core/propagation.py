# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Recent changes that have not reached all of Google's servers yet."""

from __future__ import annotations

import collections
import threading

from localcloud.core.clock import Clock
from localcloud.core.profile import Profiles


class Propagation:
    """The end of each change's propagation, by switch of the profile and key. A restart clears them."""

    def __init__(self, profiles: Profiles, clock: Clock) -> None:
        self._profiles, self._clock = profiles, clock
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._asked: collections.Counter[str] = collections.Counter()

    def begin(self, switch: str, key: str, project: str | None) -> None:
        """Record a change. The switch in the project's profile gives the time until all servers see it."""
        seconds = self._profiles.of(project).seconds(switch)
        with self._lock:
            self._until.pop((switch, key), None)
            if seconds:
                self._until[switch, key] = self._clock.time() + seconds

    def pending(self, switch: str, key: str) -> bool:
        """Return whether the change is still propagating."""
        with self._lock:
            until = self._until.get((switch, key))
            if until is None:
                return False
            if self._clock.time() < until:
                return True
            del self._until[switch, key]
            return False

    def every_third(self, switch: str, key: str) -> bool:
        """Return whether this call meets a server without the change: the first call and every third call."""
        if not self.pending(switch, key):
            return False
        with self._lock:
            self._asked[key] += 1
            return self._asked[key] % 3 == 1
