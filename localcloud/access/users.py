# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google accounts of people: a user of Google Workspace or a consumer account. Test accounts, without passwords."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

from localcloud.access.auth import Auth, Principal
from localcloud.access.grants import Grants
from localcloud.core.store import Store

Json = dict[str, Any]

_ADDRESS = re.compile(r"[a-z0-9._%+-]+@[a-z0-9-]+(\.[a-z0-9-]+)+")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
EMAIL_SCOPE = "https://www.googleapis.com/auth/userinfo.email"
PROFILE_SCOPE = "https://www.googleapis.com/auth/userinfo.profile"


@dataclass(frozen=True)
class User:
    """A person's account."""

    email: str
    name: str
    hosted_domain: str | None = None
    """The domain of the organisation in Google Workspace. A consumer account has none."""
    email_verified: bool = True
    id: str = ""
    """21 digits. A new account with the same address gets another number."""

    def claims(self, scopes: set[str]) -> Json:
        """Return the claims about the user that an ID token and the userinfo endpoint contain for these scopes."""
        claims: Json = {"sub": self.id}
        if EMAIL_SCOPE in scopes:
            claims |= {"email": self.email, "email_verified": self.email_verified}
        if self.hosted_domain:
            claims["hd"] = self.hosted_domain
        if PROFILE_SCOPE in scopes:
            given, _, family = self.name.partition(" ")
            claims |= {"name": self.name, "given_name": given}
            claims |= {"family_name": family} if family else {}
        return claims


# A Gmail address has at least six characters before the @, so the last one does not exist.
DEFAULTS = (
    User("ada@example.com", "Ada Lovelace", "example.com"),
    User("grace@example.com", "Grace Hopper", "example.com"),
    User("alan@example.org", "Alan Turing", "example.org"),
    User("linus@example.com", "Linus Pauling"),
    User("mallory@example.com", "Mallory", email_verified=False),
    User("joan@gmail.com", "Joan Clarke"),
)


class Users:
    """The people with a Google account, by address."""

    def __init__(self, store: Store, auth: Auth, grants: Grants) -> None:
        self._store = store
        self._auth = auth
        self._grants = grants
        self._documents = store.collection("auth.users")

    def add_defaults(self) -> None:
        """Create the default accounts, once in the life of a local cloud."""
        if self._store.next_number("auth.users.defaults") == 1:
            for user in DEFAULTS:
                self._put(user)

    def list(self) -> list[User]:
        """Return all users, sorted by address."""
        return [User(**document) for document in self._documents.list()]

    def get(self, email: str) -> User | None:
        """Return the user with an address."""
        document = self._documents.get(email.lower())
        return User(**document) if document else None

    def ensure(self, email: str) -> User:
        """Return the user with an address. Creates a consumer account if there is none."""
        return self.get(email) or self.set(email, {})

    def set(self, email: str, fields: Json) -> User:
        """Create a user, or change the given fields. Raises ValueError for a wrong value."""
        email = email.lower()
        if not _ADDRESS.fullmatch(email) or not Principal(email).is_user:
            raise ValueError(f"{email!r} is not the address of a user, such as someone@example.com")
        types: dict[str, tuple[type, ...]] = {
            "name": (str,),
            "hosted_domain": (str, type(None)),
            "email_verified": (bool,),
        }
        for name, value in fields.items():
            if name not in types:
                raise ValueError(f"{name} is no field of a user. Fields: {', '.join(types)}")
            if not isinstance(value, types[name]):
                raise ValueError(f"{name} of {email} has a value of a wrong type: {value!r}")
        if (domain := fields.get("hosted_domain")) and not _DOMAIN.fullmatch(domain):
            raise ValueError(f"hosted_domain of {email} is {domain!r}, which is not a domain such as example.com")
        with self._store.transaction():
            return self._put(replace(self.get(email) or User(email, email.partition("@")[0].title()), **fields))

    def remove(self, email: str) -> None:
        """Remove a user and revoke all tokens and codes. Raises ValueError if there is none.

        An ID token cannot be revoked: it stays valid until its expiry.
        """
        email = email.lower()
        with self._store.transaction():
            if not self._documents.delete(email):
                raise ValueError(f"there is no user {email}")
            self._grants.forget(email)
            self._auth.revoke_access_tokens(email)

    def _put(self, user: User) -> User:
        user = user if user.id else replace(user, id="1" + "".join(secrets.choice("0123456789") for _ in range(20)))
        self._documents.put(user.email, asdict(user))
        return user
