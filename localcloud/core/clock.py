# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The time of the local cloud."""

from __future__ import annotations

import datetime
import time

_PACIFIC = datetime.timezone(datetime.timedelta(hours=-8))


class Clock:
    """The time of the local cloud. Tests may replace it."""

    def time(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    def now(self, offset: float = 0.0) -> str:
        """Return the time plus `offset` seconds, as RFC 3339 in UTC with milliseconds."""
        moment = datetime.datetime.fromtimestamp(self.time() + offset, datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def pacific(self) -> str:
        """Return the time as Compute Engine writes it."""
        return pacific(self.now())


def pacific(moment: str) -> str:
    """Return a time in UTC with the offset of US Pacific time (in winter)."""
    return datetime.datetime.fromisoformat(moment).astimezone(_PACIFIC).isoformat(timespec="milliseconds")
