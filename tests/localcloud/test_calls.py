# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The log of API calls: marks, durations, its bound, and `python -m localcloud calls`."""

from __future__ import annotations

import json

import pytest

from localcloud.__main__ import main
from localcloud.commands.calls import line
from localcloud.core.calls import CallLog
from localcloud.core.clock import Clock
from tests.localcloud.harness import Local, Session

SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
AUTOMATIC = {"replication": {"automatic": {}}}


def printed(local: Local, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> str:
    """Run the command; return its output, or its message if it fails."""
    capsys.readouterr()
    assert main(["calls", "--home", str(local.home), "--port", str(local.port), *options]) == code
    output = capsys.readouterr()
    return output.err if code else output.out


def test_calls_since_a_mark(local: Local, owner: Session, capsys: pytest.CaptureFixture[str]) -> None:
    owner.call("POST", f"{SECRETS}?secretId=before", json=AUTOMATIC)
    mark = printed(local, capsys, "--mark").strip()
    owner.call("POST", f"{SECRETS}?secretId=after", json=AUTOMATIC)
    owner.call("GET", f"{SECRETS}/missing", 404)
    lines = printed(local, capsys, "--since", mark).splitlines()
    shown = [text.rsplit(" ", 1)[0] for text in lines]
    assert shown == [
        "secretmanager.projects.secrets.create projects/100000000001/secrets/after 200",
        "secretmanager.projects.secrets.get projects/mlflow-local/secrets/missing 404",
    ]
    assert all(0 <= float(text.rsplit(" ", 1)[1].removesuffix("s")) < 60 for text in lines)
    found = json.loads(printed(local, capsys, "--since", mark, "--json"))
    assert [(call["verb"], call["project"], call["status"]) for call in found] == [
        ("POST", "mlflow-local", 200),
        ("GET", "mlflow-local", 404),
    ]
    assert all(0 < call["duration"] < 60 for call in found)
    assert len(printed(local, capsys).splitlines()) > 2  # all calls, with the calls for tokens


def test_admin_requests_are_not_logged(local: Local, owner: Session) -> None:
    mark = owner.call("GET", "/localcloud/calls/mark")["mark"]
    owner.call("GET", "/localcloud/health")
    assert owner.call("GET", f"/localcloud/calls?since={mark}") == {"calls": [], "mark": mark}
    owner.call("GET", "/localcloud/calls?since=first", 400)


def test_an_operation_is_shown_as_its_resource(local: Local, owner: Session) -> None:
    mark = local.cloud.calls.mark()
    owner.call(
        "POST", "/compute/v1/projects/mlflow-local/global/networks", json={"name": "n", "autoCreateSubnetworks": False}
    )
    (call,) = local.cloud.calls.since(mark)
    assert line(call).startswith("compute.networks.insert projects/mlflow-local/global/networks/n 200 ")


def test_a_reset_connection_and_a_running_call() -> None:
    log = CallLog(Clock())
    with log.record("a.b", "GET", "/path"):
        (running,) = log.since()
        assert line(running) == "a.b /path running"
    assert line(log.since()[0]).startswith("a.b /path reset 0.")


def test_the_log_is_bounded_and_says_so() -> None:
    log = CallLog(Clock(), limit=3)
    for number in range(5):
        with log.record("method", "GET", f"/{number}"):
            pass
    assert [call["path"] for call in log.since()] == ["/2", "/3", "/4"]
    assert [call["path"] for call in log.since(3)] == ["/3", "/4"]
    assert [call["path"] for call in log.since(2)] == ["/2", "/3", "/4"]
    with pytest.raises(ValueError, match="no calls before number 3, and the mark is 1"):
        log.since(1)
    with pytest.raises(ValueError, match="the mark is 0"):
        log.since(0)


def test_a_lost_mark_and_a_missing_local_cloud(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        local.session()
    local.cloud.calls.clear()
    assert "the mark is 1" in printed(local, capsys, "--since", "1", code=1)
    local.stop()
    try:
        assert "python -m localcloud up" in printed(local, capsys, code=1)
    finally:
        local.start()
