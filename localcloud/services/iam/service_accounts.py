# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Service accounts and their policies."""

from __future__ import annotations

import re

from localcloud.access.permissions import account_resource
from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework.service import Call, Json
from localcloud.services.iam.api import (
    account_method,
    account_of,
    api,
    email_of,
)

_ID = "iam.projects.serviceAccounts."


def _visible_account(call: Call) -> Json:
    found = account_of(call)
    if not call.cloud.accounts.visible(found["email"]):
        raise ApiError(404, None, f"Service account {found['name']} does not exist.")
    return found


@api.method(_ID + "create", permission="iam.serviceAccounts.create")
def create(call: Call) -> Json:
    """Create a service account in the project."""
    account_id = call.body.get("accountId") or ""
    if not re.fullmatch(r"[a-z][-a-z0-9]{4,28}[a-z0-9]", account_id):
        raise ApiError(
            400, None, f"Invalid service account ID {account_id}: it must match [a-z]([-a-z0-9]{{4,28}}[a-z0-9])."
        )
    try:
        return call.cloud.accounts.create(call.project or "", account_id, call.body.get("serviceAccount") or {})
    except AlreadyExists:
        raise ApiError(
            409, None, f"Service account {account_id} already exists within project projects/{call.project}."
        ) from None


@account_method("get", "iam.serviceAccounts.get")
def get(call: Call) -> Json:
    """Return one account."""
    return _visible_account(call)


@api.method(_ID + "list", permission="iam.serviceAccounts.list")
def list_accounts(call: Call) -> Json:
    """Return the project's accounts."""
    accounts = [a for a in call.cloud.accounts.documents.list() if a["projectId"] == call.project]
    return call.listing("accounts", accounts, default=20)


def _edited(call: Call, fields: Json) -> Json:
    with call.cloud.store.transaction():
        account = account_of(call) | fields
        call.cloud.accounts.documents.put(account["email"], {k: v for k, v in account.items() if v not in (None, "")})
    return account_of(call)


@account_method("patch", "iam.serviceAccounts.update")
def patch(call: Call) -> Json:
    """Change the fields in `updateMask`. The answer has only these fields and the name."""
    given = call.body.get("serviceAccount") or {}
    fields = [f.strip() for f in (call.body.get("updateMask") or "").split(",") if f.strip()]
    if not fields or set(fields) - {"displayName", "description"}:
        raise ApiError(400, None, f"The update mask {call.body.get('updateMask')} is not valid.")
    edited = _edited(call, {f: given.get(f) for f in fields})
    return {k: v for k, v in edited.items() if k in {"name", *fields}}


@account_method("delete", "iam.serviceAccounts.delete")
def delete(call: Call) -> Json:
    """Delete an account with its keys."""
    call.cloud.accounts.delete(account_of(call)["email"])
    return {}


@account_method("undelete", None)
def undelete(call: Call) -> Json:
    """Restore a deleted account by its unique number."""
    deleted = call.cloud.accounts.deleted.get(email_of(call))
    if deleted is None:
        raise ApiError(404, None, "Unknown service account")
    call.require("iam.serviceAccounts.undelete", project=deleted["projectId"])
    try:
        return {"restoredAccount": call.cloud.accounts.undelete(deleted["uniqueId"])}
    except AlreadyExists:
        raise ApiError(409, None, f"Service account {deleted['email']} already exists.") from None


@account_method("disable", "iam.serviceAccounts.disable")
def disable(call: Call) -> Json:
    """Disable the account: its tokens and keys are refused."""
    _edited(call, {"disabled": True})
    return {}


@account_method("enable", "iam.serviceAccounts.enable")
def enable(call: Call) -> Json:
    """Undo `disable`."""
    _edited(call, {"disabled": None})
    return {}


@account_method("getIamPolicy", "iam.serviceAccounts.getIamPolicy")
def get_policy(call: Call) -> Json:
    """Return the account's policy: the principals that may act as it or create tokens for it."""
    account = _visible_account(call)
    version = int(call.params.get("options.requestedPolicyVersion", 1))
    return call.cloud.permissions.policy(account_resource(account["projectId"], account["email"]), version)


@account_method("setIamPolicy", "iam.serviceAccounts.setIamPolicy")
def set_policy(call: Call) -> Json:
    """Replace the account's policy."""
    account = _visible_account(call)
    resource = account_resource(account["projectId"], account["email"])
    return call.cloud.permissions.set_policy(resource, call.body.get("policy") or {}, mask=call.body.get("updateMask"))
