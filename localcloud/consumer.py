# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The consumer project of a call. It must have the API enabled, and the caller must be allowed to use the project."""

from __future__ import annotations

from localcloud.errors import ApiError, error_info
from localcloud.permissions import service_disabled
from localcloud.service import Bound, Call

# The project of gcloud's own OAuth client. It is the consumer of calls of users without a quota project. Its enabled
# APIs are known for Service Usage only; `cloud.projects.enable(CLIENT_PROJECT, HOST)` adds an API.
CLIENT_PROJECT = "764086051850"
_ENABLED_FOR_USERS = ("serviceusage.googleapis.com",)


def require_enabled(call: Call, bound: Bound) -> None:
    """Raise 403 if the caller may not use the consumer project or the project has not enabled the API."""
    named = call.request.headers.get("x-goog-user-project")
    if named and call.caller.email:
        _require_use(call, named)
    project, host = _consumer(call, bound, named), call.service.host
    if project is None or call.service.always_on or (project == CLIENT_PROJECT and host in _ENABLED_FOR_USERS):
        return
    projects = call.cloud.projects
    late = call.cloud.propagation.every_third("api_enablement", f"{project}/{host}")
    if late or not projects.enabled(project, host):
        title = next(call.service.contracts()).document.get("title", host)
        number = CLIENT_PROJECT if project == CLIENT_PROJECT else projects.number_of(project)
        raise service_disabled(host, title, number, quota_project_missing=project == CLIENT_PROJECT)


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
    if call.cloud.projects.get(project) and call.allowed("serviceusage.services.use", project=project):
        return
    url = f"https://console.developers.google.com/iam-admin/iam/project?project={named}"
    message = (
        f"Caller does not have required permission to use project {named}. Grant the caller the "
        "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission, "
        f"by visiting {url} and then retry. Propagation of the new permission may take a few minutes."
    )
    consumer = {"service": call.service.host, "consumer": f"projects/{named}", "containerInfo": named}
    if call.service.name == "storage":
        message = f"{call.caller.email} does not have serviceusage.services.use access to the Google Cloud project."
        raise ApiError(403, "forbidden", message)
    raise ApiError(403, "forbidden", message, [error_info("USER_PROJECT_DENIED", "googleapis.com", **consumer)])
