# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The lock of a deployment: an object of Cloud Storage, and the process that renews it.

The generation of the object identifies the lock: a creation succeeds only if no object exists. The custom metadata has
the holder and the expiry, so that one request reads both. docs/decisions/0027 explains the choices.
"""

from __future__ import annotations

import email.utils
import io
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from . import _objects
from ._client import Client, GoogleError, Json

if TYPE_CHECKING:
    from requests import Response

LEASE = 300  # seconds after the last renewal; then another run may take the lock
RENEW = 60.0  # seconds between two renewals
RETRY = 10.0  # seconds after a failed renewal
KEEPER_TIMEOUT = 60.0  # seconds of one renewal, with its repetitions
_HINT = "The metadata of this object names the run that holds the lock: gcloud storage objects describe {url}\n"


def stamp(seconds: float) -> str:
    """Return a time in seconds as a text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Held:
    """The lock object. ``values`` describes the holder."""

    generation: str
    metageneration: str
    values: Mapping[str, str]

    def expired(self, now: float) -> bool:
        """Return whether the holder did not renew the lock in time. A lock without an expiry counts as expired."""
        return self.values.get("expires", "") <= stamp(now)


class Lock:
    """The lock object of one deployment, PROJECT/NAME."""

    def __init__(self, client: Client, bucket: str, deployment: str, lease: int = LEASE) -> None:
        self.client, self.bucket, self.lease = client, bucket, lease
        self.name = f"deployments/{deployment}/lock"
        self._ahead = 0.0  # seconds by which the clock of the service is ahead of the clock of this host

    def now(self) -> float:
        """Return the time of the service, so that the clocks of the control nodes do not matter."""
        return time.time() + self._ahead

    def look(self) -> Held | None:
        """Return the lock, or None. Raises GoogleError with the code 404 if the bucket does not exist."""
        query = {"prefix": self.name, "fields": "items(name,generation,metageneration,metadata)"}
        answer = self._send("GET", f"b/{self.bucket}/o", query)
        for item in answer.json().get("items") or ():
            if item["name"] == self.name:
                return Held(item["generation"], item["metageneration"], item.get("metadata") or {})
        return None

    def take(self, values: Mapping[str, str]) -> Held:
        """Create the lock. Raises GoogleError with the code 412 if a lock exists."""
        now = self.now()
        metadata = {**values, "started": stamp(now), "expires": stamp(now + self.lease)}
        data = _HINT.format(url=f"gs://{self.bucket}/{self.name}").encode()
        resource = {"name": self.name, "contentType": "text/plain", "metadata": metadata}
        made = _objects.upload(self.client, self.bucket, resource, io.BytesIO(data), len(data), "0")
        return Held(str(made["generation"]), "1", metadata)

    def renew(self, generation: str) -> None:
        """Extend the lease. Raises GoogleError with the code 404 or 412 if the lock was lost."""
        change = {"metadata": {"expires": stamp(self.now() + self.lease)}}
        query = {"ifGenerationMatch": generation, "fields": "metageneration"}
        self._send("PATCH", _objects.path(self.bucket, self.name), query, change)

    def release(self, generation: str) -> None:
        """Delete the lock. Raises GoogleError with the code 404 or 412 if the lock was lost."""
        self._send("DELETE", _objects.path(self.bucket, self.name), {"ifGenerationMatch": generation})

    def remove(self, held: Held) -> None:
        """Delete the lock of another run. Raises GoogleError with the code 404 or 412 if it was renewed or replaced."""
        query = {"ifGenerationMatch": held.generation, "ifMetagenerationMatch": held.metageneration}
        self._send("DELETE", _objects.path(self.bucket, self.name), query)

    def _send(self, method: str, path: str, query: Mapping[str, str], body: Json | None = None) -> Response:
        url = f"{self.client.base(_objects.API)}{path}?{urlencode(query)}"
        answer = self.client.raw(method, _objects.API, url, json=body)
        with suppress(TypeError, ValueError):
            date = email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
            self._ahead = date.timestamp() - time.time()
        return answer


def keep(lock: Lock, generation: str, ended: Callable[[float], bool]) -> None:
    """Renew the lock until the run ends, then delete the lock.

    ``ended`` waits for at most the given seconds and returns whether the run has ended.
    """
    pause = RENEW
    while not ended(pause):
        lock.client.renew()
        try:
            lock.renew(generation)
            pause = RENEW
        except GoogleError as error:
            if error.code in (404, 412):  # broken, or taken over after the expiry
                return
            pause = RETRY
    lock.client.renew()
    with suppress(GoogleError):  # the lock was lost, or it expires soon
        lock.release(generation)


def start_keeper(work: Callable[[], None]) -> None:
    """Run ``work`` in a background process, which outlives the module and ignores the signals to the run.

    At a time limit, systemd signals all processes of the unit, but ansible-playbook needs some time to end.
    """
    if os.fork():
        return
    try:
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.chdir("/")
        work()
    finally:
        os._exit(0)
