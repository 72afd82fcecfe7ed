# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of a run in check mode: resources to create, change and delete, without values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CREATE, CHANGE, DELETE = "create", "change", "delete"


@dataclass(frozen=True)
class Change:
    """A planned change of one resource. ``fields`` are the dotted names of the fields that differ."""

    action: str
    resource: str  # kind and name, such as "firewall rule mlflow-allow-https"
    fields: tuple[str, ...] = ()
    host: str = "localhost"

    def __str__(self) -> str:
        """Return one line without the action."""
        host = "" if self.host == "localhost" else f"{self.host}: "
        return f"{host}{self.resource}" + (f": {', '.join(self.fields)}" if self.fields else "")


@dataclass(frozen=True)
class Failure:
    """A task that failed, so that the plan is incomplete."""

    task: str
    msg: str


@dataclass
class Plan:
    """The planned changes, in the order of the run."""

    changes: list[Change] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Add a change. Several changes of one resource are one change: a creation, or the union of their fields."""
        for index, other in enumerate(self.changes):
            same = (other.host, other.resource) == (change.host, change.resource)
            if same and other.action == CREATE and change.action != DELETE:
                return
            if same and other.action == change.action:
                fields = tuple(dict.fromkeys(other.fields + change.fields))
                self.changes[index] = Change(other.action, other.resource, fields, other.host)
                return
        self.changes.append(change)

    def summary(self) -> str:
        """Return the number of changes of each action."""
        actions = [change.action for change in self.changes]
        return ", ".join(f"{actions.count(action)} to {action}" for action in (CREATE, CHANGE, DELETE))

    def text(self) -> str:
        """Return the summary and one line for each resource and each failure."""
        lines = [f"Plan: {self.summary()}", *(f"  {change.action} {change}" for change in self.changes)]
        lines += [f"  The plan is incomplete. Failed: {failure.task}: {failure.msg}" for failure in self.failures]
        return "\n".join(lines)

    def dump(self) -> str:
        """Return the plan as one line of JSON."""
        return json.dumps(asdict(self))


def load(text: str) -> Plan | None:
    """Return the plan from the last line of ``text`` that contains one, or None."""
    for line in reversed(text.splitlines()):
        if not line.startswith('{"changes": '):
            continue
        try:
            found = json.loads(line)
        except ValueError:
            continue
        changes = [Change(**{**entry, "fields": tuple(entry["fields"])}) for entry in found["changes"]]
        return Plan(changes, [Failure(**entry) for entry in found["failures"]])
    return None


def change(result: Mapping[str, Any], task: str, host: str) -> Change:
    """Return the change that the result of a task describes. Without a diff the resource is the task."""
    diff = result.get("diff")
    for document in diff if isinstance(diff, list) else [diff]:
        if isinstance(document, Mapping) and "before" in document and "after" in document:
            before, after = document["before"], document["after"]
            found = _structured(document, before, after) if isinstance(after, Mapping) else _file(document, result)
            if found.resource:
                return Change(found.action, found.resource, found.fields, host)
    return Change(CHANGE, f'task "{task}"', (), host)


def _structured(document: Mapping[str, Any], before: Any, after: Mapping[str, Any]) -> Change:
    before = before if isinstance(before, Mapping) else {}
    resource = str(document.get("after_header") or document.get("before_header") or "")
    if not resource and "path" in after:  # ansible.builtin.file
        resource = f"file {after['path']}"
    # ansible.builtin.file reports the absence of a file as a state.
    absent, gone = before.get("state") == "absent", after.get("state") == "absent"
    if not before or absent:
        return Change(CREATE, resource)
    if not after or gone:
        return Change(DELETE, resource)
    return Change(CHANGE, resource, tuple(sorted(_differences(before, after))))


def _file(document: Mapping[str, Any], result: Mapping[str, Any]) -> Change:
    # Only an existing file has the first header. The header of the new content may name a temporary file.
    if document.get("before_header"):
        return Change(CHANGE, f"file {document['before_header']}")
    invocation = result.get("invocation") or {}
    path = invocation.get("dest") or invocation.get("module_args", {}).get("dest") or document.get("after_header")
    return Change(CREATE, f"file {path}" if path else "")


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in {**before, **after}:
        had, gets = before.get(key), after.get(key)
        if isinstance(had, Mapping) and isinstance(gets, Mapping):
            yield from _differences(had, gets, f"{prefix}{key}.")
        elif had != gets:
            yield f"{prefix}{key}"
