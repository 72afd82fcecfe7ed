# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""How many unknown credentials an address may try.

MLflow's password hash costs tens of milliseconds of CPU by design, so guessed passwords slow down every client.
Each worker process therefore limits the tries of an address. Credentials that were right before are never limited:
clients that share the address of the guesser (NAT) go on working.
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
"""Wrong tries that an address has at once."""
SECONDS_FOR_A_TRY = 2.0
"""Seconds after which an address has one more."""
PENDING = 40
"""Unknown credentials of an address that may wait for their check at a time."""
REMEMBERED_SECONDS = 12 * 3600
"""Seconds for which a right credential is known."""
REMEMBERED = 10_000
"""Credentials, and addresses, that are remembered."""
WAITING_SECONDS = 600
"""Seconds for which a credential is remembered that had to wait."""

_logger = logging.getLogger("mlflow.gcp")


@dataclass(frozen=True)
class Credential:
    """A user name and a password."""

    username: str
    password: str


class Allowance:
    """The wrong tries that are left: `BURST` at first, one more each `SECONDS_FOR_A_TRY`. May be negative."""

    def __init__(self, now: float) -> None:
        self._left, self._counted = float(BURST), now

    def wait(self, now: float) -> float:
        """Return 0, or the seconds until there is a try."""
        self._left = min(BURST, self._left + (now - self._counted) / SECONDS_FOR_A_TRY)
        self._counted = now
        return max(0.0, (1 - self._left) * SECONDS_FOR_A_TRY)

    def use(self) -> None:
        """Count a wrong try."""
        self._left -= 1


class SignInLimit:
    """The limit of one worker process. Not thread-safe: used on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Passwords are kept as digests under a key that lives as long as the process.
        self._key = secrets.token_bytes(32)
        self._known: TTLCache[bytes, bool] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock)
        self._waiting: TTLCache[bytes, bool] = TTLCache(REMEMBERED, WAITING_SECONDS, timer=clock)
        # As long as the largest debt lasts.
        idle = (BURST + PENDING) * SECONDS_FOR_A_TRY
        self._allowances: TTLCache[tuple[str, bool], Allowance] = TTLCache(REMEMBERED, idle, timer=clock)
        self._pending: Counter[str] = Counter()

    def _digest(self, credential: Credential) -> bytes:
        text = f"{credential.username}\0{credential.password}"
        return hmac.digest(self._key, text.encode(), "sha256")

    def _allowance(self, address: str, *, waited: bool) -> Allowance:
        key = network(address), waited
        allowance = self._allowances.get(key) or Allowance(self._clock())
        # Written again at each use, or it would be forgotten, and be full, in the middle of an attack.
        self._allowances[key] = allowance
        return allowance

    def knows(self, credential: Credential) -> bool:
        """Whether the credential was right before, and was not refused since."""
        return self._digest(credential) in self._known

    def admit(self, address: str, credential: Credential) -> int:
        """Decide about the check of an unknown credential. Return 0 and expect `finished`, or the seconds to wait.

        Only wrong tries are counted, so that many users of one address can sign in at once. A credential that comes
        back after it had to wait uses an allowance of its own: a client with the right password gets in while the
        other tries of its address are used up by a guesser, who never repeats a credential.
        """
        digest = self._digest(credential)
        waited = digest in self._waiting
        wait = self._allowance(address, waited=waited).wait(self._clock())
        if not wait and self._pending[network(address)] < PENDING:
            self._pending[network(address)] += 1
            return 0
        if not waited:
            _logger.warning("Sign-in tries of %s are limited: too many wrong passwords", address or "the AI gateway")
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
        """Forget a credential that is not right any more."""
        self._known.pop(self._digest(credential), None)


def network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
