# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM: service accounts, their keys and policies. Roles are in `roles`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

from localcloud.access.permissions import account_resource
from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework import constraints
from localcloud.framework.service import Call, Handler, Json
from localcloud.services.iam.api import NO_KEYS, api

_ID = "iam.projects.serviceAccounts."


def _email(call: Call) -> str:
    """Return the email of the account in the path, which may be its email or its unique number."""
    name = str(call.params.get("name") or call.params.get("resource"))
    return name.split("/")[3]


def _find(call: Call) -> Json | None:
    name = str(call.params.get("name") or call.params.get("resource"))
    found = call.cloud.accounts.get(_email(call))
    project = call.cloud.projects.id_of(name.split("/")[1])
    return found if found and project in ("-", found["projectId"]) else None


def _project(call: Call) -> str | None:
    found = _find(call)
    return str(found["projectId"]) if found else call.project


def _resource(call: Call) -> str | None:
    found = _find(call)
    return str(found["name"]) if found else call.resource


def _account(call: Call) -> Json:
    found = _find(call)
    if found is None:
        raise ApiError(404, None, "Unknown service account")
    return found


def _visible_account(call: Call) -> Json:
    found = _account(call)
    if not call.cloud.accounts.visible(found["email"]):
        raise ApiError(404, None, f"Service account {found['name']} does not exist.")
    return found


def _bind(method: str, permission: str | None) -> Callable[[Handler], Handler]:
    return api.method(_ID + method, permission=permission, project=_project, resource=_resource)


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


@_bind("get", "iam.serviceAccounts.get")
def get(call: Call) -> Json:
    """Return one account."""
    return _visible_account(call)


@api.method(_ID + "list", permission="iam.serviceAccounts.list")
def list_accounts(call: Call) -> Json:
    """Return the project's accounts."""
    accounts = [a for a in call.cloud.accounts.documents.list() if a["projectId"] == call.project]
    page, token = call.page(accounts, default=20)
    return ({"accounts": page} if page else {}) | ({"nextPageToken": token} if token else {})


def _edited(call: Call, fields: Json) -> Json:
    with call.cloud.store.transaction():
        account = _account(call) | fields
        call.cloud.accounts.documents.put(account["email"], {k: v for k, v in account.items() if v not in (None, "")})
    return _account(call)


@_bind("patch", "iam.serviceAccounts.update")
def patch(call: Call) -> Json:
    """Change the fields in `updateMask`. The answer has only these fields and the name."""
    given = call.body.get("serviceAccount") or {}
    fields = [f.strip() for f in (call.body.get("updateMask") or "").split(",") if f.strip()]
    names = {"displayName": "displayName", "display_name": "displayName", "description": "description"}
    if not fields or set(fields) - set(names):
        raise ApiError(400, None, f"The update mask {call.body.get('updateMask')} is not valid.")
    edited = _edited(call, {names[f]: given.get(names[f]) for f in fields})
    return {k: v for k, v in edited.items() if k in {"name", *(names[f] for f in fields)}}


@_bind("update", "iam.serviceAccounts.update")
def update(call: Call) -> Json:
    """Replace the display name and, if given, the description."""
    return _edited(call, {k: call.body[k] for k in ("displayName", "description") if k in call.body})


@_bind("delete", "iam.serviceAccounts.delete")
def delete(call: Call) -> Json:
    """Delete an account with its keys."""
    call.cloud.accounts.delete(_account(call)["email"])
    return {}


@_bind("undelete", None)
def undelete(call: Call) -> Json:
    """Restore a deleted account by its unique number."""
    deleted = call.cloud.accounts.deleted.get(_email(call))
    if deleted is None:
        raise ApiError(404, None, "Unknown service account")
    call.require("iam.serviceAccounts.undelete", project=deleted["projectId"])
    try:
        return {"restoredAccount": call.cloud.accounts.undelete(deleted["uniqueId"])}
    except AlreadyExists:
        raise ApiError(409, None, f"Service account {deleted['email']} already exists.") from None


@_bind("disable", "iam.serviceAccounts.disable")
def disable(call: Call) -> Json:
    """Disable the account: its tokens and keys are refused."""
    _edited(call, {"disabled": True})
    return {}


@_bind("enable", "iam.serviceAccounts.enable")
def enable(call: Call) -> Json:
    """Undo `disable`."""
    _edited(call, {"disabled": None})
    return {}


@_bind("getIamPolicy", "iam.serviceAccounts.getIamPolicy")
def get_policy(call: Call) -> Json:
    """Return the account's policy: the principals that may act as it or create tokens for it."""
    account = _visible_account(call)
    version = int(call.params.get("options.requestedPolicyVersion", 1))
    return call.cloud.permissions.policy(account_resource(account["projectId"], account["email"]), version)


@_bind("setIamPolicy", "iam.serviceAccounts.setIamPolicy")
def set_policy(call: Call) -> Json:
    """Replace the account's policy."""
    account = _visible_account(call)
    resource = account_resource(account["projectId"], account["email"])
    return call.cloud.permissions.set_policy(resource, call.body.get("policy") or {}, mask=call.body.get("updateMask"))


@_bind("testIamPermissions", None)
def test_permissions(call: Call) -> Json:
    """Return the caller's permissions among the given permissions on the account."""
    account = _account(call)
    resource = account_resource(account["projectId"], account["email"])
    return call.cloud.permissions.granted(
        call.caller, call.body.get("permissions") or [], account["projectId"], resource
    )


# -- keys


def _key_view(document: Json) -> Json:
    view: Json = {
        "name": document["name"],
        "validAfterTime": document["validAfterTime"],
        "validBeforeTime": "9999-12-31T23:59:59Z",
        "keyAlgorithm": "KEY_ALG_RSA_2048",
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": "USER_MANAGED",
    }
    return view | ({"disabled": True} if document.get("disabled") else {})


def _key(call: Call) -> tuple[str, Json]:
    path = f"{_account(call)['email']}/{str(call.params['name']).rsplit('/', 1)[1]}"
    document = call.cloud.accounts.key_documents.get(path)
    if document is None:
        raise ApiError(404, None, f"Service account key {path.rsplit('/', 1)[1]} does not exist.")
    return path, document


@_bind("keys.create", "iam.serviceAccountKeys.create")
def create_key(call: Call) -> Json:
    """Create an RSA key. Only this answer contains the private key."""
    if call.body.get("privateKeyType") == "TYPE_PKCS12_FILE":
        raise ApiError(501, None, "PKCS#12 key files are not in the local cloud.")
    if call.body.get("keyAlgorithm") == "KEY_ALG_RSA_1024":
        raise ApiError(400, None, "KEY_ALG_RSA_1024 is no longer supported.")
    account = _account(call)
    if constraints.enforced(call.cloud, account["projectId"], NO_KEYS):
        message = "Key creation is not allowed on this service account."
        violation = {"type": NO_KEYS, "subject": account["name"], "description": message}
        failure = {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": [violation]}
        raise ApiError(400, "FAILED_PRECONDITION", message, [failure])
    email = account["email"]
    key_file, document = call.cloud.accounts.create_key(email, f"{call.cloud.settings.url}/oauth2/token")
    data = base64.b64encode(json.dumps(key_file, indent=2).encode()).decode()
    return _key_view(document) | {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": data}


@_bind("keys.list", "iam.serviceAccountKeys.list")
def list_keys(call: Call) -> Json:
    """Return the account's own keys."""
    types = call.params.get("keyTypes") or ["USER_MANAGED"]
    documents = call.cloud.accounts.key_documents.list(f"{_account(call)['email']}/")
    keys = [_key_view(d) for d in documents] if "USER_MANAGED" in types else []
    return {"keys": keys} if keys else {}


@_bind("keys.get", "iam.serviceAccountKeys.get")
def get_key(call: Call) -> Json:
    """Return one key, with its public key if `publicKeyType` is set."""
    _, document = _key(call)
    view = _key_view(document)
    source = {"TYPE_X509_PEM_FILE": "certificate", "TYPE_RAW_PUBLIC_KEY": "publicKey"}.get(
        call.params.get("publicKeyType", "")
    )
    if source:
        view["publicKeyData"] = base64.b64encode(document[source].encode()).decode()
    return view


@_bind("keys.delete", "iam.serviceAccountKeys.delete")
def delete_key(call: Call) -> Json:
    """Delete a key. Its signatures are refused from now on."""
    path, _ = _key(call)
    call.cloud.accounts.key_documents.delete(path)
    return {}


def _switch_key(call: Call, *, disabled: bool) -> Json:
    path, document = _key(call)
    call.cloud.accounts.key_documents.put(path, document | {"disabled": disabled})
    return {}


@_bind("keys.disable", "iam.serviceAccountKeys.disable")
def disable_key(call: Call) -> Json:
    """Disable a key: its signatures are refused until it is enabled."""
    return _switch_key(call, disabled=True)


@_bind("keys.enable", "iam.serviceAccountKeys.enable")
def enable_key(call: Call) -> Json:
    """Accept a disabled key again."""
    return _switch_key(call, disabled=False)
