# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's refusals of callers. A service whose answers differ overrides methods of `Refusals`."""

from __future__ import annotations

from localcloud.core.errors import ApiError, error_info

USE_PROJECT = "serviceusage.services.use"


class Refusals:
    """The 403 answers of most services."""

    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of a caller without a permission on a resource (its relative name)."""
        message = f"Permission '{permission}' denied on resource '//{host}/{resource}' (or it may not exist)."
        info = error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=resource)
        return ApiError(403, None, message, [info])

    def disabled(self, host: str, title: str, number: str) -> ApiError:
        """Return the refusal of a call whose consumer project has not enabled the API."""
        return _disabled(_not_used(host, title, number), host, title, number)

    def quota_project_missing(self, host: str, title: str, number: str) -> ApiError:
        """Return the refusal of a user without a quota project; `number` is the project of gcloud's own client."""
        message = (
            "Your application is authenticating by using local Application Default Credentials. "
            f"The {host} API requires a quota project, which is not set by default. To learn how to set your quota "
            "project, see https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds ."
        )
        return _disabled(message, host, title, number)

    def quota_project_denied(self, host: str, email: str, project: str) -> ApiError:
        """Return the refusal of a caller that may not use the project of its header `x-goog-user-project`."""
        url = f"https://console.developers.google.com/iam-admin/iam/project?project={project}"
        message = (
            f"Caller does not have required permission to use project {project}. Grant the caller the "
            f"roles/serviceusage.serviceUsageConsumer role, or a custom role with the {USE_PROJECT} permission, "
            f"by visiting {url} and then retry. Propagation of the new permission may take a few minutes."
        )
        consumer = {"service": host, "consumer": f"projects/{project}", "containerInfo": project}
        return ApiError(403, "forbidden", message, [error_info("USER_PROJECT_DENIED", "googleapis.com", **consumer)])


class BriefRefusals(Refusals):
    """The 403 answers of a service that returns no details."""

    def disabled(self, host: str, title: str, number: str) -> ApiError:
        """Return the refusal without details."""
        return ApiError(403, "accessNotConfigured", _not_used(host, title, number))

    def quota_project_missing(self, host: str, title: str, number: str) -> ApiError:
        """Return the refusal of a disabled API: such a service does not mention quota projects."""
        return self.disabled(host, title, number)

    def quota_project_denied(self, host: str, email: str, project: str) -> ApiError:
        """Return the refusal without details."""
        return ApiError(403, "forbidden", f"{email} does not have {USE_PROJECT} access to the Google Cloud project.")


def _url(host: str, number: str) -> str:
    return f"https://console.developers.google.com/apis/api/{host}/overview?project={number}"


def _not_used(host: str, title: str, number: str) -> str:
    return (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting "
        f"{_url(host, number)} then retry. If you enabled this API recently, wait a few minutes for the action to "
        "propagate to our systems and retry."
    )


def _disabled(message: str, host: str, title: str, number: str) -> ApiError:
    url = _url(host, number)
    detail = error_info(
        "SERVICE_DISABLED",
        "googleapis.com",
        service=host,
        consumer=f"projects/{number}",
        containerInfo=number,
        serviceTitle=title,
        activationUrl=url,
    )
    help_links = {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": "Google developers console API activation", "url": url}],
    }
    return ApiError(403, "accessNotConfigured", message, [detail, help_links])
