# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The convergence loop of a resource: read, compare, create, update, refuse, delete.

A module describes its resource as a subclass of Resource and calls run(). Only this file handles check mode, diffs,
waits, conflicts and error messages.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import Any, ClassVar, NoReturn, TypeVar

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from . import _auth, _formats, _operation, _options
from ._advice import advice, login, policy
from ._client import Client, GoogleError, Json
from ._fields import Field, camel, get_at, make_link, merge_patch, merged, put_at, same, seen, shown, to_api

HIDDEN = "(hidden)"
T = TypeVar("T")
CONFLICT_ATTEMPTS = 6
VISIBLE_WITHIN = 90.0  # seconds for which a new IAM resource may be invisible


class RefusedError(Exception):
    """A refused request. The message has the remedy."""


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
        return "Look at it in the console, or delete it (state: absent) and run again."

    def passes(self, error: GoogleError) -> bool:
        """Return whether the error of a mutation is temporary. Then it is repeated until the deadline."""
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
        project = str(self.params["project"])
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
        return self.insist(once, self.passes, self.client.deadline.left())

    def insist(self, action: Callable[[], T], passes: Callable[[GoogleError], bool], seconds: float) -> T:
        """Run ``action``. Repeat it for at most ``seconds`` after errors that ``passes`` regards as temporary."""
        clock, begin, attempt = self.client.clock, self.client.clock.now(), 0
        while True:
            try:
                return action()
            except GoogleError as error:
                pause = self.client.pause(attempt, first=2.0, longest=15.0)
                left = min(begin + seconds - clock.now(), self.client.deadline.left())
                if not passes(error) or pause >= left:
                    raise
            clock.sleep(pause)
            attempt += 1

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
        attempt = 0
        while current is not None and self.is_busy(current):
            pause = self.client.pause(attempt, first=2.0, longest=15.0)
            if pause >= self.client.deadline.left():
                message = f"it is still {current.get(self.state_key)} after {self.client.deadline.seconds:.0f} s"
                raise GoogleError(0, "deadlineExceeded", message, api=self.api)
            self.client.clock.sleep(pause)
            attempt += 1
            current = self.read()
        return current

    # Methods for the convergence loop --------------------------------------------------------------------------------

    def wanted(self) -> dict[str, Any]:
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

    def has(self, option: str, current: Json) -> Any:
        """Return the current value of an option, in the form of ``wanted``."""
        return get_at(current, self.at(option))

    def differs(self, option: str, value: Any, current: Json) -> bool:
        """Return whether an option's desired value differs from the current value."""
        field = self.fields[option]
        has = self.has(option, current)
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


@dataclass
class Result:
    """Result of a run."""

    changed: bool
    resource: Json | None
    diff: Json
    pending: bool = False
    more: Json = dataclass_field(default_factory=dict)


class Machine:
    """Converge one resource to the desired state."""

    def __init__(
        self, resource: Resource, *, check_mode: bool = False, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self.resource, self.check_mode, self.warn = resource, check_mode, warn
        self.wanted = resource.wanted()
        self.changed = False
        self.doing = "read"
        self.before: Json | None = None
        self.started = False

    def converge(self, state: str) -> Result:
        """Read, compare and change the resource. Start again after a concurrent change."""
        attempt = 0
        while True:
            try:
                return self._with_more(self._absent() if state == "absent" else self._present())
            except GoogleError as error:
                retried = error.code == 412 or (error.code == 409 and self.doing == "update")
                retried = retried and not policy(error)
                pause = self.resource.client.pause(attempt)
                attempt += 1
                if not retried or attempt >= CONFLICT_ATTEMPTS or pause >= self.resource.client.deadline.left():
                    raise
                self.resource.client.clock.sleep(pause)

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
        except GoogleError as error:
            if not (self.check_mode and error.service_disabled):
                raise
            # Plan for an empty project: check mode did not run the earlier task that enables the API.
            # Use the same message for every resource, because Ansible shows identical warnings once.
            self.warn(f"The API {error.api} is not enabled in this project yet: what it manages is planned as absent.")
            current = None
        if current is not None:
            self.resource.check(current)
        if not self.started:
            self.started, self.before = True, current
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
        return self._update(current, self.wanted)

    def _create(self) -> Result:
        resource, self.doing = self.resource, "create"
        at_once = {option: value for option, value in self.wanted.items() if resource.fields[option].create}
        body = {key: resource.fill(value) for key, value in resource.create_body.items()}
        resource.check_create()
        self.changed = True
        if self.check_mode:
            return self._result({**body, **self._planned()})
        body.update(resource.document(at_once))
        try:
            resource.create(body)
        except GoogleError as error:
            if error.code != 409:
                raise
            # The response to the creation was lost, another client created it first, or the name is in use.
            current = self._read()
            if current is None:
                self.doing = "create"
                raise
            if not resource.wait and resource.is_busy(current):
                return self._result(current, pending=True)
            return self._update(self._rested(current), self.wanted)
        current = self._read_created()
        if not resource.wait:
            return self._result(current, pending=resource.is_busy(current))
        values = {option: value for option, value in self.wanted.items() if option not in at_once}
        return self._update(self._rested(current), values)

    def _rested(self, current: Json) -> Json:
        settled = self.resource.settle(current)
        if settled is None:
            raise RefusedError(f"{self.resource.title} was created, and is gone again: somebody else deletes it.")
        self._refuse_broken(settled)
        return settled

    def _read_created(self) -> Json:
        # For a while IAM answers 404 or 403 for a new resource.
        clock, begin, attempt = self.resource.client.clock, self.resource.client.clock.now(), 0
        while True:
            try:
                current, error = self.resource.read(), None
            except GoogleError as caught:
                if caught.code != 403:
                    raise
                current, error = None, caught
            if current is not None:
                return current
            pause = self.resource.client.pause(attempt, longest=8.0)
            if pause >= min(begin + VISIBLE_WITHIN - clock.now(), self.resource.client.deadline.left()):
                raise error or RefusedError(
                    f"{self.resource.title} was created, but cannot be read. Run again in a minute."
                )
            clock.sleep(pause)
            attempt += 1

    def _update(self, current: Json, values: Mapping[str, Any]) -> Result:
        resource = self.resource
        touched = False
        while True:
            different = {option: value for option, value in values.items() if resource.differs(option, value, current)}
            self._refuse_immutable(different, current)
            if not different:
                break
            self.doing, self.changed = "update", True
            if self.check_mode:
                return self._result(merged(current, self._planned()))
            # Run one method, then read again, because every method changes the fingerprint. Do not send a value twice:
            # a service that returns another spelling of a value would cause an endless loop.
            # The patch runs first, then the methods in the order of the fields.
            via = min((resource.fields[option].via for option in different), key=bool)
            group = {option: value for option, value in different.items() if resource.fields[option].via == via}
            resource.update(group, current, via)
            touched = True
            values = {option: value for option, value in values.items() if option not in group}
            latest = resource.read()
            latest = resource.settle(latest) if resource.wait else latest
            if latest is None:
                raise RefusedError(f"{resource.title} was deleted by somebody else while it was updated. Run again.")
            current = latest
        if touched:
            self._refuse_broken(current)
        return self._result(current, pending=resource.is_busy(current))

    def _planned(self) -> Json:
        resource = self.resource
        return resource.document({option: v for option, v in self.wanted.items() if not resource.hides(option)})

    def _absent(self) -> Result:
        current = self._read()
        if current is None:
            return Result(self.changed, None, self._diff_deleted(self.before))
        if self.resource.wait and not self.check_mode:
            current = self.resource.settle(current)
        self.doing, self.changed = "delete", True
        if current is not None and not self.check_mode:
            try:
                self.resource.delete(current)
            except GoogleError as error:
                if error.code != 404:
                    raise
        return Result(True, None, self._diff_deleted(self.before))

    def _refuse_immutable(self, different: Mapping[str, Any], current: Json) -> None:
        fixed = [option for option in different if self.resource.fields[option].immutable]
        if not fixed:
            return
        lines = []
        for option in fixed:
            has = self.resource.has(option, current)
            hidden = self.resource.hides(option)
            lines.append(
                f"{option} (it is {HIDDEN if hidden else has!r}, {HIDDEN if hidden else different[option]!r} was asked)"
            )
        raise RefusedError(
            f"{self.resource.title} cannot change {' and '.join(lines)} after its creation. Set it back to "
            f"what it is, or delete the {self.resource.kind} first (state: absent; what it holds is lost)."
        )

    def _refuse_broken(self, current: Json) -> None:
        state = current.get(self.resource.state_key)
        if state in self.resource.broken:
            raise RefusedError(f"{self.resource.title} is in state {state}. {self.resource.why_broken(current)}")

    def _result(self, current: Json, pending: bool = False) -> Result:
        return Result(self.changed, current, self._diff(), pending)

    def _diff(self) -> Json:
        before: Json = {}
        after: Json = {}
        for option, value in self.wanted.items():
            resource, field, at = self.resource, self.resource.fields[option], self.resource.at(option)
            hidden = resource.hides(option)
            if self.before is None:
                put_at(after, at, HIDDEN if hidden else shown(value, unordered=field.unordered))
            elif field.compare:
                has = resource.has(option, self.before)
                if hidden:
                    put_at(before, at, HIDDEN)
                    put_at(
                        after,
                        at,
                        f"{HIDDEN[:-1]}, changed)" if resource.differs(option, value, self.before) else HIDDEN,
                    )
                    continue
                put_at(
                    before,
                    at,
                    shown(seen(value, has, unordered=field.unordered, exact=field.exact), unordered=field.unordered),
                )
                put_at(after, at, shown(value, unordered=field.unordered))
        if self.before is None and not after:  # show a resource without options in the plan
            after["name"] = self.resource.params.get("name")
        return self._headed(before, after)

    def _diff_deleted(self, current: Json | None) -> Json:
        before: Json = {}
        for option in self.resource.fields if current else ():
            value = self.resource.has(option, current or {})
            if value is not None:
                put_at(before, self.resource.at(option), HIDDEN if self.resource.hides(option) else value)
        if current and not before:
            before["name"] = self.resource.params.get("name")
        return self._headed(before, {})

    def _headed(self, before: Json, after: Json) -> Json:
        title = self.resource.title
        return {"before": before, "after": after, "before_header": title, "after_header": title}


def _has_no_log(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("no_log")) or any(_has_no_log(below) for below in (spec.get("options") or {}).values())


def malformed(params: Mapping[str, Any], formats: Mapping[str, Callable[[Any], str]]) -> list[str]:
    """Return a message for each option whose value Google would refuse."""
    found = []
    for option, check in formats.items():
        value = get_at(params, option)
        said = check(value) if value is not None else ""
        if said:
            simple = not isinstance(value, (list, dict))
            found.append(f"{option} is {_formats.quoted(value)}: {said}." if simple else f"{option} holds {said}.")
    return found


def _start(kind: type[Resource], options: Mapping[str, Any], **kwargs: Any) -> tuple[AnsibleModule, Client]:
    formats = {"project": _formats.project_or_number, **kind.formats}
    module = AnsibleModule(
        argument_spec={**_options.common(), **options},
        supports_check_mode=True,
        required_if=[
            ("auth_kind", "access_token", ["access_token"]),
            ("auth_kind", "service_account_file", ["service_account_file"]),
            *kwargs.pop("required_if", ()),
        ],
        **kwargs,
    )
    empty = [name for name, spec in module.argument_spec.items() if spec.get("required") and module.params[name] == ""]
    if empty:  # a variable that is set to an empty string would change the meaning of a path
        module.fail_json(msg=f"{' and '.join(empty)} must not be empty.")
    wrong = malformed(module.params, formats)
    if wrong:
        module.fail_json(msg=" ".join(wrong))
    if _auth.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("google-auth and requests"), exception=_auth.IMPORT_ERROR)
    auth = _auth.AuthOptions.of(module.params)
    try:
        session = _auth.session(auth, module.params["project"])
    except Exception as error:  # google-auth raises its own errors, OSError and ValueError
        module.fail_json(msg=f"No usable Google credentials: {error} {login(auth)}")
    return module, Client(session, project=module.params["project"], timeout=float(module.params["timeout"]))


def _fail(module: AnsibleModule, error: GoogleError, what: str, changed: bool, resource: Resource) -> NoReturn:
    project, auth = module.params["project"], _auth.AuthOptions.of(module.params)
    told = resource.explain(error) or advice(error, project, auth)
    message = f"Cannot {what} in project {project}: {error} {told}".rstrip()
    module.fail_json(msg=message, changed=changed, code=error.code, reason=error.reason)
    raise AssertionError  # fail_json does not return


def run(kind: type[Resource], **kwargs: Any) -> None:
    """Run a module. Keyword arguments such as required_if are passed to AnsibleModule."""
    module, client = _start(kind, {**_options.state(), **kind.options}, **kwargs)
    resource = kind(client, module.params)
    machine = Machine(resource, check_mode=module.check_mode, warn=module.warn)
    try:
        result = machine.converge(module.params["state"])
    except GoogleError as error:
        changed = machine.changed and machine.doing == "update"
        _fail(module, error, f"{machine.doing} {resource.title}", changed, resource)
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=False)
    else:
        extra = {"pending": result.pending} if "wait" in module.params else {}
        extra |= resource.found() | result.more
        module.exit_json(changed=result.changed, resource=result.resource, diff=result.diff, **extra)
