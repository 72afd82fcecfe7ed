# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The condition language of IAM policies. Each operator is tested with a true and a false result."""

from __future__ import annotations

import logging

import pytest

from localcloud.access import conditions

RESOURCE = "//secretmanager.googleapis.com/projects/1/secrets/ab"
NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def holds(expression: str) -> bool:
    return conditions.holds(expression, RESOURCE, NOW)


@pytest.mark.parametrize(
    "expression",
    [
        "true",
        " true ",
        "!false",
        "!!true",
        "false || true",
        "true || false",
        "false || true || false",
        "true && true",
        "true || true && false",
        "(true || true) && true",
        "resource.name == 'projects/1/secrets/ab'",
        "'projects/1/secrets/ab'==resource.name",
        "resource.name != 'projects/1/secrets'",
        'resource.service == "secretmanager.googleapis.com"',
        "resource.name.startsWith('projects/1/')",
        "resource.name.endsWith('/ab')",
        "resource.name.matches('s/a.$')",
        "resource.service.startsWith('secret')",
        r"'it\'s' == 'it\'s' && 'a\\b' != 'ab'",
        r'"\"" == "\""',
        r"'a\.b' == 'a.b'",
        "'' == ''",
        "true == true",
        "true != false",
        "request.time == timestamp('2023-11-14T22:13:20Z')",
        "request.time < timestamp('2023-11-14T22:13:21Z')",
        "request.time <= timestamp('2023-11-14T22:13:20Z')",
        "request.time > timestamp('2023-11-14T22:13:19Z')",
        "request.time >= timestamp('2023-11-14T22:13:20+00:00')",
        "request.time >= timestamp('2023-11-15T00:13:20+02:00')",
    ],
)
def test_true(expression: str, caplog: pytest.LogCaptureFixture) -> None:
    assert holds(expression)
    assert not caplog.records


@pytest.mark.parametrize(
    "expression",
    [
        "false",
        "!true",
        "false || false",
        "true && false",
        "false && true",
        "true && false && true",
        "false || true && false",
        "(true || true) && false",
        "'true'",  # a string, not a boolean
        "'true' || 'true'",
        "true && 'true'",
        "'true' && true",
        "resource.name == 'projects/1/secrets'",
        "resource.name != 'projects/1/secrets/ab'",
        "resource.name.startsWith('secrets')",
        "resource.name.endsWith('projects/1')",
        "resource.name.matches('^s')",
        "resource.service.endsWith('secret')",
        "true == false",
        "request.time != timestamp('2023-11-14T22:13:20Z')",
        "request.time < timestamp('2023-11-14T22:13:20Z')",
        "request.time <= timestamp('2023-11-14T22:13:19Z')",
        "request.time > timestamp('2023-11-14T22:13:20Z')",
        "request.time >= timestamp('2023-11-14T22:13:21Z')",
        "timestamp('2023-11-14T22:13:19Z') > request.time",
    ],
)
def test_false(expression: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not holds(expression)
    assert not caplog.records, "a condition that is false is supported"


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true true",
        "true ||",
        "true || §",
        "§ || true",
        "(true",
        "(true(",
        "true)",
        ")",
        ". . x || true",
        "1.2 == '3'",
        "!'x'",
        "resource",
        "resource,name == 'projects/1/secrets/ab'",
        "resource.type != 'x'",
        "request.auth != 'x'",
        "resource.name.contains('a')",
        "resource.name.startsWith('projects'",
        "resource.name.startsWith 'projects'",
        "resource.name.startsWith('projects',",
        "resource.name.matches('(')",
        "request.time < '2024'",
        "'2022' < request.time",
        "'a' < 'b'",
        "true < request.time",
        "timestamp('soon') > request.time",
        "timestamp 'soon'",
        "timestamp('2024-01-01T00:00:00Z' > request.time",
    ],
)
def test_unsupported_conditions_grant_nothing(expression: str, caplog: pytest.LogCaptureFixture) -> None:
    conditions._report.cache_clear()
    assert not holds(expression)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"The local cloud does not support the condition {expression!r}. It grants nothing."
