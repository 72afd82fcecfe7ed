# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Values of the role authentication_basic."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _validation

from tests.unit.plugin_utils._validation.context import CONTEXT

OVERLAP = "authentication_basic_password_overlap"


def test_the_overlap_is_not_negative() -> None:
    assert _validation.refusals("authentication_basic", {OVERLAP: 0}, CONTEXT) == []
    assert _validation.refusals("authentication_basic", {OVERLAP: -1}, CONTEXT) == [
        f"{OVERLAP} is -1. Set {OVERLAP} to 0 or more seconds."
    ]
    (message,) = _validation.refusals("authentication_basic", {OVERLAP: "soon"}, CONTEXT)
    assert OVERLAP in message
