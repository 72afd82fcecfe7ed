# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What a person should do next, for each way in which Google says no."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ._auth import AuthOptions
from ._client import GoogleError

# Google quotes it ("Permission 'compute.networks.create' denied") or says "does not have storage.buckets.get access".
_PERMISSION = r"(?:'|\bpermission:? |\bhave )([a-z]+\.\w+\.\w+)(?:'|\b)"


def login(auth: AuthOptions, environ: Mapping[str, str] | None = None) -> str:
    """Where the credentials that do not work came from, and how to get others that count instead of them."""
    environ = os.environ if environ is None else environ
    key = environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if auth.auth_kind == "access_token":
        said = (
            "They came from auth_kind access_token. Set access_token, or export CLOUDSDK_AUTH_ACCESS_TOKEN, to what "
            "`gcloud auth print-access-token` prints; a token lives for one hour."
        )
    elif auth.auth_kind == "service_account_file":
        file = auth.service_account_file or ""
        said = (
            f"They came from service_account_file '{file}'{_account(file)}. "
            "Set it, or export GCP_SERVICE_ACCOUNT_FILE, to the file of a key that is valid."
        )
    elif key:  # it goes before a login with gcloud
        said = (
            f"They came from GOOGLE_APPLICATION_CREDENTIALS '{key}'{_account(key)}. Export the file of a key that is "
            "valid, or unset it and log in with `gcloud auth application-default login`."
        )
    else:
        said = (
            "They came from the login of gcloud or from this machine, since neither GOOGLE_APPLICATION_CREDENTIALS nor "
            "auth_kind (GCP_AUTH_KIND) is set. Log in with `gcloud auth application-default login`."
        )
    target = auth.impersonate_service_account
    return f"{said} The account must be allowed to act as {target} (impersonate_service_account)." if target else said


def _account(path: str) -> str:
    try:
        account = json.loads(Path(path).expanduser().read_text())["client_email"]
    except (OSError, ValueError, KeyError, TypeError):  # what is wrong with the file says who could not use it
        return ""
    return f" (account {account})"


def advice(error: GoogleError, project: str, auth: AuthOptions | None = None) -> str:
    """Return one or two sentences, or an empty string where the service's own words are the best there is."""
    code, reason, text = error.code, error.reason, error.message
    if code == 401:
        return login(auth or AuthOptions())
    if error.service_disabled:
        service = (
            error.metadata("service") or _found(r"([a-z]+\.googleapis\.com)", text) or f"{error.api}.googleapis.com"
        )
        return f"Enable the API with `gcloud services enable {service} --project={project}`, wait a minute, run again."
    if reason == "BILLING_DISABLED" or (code in {400, 403} and "billing" in text.lower()):
        return f"Link a billing account: https://console.cloud.google.com/billing/linkedaccount?project={project}"
    if "constraints/gcp.resourceLocations" in text:
        return (
            "An organisation policy allows resources in certain locations only. Set the location of this resource to "
            "one that the policy allows; for secrets of the role infrastructure: infrastructure_secret_locations."
        )
    if "quota" in reason.lower() or "quota" in text.lower():
        return f"Free some of it or ask for more: https://console.cloud.google.com/iam-admin/quotas?project={project}"
    if code == 403:
        return _permission(error, project)
    if reason == "deadlineExceeded":
        return "It goes on at Google: run again to pick it up, or raise the timeout option."
    if reason.startswith("ZONE_RESOURCE_POOL_EXHAUSTED"):
        return "The zone has no such machine to spare now: run again later, or choose another zone or machine type."
    if reason == "tls":
        return "Check the certificate authorities this host trusts (REQUESTS_CA_BUNDLE) and any proxy in between."
    if reason == "connection":
        return (
            f"Check the network, HTTPS_PROXY and, where it is set, CLOUDSDK_API_ENDPOINT_OVERRIDES_{error.api.upper()}"
            f"{f' ({error.url})' if error.url else ''}."
        )
    if error.operation_in_progress or code == 412 or (code == 409 and reason.lower() in {"aborted", "conflict"}):
        return "Something else is changing it at the same time: run again when that is done."
    if code == 404:
        return f"Check that project {project} and everything this refers to exist, and are spelled right."
    if code == 429 or (code >= 500 and code != 501):
        return "The service is busy or out of order (https://status.cloud.google.com): run again later."
    return ""


def _permission(error: GoogleError, project: str) -> str:
    permission = error.metadata("permission") or _found(_PERMISSION, error.message)
    wanted = f"the permission {permission}" if permission else "a permission for this"
    return (
        f"The account lacks {wanted}. Grant it a role that has it: "
        f"`gcloud projects add-iam-policy-binding {project} --member=… --role=…`"
        f"{f' (https://cloud.google.com/iam/docs/permissions-reference?q={permission})' if permission else ''}. "
        "Rights given a moment ago take up to two minutes."
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) if match else ""
