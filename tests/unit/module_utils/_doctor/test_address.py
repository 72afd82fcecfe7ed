# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the address."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.address import address
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

from tests.unit.module_utils._doctor.harness import endpoint


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_the_address_accepts_connections(listener: int) -> None:
    result = address(endpoint(host="", address="127.0.0.1", port=listener))
    assert result.state == "ok"
    assert re.fullmatch(rf"127\.0\.0\.1; port {listener} accepts connections \(\d+ ms\)", result.value)


def test_a_name_that_resolves_to_the_address(listener: int) -> None:
    result = address(endpoint(host="localhost", address="127.0.0.1", port=listener))
    assert (result.state, result.value.split(";")[0]) == ("ok", "localhost resolves to 127.0.0.1")


def test_the_static_address_is_unknown(listener: int) -> None:
    result = address(endpoint(host="localhost", address=NotCheckedError("HTTP 403"), port=listener))
    assert result.state == "warn"
    assert "HTTP 403" in result.value


def test_a_name_that_resolves_to_another_address(listener: int) -> None:
    result = address(endpoint(host="localhost", port=listener))
    assert result.state == "fail"
    assert result.remedy == "create the DNS record localhost, type A, with 198.51.100.7"


def test_a_name_without_an_address() -> None:
    result = address(endpoint(host="mlflow.invalid"))
    assert result.state == "fail"
    assert result.remedy == "create the DNS record mlflow.invalid, type A, with 198.51.100.7"


def test_a_name_in_a_managed_zone() -> None:
    result = address(endpoint(host="mlflow.invalid"), "example-com")
    assert result.state == "fail"
    assert result.remedy.startswith("write the record in managed zone example-com: ansible-playbook site.yml; ")


def test_the_port_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    result = address(endpoint(host="", address="127.0.0.1", port=port))
    assert result.state == "fail"
    assert "infrastructure_client_source_ranges" in result.remedy
