# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Keys of service accounts."""

from __future__ import annotations

import base64
import json

from localcloud.core.errors import ApiError
from localcloud.framework import constraints
from localcloud.framework.service import Call, Json
from localcloud.services.iam.api import (
    NO_KEYS,
    account_method,
    account_of,
)


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
    path = f"{account_of(call)['email']}/{str(call.params['name']).rsplit('/', 1)[1]}"
    document = call.cloud.accounts.key_documents.get(path)
    if document is None:
        raise ApiError(404, None, f"Service account key {path.rsplit('/', 1)[1]} does not exist.")
    return path, document


@account_method("keys.create", "iam.serviceAccountKeys.create")
def create_key(call: Call) -> Json:
    """Create an RSA key. Only this answer contains the private key."""
    if call.body.get("privateKeyType") == "TYPE_PKCS12_FILE":
        raise ApiError(501, None, "PKCS#12 key files are not in the local cloud.")
    if call.body.get("keyAlgorithm") == "KEY_ALG_RSA_1024":
        raise ApiError(400, None, "KEY_ALG_RSA_1024 is no longer supported.")
    account = account_of(call)
    if constraints.enforced(call.cloud, account["projectId"], NO_KEYS):
        message = "Key creation is not allowed on this service account."
        violation = {"type": NO_KEYS, "subject": account["name"], "description": message}
        failure = {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": [violation]}
        raise ApiError(400, "FAILED_PRECONDITION", message, [failure])
    email = account["email"]
    key_file, document = call.cloud.accounts.create_key(email, f"{call.cloud.settings.url}/oauth2/token")
    data = base64.b64encode(json.dumps(key_file, indent=2).encode()).decode()
    return _key_view(document) | {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": data}


@account_method("keys.list", "iam.serviceAccountKeys.list")
def list_keys(call: Call) -> Json:
    """Return the account's own keys."""
    types = call.params.get("keyTypes") or ["USER_MANAGED"]
    documents = call.cloud.accounts.key_documents.list(f"{account_of(call)['email']}/")
    keys = [_key_view(d) for d in documents] if "USER_MANAGED" in types else []
    return {"keys": keys} if keys else {}


@account_method("keys.delete", "iam.serviceAccountKeys.delete")
def delete_key(call: Call) -> Json:
    """Delete a key. Its signatures are refused from now on."""
    path, _ = _key(call)
    call.cloud.accounts.key_documents.delete(path)
    return {}
