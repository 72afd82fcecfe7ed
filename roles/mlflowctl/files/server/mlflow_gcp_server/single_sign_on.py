# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Accept the identities that nginx verified."""

from __future__ import annotations

import hmac

from . import identity_rules
from .accounts import Accounts
from .audit import Decision
from .credentials import MalformedError, SentIdentity
from .settings import Identity

USERS = "/mlflow/users/"
"""Part of the routes that change users."""


class SingleSignOn:
    """The identities of one worker process. Only for the event loop."""

    def __init__(self, settings: Identity, accounts: Accounts) -> None:
        self._settings, self._accounts = settings, accounts

    async def username(self, sent: SentIdentity, decision: Decision) -> str:
        """Return MLflow's user of an identity, or raise MalformedError, RefusedError, or an error of the database."""
        if not hmac.compare_digest(sent.secret.encode(), self._settings.secret.encode()):
            raise MalformedError("the identity does not come from nginx")
        decision.method, decision.user = sent.method, sent.address
        identity = identity_rules.Identity(sent.address, sent.groups, sent.hosted_domain)
        user = identity_rules.decide(self._settings.rules, identity)
        decision.user = user.username
        await self._accounts.ensure(user)
        return user.username

    def served(self, path: str) -> None:
        """Forget all users after a request that may have changed or deleted one."""
        if USERS in path:
            self._accounts.forget()
