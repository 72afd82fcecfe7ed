# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The data sources of the metadata server."""

from __future__ import annotations

from typing import Any, Protocol

Json = dict[str, Any]


class InstanceDirectory(Protocol):
    """The data source of the metadata server; the Compute service implements it over the store."""

    def by_internal_ip(self, ip: str) -> Json | None:
        """Return the instance resource with this address, as the Compute API returns it.

        Its ``selfLink`` names project and zone.
        """

    def project(self, project_id: str) -> Json:
        """Return the project's ``projectId``, ``numericProjectId`` and ``attributes`` (common metadata, a dict)."""

    def guest_attributes(self, instance: Json) -> dict[str, dict[str, str]]:
        """Return the instance's guest attributes: namespace → key → value."""

    def put_guest_attribute(self, instance: Json, namespace: str, key: str, value: str) -> None:
        """Set one guest attribute."""

    def delete_guest_attribute(self, instance: Json, namespace: str, key: str) -> None:
        """Remove one guest attribute, if it exists."""

    def address_of(self, name: str) -> str | None:
        """Return the internal address of ``NAME.ZONE.c.PROJECT.internal`` for the name server, or None."""


class IssuedToken(Protocol):
    """An access token and its lifetime in seconds."""

    @property
    def token(self) -> str:
        """Return the bearer token."""

    @property
    def expires_in(self) -> int:
        """Return the lifetime in seconds from creation."""


class TokenIssuer(Protocol):
    """Issues tokens; implemented by :class:`localcloud.access.auth.Auth`."""

    def issue_access_token(self, email: str, scopes: list[str], lifetime: int = ...) -> IssuedToken:
        """Return a new access token of a service account."""

    def issue_id_token(self, email: str, audience: str, *, include_email: bool = ..., extra: Json | None = ...) -> str:
        """Return a new ID token of a service account for an audience."""
