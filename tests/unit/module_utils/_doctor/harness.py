# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted deployment for the checks that send requests as a client."""

from __future__ import annotations

import json
import re
from typing import Any

import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.endpoint import Endpoint
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.run import TAG

NOW = 1_800_000_000.0
URL = "https://mlflow.example.com"
SEARCH = f"{URL}/api/2.0/mlflow/experiments/search"
PASSWORD = "the-password-of-the-test"


def endpoint(**changes: Any) -> Endpoint:
    values: dict[str, Any] = {
        "host": "mlflow.example.com",
        "address": "198.51.100.7",
        "ca_file": "",
        "username": "admin",
        "password": PASSWORD,
        "now": lambda: NOW,
    }
    return Endpoint(**(values | changes))


def nothing(artifact_uri: str) -> None:
    """Delete nothing, because there is no bucket."""


class Mlflow:
    """MLflow's responses to the doctor. Tests can read the stored objects."""

    def __init__(self, server: responses.RequestsMock) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.location = "mlflow-artifacts:/0"
        self.experiments = ["0"]
        self.broken = ""
        server.assert_all_requests_are_fired = False
        server.add_callback("POST", re.compile(f"{URL}/api/2.0/mlflow/.*"), callback=self.answer)
        server.add_callback("GET", re.compile(f"{URL}/api/2.0/mlflow/runs/get.*"), callback=self.answer)
        for method in ("PUT", "GET", "DELETE"):
            server.add_callback(method, re.compile(f"{URL}/api/2.0/mlflow-artifacts/.*"), callback=self.store)

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert request.headers["Authorization"]
        path = str(request.path_url).removeprefix("/api/2.0/mlflow/").partition("?")[0]
        if path == self.broken:
            return 500, {}, '{"error_code": "INTERNAL_ERROR"}'
        body = json.loads(request.body) if request.body else {}
        return 200, {}, json.dumps(getattr(self, path.replace("/", "_").replace("-", "_"))(body))

    def add(self, run_id: str, start: float) -> dict[str, Any]:
        info = {
            "run_id": run_id,
            "start_time": int(start * 1000),
            "artifact_uri": f"{self.location}/{run_id}/artifacts",
        }
        self.runs[run_id] = {"info": info, "data": {}}
        return self.runs[run_id]

    def experiments_search(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["order_by"] == ["experiment_id ASC"]
        found = [{"experiment_id": each, "artifact_location": self.location} for each in self.experiments]
        return {"experiments": found} if found else {}

    def runs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["experiment_id"] == self.experiments[0]
        assert [tag["key"] for tag in body["tags"]] == [TAG]
        return {"run": self.add("abc", body["start_time"] / 1000)}

    def runs_search(self, body: dict[str, Any]) -> dict[str, Any]:
        assert TAG in body["filter"]
        assert body["experiment_ids"] == self.experiments[:1]
        return {"runs": list(self.runs.values())} if self.runs else {}

    def runs_log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        self.runs[body["run_id"]]["data"] = {"metrics": body["metrics"], "params": body["params"]}
        return {}

    def runs_get(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"run": self.runs["abc"]}

    def runs_delete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.deleted.append(body["run_id"])
        del self.runs[body["run_id"]]
        return {}

    def store(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        path = str(request.path_url).removeprefix("/api/2.0/mlflow-artifacts/artifacts/")
        if request.method == self.broken:
            return 500, {}, b"no room"
        if request.method == "PUT":
            # The library has read the body already. The request had a length, so the upload was not chunked.
            assert isinstance(request.body, bytes)
            assert int(request.headers["Content-Length"]) == len(request.body)
            self.artifacts[path] = request.body
        if request.method == "DELETE":
            del self.artifacts[path]
            return 204, {}, b""
        content = self.artifacts[path]
        return 200, {}, content[:-1] + b"?" if self.broken == "bytes" else content
