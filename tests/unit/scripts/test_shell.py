# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The settings that the scripts in scripts/ pass on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_root_receives_all_variables_of_the_local_cloud() -> None:
    """Otherwise `localcloud env` of the user would refer to another local cloud than that of root."""
    sources = [path.read_text() for path in (REPOSITORY / "localcloud").rglob("*.py")]
    names = set(re.findall(r'environ(?:\.get\(|\[)"(MLFLOW_LOCALCLOUD_\w+)"', "\n".join(sources)))
    assert {"MLFLOW_LOCALCLOUD_HOME", "MLFLOW_LOCALCLOUD_PORT"} <= names
    show = '. scripts/common.sh; echo "$kept_environment"'
    kept = subprocess.run(["bash", "-c", show], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert names - set(kept.strip().split(",")) == set()


def test_a_deployment_selects_its_inventory_and_project(tmp_path: Path) -> None:
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").symlink_to(sys.executable)
    for folder in ("scripts", "group_vars"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ},
        "DEPLOYMENT": "staging",
        "GOOGLE_CLOUD_PROJECT": "other",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages")),
    }

    def show() -> subprocess.CompletedProcess[str]:
        command = ["bash", "scripts/with-cloud.sh", "bash", "-c", "echo $GOOGLE_CLOUD_PROJECT $ANSIBLE_INVENTORY"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    missing = show()
    assert missing.returncode == 1
    assert missing.stderr.endswith("Create it: cp -r inventory/mlflow inventory/staging\n")
    variables = tmp_path / "inventory" / "staging" / "group_vars"
    variables.mkdir(parents=True)
    (variables / "all.yml").write_text("deployment_project: p")
    assert show().stdout == f"p {tmp_path}/inventory/staging\n"
    (variables / "all.yml").write_text("deployment_name: staging")
    assert show().stdout == f"other {tmp_path}/inventory/staging\n"
