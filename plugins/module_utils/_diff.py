# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Differences of a resource before and after a run, for Ansible's --diff. Secrets are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._client import Json
from ._fields import put_at, seen, shown
from ._resource import Resource

HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"


def diff_of(resource: Resource, before: Json | None, desired: Mapping[str, Any]) -> Json:
    """Return the difference between the resource ``before`` the run, or None, and the desired values."""
    old: Json = {}
    new: Json = {}
    for option, value in desired.items():
        field, at, hidden = resource.fields[option], resource.at(option), resource.hides(option)
        if before is None:
            put_at(new, at, HIDDEN if hidden else shown(value, unordered=field.unordered))
        elif not field.compare:
            continue
        elif hidden:
            put_at(old, at, HIDDEN)
            put_at(new, at, HIDDEN_CHANGED if resource.differs(option, value, before) else HIDDEN)
        else:
            part = seen(value, resource.current_value(option, before), unordered=field.unordered, exact=field.exact)
            put_at(old, at, shown(part, unordered=field.unordered))
            put_at(new, at, shown(value, unordered=field.unordered))
    if before is None and not new:  # show a resource without options in the plan
        new["name"] = resource.params.get("name")
    return _with_headers(resource, old, new)


def diff_of_deletion(resource: Resource, before: Json | None) -> Json:
    """Return the difference of a deletion."""
    old: Json = {}
    if before is None:
        return _with_headers(resource, old, {})
    for option in resource.fields:
        value = resource.current_value(option, before)
        if value is not None:
            put_at(old, resource.at(option), HIDDEN if resource.hides(option) else value)
    if not old:
        old["name"] = resource.params.get("name")
    return _with_headers(resource, old, {})


def _with_headers(resource: Resource, before: Json, after: Json) -> Json:
    return {"before": before, "after": after, "before_header": resource.title, "after_header": resource.title}
