# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""OAuth clients: at Google they are created in the console, because no API creates them."""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from localcloud.access.redirect_uris import is_loopback, origin_problem, redirect_problem
from localcloud.core.settings import PROJECT, PROJECT_NUMBER
from localcloud.core.store import Store

Json = dict[str, Any]

WEB, DESKTOP = "web", "desktop"
LOCAL_CLIENT = "local.apps.googleusercontent.com"
"""The client of logins through the admin requests."""
GCLOUD_CLIENT = "32555940559.apps.googleusercontent.com"
"""The client of `gcloud auth login`."""


@dataclass(frozen=True)
class OAuthClient:
    """An OAuth client. Without a secret, each secret is accepted."""

    name: str
    id: str
    secret: str | None
    type: str = DESKTOP
    redirect_uris: tuple[str, ...] = ()
    javascript_origins: tuple[str, ...] = ()

    def accepts_secret(self, secret: str) -> bool:
        """Return whether a secret is the client's."""
        return self.secret is None or hmac.compare_digest(secret.encode(), self.secret.encode())

    def accepts_redirect(self, uri: str) -> bool:
        """Return whether the client has a redirect URI. Desktop clients have all ports of this computer."""
        return is_loopback(uri) if self.type == DESKTOP else uri in self.redirect_uris

    @property
    def file(self) -> Json:
        """Return the client's file, as the console offers it for download."""
        document: Json = {
            "client_id": self.id,
            "project_id": PROJECT,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_secret": self.secret,
        }
        if self.type == DESKTOP:
            return {"installed": document | {"redirect_uris": ["http://localhost"]}}
        uris = {"redirect_uris": self.redirect_uris, "javascript_origins": self.javascript_origins}
        return {"web": document | {name: list(values) for name, values in uris.items() if values}}


# gcloud contains the secrets of its clients, so they protect nothing. They are not repeated here.
BUILT_IN = (
    OAuthClient("gcloud auth login", GCLOUD_CLIENT, None),
    OAuthClient(
        "gcloud auth application-default login",
        "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
        None,
    ),
    OAuthClient("local cloud", LOCAL_CLIENT, "local"),
)


class OAuthClients:
    """The OAuth clients of a local cloud, by name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents = store.collection("auth.clients")

    def list(self) -> list[OAuthClient]:
        """Return the registered clients, without those of gcloud."""
        return [_client(document) for document in self._documents.list()]

    def get(self, client_id: str) -> OAuthClient | None:
        """Return the client with an ID."""
        return next((client for client in (*BUILT_IN, *self.list()) if client.id == client_id), None)

    def register(
        self,
        name: str,
        type: str = WEB,
        redirect_uris: Sequence[str] = (),
        javascript_origins: Sequence[str] = (),
    ) -> OAuthClient:
        """Create a client, or replace the URIs of the client with this name. ID and secret are kept.

        Raises ValueError if Google's console would refuse the values.
        """
        _check(type, redirect_uris, javascript_origins)
        with self._store.transaction():
            known = self._documents.get(name)
            if known and known["type"] != type:
                raise ValueError(f"the OAuth client {name} has the type {known['type']}. Remove it first")
            letters = string.ascii_lowercase + string.digits
            number = "".join(secrets.choice(letters) for _ in range(32))
            client = OAuthClient(
                name,
                known["id"] if known else f"{PROJECT_NUMBER}-{number}.apps.googleusercontent.com",
                known["secret"] if known else f"GOCSPX-{secrets.token_urlsafe(21)}",
                type,
                tuple(redirect_uris),
                tuple(javascript_origins),
            )
            self._documents.put(name, asdict(client))
        return client

    def remove(self, name: str) -> None:
        """Remove a client. Raises ValueError if there is none."""
        if not self._documents.delete(name):
            raise ValueError(f"there is no OAuth client {name}")


def _client(document: Json) -> OAuthClient:
    uris = {name: tuple(document[name]) for name in ("redirect_uris", "javascript_origins")}
    return OAuthClient(**document | uris)


def _check(type: str, redirect_uris: Sequence[str], javascript_origins: Sequence[str]) -> None:
    if type not in (WEB, DESKTOP):
        raise ValueError(f"type is {type!r}. It is one of {WEB}, {DESKTOP}")
    if type == DESKTOP and (redirect_uris or javascript_origins):
        raise ValueError("a client of the type desktop has no redirect_uris and no javascript_origins")
    for name, values in (("redirect_uris", redirect_uris), ("javascript_origins", javascript_origins)):
        if isinstance(values, str) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name} is a list of URIs")
    for uri in redirect_uris:
        if problem := redirect_problem(uri):
            raise ValueError(f"Invalid Redirect: {uri}: {problem}.")
    for origin in javascript_origins:
        if problem := origin_problem(origin):
            raise ValueError(f"Invalid Origin: {origin}: {problem}.")
