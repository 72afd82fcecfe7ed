# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Valid permissions of MLflow's roles, compared with MLflow's own checks."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path
from typing import Any

import mlflow
import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflow_grants import (
    OBJECT_TYPES,
    PART_TYPES,
    PERMISSIONS,
    WORKSPACE,
    is_hidden_role,
    is_own_role,
    wrong_grant,
)
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_permission, mlflow_role
from mlflow.exceptions import MlflowException


@pytest.fixture(scope="module")
def upstream() -> Any:
    """Return MLflow's module of permissions, without the application around it."""
    path = Path(mlflow.__file__).parent / "server/auth/permissions.py"
    spec = importlib.util.spec_from_file_location("mlflow_permissions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_types_and_permissions_are_mlflows(upstream: Any) -> None:
    assert {*OBJECT_TYPES, *PART_TYPES, WORKSPACE} == upstream.VALID_RESOURCE_TYPES
    assert set(mlflow_role.SUBOPTIONS["resource_type"]["choices"]) == upstream.VALID_RESOURCE_TYPES
    # MLflow refuses the workspace on the route for the permissions of one user.
    of_a_user = set(mlflow_permission.Permission.options["resource_type"]["choices"])
    assert of_a_user == upstream.VALID_RESOURCE_TYPES - {WORKSPACE}


def test_each_combination_is_refused_if_mlflow_refuses_it(upstream: Any) -> None:
    types, permissions = sorted(upstream.VALID_RESOURCE_TYPES), sorted(upstream.ALL_PERMISSIONS)
    assert set(PERMISSIONS) < set(permissions)
    for kind, permission, pattern in product(types, permissions, ("*", "4")):
        try:
            upstream._validate_permission_for_resource_type(permission, kind)
            upstream._validate_resource_pattern(pattern, kind)
            error = ""
        except MlflowException as raised:
            error = str(raised)
        assert bool(wrong_grant(kind, pattern, permission)) == bool(error), (kind, permission, pattern, error)


def test_the_hidden_role_of_a_user() -> None:
    assert is_own_role("__user_7__", 7)
    assert not is_own_role("__user_70__", 7)
    assert is_hidden_role("__user_70__")
    assert not is_hidden_role("readers")
