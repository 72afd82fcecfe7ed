# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role credentials that are refused before the first change."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values

ITEM = {"name": "mlflow.database-uri", "secret": "mlflow-database-uri"}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"credentials_items": [ITEM, ITEM | {"version": "3"}], "credentials_project": "example.com:my-project"},
        {"credentials_items": [{"name": "mlflow.database-uri"}], "credentials_source": "credstore"},
    ],
)
def test_valid_values_are_accepted(changed: dict[str, Any]) -> None:
    assert refusals("credentials", values("credentials", **changed), CONTEXT) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"credentials_project": "My Project"}, "credentials_project: 'My Project' is not a Google Cloud project ID"),
        ({"credentials_items": [{"name": "noprefix", "secret": "x"}]}, '{"name": "noprefix", "secret": "x"} is not'),
        ({"credentials_items": [{"name": "a.b"}]}, 'credentials_items: {"name": "a.b"} is not valid'),
        ({"credentials_items": [ITEM | {"secret": "a/b"}]}, "is not valid. Give a name such as mlflow.database-uri"),
        ({"credentials_items": [ITEM | {"version": "0"}]}, "a number or latest as version"),
        ({"credentials_items": [{"secret": "x"}]}, "missing required arguments: name"),
        ({"credentials_source": "vault"}, "credentials_source must be one of: secret_manager, credstore, got: vault"),
        ({"credentials_timeout": "long"}, "'credentials_timeout' is of type str and we were unable to convert to int"),
    ],
)
def test_a_refused_value_is_named(changed: dict[str, Any], message: str) -> None:
    (found,) = refusals("credentials", values("credentials", **changed), CONTEXT)
    assert message in found
