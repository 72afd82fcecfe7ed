# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the clocks."""

from __future__ import annotations

import email.utils

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.clock import clock, vm_skew
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

from tests.unit.module_utils._doctor.harness import NOW, URL, endpoint


def dated(server: responses.RequestsMock, ahead: float) -> None:
    server.get(f"{URL}/health", headers={"Date": email.utils.formatdate(NOW + ahead, usegmt=True)})


@pytest.mark.parametrize(
    ("server_ahead", "vm_ahead", "synchronized", "state", "value"),
    [
        (0, 0.0, True, "ok", "server +0 s, VM +0 s, VM synchronized"),
        (-1, 0.0, None, "ok", "server +0 s, VM +0 s"),
        (4, 0.0, True, "ok", "server +4 s, VM +0 s, VM synchronized"),
        (20, 0.0, True, "warn", "server +20 s, VM +0 s, VM synchronized"),
        (0, -20.0, True, "warn", "server +0 s, VM -20 s, VM synchronized"),
        (-3601, -3600.0, True, "fail", "server -3600 s, VM -3600 s, VM synchronized"),
        (0, 0.0, False, "warn", "server +0 s, VM +0 s, VM not synchronized"),
        (0, None, None, "warn", "server +0 s, time of the VM unknown"),
    ],
)
def test_clock(
    server: responses.RequestsMock,
    server_ahead: float,
    vm_ahead: float | None,
    synchronized: bool | None,
    state: str,
    value: str,
) -> None:
    dated(server, server_ahead)
    result = clock(endpoint(), vm_ahead, synchronized, 5, 60)
    assert (result.state, result.value) == (state, value)
    assert bool(result.remedy) == (state != "ok")


def test_clock_of_the_vm_alone(server: responses.RequestsMock) -> None:
    server.get(f"{URL}/health", body=requests.ConnectionError("refused"))
    result = clock(endpoint(), 0.0, True, 5, 60)
    assert result.state == "warn"
    assert "refused" in result.value


def test_no_clock_at_all(server: responses.RequestsMock) -> None:
    server.get(f"{URL}/health", body=requests.ConnectionError("refused"))
    with pytest.raises(NotCheckedError, match="refused"):
        clock(endpoint(), None, None, 5, 60)


@pytest.mark.parametrize(("stamp", "ahead"), [(100.5, 0.0), (99.0, -1.0), (104.0, 3.0)])
def test_skew_excludes_the_duration_of_the_request(stamp: float, ahead: float) -> None:
    facts = {"clock": {"time": stamp, "synchronized": True}, "asked_at": 100.0, "answered_at": 101.0}
    assert vm_skew(facts) == (ahead, True)


def test_skew_of_a_vm_without_facts() -> None:
    assert vm_skew({"error": "Permission denied (publickey)"}) == (None, None)
    assert vm_skew({"clock": {"time": 1.0, "synchronized": True}}) == (None, None)
