# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""From options to the API's fields and back to a comparison: pure functions, no HTTP and no Ansible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """How one option of a module meets the API.

    ``at``         dotted path of the API's field; by default the option's name in camelCase
    ``immutable``  cannot be changed once the resource is there: a difference is refused, with advice
    ``unordered``  lists in it (at every depth) are sets
    ``exact``      structures in it are compared whole, for those to which the service adds nothing
    ``link``       template that makes a link of a bare name, such as ``projects/{project}/global/networks/{}``
    ``via``        name of the resource's method ``(body, current) -> None`` that updates it; by default it is patched
    ``convert``    name of the resource's method ``(value) -> value`` that turns the option's value into the API's
    ``create``     whether it belongs in the creation's body; if not, it is updated right after the creation
    ``compare``    False for what the service never gives back (passwords) or turns into something else (image families)
    ``hidden``     True keeps its value out of diffs; options with ``no_log`` are hidden anyway
    ``names``      the API's spelling of suboptions where camelCase is wrong, such as ``{"ip_protocol": "IPProtocol"}``
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
    """A map whose keys the user chose (labels): compared whole, so that a dropped key counts.

    Other dicts are structures, compared in what they name.
    """


def camel(name: str) -> str:
    """``private_ip_google_access`` → ``privateIpGoogleAccess``."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def to_api(value: Any, spec: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Any:
    """An option's value as the API spells it: camelCase keys by the argument spec, unset suboptions left out."""
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
    """Make a link of a bare name (or of each in a list); what has a slash is a link already."""
    if isinstance(value, list):
        return [make_link(item, template, params) for item in value]
    return template.format(value, **params) if isinstance(value, str) and value and "/" not in value else value


def from_projects(value: str) -> str:
    """Cut a Google link down to what follows the API's version: ``projects/…``. Other strings stay as they are."""
    return re.sub(r"^https?://[\w.-]*googleapis\.com/(?:[\w-]+/)*?(?=projects/)", "", value)


def same(wanted: Any, current: Any, *, unordered: bool = False, exact: bool = False) -> bool:
    """Whether the resource already is as wanted.

    Nothing and empty are the same, a number is the same as its decimal string (int64 travels as a string), links are
    compared from ``projects/`` onward. Of a structure only the wanted keys count, unless it is ``exact``; maps and
    lists count whole, so that what was removed is noticed.
    """
    if current is None:
        return _empty(wanted) and not (exact and _says_something(wanted))
    if isinstance(wanted, Map):
        return isinstance(current, dict) and _own(current) == _own(wanted)
    if isinstance(wanted, dict):
        if not isinstance(current, dict):
            return False
        keys = [*wanted, *(key for key in current if exact and key not in wanted and _says_something(current[key]))]
        return all(same(wanted.get(key), current.get(key), unordered=unordered, exact=exact) for key in keys)
    if isinstance(wanted, list):
        return isinstance(current, list) and _same_list(wanted, current, unordered, exact)
    return bool(_scalar(wanted) == _scalar(current))


def _empty(value: Any) -> bool:
    if isinstance(value, dict) and not isinstance(value, Map):
        return all(_empty(item) for item in value.values())
    return not value


def _says_something(value: Any) -> bool:
    # In a structure that is compared whole, false and 0 are not the same as nothing: a lifecycle rule with
    # isLive: false deletes old versions, one without it everything.
    return isinstance(value, (bool, int)) or not _empty(value)


def _same_list(wanted: list[Any], current: list[Any], unordered: bool, exact: bool) -> bool:
    if not unordered:
        return len(wanted) == len(current) and all(
            same(a, b, exact=exact) for a, b in zip(wanted, current, strict=True)
        )
    rest = list(current)
    for item in _unique(wanted):
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
    # Google's services add labels of their own under goog-; they are not ours to remove.
    return {key: _scalar(value) for key, value in labels.items() if not key.startswith("goog-")}


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return from_projects(value)
    return str(value) if isinstance(value, (int, float)) else value


def seen(wanted: Any, current: Any, *, unordered: bool = False, exact: bool = False) -> Any:
    """The part of ``current`` that ``wanted`` speaks of, for a diff in which only real differences show."""
    if same(wanted, current, unordered=unordered, exact=exact):
        return wanted
    if isinstance(current, dict) and isinstance(wanted, Map):
        return {key: value for key, value in current.items() if not key.startswith("goog-") or key in wanted}
    if isinstance(current, dict) and isinstance(wanted, dict) and not exact:
        return {key: seen(item, current.get(key), unordered=unordered) for key, item in wanted.items()}
    if isinstance(current, list) and isinstance(wanted, list):
        return [
            next((item for item in wanted if same(item, has, unordered=unordered, exact=exact)), has) for has in current
        ]
    return from_projects(current) if isinstance(current, str) else current


def shown(wanted: Any, *, unordered: bool = False) -> Any:
    """A wanted value for the diff, sets in a settled order."""
    return sorted(_unique(wanted), key=str) if unordered and isinstance(wanted, list) else wanted


def get_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put_at(document: Json, path: str, value: Any) -> None:
    """Set the value at a dotted path, making what is missing on the way."""
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    if isinstance(value, dict) and isinstance(document.get(last), dict) and not isinstance(value, Map):
        for key, item in value.items():
            put_at(document[last], key, item)
    else:
        document[last] = value


def merged(current: Any, wanted: Any) -> Any:
    """``wanted`` over ``current``, for APIs that replace what the update mask names."""
    if isinstance(wanted, Map):
        kept = {k: v for k, v in (current or {}).items() if k.startswith("goog-")}
        return {**kept, **wanted}
    if isinstance(wanted, dict) and isinstance(current, dict):
        return {**current, **{key: merged(current.get(key), item) for key, item in wanted.items()}}
    return wanted


def merge_patch(current: Any, wanted: Any) -> Any:
    """``wanted`` as a JSON merge patch (RFC 7396): what a map lost becomes null."""
    if isinstance(wanted, Map):
        gone = {key: None for key in current or {} if key not in wanted and not key.startswith("goog-")}
        return {**wanted, **gone}
    if isinstance(wanted, dict):
        below = current if isinstance(current, dict) else {}
        return {key: merge_patch(below.get(key), item) for key, item in wanted.items()}
    return wanted
