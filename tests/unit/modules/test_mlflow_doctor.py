# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The complete doctor: failures are reported, the other checks still run, no secret is printed."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.checks import NAMES, OF_MODES
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_doctor

from tests.unit.harness import PROJECT, Json, Play
from tests.unit.module_utils._doctor.harness import Mlflow

# Checks of each authentication mode.
COMMON = [name for name in NAMES if name not in {each for names in OF_MODES.values() for each in names}]
PASSWORD = "the-password-of-the-test"
GOOGLE = r"https://\w+\.googleapis\.com/.*"
OPTIONS: Json = {
    "name": "mlflow",
    "region": "europe-west1",
    "zone": "europe-west1-b",
    "hostname": "mlflow.example.com",
    "username": "admin",
    "password_secret": "mlflow-admin-password",
    "artifact_store": f"gs://{PROJECT}-mlflow-artifacts",
    "secrets": ["mlflow-admin-password"],
    "minimum_version": "3.16.0",
    "advisories_url": "https://osv.example.com",
    "artifact_megabytes": 1,
    "limits": {
        "certificate_warn_days": 30,
        "certificate_fail_days": 7,
        "ca_warn_days": 180,
        "ca_fail_days": 30,
        "clock_warn_seconds": 5,
        "clock_fail_seconds": 60,
        "disk_warn_percent": 80,
        "disk_fail_percent": 90,
        "connections_warn_percent": 70,
        "connections_fail_percent": 90,
        "backup_warn_hours": 26,
        "backup_fail_hours": 72,
        "secret_warn_days": 365,
    },
    "vm_facts": {
        "vm": "my-project/mlflow-server",
        "response": {
            "rc": 0,
            "result": {
                "clock": {"time": 100.0, "synchronized": True},
                "disks": [{"path": "/", "size": 3e10, "free": 2e10, "used_percent": 30, "used_files_percent": 3}],
                "units": {"failed": [], "needed": {"mlflow.service": "active", "nginx.service": "active"}},
                "switch": {"active": "blue", "slots": {"blue": {"version": "3.17.2", "running": True}}},
                "release": {"version": "3.17.2", "packages": {"mlflow": "3.17.2"}},
                "heads": {name: {"database": "a", "code": "a", "known": True} for name in ("tracking", "auth")},
                "signed_urls": {"used": True, "cause": ""},
                "encryption": {
                    kind: {"current": 1, "earlier": [], "unreadable": []} for kind in ("webhooks", "gateway")
                },
                "size": {"bytes": 10**8, "connections": {"used": 5, "allowed": 97}},
            },
        },
        "asked_at": 100.0,
        "answered_at": 101.0,
    },
    "plan": {"stdout": '{"changes": [], "failures": []}', "rc": 0},
}


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def google(web: responses.RequestsMock) -> None:
    """Script the resources of a healthy deployment."""
    web.get(re.compile(GOOGLE + "/addresses/mlflow-address"), json={"address": "198.51.100.7"})
    payload = {"data": base64.b64encode(PASSWORD.encode()).decode()}
    web.get(re.compile(GOOGLE + "versions/latest:access"), json={"payload": payload})
    web.get(re.compile(GOOGLE + "/versions$"), json={})
    now = "2999-01-01T00:00:00Z"
    web.get(re.compile(GOOGLE + r"/versions\?.*"), json={"versions": [{"createTime": now}]})
    web.get(re.compile(GOOGLE + "/instances/mlflow-server"), json={"status": "RUNNING"})
    web.get(re.compile(GOOGLE + "/backupRuns"), json={"items": [{"status": "SUCCESSFUL", "endTime": now}]})
    database = {
        "name": "mlflow-database",
        "state": "RUNNABLE",
        "createTime": now,
        "settings": {
            "storageAutoResize": True,
            "dataDiskSizeGb": "10",
            "backupConfiguration": {"enabled": True, "pointInTimeRecoveryEnabled": True},
        },
    }
    web.get(re.compile(GOOGLE + "/instances/mlflow-database"), json=database)
    web.get(re.compile(GOOGLE + "/instances$"), json={"items": [database]})
    web.post("https://osv.example.com/v1/querybatch", json={"results": [{}]})


def states(result: Json) -> dict[str, str]:
    return {each["name"]: each["state"] for each in result["checks"]}


def by_name(result: Json) -> dict[str, Json]:
    return {each["name"]: each for each in result["checks"]}


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("google", "no_names")
def test_the_other_checks_run_if_the_server_is_down(play: Play) -> None:
    result = play(mlflow_doctor, **OPTIONS)
    found = states(result)
    assert list(found) == COMMON
    down = {name for name, state in found.items() if state == "fail"}
    assert down == {"address", "certificate", "authentication", "run", "artifact"}
    assert found["clock"] == "warn"
    assert by_name(result)["authentication"]["value"] == "not checked: the deployment accepts no connection"
    assert by_name(result)["artifact"]["remedy"] == "see the check address"
    assert result["counts"] == {"ok": 17, "warn": 1, "fail": 5}
    assert result["changed"] is False
    assert "artifact        FAIL  not checked: the deployment accepts no connection" in result["table"]


@pytest.mark.usefixtures("no_names")
def test_every_check_result_has_the_cause_if_all_requests_fail(play: Play, web: responses.RequestsMock) -> None:
    refused = {"error": {"code": 403, "message": "no rights", "errors": [{"reason": "forbidden"}]}}
    web.add(responses.GET, re.compile(GOOGLE), status=403, json=refused)
    facts = {"vm": "mlflow-server"}
    result = play(mlflow_doctor, **{**OPTIONS, "vm_facts": facts, "plan": {"stdout": "boom", "rc": 4}})
    found = by_name(result)
    assert list(found) == COMMON
    assert {each["state"] for name, each in found.items() if name != "ca"} == {"warn", "fail"}
    assert all(each["remedy"] for each in found.values() if each["state"] != "ok")
    assert "no rights" in found["backups"]["value"]
    assert found["disk"]["value"] == "not checked: the facts of the VM cannot be read"
    assert "exit code 4: boom" in found["drift"]["value"]


@pytest.mark.usefixtures("no_names")
def test_every_check_result_has_the_cause_without_credentials(play: Play, web: responses.RequestsMock) -> None:
    result = play(mlflow_doctor, **OPTIONS, auth_kind="service_account_file", service_account_file="/none.json")
    assert "/none.json" in by_name(result)["database"]["value"]
    assert states(result)["disk"] == "ok"


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Script a name with the address of an open port. Other fixtures script the responses."""
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())


@pytest.mark.usefixtures("google", "reachable")
def test_the_run_and_the_artifact_are_deleted(play: Play, web: responses.RequestsMock) -> None:
    server = Mlflow(web)
    result = play(mlflow_doctor, **OPTIONS)
    found = states(result)
    assert (found["run"], found["artifact"]) == ("ok", "ok")
    assert server.deleted == ["abc"]
    assert server.artifacts == {}
    assert PASSWORD not in json.dumps(result)


def deletion(web: responses.RequestsMock, run_id: str) -> responses.BaseResponse:
    """Expect the deletion of a run's artifact in the bucket, without a generation."""
    place = f"https://storage.googleapis.com/storage/v1/b/{PROJECT}-mlflow-artifacts/o"
    query = responses.matchers.query_param_matcher({})
    return web.delete(f"{place}/0%2F{run_id}%2Fartifacts%2Fdoctor.bin", match=[query], status=204)


@pytest.mark.usefixtures("google", "reachable")
def test_objects_of_a_killed_doctor_are_deleted(play: Play, web: responses.RequestsMock) -> None:
    server = Mlflow(web)
    server.add("killed", 1.0)
    left = deletion(web, "killed")
    assert states(play(mlflow_doctor, **OPTIONS))["artifact"] == "ok"
    assert server.deleted == ["killed", "abc"]
    assert left.call_count == 1


@pytest.mark.usefixtures("google", "reachable")
def test_a_terminated_doctor_deletes_its_objects(
    play: Play, web: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mlflow, "store", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    server = Mlflow(web)
    own = deletion(web, "abc")
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(json.JSONDecodeError):  # the module prints no result
            play(mlflow_doctor, **OPTIONS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert server.deleted == ["abc"]
    assert own.call_count == 1


@pytest.mark.usefixtures("google", "reachable")
def test_a_run_that_cannot_be_deleted_is_reported(play: Play, web: responses.RequestsMock) -> None:
    server = Mlflow(web)
    server.broken = "runs/delete"
    result = play(mlflow_doctor, **OPTIONS)
    assert "runs/delete: HTTP 500" in by_name(result)["run"]["value"]
    assert states(result)["run"] == "fail"


@pytest.mark.usefixtures("google", "reachable")
def test_check_mode_writes_nothing(play: Play, web: responses.RequestsMock) -> None:
    server = Mlflow(web)
    result = play(mlflow_doctor, check=True, **OPTIONS)
    assert result["skipped"] == ["run", "artifact"]
    assert not {"run", "artifact"} & set(states(result))
    assert (server.runs, server.deleted) == ({}, [])


@pytest.mark.usefixtures("google", "reachable")
def test_an_own_application_has_no_user_who_could_write(play: Play, web: responses.RequestsMock) -> None:
    web.post("https://mlflow.example.com/api/2.0/mlflow/experiments/search", status=401, json={})
    result = play(mlflow_doctor, **OPTIONS | {"username": "", "password_secret": ""})
    assert result["skipped"] == ["run", "artifact"]
    assert by_name(result)["authentication"]["value"].startswith("401 without a credential; the users of an own")


@pytest.mark.usefixtures("google", "no_names")
def test_skipped_checks_are_reported(play: Play) -> None:
    options = {**OPTIONS, "skip": ["address", "disk"], "plan": {}, "advisories_url": "", "secrets": []}
    result = play(mlflow_doctor, **options)
    assert result["skipped"] == ["address", "disk", "advisories", "secrets", "drift"]
    assert set(states(result)) == set(COMMON) - set(result["skipped"])


@pytest.mark.usefixtures("google", "no_names")
def test_a_plan_that_exceeds_its_timeout_is_reported(play: Play) -> None:
    result = play(mlflow_doctor, **{**OPTIONS, "plan": {"failed": True, "msg": "Timed out after 600 second(s)."}})
    drift = by_name(result)["drift"]
    assert drift["value"] == "not checked: the plan ended with exit code 1: Timed out after 600 second(s)."


def test_a_check_that_does_not_exist(play: Play) -> None:
    result = play(mlflow_doctor, **{**OPTIONS, "skip": ["disc"]}, fails=True)
    assert result["msg"].startswith("skip: unknown check disc. Known checks: address, certificate, ca")


def test_the_checks_of_a_mode_run_only_in_this_mode(play: Play, web: responses.RequestsMock, google: None) -> None:
    basic = play(mlflow_doctor, **OPTIONS, authentication={"name": "basic"}, check=True)
    assert not {"sign-in", "oauth2-proxy", "provider"} & {*by_name(basic), *basic["skipped"]}
    given = {"name": "oauth2_proxy", "examined": {"response": {"msg": "the module failed"}}}
    found = by_name(play(mlflow_doctor, **OPTIONS, authentication=given, check=True))
    for name in ("oauth2-proxy", "provider"):
        assert found[name]["state"] == "fail"
        assert "the facts of the VM cannot be read" in found[name]["value"]
    assert "sign-in" in found
