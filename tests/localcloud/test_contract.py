# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Discovery documents as routes and schemas; conditions and field masks."""

from __future__ import annotations

import re

import pytest

from localcloud.access import conditions
from localcloud.core import contract, fieldmask
from localcloud.core.canonical import ContractError
from localcloud.core.contract import Method
from localcloud.core.errors import ApiError

APIS = [
    ("cloudresourcemanager", "v1"), ("cloudresourcemanager", "v3"), ("compute", "v1"), ("iam", "v1"),
    ("iamcredentials", "v1"), ("secretmanager", "v1"), ("servicenetworking", "v1"), ("serviceusage", "v1"),
    ("sqladmin", "v1"), ("sqladmin", "v1beta4"), ("storage", "v1"),
]  # fmt: skip


def example(method: Method) -> str:
    """Return a path that the method's template and patterns allow."""

    def fill(found: re.Match[str]) -> str:
        if not found[1].startswith("+"):
            return "x1"
        pattern = str(method.parameters[found[1][1:]].get("pattern", "x1"))
        if re.fullmatch(pattern, "x1"):
            return "x1"
        one_name = r"\(\[a-z\]\(\?:\[-a-z0-9\]\{0,61\}\[a-z0-9\]\)\?\|\[1-9\]\[0-9\]\{0,19\}\)"
        return re.sub(rf"\[\^/\]\+|\.\*|{one_name}", "x1", pattern.strip("^$"))

    return re.sub(r"\{([^}]+)\}", fill, method.path)


@pytest.mark.parametrize(("name", "version"), APIS)
def test_every_method_is_found_by_its_own_path(name: str, version: str) -> None:
    loaded = contract.load(name, version)
    wrong = []
    for method in loaded.methods.values():
        match = loaded.match(method.http_method, example(method))
        same = match and (match.method.http_method, example(match.method)) == (method.http_method, example(method))
        if not same:
            wrong.append((method.id, example(method), match and match.method.id))
    assert wrong == []


def test_an_objects_name_keeps_its_slashes() -> None:
    match = contract.load("storage", "v1").match("GET", "/storage/v1/b/bucket/o/a%2Fb%20c%3Ad")
    assert match is not None
    assert match.method.id == "storage.objects.get"
    assert match.params == {"bucket": "bucket", "object": "a/b c:d"}


def test_uploads_and_their_sessions() -> None:
    loaded = contract.load("storage", "v1")
    for verb in ("POST", "PUT", "DELETE"):
        match = loaded.match(verb, "/upload/storage/v1/b/bucket/o")
        assert match is not None
        assert (match.method.id, match.upload) == ("storage.objects.insert", True)
        if verb == "PUT":
            assert loaded.parameters(match, [("upload_id", "x"), ("uploadType", "resumable")])["bucket"] == "bucket"


def test_numbers_as_json_has_them_become_strings() -> None:
    loaded = contract.load("sqladmin", "v1beta4")
    method = loaded.methods["sql.instances.insert"]
    body = {"settings": {"dataDiskSizeGb": 10, "settingsVersion": "7"}}
    assert loaded.request(method, body)["settings"] == {"dataDiskSizeGb": "10", "settingsVersion": "7"}
    with pytest.raises(ContractError, match="dataDiskSizeGb"):
        loaded.request(method, {"settings": {"dataDiskSizeGb": "ten"}})


def test_output_only_fields_are_dropped_from_requests() -> None:
    loaded = contract.load("secretmanager", "v1")
    method = loaded.methods["secretmanager.projects.secrets.create"]
    assert loaded.request(method, {"name": "x", "labels": {"a": "b"}}) == {"labels": {"a": "b"}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('resource.name.startsWith("projects/1/secrets/a")', True),
        ('resource.name == "projects/1/secrets/ab" && resource.service == "secretmanager.googleapis.com"', True),
        ("resource.name.endsWith('x') || resource.name.matches('s/ab$')", True),
        ('!(resource.name.startsWith("projects/1"))', False),
        ('request.time < timestamp("2020-01-01T00:00:00Z")', False),
        ('request.time > timestamp("2020-01-01T00:00:00Z")', True),
        ("request.auth.claims.x == 'y'", False),
        ("resource.name.startsWith(", False),
        ("", False),
        ("true true", False),
    ],
)
def test_conditions(expression: str, expected: bool) -> None:
    resource = "//secretmanager.googleapis.com/projects/1/secrets/ab"
    assert conditions.holds(expression, resource, 1_700_000_000.0) is expected


def test_an_unsupported_condition_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    expression = "request.auth.claims.y == 'z'"
    for _ in range(2):
        conditions.holds(expression, "//iam.googleapis.com/projects/1", 0.0)
    (record,) = caplog.records
    assert expression in record.getMessage()


def test_field_masks() -> None:
    document = {"a": {"b": 1, "c": 2}, "items": [{"n": 1, "m": 2}], "t": "x"}
    assert fieldmask.apply(document, "a/b,t") == {"a": {"b": 1}, "t": "x"}
    assert fieldmask.apply(document, "items(n),a.c") == {"items": [{"n": 1}], "a": {"c": 2}}
    assert fieldmask.apply(document, "*") == document
    for wrong in ("", "a(", "a)", "a,,b"):
        with pytest.raises(ApiError):
            fieldmask.apply(document, wrong)
