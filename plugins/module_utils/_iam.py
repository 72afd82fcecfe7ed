# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names and policies of IAM: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Json = dict[str, Any]

DELETED = "deleted:"
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_ADDRESSES = frozenset({"user", "group", "serviceAccount", "domain"})


def account_email(name: str, project: str) -> str:
    """Return a service account's e-mail address for its ID. A name with an @ is an address already."""
    # In an address, a domain-scoped project ID such as example.com:my-project is reversed.
    host = ".".join(reversed(project.rsplit(":", 1)))
    return name if "@" in name else f"{name}@{host}.iam.gserviceaccount.com"


def granted(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> bool:
    """Return whether a policy has a member in the binding of this role and this condition."""
    return any(_same(member, other) for other in _members(policy, role, condition))


def mentioned(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> bool:
    """Return whether the binding has the member, or a deleted account with the same name."""
    return any(_same(member, other) or is_stale(member, other) for other in _members(policy, role, condition))


def grant(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> Json:
    """Return the policy with the member instead of a deleted account with the same name, otherwise unchanged."""
    bindings = [dict(binding) for binding in policy.get("bindings") or ()]
    for binding in bindings:
        if _is(binding, role, condition):
            binding["members"] = [other for other in binding.get("members") or () if not is_stale(member, other)]
            binding["members"].append(member)
            break
    else:
        bindings.append({"role": role, "members": [member], **({"condition": dict(condition)} if condition else {})})
    return {**policy, "bindings": bindings, "version": 3}


def revoke(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> Json:
    """Return the policy without the member, deleted accounts with the same name, and empty bindings."""
    bindings = []
    for binding in policy.get("bindings") or ():
        kept = binding
        if _is(binding, role, condition):
            members = binding.get("members") or ()
            kept = {**binding, "members": [o for o in members if not (_same(member, o) or is_stale(member, o))]}
        if kept.get("members"):
            bindings.append(kept)
    return {**policy, "bindings": bindings, "version": 3}


def deleted(policy: Json) -> list[str]:
    """Return the members of a policy whose accounts were deleted: ``deleted:KIND:ADDRESS?uid=ID``."""
    every = {member for binding in policy.get("bindings") or () for member in binding.get("members") or ()}
    return sorted(member for member in every if member.startswith(DELETED))


def public(policy: Json) -> list[str]:
    """Return allUsers and allAuthenticatedUsers if they are members of a policy."""
    every = {member for binding in policy.get("bindings") or () for member in binding.get("members") or ()}
    return sorted(every & PUBLIC)


def without(policy: Json, members: Collection[str]) -> Json:
    """Return the policy without these members, which must be spelled as in the policy."""
    kept = [
        {**binding, "members": [member for member in binding.get("members") or () if member not in members]}
        for binding in policy.get("bindings") or ()
    ]
    return {**policy, "bindings": [binding for binding in kept if binding["members"]]}


def is_stale(member: str, other: str) -> bool:
    """Return whether ``other`` is a deleted account with the member's name, which is a different identity."""
    return other.startswith(DELETED) and _same(member, other.removeprefix(DELETED).split("?uid=")[0])


def _members(policy: Json, role: str, condition: Mapping[str, Any] | None) -> Iterator[str]:
    for binding in policy.get("bindings") or ():
        if _is(binding, role, condition):
            yield from binding.get("members") or ()


def _is(binding: Json, role: str, condition: Mapping[str, Any] | None) -> bool:
    return binding.get("role") == role and _filled(binding.get("condition")) == _filled(condition)


def _filled(condition: Mapping[str, Any] | None) -> Json:
    return {key: value for key, value in (condition or {}).items() if value}


def _same(member: str, other: str) -> bool:
    return _plain(member) == _plain(other)


def _plain(member: str) -> str:
    # IAM writes e-mail addresses in lower case, but does not change principal:// identifiers.
    prefix = DELETED if member.startswith(DELETED) else ""
    kind, colon, rest = member.removeprefix(prefix).partition(":")
    return f"{prefix}{kind}{colon}{rest.lower()}" if kind in _ADDRESSES else member
