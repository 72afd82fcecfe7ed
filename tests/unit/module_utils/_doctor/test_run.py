# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the run, and the deletion of the run."""

from __future__ import annotations

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.run import experiment, run, temporary_run

from tests.unit.module_utils._doctor.harness import NOW, SEARCH, Mlflow, endpoint, nothing


def test_a_run_is_logged_read_back_and_deleted(mlflow: Mlflow) -> None:
    mlflow.add("of-a-killed-doctor", NOW - 7200)
    mlflow.add("of-another-doctor", NOW - 60)
    client, deleted = endpoint(), []
    with temporary_run(client, deleted.append) as made:
        result = run(client, made)
    assert result.state == "ok"
    assert mlflow.deleted == ["of-a-killed-doctor", "abc"]
    assert deleted == [f"mlflow-artifacts:/0/{run_id}/artifacts" for run_id in mlflow.deleted]
    assert set(mlflow.runs) == {"of-another-doctor"}


def test_the_default_experiment_may_be_deleted(mlflow: Mlflow) -> None:
    mlflow.experiments = ["7", "8"]
    client = endpoint()
    with temporary_run(client, nothing) as made:
        assert run(client, made).state == "ok"


def test_there_may_be_no_experiment(mlflow: Mlflow) -> None:
    mlflow.experiments = []
    with pytest.raises(NotCheckedError, match="no active experiment") as error, temporary_run(endpoint(), nothing):
        pass
    assert "mlflow experiments create" in error.value.remedy


def test_an_experiment_whose_artifacts_go_through_the_server_comes_first(server: responses.RequestsMock) -> None:
    places = {"0": "gs://elsewhere/0", "3": "mlflow-artifacts:/3", "4": "mlflow-artifacts:/4"}
    found = [{"experiment_id": name, "artifact_location": place} for name, place in places.items()]
    server.post(SEARCH, json={"experiments": found})
    assert experiment(endpoint()) == "3"


def test_a_run_that_is_not_read_back(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlflow, "runs_log_batch", lambda *_: {})
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = run(client, made)
    assert (result.state, result.value) == ("fail", "the server returned other values than the logged values")
    assert mlflow.runs == {}


def test_a_run_that_the_search_does_not_find(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlflow, "runs_search", lambda *_: {})
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = run(client, made)
    assert (result.state, result.value) == ("fail", "the search does not return the logged run")


def test_a_run_is_deleted_when_logging_fails(mlflow: Mlflow) -> None:
    mlflow.broken = "runs/log-batch"
    client = endpoint()
    with pytest.raises(NotCheckedError, match="runs/log-batch: HTTP 500"), temporary_run(client, nothing) as made:
        run(client, made)
    assert mlflow.runs == {}
