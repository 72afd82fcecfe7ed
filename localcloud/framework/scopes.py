# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The OAuth scopes of a caller's token."""

from __future__ import annotations

from localcloud.access.auth import Principal
from localcloud.core.contract import Method
from localcloud.core.errors import ApiError, error_info
from localcloud.framework.service import Service


def check_scopes(caller: Principal, method: Method, service: Service) -> None:
    """Raise 403 unless the caller's token has a scope of the method."""
    if not method.scopes or not caller.email or caller.scopes & service.scopes.union(method.scopes):
        return
    message = "Request had insufficient authentication scopes."
    info = error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", method=method.id, service=method.service)
    raise ApiError(
        403, "insufficientPermissions", message, [info],
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'},
    )  # fmt: skip
