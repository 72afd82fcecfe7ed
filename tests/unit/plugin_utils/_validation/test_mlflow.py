# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role mlflow that are refused before the first change."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values

VALID = {
    "mlflow_hostnames": ["a.example"],
    "mlflow_artifacts_destination": "gs://my-bucket/path",
    "mlflow_database_max_connections": 100,
}


def messages(**changed: Any) -> list[str]:
    return refusals("mlflow", values("mlflow", **VALID | changed), CONTEXT)


def test_the_defaults_are_valid() -> None:
    assert messages() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mlflow_version": "2.22.5"}, "mlflow_version: '2.22.5' is not a release that may be exposed. Give 3.16.0"),
        ({"mlflow_version": "3.16.0rc1"}, "mlflow_version: '3.16.0rc1' is not a release"),
        ({"mlflow_version": "3.99.0"}, "requirements-3.99.0.txt. Choose a version that the role ships"),
        ({"mlflow_version": "latest"}, "mlflow_version: 'latest' is not a release"),
        ({"mlflow_requirements_file": "/no/x.txt"}, "mlflow_version: there is no locked requirements file /no/x.txt."),
        ({"mlflow_artifacts_destination": "s3://bucket"}, "mlflow_artifacts_destination: 's3://bucket' is neither"),
        ({"mlflow_temporary_directory": "/tmp/x"}, "mlflow_temporary_directory: '/tmp/x' must be an absolute"),
        ({"mlflow_temporary_directory": "spool"}, "mlflow_temporary_directory: 'spool' must be an absolute"),
        ({"mlflow_hostnames": []}, "mlflow_hostnames: [] must list"),
        ({"mlflow_hostnames": ["https://mlflow.test"]}, 'mlflow_hostnames: ["https://mlflow.test"] must list'),
        ({"mlflow_database_max_overflow": 5}, "(0) and mlflow_database_max_overflow (5) must both be 0"),
        ({"mlflow_drain_timeout": -1}, "mlflow_drain_timeout (-1) at least 0 is required"),
        ({"mlflow_start_timeout": "29"}, "mlflow_start_timeout (29) at least 30 is required"),
        ({"mlflow_workers": 8}, "the server may need 442 database connections, and the database allows 100"),
        ({"mlflow_auth_database": "Users"}, "mlflow_auth_database: 'Users' or"),
        (
            {"mlflow_environment": {"TMPDIR": "/x"}},
            "mlflow_environment: TMPDIR is a name that is not upper case",
        ),
        ({"mlflow_environment": {"A": "b\nc"}}, "mlflow_environment: A is"),
        ({"mlflow_environment": {"MLFLOW_CRYPTO_KEK_PASSPHRASE": "x"}}, "is a secret of the deployment"),
    ],
)
def test_a_refused_value_is_named(change: dict[str, Any], told: str) -> None:
    (message,) = messages(**change)
    assert told in message


def test_all_refused_values_are_named_at_once() -> None:
    assert len(messages(mlflow_hostnames=[], mlflow_drain_timeout=-1)) == 2


@pytest.mark.parametrize("version", ["3.16.0", "3.16.0.post1", "3.18.0rc0", "10.0.0"])
def test_versions_are_compared_as_numbers(version: str) -> None:
    assert messages(mlflow_version=version, mlflow_requirements_file=__file__) == []
