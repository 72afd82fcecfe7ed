# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion between module options and API fields, and their comparison: pure functions without HTTP or Ansible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """Mapping of a module option to the API.

    ``at``         dotted path of the API's field; by default the option's name in camelCase
    ``immutable``  cannot be changed after creation: a difference is refused, with advice
    ``unordered``  its lists, at every depth, are compared as sets
    ``exact``      its structures are compared completely; for structures to which the service adds no keys
    ``link``       template that makes a link of a bare name, such as ``projects/{project}/global/networks/{}``
    ``via``        name of the resource's method ``(body, current) -> None`` that updates it; by default it is patched
    ``convert``    name of the resource's method ``(value) -> value`` that converts the option's value for the API
    ``create``     whether the creation's body contains it; if not, it is updated right after the creation
    ``compare``    False if the service does not return the value (passwords) or changes it (image families)
    ``hidden``     True excludes its value from diffs; options with ``no_log`` are always hidden
    ``names``      the API's names of suboptions that are not in camelCase, such as ``{"ip_protocol": "IPProtocol"}``
    """

    at: str = ""
    immutable: bool = False
    unordered: bool = False
    exact: bool = False
    link: str = ""
    via: str = ""
    convert: str = ""
    create: bool = True
    compare: bool = True
    hidden: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


class Map(dict[str, Any]):
    """A map with keys of the user, such as labels. Compared completely, so that a removed key is a difference.

    Other dicts are structures. Only the keys of the desired structure are compared.
    """


def camel(name: str) -> str:
    """Return a name in camelCase: ``private_ip_google_access`` → ``privateIpGoogleAccess``."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def to_api(value: Any, spec: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Any:
    """Return an option's value in the API's form: camelCase keys by the argument spec, without unset suboptions."""
    if isinstance(value, list):
        return [to_api(item, spec, names) for item in value]
    if not isinstance(value, dict):
        return value
    options = spec.get("options")
    if not options:
        return Map({key: str(item) if not isinstance(item, (dict, list)) else item for key, item in value.items()})
    names = names or {}
    return {
        names.get(key) or camel(key): to_api(item, options[key], names)
        for key, item in value.items()
        if item is not None
    }


def make_link(value: Any, template: str, params: Mapping[str, Any]) -> Any:
    """Return a link for a bare name, or for each name in a list. A value with a slash is a link already."""
    if isinstance(value, list):
        return [make_link(item, template, params) for item in value]
    return template.format(value, **params) if isinstance(value, str) and value and "/" not in value else value


def from_projects(value: str) -> str:
    """Return a Google link without the part before ``projects/…``. Return other strings unchanged."""
    return re.sub(r"^https?://[\w.-]*googleapis\.com/(?:[\w-]+/)*?(?=projects/)", "", value)


def same(desired: Any, current: Any, *, unordered: bool = False, exact: bool = False) -> bool:
    """Return whether the current value equals the desired value.

    None equals empty. A number equals its decimal string, because the API sends int64 as strings. Links are compared
    from ``projects/`` on. Of a structure only the desired keys are compared, unless it is ``exact``. Maps and lists are
    compared completely, so that removed entries are a difference.
    """
    if current is None:
        return _empty(desired) and not (exact and _says_something(desired))
    if isinstance(desired, Map):
        return isinstance(current, dict) and _own(current) == _own(desired)
    if isinstance(desired, dict):
        if not isinstance(current, dict):
            return False
        keys = [*desired, *(key for key in current if exact and key not in desired and _says_something(current[key]))]
        return all(same(desired.get(key), current.get(key), unordered=unordered, exact=exact) for key in keys)
    if isinstance(desired, list):
        return isinstance(current, list) and _same_list(desired, current, unordered, exact)
    return bool(_scalar(desired) == _scalar(current))


def _empty(value: Any) -> bool:
    if isinstance(value, dict) and not isinstance(value, Map):
        return all(_empty(item) for item in value.values())
    return not value


def _says_something(value: Any) -> bool:
    # In an exact structure, false and 0 differ from None: a lifecycle rule with isLive: false deletes old versions, a
    # rule without isLive deletes all objects.
    return isinstance(value, (bool, int)) or not _empty(value)


def _same_list(desired: list[Any], current: list[Any], unordered: bool, exact: bool) -> bool:
    if not unordered:
        return len(desired) == len(current) and all(
            same(a, b, exact=exact) for a, b in zip(desired, current, strict=True)
        )
    rest = list(current)
    for item in _unique(desired):
        match = next((other for other in rest if same(item, other, unordered=True, exact=exact)), None)
        if match is None:
            return False
        rest.remove(match)
    return not rest


def _unique(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _own(labels: Mapping[str, Any]) -> Json:
    # Google's services add their own labels with the prefix goog-. They must not be removed.
    return {key: _scalar(value) for key, value in labels.items() if not key.startswith("goog-")}


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return from_projects(value)
    return str(value) if isinstance(value, (int, float)) else value


def seen(desired: Any, current: Any, *, unordered: bool = False, exact: bool = False) -> Any:
    """Return the part of ``current`` with the keys of ``desired``, so that a diff shows only real differences."""
    if same(desired, current, unordered=unordered, exact=exact):
        return desired
    if isinstance(current, dict) and isinstance(desired, Map):
        return {key: value for key, value in current.items() if not key.startswith("goog-") or key in desired}
    if isinstance(current, dict) and isinstance(desired, dict) and not exact:
        return {key: seen(item, current.get(key), unordered=unordered) for key, item in desired.items()}
    if isinstance(current, list) and isinstance(desired, list):
        return [
            next((item for item in desired if same(item, has, unordered=unordered, exact=exact)), has)
            for has in current
        ]
    return from_projects(current) if isinstance(current, str) else current


def shown(desired: Any, *, unordered: bool = False) -> Any:
    """Return a desired value for the diff, with sets in a fixed order."""
    return sorted(_unique(desired), key=str) if unordered and isinstance(desired, list) else desired


def get_at(document: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or None."""
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put_at(document: Json, path: str, value: Any) -> None:
    """Set the value at a dotted path. Create missing parents."""
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    if isinstance(value, dict) and isinstance(document.get(last), dict) and not isinstance(value, Map):
        for key, item in value.items():
            put_at(document[last], key, item)
    else:
        document[last] = value


def merged(current: Any, desired: Any) -> Any:
    """Return ``desired`` merged into ``current``, for APIs that replace the fields in the update mask."""
    if isinstance(desired, Map):
        kept = {k: v for k, v in (current or {}).items() if k.startswith("goog-")}
        return {**kept, **desired}
    if isinstance(desired, dict) and isinstance(current, dict):
        return {**current, **{key: merged(current.get(key), item) for key, item in desired.items()}}
    return desired


def merge_patch(current: Any, desired: Any) -> Any:
    """Return ``desired`` as a JSON merge patch (RFC 7396). Removed keys of a map become null."""
    if isinstance(desired, Map):
        gone = {key: None for key in current or {} if key not in desired and not key.startswith("goog-")}
        return {**desired, **gone}
    if isinstance(desired, dict):
        below = current if isinstance(current, dict) else {}
        return {key: merge_patch(below.get(key), item) for key, item in desired.items()}
    return desired
