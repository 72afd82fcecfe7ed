# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the loopback interface, and a resolver that does not answer."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules.mlflow_hostname_info import resolve


def test_a_name_that_resolves() -> None:
    assert resolve("localhost", 5) == (["127.0.0.1"], "")


@pytest.mark.parametrize("name", ["mlflow.invalid", "a..b", "x" * 64 + ".test"])
def test_a_name_that_does_not_resolve(name: str) -> None:
    addresses, cause = resolve(name, 30)
    assert addresses == []
    assert cause


def test_no_name_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def wait(*_: Any) -> list[Any]:
        end.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    begin = time.monotonic()
    assert resolve("mlflow.example.com", 0.05) == ([], "no name server answered within 0.05 s")
    assert time.monotonic() - begin < 10
    end.set()
