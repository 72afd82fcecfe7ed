# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The consumer project of a call. It must have the API enabled, and the caller must be allowed to use the project."""

from __future__ import annotations

from localcloud.access.refusals import USE_PROJECT
from localcloud.framework.service import Bound, Call

# The project of gcloud's own OAuth client. It is the consumer of calls of users without a quota project. Of its
# APIs, only services with `enabled_for_users` are known; `cloud.projects.enable(CLIENT_PROJECT, HOST)` adds an API.
CLIENT_PROJECT = "764086051850"


def require_enabled(call: Call, bound: Bound) -> None:
    """Raise 403 if the caller may not use the consumer project or the project has not enabled the API."""
    named = call.request.headers.get("x-goog-user-project")
    if named and call.caller.email:
        _require_use(call, named)
    project, service = _consumer(call, bound, named), call.service
    of_user = project == CLIENT_PROJECT
    if project is None or service.always_on or (of_user and service.enabled_for_users):
        return
    projects, host = call.cloud.projects, service.host
    late = call.cloud.propagation.every_third("api_enablement", f"{project}/{host}")
    if late or not projects.enabled(project, host):
        title = next(service.contracts()).document.get("title", host)
        if of_user:
            raise service.refusals.quota_project_missing(host, title, CLIENT_PROJECT)
        raise service.refusals.disabled(host, title, projects.number_of(project))


def _consumer(call: Call, bound: Bound, named: str | None) -> str | None:
    projects = call.cloud.projects
    target = bound.project(call) if bound.project else call.project
    if target and projects.get(target) and not call.service.callers_project:
        return target
    if named:
        return projects.id_of(named)
    account = call.cloud.accounts.get(call.caller.email)
    if account:
        return str(account["projectId"])
    return CLIENT_PROJECT if call.caller.is_user and call.service.callers_project else None


def _require_use(call: Call, named: str) -> None:
    project = call.cloud.projects.id_of(named)
    if call.cloud.projects.get(project) is None or not call.allowed(USE_PROJECT, project=project):
        raise call.service.refusals.quota_project_denied(call.service.host, call.caller.email, named)
