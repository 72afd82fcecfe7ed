# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the checks: a scripted MLflow, and Google's APIs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.cloud import Cloud as Google

from tests.unit.harness import PROJECT, Cloud
from tests.unit.module_utils._doctor.harness import Mlflow


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def mlflow(server: responses.RequestsMock) -> Mlflow:
    return Mlflow(server)


@pytest.fixture
def google(cloud: Cloud) -> Google:
    client = _client.Client(requests.Session(), timeout=60)
    return Google(client, PROJECT, "europe-west1", "europe-west1-b")
