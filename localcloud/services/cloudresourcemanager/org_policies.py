# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Resource Manager v1: organization policies of projects, for the constraints that the local cloud enforces."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework import constraints
from localcloud.framework.lifecycle import fingerprint
from localcloud.framework.service import Call, Json
from localcloud.services.cloudresourcemanager.api import v1

_ID = "cloudresourcemanager.projects."
_ALL: Json = {"allValues": "ALLOW"}


def _project(call: Call) -> str:
    return call.cloud.projects.id_of(str(call.params["resource"]).removeprefix("projects/"))


def _constraint(call: Call, name: str | None) -> str:
    """Return the full name of a constraint. Raises 501 for a constraint that the local cloud does not follow."""
    name = name or ""
    name = name if name.startswith("constraints/") else f"constraints/{name}"
    if name not in (followed := constraints.known(call.cloud)):
        known = ", ".join(sorted(followed))
        raise ApiError(501, None, f"The local cloud does not follow {name}. It follows {known}.")
    return name


def _stored(call: Call, constraint: str) -> Json:
    found = constraints.policies(call.cloud).get(f"{_project(call)}/{constraint}") or {"constraint": constraint}
    return found | {"etag": fingerprint(found)}


def _check_etag(call: Call, constraint: str, etag: str | None) -> None:
    if etag and etag.replace("-", "+").replace("_", "/") != _stored(call, constraint)["etag"]:
        message = f"The policy of {constraint} has been changed meanwhile. Read it again and repeat the change."
        raise ApiError(409, "ABORTED", message)


@v1.method(_ID + "getOrgPolicy", permission="orgpolicy.policy.get", project=_project)
def get(call: Call) -> Json:
    """Return the project's policy, without a value if none is set."""
    return _stored(call, _constraint(call, call.body.get("constraint")))


@v1.method(_ID + "getEffectiveOrgPolicy", permission="orgpolicy.policy.get", project=_project)
def get_effective(call: Call) -> Json:
    """Return whether the constraint holds in the project, or the values that it allows."""
    constraint = _constraint(call, call.body.get("constraint"))
    if constraints.known(call.cloud)[constraint] is None:
        return {"constraint": constraint, "listPolicy": _stored(call, constraint).get("listPolicy") or _ALL}
    on = constraints.enforced(call.cloud, _project(call), constraint)
    return {"constraint": constraint, "booleanPolicy": {"enforced": True} if on else {}}


@v1.method(_ID + "setOrgPolicy", permission="orgpolicy.policy.set", project=_project)
def set_policy(call: Call) -> Json:
    """Set whether a constraint is enforced in the project, or the values that it allows."""
    policy = call.body.get("policy") or {}
    constraint = _constraint(call, policy.get("constraint"))
    kind = "listPolicy" if constraints.known(call.cloud)[constraint] is None else "booleanPolicy"
    if any(policy.get(other) for other in ("listPolicy", "booleanPolicy") if other != kind):
        raise ApiError(400, None, f"The policy of {constraint} is a {kind}.")
    with call.cloud.store.transaction():
        _check_etag(call, constraint, policy.get("etag"))
        document: Json = {"constraint": constraint, "updateTime": call.cloud.clock.now()}
        if kind in policy:
            document[kind] = policy[kind] or {}
        constraints.policies(call.cloud).put(f"{_project(call)}/{constraint}", document)
        return _stored(call, constraint)


@v1.method(_ID + "clearOrgPolicy", permission="orgpolicy.policy.set", project=_project)
def clear(call: Call) -> Json:
    """Remove the project's policy."""
    constraint = _constraint(call, call.body.get("constraint"))
    with call.cloud.store.transaction():
        _check_etag(call, constraint, call.body.get("etag"))
        constraints.policies(call.cloud).delete(f"{_project(call)}/{constraint}")
    return {}
