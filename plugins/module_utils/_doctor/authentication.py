# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the authentication of a deployment."""

from __future__ import annotations

from .endpoint import Endpoint, Json, require_success, succeeded
from .remedies import CONFIGURE
from .results import CheckResult, fail, ok


def authentication(endpoint: Endpoint) -> CheckResult:
    """Check that the server refuses requests without a password and accepts the administrator's password.

    An own application has no user of the doctor, so only the first part is checked.
    """
    search: Json = {"json": {"max_results": 1}}
    path = "/api/2.0/mlflow/experiments/search"
    without = endpoint.request("POST", path, authenticated=False, **search)
    if succeeded(without):
        return fail(
            "authentication",
            f"the server accepts requests without a password (HTTP {without.status_code})",
            f"close the firewall (infrastructure_client_source_ranges), then run {CONFIGURE}",
        )
    if not endpoint.username:
        # An own application may redirect to a page for signing in.
        if without.status_code >= 400 and without.status_code not in (401, 403):
            require_success(without, "request without a credential, expected HTTP 401")
        return ok(
            "authentication",
            f"{without.status_code} without a credential; the users of an own application are not checked",
        )
    if without.status_code != 401:
        require_success(without, "request without a password, expected HTTP 401")
    with_password = endpoint.request("POST", path, **search)
    require_success(with_password, f"request as {endpoint.username}")
    return ok("authentication", f"401 without a password, {with_password.status_code} as {endpoint.username}")
