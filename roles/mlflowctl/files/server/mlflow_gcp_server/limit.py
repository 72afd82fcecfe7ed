# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Limit the unknown credentials of an address.

MLflow's password hash takes tens of milliseconds of CPU by design, so guessed passwords slow down every client. Each
worker process therefore limits the attempts of an address. Credentials that were correct before are never limited, so
clients with the same address as an attacker (NAT) continue to work.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

BURST = 5
"""Wrong attempts of an address without waiting."""
SECONDS_FOR_A_TRY = 2.0
"""Seconds until an address gets one more attempt."""
PENDING = 40
"""Concurrent checks of unknown credentials of an address."""
REMEMBERED_SECONDS = 12 * 3600
"""Seconds for which a correct credential is remembered."""
REMEMBERED = 10_000
"""Maximal number of remembered credentials, and of addresses."""
WAITING_SECONDS = 600
"""Seconds for which a refused, unchecked credential is remembered."""

_logger = logging.getLogger("mlflow.gcp")


@dataclass(frozen=True)
class Credential:
    """A user name and a password."""

    username: str
    password: str


class Allowance:
    """The remaining wrong attempts: `BURST` at first, one more every `SECONDS_FOR_A_TRY`. May be negative."""

    def __init__(self, now: float) -> None:
        self._left, self._counted = float(BURST), now

    def wait(self, now: float) -> float:
        """Return 0, or the seconds until the next attempt."""
        self._left = min(BURST, self._left + (now - self._counted) / SECONDS_FOR_A_TRY)
        self._counted = now
        return max(0.0, (1 - self._left) * SECONDS_FOR_A_TRY)

    def use(self) -> None:
        """Count a wrong attempt."""
        self._left -= 1


class SignInLimit:
    """The limit of one worker process. Not thread-safe: only for the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Store digests instead of passwords, with a key that exists only in this process.
        self._key = secrets.token_bytes(32)
        self._known: TTLCache[bytes, bool] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock)
        self._waiting: TTLCache[bytes, bool] = TTLCache(REMEMBERED, WAITING_SECONDS, timer=clock)
        # The time to recover from the largest negative allowance.
        idle = (BURST + PENDING) * SECONDS_FOR_A_TRY
        self._allowances: TTLCache[tuple[str, bool], Allowance] = TTLCache(REMEMBERED, idle, timer=clock)
        self._pending: Counter[str] = Counter()

    def _digest(self, credential: Credential) -> bytes:
        text = f"{credential.username}\0{credential.password}"
        return hmac.digest(self._key, text.encode(), "sha256")

    def _allowance(self, address: str, *, waited: bool) -> Allowance:
        key = network(address), waited
        allowance = self._allowances.get(key) or Allowance(self._clock())
        # Write at each use to extend the lifetime. Otherwise an attacker would get a full allowance again.
        self._allowances[key] = allowance
        return allowance

    def knows(self, credential: Credential) -> bool:
        """Return whether the credential was correct before and not refused since."""
        return self._digest(credential) in self._known

    def admit(self, address: str, credential: Credential) -> int:
        """Decide about the check of an unknown credential. Return 0 and expect `finished`, or the seconds to wait.

        Only wrong attempts are counted, so many users of one address can authenticate at once. A repeated credential
        uses a separate allowance: an attacker, who never repeats a credential, cannot use up this allowance, and a
        client with the correct password is admitted.
        """
        digest = self._digest(credential)
        waited = digest in self._waiting
        wait = self._allowance(address, waited=waited).wait(self._clock())
        if not wait and self._pending[network(address)] < PENDING:
            self._pending[network(address)] += 1
            return 0
        if not waited:
            _logger.warning("Authentication of %s is limited: too many wrong passwords", address or "the AI gateway")
        self._waiting[digest] = True
        return max(1, math.ceil(wait))

    def finished(self, address: str, credential: Credential, *, right: bool | None) -> None:
        """Record the result of an admitted check; None if the check failed."""
        key, digest = network(address), self._digest(credential)
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]
        if right:
            self._known[digest] = True
        elif right is not None:
            self._allowance(address, waited=digest in self._waiting).use()

    def refused(self, credential: Credential) -> None:
        """Forget a credential that is no longer correct."""
        self._known.pop(self._digest(credential), None)


def network(address: str) -> str:
    """Return the unit of the limit: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
