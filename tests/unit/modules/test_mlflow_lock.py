# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client, _lock, _process
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_lock

from tests.unit.harness import Cloud, Json, Play
from tests.unit.storage import one, uploads

NAME = "deployments/my-project/mlflow/lock"
ONE = one("backups", NAME)
LIST = "b/backups/o"
QUERY = {"prefix": NAME, "fields": "items(name,generation,metageneration,metadata)"}
DATE = {"Date": "Sat, 28 Nov 2026 22:00:00 GMT"}  # the clock of this host is irrelevant
ANN = {
    "account": "ann@example.com",
    "user": "ann",
    "host": "build-7",
    "pid": "4711",
    "purpose": "Upgrade MLflow",
    "started_by": "hand",
    "started": "2026-11-28T21:30:00Z",
    "expires": "2026-11-28T22:05:00Z",
    "run": "boot/1:4711@99",
}
EXPIRED = ANN | {"expires": "2026-11-28T22:00:00Z"}
Keeper = Callable[[], None]


@pytest.fixture(autouse=True)
def keepers(monkeypatch: pytest.MonkeyPatch) -> list[Keeper]:
    """Collect the work of the background processes, which are not started. This process is the ansible-playbook."""
    started: list[Keeper] = []
    monkeypatch.setattr(_lock, "start_keeper", started.append)
    monkeypatch.setattr(_process, "find_playbook", lambda _: os.getpid())
    return started


def run(play: Play, **params: Any) -> Json:
    return play(mlflow_lock, **{"bucket": "backups", "deployment": "my-project/mlflow", **params})


def lists(cloud: Cloud, values: Json | None, generation: str = "7", metageneration: str = "3") -> None:
    lock = {"name": NAME, "generation": generation, "metageneration": metageneration, "metadata": values}
    longer = {"name": NAME + "s", "generation": "1", "metageneration": "1"}
    items = [lock, longer] if values is not None else [longer]
    cloud.get("storage", LIST, {"items": items}, query=QUERY, headers=DATE)


def removes(cloud: Cloud, generation: str = "7", metageneration: str = "3") -> None:
    query = {"ifGenerationMatch": generation, "ifMetagenerationMatch": metageneration}
    cloud.expect("DELETE", "storage", ONE, query=query)


def takes(cloud: Cloud) -> None:
    uploads(cloud, "backups", {"name": NAME, "contentType": "text/plain"}, "0", {"name": NAME, "generation": "8"})


def loses_the_race(cloud: Cloud) -> None:
    url = "https://storage.googleapis.com/upload/storage/v1/b/backups/o"
    cloud.script.add("POST", url, status=412, json={"error": {"code": 412, "message": "no"}})


def mine(**values: str) -> Json:
    return ANN | {"run": _process.Run.of(os.getpid()).identity} | values


def test_takes_a_free_lock(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, None)
    takes(cloud)
    result = run(play, purpose="Upgrade MLflow")
    assert result["lock"] == result["lock"] | {
        "pid": str(os.getpid()),
        "purpose": "Upgrade MLflow",
        "started": "2026-11-28T22:00:00Z",
        "expires": "2026-11-28T22:05:00Z",
    }
    assert {"account", "user", "host", "started_by"} < set(result["lock"])
    assert (result["taken_over"], len(keepers)) == (None, 1)


@pytest.mark.parametrize("state", ["present", "held"])
def test_keeps_its_own_lock(state: str, cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, mine())
    assert run(play, state=state)["lock"] == mine()
    assert keepers == []


def test_refuses_and_names_the_holder(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, ANN)
    message = run(play, fails=True)["msg"]
    assert "process 4711 of ann (ann@example.com) on build-7, purpose 'Upgrade MLflow'" in message
    assert "started at 2026-11-28T21:30:00Z by hand. The lock expires at 2026-11-28T22:05:00Z" in message
    assert "playbooks/unlock.yml -e deployment_unlock_confirm=my-project/mlflow" in message
    assert keepers == []


def test_takes_over_an_expired_lock_and_reports_it(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, EXPIRED)
    removes(cloud)
    takes(cloud)
    result = run(play)
    assert result["taken_over"] == EXPIRED
    assert "takes over the lock" in str(result["warnings"])
    assert "process 4711 of ann (ann@example.com) on build-7" in str(result["warnings"])
    assert len(keepers) == 1


def test_takes_over_the_lock_of_a_run_that_ended_on_this_host(cloud: Cloud, play: Play) -> None:
    ended = _process.Run(os.getpid(), "1", _process.host_identity()).identity
    lists(cloud, ANN | {"run": ended})
    removes(cloud)
    takes(cloud)
    assert run(play)["taken_over"]["run"] == ended


def test_a_renewal_at_the_last_moment_keeps_the_lock(cloud: Cloud, play: Play) -> None:
    lists(cloud, EXPIRED)
    query = {"ifGenerationMatch": "7", "ifMetagenerationMatch": "3"}
    cloud.fails("DELETE", "storage", ONE, 412, "conditionNotMet", query=query)
    lists(cloud, ANN, metageneration="4")
    assert "Another run works on my-project/mlflow: process 4711" in run(play, fails=True)["msg"]


def test_of_two_runs_at_once_one_is_refused(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, None)
    loses_the_race(cloud)
    lists(cloud, ANN)
    assert "Another run works on" in run(play, fails=True)["msg"]
    assert keepers == []


def test_an_own_lock_whose_creation_was_not_answered_is_kept(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, None)
    loses_the_race(cloud)
    lists(cloud, mine())
    assert run(play)["lock"] == mine()
    assert len(keepers) == 1


@pytest.mark.parametrize(("values", "now"), [(None, "free"), (ANN, "held by process 4711")])
def test_a_lost_lock_ends_the_run_before_the_next_step(values: Json | None, now: str, cloud: Cloud, play: Play) -> None:
    lists(cloud, values)
    message = run(play, state="held", fails=True)["msg"]
    assert "This run lost the lock of my-project/mlflow" in message
    assert f"The lock is now {now}" in message


def test_an_own_lock_that_expired_is_taken_again(cloud: Cloud, play: Play, keepers: list[Keeper]) -> None:
    lists(cloud, mine(expires="2026-11-28T21:59:59Z"))
    removes(cloud)
    takes(cloud)
    assert run(play, state="held")["taken_over"] is None
    assert len(keepers) == 1


def test_removes_the_lock_of_any_run(cloud: Cloud, play: Play) -> None:
    lists(cloud, ANN)
    removes(cloud)
    result = run(play, state="absent")
    assert (result["changed"], result["lock"]) == (True, ANN)
    lists(cloud, None)
    result = run(play, state="absent")
    assert (result["changed"], result["lock"]) == (False, None)


@pytest.mark.parametrize(("state", "values"), [("present", None), ("present", EXPIRED), ("absent", ANN)])
def test_check_mode_takes_and_removes_nothing(state: str, values: Json | None, cloud: Cloud, play: Play) -> None:
    lists(cloud, values)
    assert run(play, state=state, check=True)["changed"]


def test_the_bucket_may_not_exist(cloud: Cloud, play: Play) -> None:
    cloud.get("storage", LIST, None, query=QUERY)
    assert "There is no bucket backups" in run(play, fails=True)["msg"]
    cloud.get("storage", LIST, None, query=QUERY)
    assert run(play, require_bucket=False)["lock"] is None
    cloud.fails("GET", "storage", LIST, 403, "accessNotConfigured", query=QUERY)
    cloud.get("serviceusage", "v1/projects/my-project/services/storage.googleapis.com", {"state": "DISABLED"})
    assert run(play, require_bucket=False)["lock"] is None


def test_only_a_playbook_can_hold_it(cloud: Cloud, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "find_playbook", lambda _: 0)
    lists(cloud, None)
    assert "delegate_to: localhost" in run(play, fails=True)["msg"]


class Runs:
    """A run that ends after some waits."""

    def __init__(self, waits: int) -> None:
        self.waits = waits
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) > self.waits


def lock(monkeypatch: pytest.MonkeyPatch) -> _lock.Lock:
    monkeypatch.setattr(_lock.time, "time", lambda: 1795903200.0)  # 2026-11-28T22:00:00Z
    session = mlflow_lock._auth.session(mlflow_lock._auth.AuthOptions("access_token", access_token="token-of-the-test"))
    return _lock.Lock(_client.Client(session, timeout=5.0), "backups", "my-project/mlflow")


def renews(cloud: Cloud, expires: str, status: int = 200) -> None:
    query, body = {"ifGenerationMatch": "7", "fields": "metageneration"}, {"metadata": {"expires": expires}}
    headers = {"Date": "Sat, 28 Nov 2026 22:10:00 GMT"}  # the service is ten minutes ahead
    cloud.expect("PATCH", "storage", ONE, query=query, body=body, status=status, headers=headers)


def test_the_keeper_renews_until_the_run_ends_and_then_deletes(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    renews(cloud, "2026-11-28T22:05:00Z")
    renews(cloud, "2026-11-28T22:15:00Z")
    cloud.expect("DELETE", "storage", ONE, query={"ifGenerationMatch": "7"})
    ended = Runs(2)
    _lock.keep(lock(monkeypatch), "7", ended)
    assert ended.pauses == [60.0, 60.0, 60.0]


@pytest.mark.parametrize("status", [404, 412])
def test_the_keeper_ends_when_the_lock_is_lost(status: int, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    renews(cloud, "2026-11-28T22:05:00Z", status)
    _lock.keep(lock(monkeypatch), "7", Runs(9))


def test_the_keeper_tries_again_after_a_failed_renewal(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    renews(cloud, "2026-11-28T22:05:00Z", 403)
    renews(cloud, "2026-11-28T22:05:00Z")
    cloud.fails("DELETE", "storage", ONE, 412, "conditionNotMet", query={"ifGenerationMatch": "7"})
    ended = Runs(2)
    _lock.keep(lock(monkeypatch), "7", ended)
    assert ended.pauses == [60.0, 10.0, 60.0]
