# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM policies on resources, and permission checks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from localcloud.access import conditions
from localcloud.access.auth import Principal
from localcloud.access.custom_roles import CustomRoles, is_custom
from localcloud.access.projects import Projects
from localcloud.access.roles import ROLES, holds
from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.core.propagation import Propagation
from localcloud.core.store import Store

Json = dict[str, Any]

EMPTY_ETAG = "ACAB"
_ROLES_OF = frozenset(role.removeprefix("roles/").partition(".")[0] for role in ROLES)
_CONVENIENCE = {"projectOwner": "roles/owner", "projectEditor": "roles/editor", "projectViewer": "roles/viewer"}
_DELETED = re.compile(r"deleted:(user|serviceAccount|group):[^@\s?]+@[^@\s?]+\?uid=\d+")
_ADDRESSES = ("user", "serviceAccount", "group", "domain")
_MEMBER = re.compile(
    r"^(allUsers|allAuthenticatedUsers|(user|serviceAccount|group):[^@\s]+@[^@\s]+|domain:[\w.-]+"
    r"|(projectOwner|projectEditor|projectViewer):[\w:.-]+|principal(Set)?://\S+)$"
)


def project_resource(project: str) -> str:
    """Return the full resource name under which a project's own policy is stored."""
    return f"//cloudresourcemanager.googleapis.com/projects/{project}"


def account_resource(project: str, email: str) -> str:
    """Return the full resource name under which a service account's own policy is stored."""
    return f"//iam.googleapis.com/projects/{project}/serviceAccounts/{email}"


class Permissions:
    """IAM policies by full resource name (`//secretmanager.googleapis.com/projects/p/secrets/s`), and checks.

    The conditions of `numbered_hosts` name a project by its number. `resource_types` are the types of resources in
    conditions, by host and collection.
    """

    def __init__(
        self,
        store: Store,
        projects: Projects,
        clock: Clock,
        propagation: Propagation,
        numbered_hosts: Iterable[str] = (),
        resource_types: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._store = store
        self._policies = store.collection("iam.policies")
        self._accounts = store.collection("iam.serviceAccounts")
        self._projects = projects
        self._clock = clock
        self._propagation = propagation
        self._numbered_hosts = frozenset(numbered_hosts)
        self._resource_types = resource_types or {}
        self.custom_roles = CustomRoles(store, clock)

    # -- policies

    def policy(self, resource: str, version: int = 1) -> Json:
        """Return a resource's policy in the caller's `requestedPolicyVersion`; empty if never set."""
        policy = self._policies.get(resource)
        if policy is None:
            return {"etag": EMPTY_ETAG}
        policy = self._without_lost_roles(policy)
        if version >= 3 or not any("condition" in b for b in policy.get("bindings", ())):
            return policy
        # Callers that ask for an older version see that there is a condition, but cannot remove it by writing the
        # policy.
        bindings = []
        for binding in policy["bindings"]:
            if "condition" in binding:
                mark = hashlib.sha256(json.dumps(binding["condition"], sort_keys=True).encode()).hexdigest()[:20]
                bindings.append({"role": f"{binding['role']}_withcond_{mark}", "members": binding["members"]})
            else:
                bindings.append(binding)
        return policy | {"version": 1, "bindings": bindings}

    def set_policy(
        self,
        resource: str,
        policy: Json,
        *,
        mask: str | None = None,
        convenience: bool = False,
        initial: bool = False,
        project: str | None = None,
    ) -> Json:
        """Replace a policy and return it. Raises 409 for a stale etag and 400 for unknown roles or members.

        `convenience` allows `projectOwner:` and similar members, which only buckets support. `initial` is the policy
        that a new resource has from its creation, so it needs no propagation. `project` is the project whose custom
        roles can be granted, if the resource's name does not contain it. The 409 has the status ABORTED.
        """
        with self._store.transaction():
            current = self._policies.get(resource) or {"etag": EMPTY_ETAG}
            etag = policy.get("etag")
            if etag and etag != current["etag"]:
                raise ApiError(
                    409,
                    "ABORTED",
                    "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
                    f"backoff. The request's ETag '{etag}' did not match the current policy's ETag "
                    f"'{current['etag']}'.",
                )
            self._check_custom_roles(policy, current, project or self._project_of(resource))
            merged: dict[tuple[str, str], Json] = {}
            gone = {m for b in current.get("bindings", ()) for m in b["members"] if m.startswith("deleted:")}
            for binding in policy.get("bindings") or ():
                self._check_binding(binding, int(policy.get("version") or 1), convenience, gone)
                condition = binding.get("condition")
                key = (binding["role"], json.dumps(condition, sort_keys=True))
                into = merged.setdefault(key, {"role": binding["role"], "members": []})
                if condition:
                    into["condition"] = condition
                into["members"] = sorted({*into["members"], *map(_plain, binding.get("members") or ())})
            bindings = sorted((b for b in merged.values() if b["members"]), key=lambda b: str(b["role"]))
            new: Json = {"version": 3 if any("condition" in b for b in bindings) else 1}
            number = self._store.next_number("iam.policy")
            new["etag"] = base64.b64encode(b"\x07" + number.to_bytes(7, "big")).decode()
            if bindings:
                new["bindings"] = bindings
            audit = policy.get("auditConfigs") if mask and "auditConfigs" in mask else current.get("auditConfigs")
            if audit:
                new["auditConfigs"] = audit
            self._policies.put(resource, new)
            old, project = set(_grants(current)), project or self._project_of(resource)
            for grant in () if initial else set(_grants(new)) - old:
                self._propagation.begin("iam_grants", f"{resource} {grant}", project)
        return new

    def forget(self, resource: str) -> None:
        """Delete the policies of a deleted resource and of its children."""
        for key, _ in self._policies.items(resource):
            if key == resource or key.startswith(resource + "/"):
                self._policies.delete(key)

    def rename(self, old: str, new: str) -> None:
        """Rename a member in all policies, when an account is deleted or undeleted. Etags stay."""
        for resource, policy in self._policies.items():
            bindings = policy.get("bindings", ())
            if any(old in binding["members"] for binding in bindings):
                renamed = [b | {"members": sorted(new if m == old else m for m in b["members"])} for b in bindings]
                self._policies.put(resource, policy | {"bindings": renamed})

    def _check_binding(self, binding: Json, version: int, convenience: bool, gone: set[str]) -> None:
        """Check a binding. `gone` are the deleted accounts of the stored policy; others cannot be added."""
        role = binding.get("role") or ""
        if "_withcond_" in role:
            raise ApiError(400, None, f"Role {role} is not supported: write back what requestedPolicyVersion 3 reads.")
        service = re.match(r"roles/([a-z0-9]+)\.", role)
        if service and service[1] not in _ROLES_OF:
            raise ApiError(501, None, f"{role}: the local cloud has no roles of this service.")
        if role not in ROLES and not is_custom(role):
            raise ApiError(400, None, f"Role {role} is not supported for this resource.")
        if binding.get("condition") and version < 3:
            raise ApiError(400, None, "A policy with conditional role bindings must set version 3.")
        for member in binding.get("members") or ():
            if member in gone:
                continue
            if _DELETED.fullmatch(member):
                raise ApiError(400, None, f"Invalid argument: deleted principal {member} is not in the policy.")
            if not _MEMBER.match(member):
                raise ApiError(400, None, f"The member {member} is of an unknown type or its identifier is malformed.")
            kind, _, email = _plain(member).partition(":")
            if kind in _CONVENIENCE and not convenience:
                raise ApiError(400, None, f"Invalid argument: member {member} is not supported for this resource.")
            if kind == "serviceAccount" and email.endswith(".iam.gserviceaccount.com"):
                google_managed = email.split("@")[1].startswith(("gcp-sa-", "service-"))
                unknown = self._accounts.get(email) is None or self._propagation.pending("service_accounts", email)
                if unknown and not google_managed:
                    raise ApiError(400, None, f"Service account {email} does not exist.")

    def _check_custom_roles(self, policy: Json, current: Json, project: str) -> None:
        """Raise 400 for a custom role of another project, and for new members of a deleted role."""
        for binding in policy.get("bindings") or ():
            role = binding.get("role") or ""
            if not is_custom(role) or "_withcond_" in role:
                continue
            found = self.custom_roles.find(role)
            if found is None or not role.startswith(f"projects/{project}/"):
                raise ApiError(400, None, f"Role ({role}) does not exist in the resource's hierarchy.")
            old = {m for b in current.get("bindings", ()) if b["role"] == role for m in b["members"]}
            if found.get("deleted") and not set(binding.get("members") or ()) <= old:
                message = f"Role ({role}) is in a deleted state: it cannot be granted until it is undeleted."
                raise ApiError(400, "FAILED_PRECONDITION", message)

    def _without_lost_roles(self, policy: Json) -> Json:
        """Drop the bindings of custom roles whose deletion is final."""
        bindings = policy.get("bindings", [])
        left = [b for b in bindings if not is_custom(b["role"]) or self.custom_roles.find(b["role"])]
        return policy if len(left) == len(bindings) else policy | {"bindings": left}

    def _project_of(self, resource: str) -> str:
        found = re.match(r"//[^/]+/projects/([^/]+)", resource)
        return self._projects.id_of(found[1]) if found else ""

    # -- checks

    def _grants(self, role: str, permission: str) -> bool:
        return self.custom_roles.grants(role, permission) if is_custom(role) else holds(role, permission)

    def allowed(
        self, principal: Principal, permission: str, project: str | None = None, resource: str | None = None
    ) -> bool:
        """Return whether a policy on the resource, its parents or the project grants the permission."""
        places = [project_resource(project)] if project else []
        if resource:
            host, _, name = resource.removeprefix("//").partition("/")
            parts = name.split("/")
            places += [f"//{host}/{'/'.join(parts[:n])}" for n in range(2, len(parts) + 2, 2)]
        for place in places:
            policy = self._policies.get(place)
            for binding in (policy or {}).get("bindings", ()):
                if not self._grants(binding["role"], permission):
                    continue
                if not any(self._is(principal, member, place, binding) for member in binding["members"]):
                    continue
                condition = binding.get("condition")
                if condition and not self._holds(condition["expression"], resource or place):
                    continue
                return True
        return False

    def _holds(self, expression: str, resource: str) -> bool:
        host, _, name = resource.removeprefix("//").partition("/")
        if host in self._numbered_hosts:
            _, project, rest = name.split("/", 2)
            found = self._projects.get(project)
            resource = f"//{host}/projects/{found['projectNumber'] if found else project}/{rest}"
        return conditions.holds(expression, resource, self._clock.time(), self._type(host, name))

    def _type(self, host: str, name: str) -> str:
        """Return the type of a resource, or an empty string: that of the last collection in its name."""
        types = self._resource_types.get(host, {})
        return next((types[part] for part in reversed(name.split("/")[2::2]) if part in types), "")

    def _is(self, principal: Principal, member: str, place: str, binding: Json) -> bool:
        """Return whether a member of a binding on a resource is the principal, and the binding is in effect."""
        if self._propagation.pending("iam_grants", f"{place} {_grant(binding, member)}"):
            return False
        if member == "allUsers" or (member == "allAuthenticatedUsers" and principal.email):
            return True
        kind, _, rest = member.partition(":")
        if kind in _CONVENIENCE:
            policy = self._policies.get(project_resource(self._projects.id_of(rest) or rest)) or {}
            return any(
                principal.member in binding["members"]
                for binding in policy.get("bindings", ())
                if binding["role"] == _CONVENIENCE[kind]
            )
        return bool(principal.email) and member == principal.member


def _grant(binding: Json, member: str) -> str:
    return f"{binding['role']} {member} {json.dumps(binding.get('condition'), sort_keys=True)}"


def _grants(policy: Json) -> Iterator[str]:
    for binding in policy.get("bindings", ()):
        for member in binding["members"]:
            yield _grant(binding, member)


def _plain(member: str) -> str:
    # Email addresses are stored in lower case.
    kind, colon, rest = member.partition(":")
    return f"{kind}{colon}{rest.lower()}" if kind in _ADDRESSES else member
