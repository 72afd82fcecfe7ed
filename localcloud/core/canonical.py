# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The canonical form of JSON messages.

Google's parsers accept several spellings of one message: field names as in the .proto file (`display_name`) or as in
JSON (`displayName`), int64 as numbers or text, enums by name or number. Handlers see only the canonical form:
lowerCamelCase, int64 as text, enums by name, no output-only fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

Json = dict[str, Any]
_SNAKE_CASE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")


@dataclass(frozen=True)
class Violation:
    """One violation of the contract: the field's path and the error, in Google's words."""

    field: str
    description: str


class ContractError(Exception):
    """A message does not match the contract."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        super().__init__("\n".join(v.description for v in violations))


def json_name(name: str) -> str:
    """Return the lowerCamelCase spelling of a name in snake_case, as protobuf defines it; other names unchanged."""
    if not _SNAKE_CASE.fullmatch(name):
        return name
    return re.sub(r"_(.)", lambda found: found[1].upper(), name)


def repeated_field(name: str) -> Violation:
    """Return the violation of a field that a request has in both spellings."""
    return Violation(name, f"Invalid JSON payload received. Field '{name}' has already been set.")


class Messages:
    """The messages of one discovery document. `snake_case` tells whether names may be those of the .proto file."""

    def __init__(self, schemas: Json, *, snake_case: bool) -> None:
        self._schemas = schemas
        self._snake_case = snake_case

    def name(self, given: str, known: Mapping[str, Any]) -> str:
        """Return the known spelling of a field's or parameter's name; an unknown name unchanged."""
        other = json_name(given) if self._snake_case else given
        return other if given not in known and other in known else given

    def request(self, message: str, body: Any) -> Any:
        """Return a request's body in canonical form. Raises ContractError for a field in both spellings."""
        return self._canonical({"$ref": message}, body, "", message)

    def numbered(self, message: str | None, body: Json) -> Json:
        """Return a response for `enum-encoding=int`: enums as numbers, in the order of declaration."""
        return cast(Json, self._numbered({"$ref": message}, body))

    def mask(self, message: str | None, mask: str) -> str:
        """Return an update mask with canonical names. Its paths start in the message or in a message inside it."""
        return ",".join(self._mask_path(message, path.strip()) for path in mask.split(","))

    def _mask_path(self, message: str | None, path: str) -> str:
        fields: Json = self._schemas[message].get("properties", {}) if message else {}
        roots = [fields, *(self._fields(field) for field in fields.values())]
        first, *rest = path.split(".")
        at = next((root for root in roots if self.name(first, root) in root), {})
        names: list[str] = []
        for segment in (first, *rest):
            names.append(self.name(segment, at))  # the keys of a map stay as they are
            at = self._fields(at.get(names[-1], {}))
        return ".".join(names)

    def _schema(self, schema: Json) -> Json:
        return cast(Json, self._schemas[schema["$ref"]]) if "$ref" in schema else schema

    def _fields(self, schema: Json) -> Json:
        return cast(Json, self._schema(schema).get("properties", {}))

    def _canonical(self, schema: Json, value: Any, path: str, message: str) -> Any:
        message = schema.get("$ref", message)
        schema = self._schema(schema)
        kind = schema.get("type")
        if isinstance(value, dict) and kind == "object":
            return self._object(schema, value, path, message)
        if isinstance(value, list) and kind == "array":
            return [self._canonical(schema["items"], item, f"{path}[{i}]", message) for i, item in enumerate(value)]
        if isinstance(value, int) and not isinstance(value, bool) and kind == "string":
            if schema.get("format") in ("int64", "uint64"):
                return str(value)
            # Clients that send `$alt=json;enum-encoding=int` number enums in the order of their declaration.
            names = schema.get("enum")
            if names and 0 <= value < len(names):
                return names[value]
        if isinstance(value, str) and kind == "integer" and re.fullmatch(r"-?\d+", value):
            return int(value)
        if isinstance(value, str) and schema.get("format") == "google-fieldmask":
            return self.mask(message, value)
        return value

    def _object(self, schema: Json, value: Json, path: str, message: str) -> Json:
        fields: Json = schema.get("properties", {})
        extra: Json | None = schema.get("additionalProperties")
        result: Json = {}
        for given, item in value.items():
            name = self.name(given, fields)
            sub = fields.get(name, extra)
            inner = f"{path}.{name}".lstrip(".")
            if name in result or (name != given and name in value):
                raise ContractError([repeated_field(inner)])
            if sub is None:
                result[name] = item
            elif not sub.get("readOnly"):
                result[name] = self._canonical(sub, item, inner, message)
        return result

    def _numbered(self, schema: Json, value: Any) -> Any:
        schema = self._schema(schema)
        if isinstance(value, dict):
            fields, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
            return {key: self._numbered(fields.get(key, extra), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._numbered(schema.get("items", {}), item) for item in value]
        names = schema.get("enum") or ()
        return names.index(value) if value in names else value
