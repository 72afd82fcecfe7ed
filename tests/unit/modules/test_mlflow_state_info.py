# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_state_info

from tests.unit.harness import Cloud, Json, Play, error
from tests.unit.storage import downloads, lists, stored

PREFIX = "deployments/my-project/mlflow/"
RELEASE = {"version": "3.17.2", "since": "2026-11-21T14:40:00Z", "requirements": "mlflow==3.17.2\n"}
DRILL = {"instance": "mlflow-drill-abcd", "bucket": "my-project-mlflow-drill-abcd"}


def run(play: Play, directory: Path, **params: Any) -> Json:
    options = {"bucket": "backups", "deployment": "my-project/mlflow", "directory": str(directory)}
    return play(mlflow_state_info, **options, **params)


def has(cloud: Cloud, **records: Any) -> None:
    """Expect a list of the records and the download of each."""
    contents = {f"{PREFIX}{name.replace('_', '-')}.json": json.dumps(value).encode() for name, value in records.items()}
    objects = [stored(name, 7, data) for name, data in contents.items()]
    lists(cloud, "backups", [*objects, stored(f"{PREFIX}lock", 9, b"text")], prefix=PREFIX)
    for name, data in contents.items():
        downloads(cloud, "backups", name, "7", data)


@pytest.mark.parametrize("check", [False, True])
def test_returns_the_records_and_saves_the_requirements(check: bool, cloud: Cloud, play: Play, tmp_path: Path) -> None:
    has(cloud, release=RELEASE, temporary_drill=DRILL)
    result = run(play, tmp_path / "state" / "releases", check=check)
    file = tmp_path / "state" / "releases" / "requirements-3.17.2.txt"
    release = {"version": "3.17.2", "since": "2026-11-21T14:40:00Z", "requirements_file": str(file)}
    assert result["records"] == {"release": release, "temporary-drill": DRILL}
    assert not result["changed"]
    assert file.read_text() == RELEASE["requirements"]
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_replaces_other_requirements_of_the_same_version(cloud: Cloud, play: Play, tmp_path: Path) -> None:
    (tmp_path / "requirements-3.17.2.txt").write_text("mlflow==3.17.2 # of another index\n")
    has(cloud, release=RELEASE)
    run(play, tmp_path)
    assert (tmp_path / "requirements-3.17.2.txt").read_text() == RELEASE["requirements"]


@pytest.mark.parametrize(("status", "reason"), [(404, "notFound"), (403, "accessNotConfigured")])
def test_a_new_project_has_no_records(status: int, reason: str, cloud: Cloud, play: Play, tmp_path: Path) -> None:
    url = "https://storage.googleapis.com/storage/v1/b/backups/o"
    cloud.script.add("GET", url, status=status, json=error(status, reason))
    if status == 403:
        cloud.get("serviceusage", "v1/projects/my-project/services/storage.googleapis.com", {"state": "DISABLED"})
    assert run(play, tmp_path / "releases")["records"] == {}
    assert not (tmp_path / "releases").exists()


@pytest.mark.parametrize("data", [b"", b"[]"])
def test_names_a_malformed_record(data: bytes, cloud: Cloud, play: Play, tmp_path: Path) -> None:
    lists(cloud, "backups", [stored(f"{PREFIX}restore.json", 7, data)], prefix=PREFIX)
    downloads(cloud, "backups", f"{PREFIX}restore.json", "7", data)
    assert f"gs://backups/{PREFIX}restore.json is not a record" in run(play, tmp_path, fails=True)["msg"]
