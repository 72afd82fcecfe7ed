# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Describe a resource: its options, its fields, its requests to the API.

A module declares its resource as a subclass of Resource. ``_convergence.py`` compares and changes the resource,
``_module.py`` runs the module.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from . import _operation
from ._client import Client, GoogleError, Json
from ._fields import Field, camel, get_at, make_link, merge_patch, merged, put_at, same, to_api

T = TypeVar("T")
ANSWER_WITHIN = 120.0  # seconds for which a request without a response is repeated
VISIBLE_WITHIN = 90.0  # seconds for which a new IAM resource may be invisible


class Resource:
    """One kind of resource. Subclasses set the attributes below, and override methods for a different API.

    Templates (``collection``, ``path``, ``create_query``, ``create_body``, links) are filled from the parameters.
    """

    options: ClassVar[Mapping[str, Any]] = {}  # argument spec on top of the common options and ``state``
    api: ClassVar[str] = "compute"
    kind: ClassVar[str] = ""  # for messages: "network"
    collection: ClassVar[str] = ""  # "projects/{project}/global/networks"
    path: ClassVar[str] = ""  # by default collection + "/{name}"
    fields: ClassVar[Mapping[str, Field]] = {}  # option → mapping to the API
    # Option → format that is checked before the first request. A dotted path selects a suboption.
    formats: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    create_query: ClassVar[Mapping[str, str]] = {}  # {"secretId": "{name}"}
    create_body: ClassVar[Mapping[str, str]] = {"name": "{name}"}
    patch_style: ClassVar[str] = "merge"  # "merge": JSON merge patch; "mask": updateMask, whose fields are replaced
    # Prevents lost updates: "fingerprint" or "etag" in the body, or "ifMetagenerationMatch" in the query.
    guard: ClassVar[str] = ""
    state_key: ClassVar[str] = "status"
    busy: ClassVar[Sequence[str]] = ()  # temporary values of state_key
    broken: ClassVar[Sequence[str]] = ()  # permanent error values of state_key

    def __init__(self, client: Client, params: Mapping[str, Any]) -> None:
        self.client, self.params = client, params
        self.wait = bool(params.get("wait", True))

    # Methods that a module may override ------------------------------------------------------------------------------

    def read(self) -> Json | None:
        """Return the current resource, or None."""
        return self.client.find(self.api, self.self_path)

    def check(self, current: Json) -> None:
        """Check the current resource before any change. Raise RefusedError to stop."""

    def check_create(self) -> None:
        """Check the options before a creation or its plan. Raise RefusedError to stop."""

    def create(self, body: Json) -> None:
        """Create the resource."""
        self.call(
            "POST",
            self.fill(self.collection),
            body,
            {key: self.fill(value) for key, value in self.create_query.items()},
        )

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Update the fields that have no method of their own. ``paths`` are the dotted paths that differ."""
        query: Json = {}
        if self.patch_style == "mask":
            query["updateMask"] = ",".join(paths)
        if self.guard == "ifMetagenerationMatch":
            query[self.guard] = current["metageneration"]
        elif self.guard and self.guard in current:
            body = {**body, self.guard: current[self.guard]}
        self.call("PATCH", self.self_path, body, query)

    def delete(self, current: Json) -> None:
        """Delete the resource."""
        self.call("DELETE", self.self_path)

    def more(self, current: Json) -> Json:
        """Return values in addition to the resource. Not called for a planned resource."""
        return {}

    def found(self) -> Json:
        """Return values in addition to the resource, also if it is planned or absent. Use only data that was read."""
        return {}

    def explain(self, error: GoogleError) -> str:
        """Return the cause of an error and the remedy, if the resource knows more than the error."""
        return ""

    def why_broken(self, current: Json) -> str:
        """Return the cause of a broken state and the remedy, in separate sentences."""
        return f"Inspect the {self.kind} in the console, or delete it (state: absent) and run again."

    def is_temporary(self, error: GoogleError) -> bool:
        """Return whether the error of a mutation is temporary. Then the mutation is repeated until the deadline."""
        return error.operation_in_progress

    def running_operations(self) -> Iterable[Json]:
        """Return the unfinished operations of other clients on the resource. They must end first."""
        return ()

    def set_labels(self, body: Json, current: Json) -> None:
        """Set labels with Compute's setLabels. Use ``"labels": Field(via="set_labels")``."""
        labels = merged(current.get("labels"), body["labels"])
        self.call(
            "POST",
            f"{self.self_path}/setLabels",
            {"labels": labels, "labelFingerprint": current.get("labelFingerprint", "")},
        )

    # Methods that a module may use -----------------------------------------------------------------------------------

    @property
    def self_path(self) -> str:
        """Return the resource's path below the API's base address."""
        return self.fill(self.path or self.collection + "/{name}")

    @property
    def title(self) -> str:
        """Return the resource's kind and name, for messages."""
        return f"{self.kind} {self.params['name']}" if self.params.get("name") else self.kind

    @cached_property
    def project_number(self) -> str:
        """Return the project's number, by which some services identify the project."""
        project = str(self.params.get("project_number") or self.params["project"])
        if project.isdigit():
            return project
        return str(self.client.get("cloudresourcemanager", f"v1/projects/{project}")["projectNumber"])

    def fill(self, template: str) -> str:
        """Fill in a template from the parameters."""
        return template.format(**self.params)

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        api: str = "",
        **kwargs: Any,
    ) -> Json:
        """Send a mutation. If the response is an operation and ``wait`` is set, wait for the operation."""
        api = api or self.api

        def once() -> Json:
            params = dict(query or {})
            if api == "compute":  # a repeated request with the same ID has no second effect
                params["requestId"] = str(uuid.uuid4())
            answer = self.client.request(method, api, path, body=body, params=params, **kwargs)
            # An operation that has ended needs no wait, but may have failed.
            if _operation.is_operation(api, answer) and (self.wait or _operation.done(api, answer)):
                return _operation.wait(self.client, api, answer)
            return answer

        # The operation's own error may also report that another operation is in progress.
        return self.retry(once, self.is_temporary)

    def retry(
        self, action: Callable[[], T], is_temporary: Callable[[GoogleError], bool], seconds: float = math.inf
    ) -> T:
        """Run ``action``. Repeat it for at most ``seconds`` after errors that ``is_temporary`` accepts."""
        retry = self.client.retry(first=2.0, longest=15.0)
        return retry.call(action, repeat_for=lambda error: seconds if is_temporary(error) else 0.0)

    def send_once(self, send: Callable[[], Any], has_arrived: Callable[[], bool]) -> None:
        """Send a request that must not run twice. After a lost response, repeat it only if it did not arrive."""
        sent = False

        def attempt() -> None:
            nonlocal sent
            if sent and has_arrived():
                return
            sent = True
            send()

        # The error of an operation has no URL: the request arrived, and a repetition would fail too.
        def is_lost(error: GoogleError) -> bool:
            return bool(error.url) and (error.reason == "connection" or error.code >= 500)

        self.retry(attempt, is_lost, ANSWER_WITHIN)

    def int64(self, value: int) -> str:
        """Return a number as a string, as the API sends int64. Use ``Field(convert="int64")``."""
        return str(value)

    def is_busy(self, current: Json) -> bool:
        """Return whether the resource is in a transition between two states."""
        return current.get(self.state_key) in self.busy

    def settle(self, current: Json | None) -> Json | None:
        """Wait until the resource is not in a transition. Raises GoogleError after the deadline."""
        if current is not None and self.is_busy(current):
            for operation in self.running_operations():
                _operation.wait(self.client, self.api, operation)
            current = self.read()
        retry, known = self.client.retry(first=2.0, longest=15.0), current
        latest: Json | None = retry.call(
            lambda: self.read() if retry.attempts else known,
            unfinished=lambda found: found is not None and self.is_busy(found),
        )
        if latest is not None and self.is_busy(latest):
            message = f"the state is still {latest.get(self.state_key)} after {self.client.deadline.seconds:.0f} s"
            raise GoogleError(0, "deadlineExceeded", message, api=self.api)
        return latest

    # Methods for the convergence loop --------------------------------------------------------------------------------

    def desired(self) -> dict[str, Any]:
        """Return the desired value of each option that the user set, in the API's form."""
        values: dict[str, Any] = {}
        for option, field in self.fields.items():
            value = self.params.get(option)
            if value is None:
                continue
            value = to_api(value, self.options.get(option, {}), field.names)
            if field.link:
                value = make_link(value, field.link, self.params)
            values[option] = getattr(self, field.convert)(value) if field.convert else value
        return values

    def at(self, option: str) -> str:
        """Return the option's path in the API's document."""
        return self.fields[option].at or camel(option)

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value of an option, in the form of ``desired``."""
        return get_at(current, self.at(option))

    def differs(self, option: str, value: Any, current: Json) -> bool:
        """Return whether an option's desired value differs from the current value."""
        field = self.fields[option]
        has = self.current_value(option, current)
        return field.compare and not same(value, has, unordered=field.unordered, exact=field.exact)

    def hides(self, option: str) -> bool:
        """Return whether the option's value is excluded from diffs."""
        return self.fields[option].hidden or _has_no_log(self.options.get(option, {}))

    def document(self, values: Mapping[str, Any]) -> Json:
        """Return a request body with the values of options."""
        body: Json = {}
        for option, value in values.items():
            put_at(body, self.at(option), value)
        return body

    def update(self, values: Mapping[str, Any], current: Json, via: str) -> None:
        """Send one group of changed values: the values of one method, or all patched values."""
        if via:
            getattr(self, via)(self.document(values), current)
            return
        change: Callable[[Any, Any], Any] = merged if self.patch_style == "mask" else merge_patch
        changes = {option: change(get_at(current, self.at(option)), value) for option, value in values.items()}
        self.patch(self.document(changes), current, [self.at(option) for option in values])


def _has_no_log(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("no_log")) or any(_has_no_log(below) for below in (spec.get("options") or {}).values())
