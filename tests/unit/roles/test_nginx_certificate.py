# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role nginx installs the certificate files of the control node."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.roles.evaluated import evaluated
from tests.unit.roles.noting import collection, note, play


def test_certificate_and_key_are_written_in_one_file(tmp_path: Path) -> None:
    """With two files, a killed run could leave a key and a certificate that do not match."""
    collection(tmp_path, "nginx", noted=["copy"])
    note(tmp_path, ["copy"])
    (tmp_path / "chain.pem").write_text("chain\n")
    (tmp_path / "key.pem").write_text("key\n")
    settings = {
        "deployment_project": "my-project",
        "nginx_certificate_source": "files",
        "nginx_certificate_file": str(tmp_path / "chain.pem"),
        "nginx_certificate_key_file": str(tmp_path / "key.pem"),
    }
    role = {"name": "mlops.mlflow_gcp.nginx", "tasks_from": "certificate_files"}
    assert play(tmp_path, "localhost", role, [], settings, check=True).returncode == 0
    (copied,) = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert (copied["content"], copied["mode"]) == ("key\nchain\n", "0600")
    assert evaluated("{{ __nginx_certificate }}", "nginx", **settings) == copied["dest"]
    assert evaluated("{{ __nginx_certificate_key }}", "nginx", **settings) == copied["dest"]
