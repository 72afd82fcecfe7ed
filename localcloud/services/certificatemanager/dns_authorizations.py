# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""DNS authorizations: the DNS records that prove the control over a domain."""

from __future__ import annotations

import re
import uuid

from localcloud.core.errors import ApiError, bad_request
from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud, Work, step
from localcloud.framework.lifecycle import masked, wrong_label
from localcloud.framework.service import Call, Json
from localcloud.services.certificatemanager.api import api, name_of
from localcloud.services.certificatemanager.operations import operations

_ID = "certificatemanager.projects.locations.dnsAuthorizations."
_PERMISSION = "certificatemanager.dnsauthorizations."
_MESSAGE = "DnsAuthorization"
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_IMMUTABLE = ("domain", "type", "name")


def _stored(cloud: Cloud) -> Collection:
    return cloud.store.collection("certificatemanager.dnsAuthorizations")


def _invalid(field: str, description: str) -> ApiError:
    return ApiError(400, None, description, [bad_request([(field, description)])])


def _existing(call: Call) -> Json:
    name = name_of(call, call.params["name"])
    found = _stored(call.cloud).get(name)
    if found is None:
        raise ApiError(404, None, f"Resource '{name}' was not found")
    return found


def _check_labels(labels: Json | None) -> None:
    label = wrong_label(labels)
    if label:
        raise _invalid("dns_authorization.labels", f"The label {label} is not valid.")


def _record(name: str, domain: str, kind: str) -> Json:
    """Return the record. A new authorization of the same domain gets the same, so a kept record goes on working."""
    _, project, _, location, *_ = name.split("/")
    proof = uuid.uuid5(uuid.NAMESPACE_DNS, f"{domain}/{project}/{location}/{kind}")
    challenge = "_acme-challenge" if kind == "FIXED_RECORD" else f"_acme-challenge_{proof.hex[:16]}"
    return {
        "name": f"{challenge}.{domain}.",
        "type": "CNAME",
        "data": f"{proof}.{proof.int % 20}.authorize.certificatemanager.goog.",
    }


@api.method(_ID + "create", permission=_PERMISSION + "create")
def create(call: Call) -> Json:
    """Create an authorization for a domain and its wildcard."""
    given, body = str(call.params.get("dnsAuthorizationId") or ""), call.body
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", given):
        raise _invalid("dns_authorization_id", f"The ID '{given}' does not match [a-z]([-a-z0-9]{{0,61}}[a-z0-9])?")
    domain = str(body.get("domain") or "")
    if not _DOMAIN.fullmatch(domain):
        raise _invalid("dns_authorization.domain", f"The domain '{domain}' is not valid.")
    if body.get("tags"):
        raise ApiError(501, None, "The local cloud has no tags.")
    _check_labels(body.get("labels"))
    name = name_of(call, f"{call.params['parent']}/dnsAuthorizations/{given}")
    kind = body.get("type") or "TYPE_UNSPECIFIED"
    if kind == "TYPE_UNSPECIFIED":
        kind = "FIXED_RECORD" if "/locations/global/" in name else "PER_PROJECT_RECORD"
    now = call.cloud.clock.now()
    document = {"name": name, "createTime": now, "updateTime": now, "domain": domain, "type": kind}
    document |= {field: body[field] for field in ("labels", "description") if body.get(field)}
    document["dnsResourceRecord"] = _record(name, domain, kind)
    with call.cloud.store.transaction():
        if _stored(call.cloud).get(name):
            raise ApiError(409, None, f"Resource '{name}' already exists")
        return operations.start(call, "certificatemanager.put", {"document": document}, verb="create", target=name)


@api.method(_ID + "patch", permission=_PERMISSION + "update")
def patch(call: Call) -> Json:
    """Change the labels and the description, by `updateMask`."""
    mask = [field.strip() for field in (call.params.get("updateMask") or "").split(",") if field.strip()]
    if not mask:
        raise _invalid("update_mask", "The update mask must be provided.")
    wrong = [field for field in mask if field.partition(".")[0] not in ("labels", "description")]
    if wrong:
        why = "immutable" if wrong[0] in _IMMUTABLE else "unknown"
        raise _invalid("update_mask", f"The field '{wrong[0]}' is {why}.")
    _check_labels(call.body.get("labels"))
    with call.cloud.store.transaction():
        document = masked(_existing(call), call.body, ",".join(mask)) | {"updateTime": call.cloud.clock.now()}
        args = {"document": document}
        return operations.start(call, "certificatemanager.put", args, verb="update", target=document["name"])


@api.method(_ID + "delete", permission=_PERMISSION + "delete")
def delete(call: Call) -> Json:
    """Delete an authorization."""
    with call.cloud.store.transaction():
        name = _existing(call)["name"]
        return operations.start(call, "certificatemanager.delete", {"name": name}, verb="delete", target=name)


@step("certificatemanager.put")
def _put(work: Work) -> Json:
    document = work.args["document"]
    _stored(work.cloud).put(document["name"], document)
    return operations.typed(_MESSAGE, document)


@step("certificatemanager.delete")
def _remove(work: Work) -> None:
    _stored(work.cloud).delete(work.args["name"])


@api.method(_ID + "get", permission=_PERMISSION + "get")
def get(call: Call) -> Json:
    """Return one authorization."""
    return _existing(call)


@api.method(_ID + "list", permission=_PERMISSION + "list")
def list_authorizations(call: Call) -> Json:
    """Return the authorizations of a location; `locations/-` has those of all locations."""
    if call.params.get("filter") or call.params.get("orderBy"):
        raise ApiError(501, None, "The local cloud has no filter and no order for lists of DNS authorizations.")
    if str(call.params["parent"]).endswith("/locations/-"):
        prefix = f"projects/{call.project}/locations/"
    else:
        prefix = f"{name_of(call, call.params['parent'])}/dnsAuthorizations/"
    return call.listing("dnsAuthorizations", _stored(call.cloud).list(prefix))
