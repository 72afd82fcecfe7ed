# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's discovery documents as routes and JSON Schemas.

The documents come with the package google-api-python-client. They define paths, parameters, fields and types. A request
or a response that does not match is refused here, before or after the handlers, never inside them.
"""

from __future__ import annotations

import functools
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import unquote

import googleapiclient
import jsonschema
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from localcloud.core.canonical import ContractError, Messages, Violation, json_name, repeated_field

Json = dict[str, Any]
Direction = Literal["request", "response"]

_INTEGER_RANGES = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}
_STRING_FORMATS = {
    "int64": r"^-?[0-9]{1,19}$",
    "uint64": r"^[0-9]{1,20}$",
    "byte": r"^[A-Za-z0-9+/_\-]*={0,2}$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "date-time": r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
    "google-datetime": r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
    "google-duration": r"^-?\d+(\.\d{1,9})?s$",
}
# Google accepts these for every method, even if the document does not list them.
_STANDARD_PARAMETERS = {
    "$.xgafv", "$xgafv", "$alt", "$fields", "$key", "$prettyPrint", "$quotaUser", "access_token", "alt", "bearer_token",
    "callback", "fields", "key", "oauth_token", "pp", "prettyPrint", "quotaUser", "trace", "upload_protocol",
    "uploadType",
    "userIp", "userProject",
    # Compute's lists had it until recently; older clients still send it.
    "returnPartialSuccess",
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One method of a discovery document."""

    service: str
    version: str
    id: str
    http_method: str
    path: str
    parameters: Mapping[str, Json]
    request: str | None
    response: str | None
    scopes: tuple[str, ...]
    upload_paths: tuple[str, ...] = ()
    media_download: bool = False


@dataclass(frozen=True)
class Match:
    """The contract method of a request's path; `params` are the decoded path parameters."""

    method: Method
    params: dict[str, str]
    upload: bool = False


@dataclass
class _Route:
    method: Method
    regex: re.Pattern[str]
    upload: bool
    weight: tuple[int, int, int]


@dataclass
class Contract:
    """The contract of one API version."""

    name: str
    version: str
    document: Json
    methods: dict[str, Method] = field(default_factory=dict)
    messages: Messages = field(init=False)
    _routes: dict[str, list[_Route]] = field(default_factory=dict)
    _registries: dict[str, Registry[Any]] = field(default_factory=dict)
    _validators: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The parameter `$.xgafv` marks the APIs with a .proto file. Its parser accepts the names of the file.
        self.messages = Messages(self.document["schemas"], snake_case="$.xgafv" in self.document["parameters"])
        base = str(self.document["servicePath"])
        for raw in _methods(self.document):
            protocols = raw.get("mediaUpload", {}).get("protocols", {})
            method = Method(
                service=self.name,
                version=self.version,
                id=raw["id"],
                http_method=raw["httpMethod"],
                path="/" + base + raw["path"],
                parameters=raw.get("parameters", {}),
                request=raw.get("request", {}).get("$ref"),
                response=raw.get("response", {}).get("$ref"),
                scopes=tuple(raw.get("scopes", ())),
                upload_paths=tuple(p["path"] for p in protocols.values()),
                media_download=bool(raw.get("supportsMediaDownload")),
            )
            self.methods.setdefault(method.id, method)
            self._add_route(method.http_method, method, method.path, upload=False)
            if method.media_download:
                self._add_route(method.http_method, method, "/download" + method.path, upload=False)
            for path in method.upload_paths:
                # A resumable session continues with PUT, and is cancelled with DELETE, on the path that opened it.
                for verb in ("POST", "PUT", "DELETE"):
                    self._add_route(verb, method, path, upload=True)
        for routes in self._routes.values():
            routes.sort(key=lambda route: route.weight, reverse=True)

    def _add_route(self, verb: str, method: Method, path: str, *, upload: bool) -> None:
        pattern, literals = "", 0
        for part in re.split(r"(\{\+?[\w.]+\})", path):
            if part.startswith("{+"):
                name = part[2:-1]
                inner = str(method.parameters[name].get("pattern", "^.+$")).removeprefix("^").removesuffix("$")
                pattern += f"(?P<{name}>{inner})"
                literals += inner.replace("[^/]", "").count("/")
            elif part.startswith("{"):
                pattern += f"(?P<{part[1:-1]}>[^/]+)"
            else:
                pattern += re.escape(part)
                literals += len([p for p in re.split("[/:]", part) if p])
        has_verb = int(re.search(r":\w+$", path) is not None)
        wildcards = -pattern.count(".*")
        self._routes.setdefault(verb, []).append(
            _Route(method, re.compile(pattern), upload, (has_verb, wildcards, literals))
        )

    def match(self, http_method: str, raw_path: str) -> Match | None:
        """Find the method for a path; `raw_path` is percent-encoded, since an object's name may contain slashes."""
        path = raw_path.replace("%3A", ":").replace("%3a", ":") if not raw_path.count("/o/") else raw_path
        for route in self._routes.get(http_method, ()):
            found = route.regex.fullmatch(path)
            if found:
                params = {name: unquote(value) for name, value in found.groupdict().items()}
                return Match(route.method, params, route.upload)
        return None

    # -- requests

    def parameters(self, match: Match, query: Iterable[tuple[str, str]]) -> Json:
        """Return the typed path and query parameters of a request, without standard parameters.

        Raises ContractError for unknown parameters, wrong types, enums and patterns, and for missing required
        parameters.
        """
        specs = match.method.parameters
        given: dict[str, list[str]] = {name: [value] for name, value in match.params.items()}
        violations: list[Violation] = []
        spellings: dict[str, str] = {}
        for spelling, value in query:
            name = self.messages.name(spelling, specs)
            if name in match.params:
                continue
            if spellings.setdefault(name, spelling) != spelling:
                violations.append(repeated_field(name))
            if name not in specs:
                allowed_in_upload = match.upload and name in ("upload_id", "name")
                if name not in _STANDARD_PARAMETERS and not allowed_in_upload:
                    violations.append(
                        Violation(
                            name,
                            f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                            f"Field '{name}' could not be found in request message.",
                        )
                    )
                continue
            given.setdefault(name, []).append(value)
        typed: Json = {}
        for name, values in given.items():
            spec = specs[name]
            converted = [_parameter(name, spec, value, violations) for value in values]
            if spec.get("format") == "google-fieldmask":
                converted = [self.messages.mask(match.method.request, mask) for mask in converted]
            typed[name] = converted if spec.get("repeated") else converted[-1]
        for name, spec in specs.items():
            if name in typed:
                continue
            if spec.get("required") and not (match.upload and spec["location"] == "query"):
                violations.append(Violation(name, f"Required parameter: {name}"))
            elif "default" in spec and not spec.get("repeated"):
                typed[name] = _parameter(name, spec, str(spec["default"]), [])
        if violations:
            raise ContractError(violations)
        return typed

    def request(self, method: Method, body: Any, *, path_fields: bool = True) -> Json:
        """Check a request's body and return it in canonical form.

        With `path_fields`, the body may repeat fields of the path.
        """
        if method.request is None:
            if body not in (None, {}):
                raise ContractError([Violation("", "Invalid JSON payload received. This method takes no body.")])
            return {}
        body = {} if body is None else body
        body = self._without_path_fields(method, body) if path_fields else body
        body = self.messages.request(method.request, body)
        self._check("request", method.request, body)
        return cast(Json, body)

    def _without_path_fields(self, method: Method, body: Any) -> Any:
        """Drop body fields that repeat the path: Google's own clients repeat `parent` or `name` in the body."""
        if not isinstance(body, dict):
            return body
        known = self.document["schemas"][method.request].get("properties", {})
        in_path = {name for name, spec in method.parameters.items() if spec.get("location") == "path"}
        return {key: value for key, value in body.items() if key in known or json_name(key) not in in_path}

    def response(self, method: Method, body: Any) -> None:
        """Check a handler's response before it is sent."""
        if method.response is None:
            if body not in (None, {}):
                raise ContractError([Violation("", "the method answers with no body")])
            return
        self._check("response", method.response, body)

    def _check(self, direction: Direction, name: str, body: Any) -> None:
        errors = list(self._validator(direction, name).iter_errors(body))
        if errors:
            raise ContractError([v for error in errors for v in _violations(error)])

    def _validator(self, direction: Direction, name: str) -> Any:
        key = (direction, name)
        if key not in self._validators:
            uri = f"urn:{self.name}:{self.version}:{direction}"
            if direction not in self._registries:
                defs = {n: _json_schema(s, direction) for n, s in self.document["schemas"].items()}
                resource: Resource[Any] = DRAFT202012.create_resource({"$defs": defs})
                self._registries[direction] = Registry().with_resource(uri, resource).crawl()
            self._validators[key] = jsonschema.Draft202012Validator(
                {"$ref": f"{uri}#/$defs/{name}"}, registry=self._registries[direction]
            )
        return self._validators[key]


@functools.cache
def load(name: str, version: str) -> Contract:
    """Return the contract of one API, for example `load("secretmanager", "v1")`."""
    return Contract(name, version, json.loads((_documents() / f"{name}.{version}.json").read_text()))


@functools.cache
def names() -> frozenset[str]:
    """Return the names of all APIs that have a discovery document. The package's own index lacks many."""
    return frozenset(path.name.partition(".")[0] for path in _documents().glob("*.v*.json"))


@functools.cache
def title(name: str) -> str:
    """Return the title of an API."""
    document = max(_documents().glob(f"{name}.v*.json"))
    return str(json.loads(document.read_text()).get("title", name))


def _documents() -> pathlib.Path:
    return pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


def _methods(resource: Json) -> Iterator[Json]:
    yield from resource.get("methods", {}).values()
    for child in resource.get("resources", {}).values():
        yield from _methods(child)


def _json_schema(schema: Json, direction: Direction) -> Json:
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type", "any")
    result: Json = {}
    if kind == "any":
        return result
    # Requests may contain null for "not set" (in a PATCH: "remove"); responses never do.
    result["type"] = [kind, "null"] if direction == "request" else kind
    if kind == "object":
        result["properties"] = {n: _json_schema(s, direction) for n, s in schema.get("properties", {}).items()}
        extra = schema.get("additionalProperties")
        result["additionalProperties"] = False if extra is None else _json_schema(extra, direction)
    elif kind == "array":
        result["items"] = _json_schema(schema["items"], direction)
    elif kind == "string":
        if "enum" in schema:
            result["enum"] = [*schema["enum"], *([None] if direction == "request" else [])]
        pattern = schema.get("pattern") or _STRING_FORMATS.get(schema.get("format", ""))
        if pattern:
            result["pattern"] = pattern
    elif kind == "integer":
        low, high = _INTEGER_RANGES.get(schema.get("format", ""), (None, None))
        result |= {k: v for k, v in (("minimum", low), ("maximum", high)) if v is not None}
    return result


def _path(error: ValidationError) -> str:
    text = ""
    for part in error.absolute_path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _violations(error: ValidationError) -> Iterator[Violation]:
    where = _path(error)
    at = f" at '{where}'" if where else ""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        for name in error.instance.keys() - known.keys():
            yield Violation(
                f"{where}.{name}".lstrip("."),
                f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.',
            )
        return
    shown = json.dumps(error.instance)[:200]
    expected = error.validator_value
    yield Violation(where, f"Invalid value{at or ' (body)'}: {shown} does not fit {error.validator} {expected!r}")


def _parameter(name: str, spec: Json, value: str, violations: list[Violation]) -> Any:
    def bad(why: str) -> str:
        violations.append(Violation(name, f"Invalid value at '{name}': \"{value}\" {why}"))
        return value

    kind, form = spec["type"], spec.get("format", "")
    if "enum" in spec and value not in spec["enum"]:
        if value.isdigit() and int(value) < len(spec["enum"]):
            return spec["enum"][int(value)]
        return bad(f"is not one of {', '.join(spec['enum'])}")
    pattern = spec.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        return bad(f"does not match {pattern}")
    if kind == "boolean":
        if value.lower() not in ("true", "false"):
            return bad("is not a boolean")
        return value.lower() == "true"
    if kind == "integer":
        if not re.fullmatch(r"-?\d+", value):
            return bad(f"is not {form or 'an integer'}")
        low, high = _INTEGER_RANGES.get(form, (-(2**63), 2**63))
        low, high = max(low, int(spec.get("minimum", low))), min(high, int(spec.get("maximum", high)))
        if not low <= int(value) <= high:
            return bad(f"is not between {low} and {high}")
        return int(value)
    if kind == "number":
        try:
            return float(value)
        except ValueError:
            return bad("is not a number")
    form_pattern = _STRING_FORMATS.get(form)
    if form_pattern and not re.fullmatch(form_pattern, value):
        return bad(f"is not {form}")
    return value
