# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names and policies of IAM: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def account_email(name: str, project: str) -> str:
    """A service account's e-mail address of its ID; what has an @ is one already."""
    # A project of a domain, example.com:my-project, turns it round.
    host = ".".join(reversed(project.rsplit(":", 1)))
    return name if "@" in name else f"{name}@{host}.iam.gserviceaccount.com"


def granted(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> bool:
    """Whether a policy has a member in the binding of this role and this condition."""
    return any(
        _plain(member) in map(_plain, binding.get("members") or ())
        for binding in policy.get("bindings") or ()
        if _is(binding, role, condition)
    )


def grant(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> Json:
    """The policy with the member in it; all else stays as it is."""
    bindings = [dict(binding) for binding in policy.get("bindings") or ()]
    for binding in bindings:
        if _is(binding, role, condition):
            binding["members"] = [*(binding.get("members") or ()), member]
            break
    else:
        bindings.append({"role": role, "members": [member], **({"condition": dict(condition)} if condition else {})})
    return {**policy, "bindings": bindings, "version": 3}


def revoke(policy: Json, role: str, member: str, condition: Mapping[str, Any] | None) -> Json:
    """The policy without the member; a binding of nobody goes, all else stays as it is."""
    bindings = []
    for binding in policy.get("bindings") or ():
        kept = binding
        if _is(binding, role, condition):
            members = [other for other in binding.get("members") or () if _plain(other) != _plain(member)]
            kept = {**binding, "members": members}
        if kept.get("members"):
            bindings.append(kept)
    return {**policy, "bindings": bindings, "version": 3}


def _is(binding: Json, role: str, condition: Mapping[str, Any] | None) -> bool:
    return binding.get("role") == role and _filled(binding.get("condition")) == _filled(condition)


def _filled(condition: Mapping[str, Any] | None) -> Json:
    return {key: value for key, value in (condition or {}).items() if value}


def _plain(member: str) -> str:
    # IAM writes e-mail addresses in lower case; principal:// identifiers keep theirs.
    kind = member.split(":", 1)[0]
    return kind + member[len(kind) :].lower() if kind in {"user", "group", "serviceAccount", "domain"} else member
