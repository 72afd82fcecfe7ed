# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Remedies for the errors of Google's services."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ._auth import AuthOptions
from ._client import CLIENT_PROJECTS, GoogleError
from ._errors import ServiceError

# Google quotes it ("Permission 'compute.networks.create' denied") or says "does not have storage.buckets.get access".
_PERMISSION = r"(?:'|\bpermission:? |\bhave )([a-z]+\.\w+\.\w+)(?:'|\b)"

# Remedy for each constraint of an organisation policy.
_POLICIES = {
    "gcp.resourceLocations": (
        "An organisation policy allows resources in certain locations only. Set the location of this resource to an "
        "allowed location; for secrets of the role infrastructure: secrets_locations."
    ),
    "gcp.restrictServiceUsage": "An organisation policy forbids this API. Add it to the policy's allowed values.",
    "compute.trustedImageProjects": (
        "An organisation policy forbids images of this project. Add the project to the policy, or set the image to one "
        "of an allowed project (in the role infrastructure: infrastructure_image_project)."
    ),
    "compute.vmExternalIpAccess": (
        "An organisation policy forbids external addresses, which clients need to reach the server. Add this instance "
        "to the policy's allowed values."
    ),
    "compute.requireOsLogin": (
        "An organisation policy requires OS Login. Ansible connects with an SSH key in the metadata of the VM, which "
        "OS Login ignores."
    ),
    "compute.disableGuestAttributesAccess": (
        "An organisation policy forbids guest attributes, from which Ansible reads the SSH host keys of the VM."
    ),
    "iam.disableServiceAccountKeyCreation": (
        "An organisation policy forbids keys of service accounts. Use the identity of a VM, workload identity "
        "federation or impersonation in place of a key."
    ),
}
_POLICY_DOCS = "docs/google-cloud.md lists the policies that matter"


def policy(error: ServiceError) -> str:
    """Return the violated constraint of an organisation policy, or an empty string."""
    types = [str(item.get("type")) for detail in error.details for item in detail.get("violations") or ()]
    return _found(r"constraints/([a-zA-Z]+(?:\.[a-zA-Z]+)+)", " ".join([error.message, *types]))


def login(auth: AuthOptions, environ: Mapping[str, str] | None = None) -> str:
    """Return the source of the refused credentials, and how to replace them."""
    environ = os.environ if environ is None else environ
    key = environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if auth.auth_kind == "access_token":
        source = (
            "The credentials are from auth_kind access_token. Set access_token, or export CLOUDSDK_AUTH_ACCESS_TOKEN, "
            "to the output of `gcloud auth print-access-token`; a token is valid for one hour."
        )
    elif auth.auth_kind == "service_account_file":
        file = auth.service_account_file or ""
        source = (
            f"The credentials are from service_account_file '{file}'{_account(file)}. "
            "Set the option, or export GCP_SERVICE_ACCOUNT_FILE, to the file of a valid key."
        )
    elif key:  # the variable takes precedence over a login with gcloud
        source = (
            f"The credentials are from GOOGLE_APPLICATION_CREDENTIALS '{key}'{_account(key)}. Export the file of a "
            "valid key, or unset the variable and log in with `gcloud auth application-default login`."
        )
    else:
        source = (
            "The credentials are from the login of gcloud or from the control node, because neither "
            "GOOGLE_APPLICATION_CREDENTIALS nor auth_kind (GCP_AUTH_KIND) is set. Log in with `gcloud auth "
            "application-default login`."
        )
    target = auth.impersonate_service_account
    return (
        f"{source} The account must be allowed to act as {target} (impersonate_service_account)." if target else source
    )


def _account(path: str) -> str:
    try:
        account = json.loads(Path(path).expanduser().read_text())["client_email"]
    except (OSError, ValueError, KeyError, TypeError):  # an unreadable file is reported by its user
        return ""
    return f" (account {account})"


def advice(error: GoogleError, project: str, auth: AuthOptions | None = None) -> str:
    """Return one or two sentences, or an empty string if the service's own message is sufficient."""
    code, reason, text = error.code, error.reason, error.message
    auth = auth or AuthOptions()
    if code == 401:
        return _impersonation(error, project) or login(auth)
    if reason == "quotaProject":
        return _quota_project(error, project, auth)
    if error.service_disabled:
        # Only Service Usage checks the caller's project, and does not say whether it is the target.
        counted_for = _counted_for(error) if error.api == "serviceusage" else ""
        return _enable(error.service, counted_for or project)
    if reason == "USER_PROJECT_DENIED":
        return _use(error.consumer or project)
    if reason == "BILLING_DISABLED" or (code in {400, 403} and "billing" in text.lower()):
        return f"Link a billing account: https://console.cloud.google.com/billing/linkedaccount?project={project}"
    if policy(error):
        helps = _POLICIES.get(policy(error), f"The organisation policy {policy(error)} forbids this.")
        exempt = f"An administrator of the organisation can exempt project {project}; {_POLICY_DOCS}."
        return f"{helps} {exempt}"
    if reason == "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED":
        return "Too many operations run in this project at the same time: run again later."
    if "quota" in reason.lower() or "quota" in text.lower():
        return f"Release unused resources or request more quota: https://console.cloud.google.com/iam-admin/quotas?project={project}"
    if code == 403:
        return _permission(error, project)
    if reason == "deadlineExceeded":
        return "The operation continues at Google. Run again to wait for it, or increase the option timeout."
    if reason.startswith("ZONE_RESOURCE_POOL_EXHAUSTED"):
        return (
            "The zone has no capacity for this machine type now. Run again later, or choose another zone or machine "
            "type."
        )
    if reason == "tls":
        return "Check the trusted certificate authorities of the control node (REQUESTS_CA_BUNDLE) and any proxy."
    if reason == "connection":
        return (
            f"Check the network, HTTPS_PROXY and, where it is set, CLOUDSDK_API_ENDPOINT_OVERRIDES_{error.api.upper()}"
            f"{f' ({error.url})' if error.url else ''}."
        )
    if error.operation_in_progress or code == 412 or (code == 409 and reason.lower() in {"aborted", "conflict"}):
        return "Another client is changing the resource at the same time. Run again later."
    if code == 404:
        return f"Check that project {project} and all resources that the task names exist, and check their spelling."
    if code == 429 or (code >= 500 and code != 501):
        return "The service is overloaded or has a fault (https://status.cloud.google.com). Run again later."
    return ""


def _enable(service: str, project: str) -> str:
    return f"Enable the API with `gcloud services enable {service} --project={project}`, wait a minute, run again."


def _counted_for(error: GoogleError) -> str:
    """Return the project that a request counted for, if a user can enable APIs in it."""
    return "" if error.consumer in CLIENT_PROJECTS else error.consumer


def _use(project: str) -> str:
    return (
        f"This account may not use project {project} as quota project. Grant the role to the account: `gcloud projects "
        f"add-iam-policy-binding {project} --member=… --role=roles/serviceusage.serviceUsageConsumer`."
    )


def _impersonation(error: GoogleError, project: str) -> str:
    """Return the remedy for a refused token request of impersonation, which no playbook can fix without the token."""
    reasons = {detail.get("reason") for detail in error.details}
    if "USER_PROJECT_DENIED" in reasons:
        return _use(error.consumer or project)
    if "SERVICE_DISABLED" not in reasons:
        return ""
    counted_for = _counted_for(error)
    told = "" if counted_for else f"Run `gcloud auth application-default set-quota-project {project}`. "
    return told + _enable("iamcredentials.googleapis.com", counted_for or project)


def _quota_project(error: GoogleError, project: str, auth: AuthOptions) -> str:
    given = os.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT")
    if given:
        return f"GOOGLE_CLOUD_QUOTA_PROJECT is {given}: unset it, or set it to {project}."
    enable = f"`gcloud services enable {error.service} --project={error.consumer}`"
    if auth.service_account_file or auth.impersonate_service_account:
        return (
            f"Requests of a service account count for the project that it belongs to. Enable the API there: {enable}."
        )
    return (
        f"Run `gcloud auth application-default set-quota-project {project}`. Requests of a service account count for "
        f"the project that it belongs to: {enable}."
    )


def _permission(error: GoogleError, project: str) -> str:
    permission = error.metadata("permission") or _found(_PERMISSION, error.message)
    permission_text = f"the permission {permission}" if permission else "a permission for this"
    return (
        f"The account lacks {permission_text}. Grant it a role that has it: "
        f"`gcloud projects add-iam-policy-binding {project} --member=… --role=…`"
        f"{f' (https://cloud.google.com/iam/docs/permissions-reference?q={permission})' if permission else ''}. "
        "A new role takes effect within two minutes."
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) if match else ""
