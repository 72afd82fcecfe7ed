# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to a deployment that cannot be sent or fail."""

from __future__ import annotations

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

from tests.unit.module_utils._doctor.harness import SEARCH, endpoint


def test_neither_name_nor_address() -> None:
    with pytest.raises(NotCheckedError, match="the static address is unknown: no such project"):
        endpoint(host="", address=NotCheckedError("no such project")).call("GET", "runs/get")


def test_the_server_is_in_maintenance_mode(server: responses.RequestsMock) -> None:
    server.post(SEARCH, status=503, json={"error_code": "TEMPORARILY_UNAVAILABLE"}, headers={"Retry-After": "15"})
    with pytest.raises(NotCheckedError, match="HTTP 503") as error:
        endpoint().call("POST", "experiments/search")
    assert "maintenance mode" in error.value.remedy


def test_the_server_refuses_connections(server: responses.RequestsMock) -> None:
    server.post(SEARCH, body=requests.ConnectionError("refused"))
    with pytest.raises(NotCheckedError, match="ConnectionError: refused"):
        endpoint().call("POST", "experiments/search")


def test_the_password_is_unknown() -> None:
    with pytest.raises(NotCheckedError, match=r"password cannot be read: HTTP 403$"):
        endpoint(password=NotCheckedError("HTTP 403")).call("POST", "experiments/search")
