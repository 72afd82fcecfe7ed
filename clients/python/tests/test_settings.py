# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The environment variables."""

from __future__ import annotations

import pytest

from mlflow_gcp_auth import AuthenticationError, Settings


def test_defaults() -> None:
    assert Settings.from_environment({}) == Settings(header="Authorization")
    assert Settings.from_environment({"MLFLOW_GCP_AUTH_AUDIENCE": " ", "MLFLOW_GCP_AUTH_HEADER": ""}) == Settings()


def test_all_variables() -> None:
    settings = Settings.from_environment(
        {
            "MLFLOW_GCP_AUTH_AUDIENCE": "https://mlflow.example\n",
            "MLFLOW_GCP_AUTH_IMPERSONATE_SERVICE_ACCOUNT": "a@p.iam.gserviceaccount.com",
            "MLFLOW_GCP_AUTH_HEADER": "proxy-authorization",
            "MLFLOW_GCP_AUTH_CLIENT_ID_FILE": "client.json",
            "GOOGLE_APPLICATION_CREDENTIALS": "key.json",
        }
    )
    assert settings == Settings(
        "https://mlflow.example", "a@p.iam.gserviceaccount.com", "Proxy-Authorization", "client.json", "key.json"
    )


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("AUDIENCE", "a b", "an audience that the server accepts"),
        ("IMPERSONATE_SERVICE_ACCOUNT", "person@example.com", "unset it"),
        ("IMPERSONATE_SERVICE_ACCOUNT", "a@p.iam.gserviceaccount.com,b@p.iam.gserviceaccount.com", "unset it"),
        ("HEADER", "X-Token", "Proxy-Authorization"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_the_variable(name: str, value: str, remedy: str) -> None:
    with pytest.raises(AuthenticationError) as raised:
        Settings.from_environment({f"MLFLOW_GCP_AUTH_{name}": value})
    assert f"MLFLOW_GCP_AUTH_{name} is '{value}'" in str(raised.value)
    assert remedy in str(raised.value)
