# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of IAM, its constraint of organization policies, and functions for service accounts."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.core.errors import ApiError, Dialect
from localcloud.framework.service import Call, Handler, Json, Service

NO_KEYS = "constraints/iam.disableServiceAccountKeyCreation"

api = Service("iam", ("v1",), callers_project=True, dialect=Dialect.BOTH, constraints={NO_KEYS: False})

_ID = "iam.projects.serviceAccounts."


def email_of(call: Call) -> str:
    """Return the email of the account in the path, which may be its email or its unique number."""
    name = str(call.params.get("name") or call.params.get("resource"))
    return name.split("/")[3]


def find(call: Call) -> Json | None:
    """Return the account in the path, or None."""
    name = str(call.params.get("name") or call.params.get("resource"))
    found = call.cloud.accounts.get(email_of(call))
    project = call.cloud.projects.id_of(name.split("/")[1])
    return found if found and project in ("-", found["projectId"]) else None


def project_of(call: Call) -> str | None:
    """Return the project of the account in the path, or the project in the path."""
    found = find(call)
    return str(found["projectId"]) if found else call.project


def resource_of(call: Call) -> str | None:
    """Return the full name of the account in the path, which may contain its number."""
    found = find(call)
    return str(found["name"]) if found else call.resource


def account_of(call: Call) -> Json:
    """Return the account in the path. Raises 404."""
    found = find(call)
    if found is None:
        raise ApiError(404, None, "Unknown service account")
    return found


def account_method(method: str, permission: str | None) -> Callable[[Handler], Handler]:
    """Bind a handler to a method of `iam.projects.serviceAccounts`, with the permission on the account."""
    return api.method(_ID + method, permission=permission, project=project_of, resource=resource_of)
