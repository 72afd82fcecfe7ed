# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bring one resource to its desired state: read, compare, create, update, refuse, delete.

Only this file handles check mode, conflicts with other clients, and waits for a resource in transition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._advice import policy
from ._client import Json
from ._diff import HIDDEN, diff_of, diff_of_deletion
from ._errors import RefusedError, ServiceError
from ._fields import merged
from ._resource import VISIBLE_WITHIN, Resource

CONFLICT_ATTEMPTS = 6


@dataclass
class Result:
    """Result of a run."""

    changed: bool
    resource: Json | None
    diff: Json
    pending: bool = False
    more: Json = field(default_factory=dict)


class Convergence:
    """Converge one resource to the desired state."""

    def __init__(self, resource: Resource, *, check_mode: bool, warn: Callable[[str], None] = lambda _: None) -> None:
        self.resource, self.check_mode, self.warn = resource, check_mode, warn
        self.desired = resource.desired()
        self.changed = False
        self.doing = "read"
        self.before: Json | None = None

    def converge(self, state: str) -> Result:
        """Read, compare and change the resource. Start again after a concurrent change."""
        retry = self.resource.client.retry()

        def again(error: ServiceError) -> float:
            return math.inf if self._is_conflict(error) and retry.attempts + 1 < CONFLICT_ATTEMPTS else 0.0

        return retry.call(lambda: self._once(state), repeat_for=again)

    def _is_conflict(self, error: ServiceError) -> bool:
        return (error.code == 412 or (error.code == 409 and self.doing == "update")) and not policy(error)

    def _once(self, state: str) -> Result:
        return self._with_more(self._absent() if state == "absent" else self._present())

    def _with_more(self, result: Result) -> Result:
        planned = self.check_mode and result.changed
        if result.resource is not None and not planned:
            self.doing = "read"
            result.more = self.resource.more(result.resource)
        return result

    def _read(self) -> Json | None:
        self.doing = "read"
        try:
            current = self.resource.read()
        except ServiceError as error:
            if not (self.check_mode and error.service_disabled):
                raise
            # Plan for an empty project: check mode did not run the earlier task that enables the API.
            # Use the same message for every resource, because Ansible shows identical warnings once.
            self.warn(f"The API {error.api} is not enabled in this project. Its resources are planned as absent.")
            current = None
        if current is not None:
            self.resource.check(current)
        if not self.changed:
            self.before = current
        return current

    def _present(self) -> Result:
        resource = self.resource
        current = self._read()
        if current is None:
            return self._create()
        if resource.is_busy(current) and not self.check_mode:  # a plan does not wait: it uses the current state
            if not resource.wait:
                return self._result(current, pending=True)
            current = self.before = resource.settle(current)
            if current is None:
                return self._create()
        self._refuse_broken(current)
        return self._update(current, self.desired)

    def _create(self) -> Result:
        resource, self.doing = self.resource, "create"
        at_once = {option: value for option, value in self.desired.items() if resource.fields[option].create}
        body = {key: resource.fill(value) for key, value in resource.create_body.items()}
        resource.check_create()
        self.changed = True
        if self.check_mode:
            return self._result({**body, **self._planned()})
        body.update(resource.document(at_once))
        try:
            resource.create(body)
        except ServiceError as error:
            if error.code != 409:
                raise
            # The response to the creation was lost, another client created it first, or the name is in use.
            current = self._read()
            if current is None:
                self.doing = "create"
                raise
            if not resource.wait and resource.is_busy(current):
                return self._result(current, pending=True)
            return self._update(self._rested(current), self.desired)
        current = self._read_created()
        if not resource.wait:
            return self._result(current, pending=resource.is_busy(current))
        values = {option: value for option, value in self.desired.items() if option not in at_once}
        return self._update(self._rested(current), values)

    def _rested(self, current: Json) -> Json:
        settled = self.resource.settle(current)
        if settled is None:
            raise RefusedError(f"Another client deleted {self.resource.title} after its creation. Run again.")
        self._refuse_broken(settled)
        return settled

    def _read_created(self) -> Json:
        # For a while IAM answers 404 or 403 for a new resource.
        current = self.resource.client.retry(longest=8.0).call(
            self.resource.read,
            repeat_for=lambda error: VISIBLE_WITHIN if error.code == 403 else 0.0,
            unfinished=lambda found: found is None,
            seconds=VISIBLE_WITHIN,
        )
        if current is None:
            raise RefusedError(f"Cannot read {self.resource.title} after its creation. Run again in a minute.")
        return current

    def _update(self, current: Json, values: Mapping[str, Any]) -> Result:
        resource = self.resource
        while True:
            different = {option: value for option, value in values.items() if resource.differs(option, value, current)}
            self._refuse_immutable(different, current)
            if not different:
                break
            self.doing, changed_before, self.changed = "update", self.changed, True
            if self.check_mode:
                return self._result(merged(current, self._planned()))
            # Run one method, then read again, because every method changes the fingerprint. Do not send a value twice:
            # a service that returns another spelling of a value would cause an endless loop.
            # The patch runs first, then the methods in the order of the fields.
            via = min((resource.fields[option].via for option in different), key=bool)
            group = {option: value for option, value in different.items() if resource.fields[option].via == via}
            try:
                resource.update(group, current, via)
            except ServiceError as error:
                if self._is_conflict(error):  # nothing was changed; another client may have made the same change
                    self.changed = changed_before
                raise
            values = {option: value for option, value in values.items() if option not in group}
            latest = resource.read()
            latest = resource.settle(latest) if resource.wait else latest
            if latest is None:
                raise RefusedError(f"Another client deleted {resource.title} during the update. Run again.")
            current = latest
        self._refuse_broken(current)
        return self._result(current, pending=resource.is_busy(current))

    def _planned(self) -> Json:
        resource = self.resource
        return resource.document({option: v for option, v in self.desired.items() if not resource.hides(option)})

    def _absent(self) -> Result:
        current = self._read()
        if current is None:
            return Result(self.changed, None, diff_of_deletion(self.resource, self.before))
        if self.resource.wait and not self.check_mode:
            current = self.resource.settle(current)
        self.doing, self.changed = "delete", True
        if current is not None and not self.check_mode:
            try:
                self.resource.delete(current)
            except ServiceError as error:
                if error.code != 404:
                    raise
        return Result(True, None, diff_of_deletion(self.resource, self.before))

    def _refuse_immutable(self, different: Mapping[str, Any], current: Json) -> None:
        fixed = [option for option in different if self.resource.fields[option].immutable]
        if not fixed:
            return
        lines = []
        for option in fixed:
            values = (self.resource.current_value(option, current), different[option])
            old, new = (HIDDEN, HIDDEN) if self.resource.hides(option) else (repr(value) for value in values)
            lines.append(f"{option} (current: {old}; desired: {new})")
        raise RefusedError(
            f"{self.resource.title} cannot change {' and '.join(lines)} after its creation. Restore the current value, "
            f"or delete the {self.resource.kind} first (state: absent), which destroys its data."
        )

    def _refuse_broken(self, current: Json) -> None:
        state = current.get(self.resource.state_key)
        if state in self.resource.broken:
            raise RefusedError(f"{self.resource.title} is in state {state}. {self.resource.why_broken(current)}")

    def _result(self, current: Json, pending: bool = False) -> Result:
        return Result(self.changed, current, diff_of(self.resource, self.before, self.desired), pending)
