# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The scripts of `make up`, `make down` and `make test`, with stubs for the programs that they call."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
USER = 4711
_SUDO = f"""#!{sys.executable}
import os, sys
kept = sys.argv[1].removeprefix("--preserve-env=").split(",")
command = sys.argv[sys.argv.index("--") + 1:]
os.environ["CALLS_AS"] = "root "
left = {{name: os.environ[name] for name in (*kept, "PATH", "CALLS", "CALLS_AS", "FAILING") if name in os.environ}}
os.execvpe(command[0], command, left)
"""
_PYTHON = f"""#!/bin/sh
case "$1" in scripts/*) exec {sys.executable} "$@";; esac
echo "${{CALLS_AS}}$* port=$MLFLOW_LOCALCLOUD_PORT home=$MLFLOW_LOCALCLOUD_HOME" >>"$CALLS"
case "$*" in *" env") echo "export GOOGLE_CLOUD_PROJECT=mlflow-local";; esac
case "$*" in *" status") exit 3;; esac
case "$*" in $FAILING) echo "localcloud: there is still: interface mlc-ext" >&2; exit 1;; esac
"""
_LOGGED = '#!/bin/sh\necho "${CALLS_AS}$(basename "$0") $*" >>"$CALLS"\n'


class Repository:
    """The scripts for a user who is not root, with a sudo that keeps only the listed variables, and without a cloud."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder / "repository"
        self.state = folder / "state"
        self._calls = folder / "calls"
        tools = self.folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "scripts", self.folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(REPOSITORY / "group_vars", self.folder / "group_vars")
        programs = {"python": _PYTHON, "sudo": _SUDO, "id": f"#!/bin/sh\necho {USER}\n"}
        programs |= dict.fromkeys(("chown", "ansible-playbook"), _LOGGED)
        for name, text in programs.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (self.folder / "scripts" / "install.sh").write_text("#!/bin/sh\n")
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        self._environment = {
            **kept,
            "CALLS": str(self._calls),
            "MLFLOW_GCP_STATE_DIRECTORY": str(self.state),
            "XDG_STATE_HOME": str(folder),
            **settings,
        }

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script and wait for its end."""
        command = ["bash", str(self.folder / "scripts" / script), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120, check=False)

    @property
    def calls(self) -> list[str]:
        """Return the calls, with the user of each call."""
        return self._calls.read_text().splitlines()


def test_root_receives_all_variables_of_the_local_cloud(tmp_path: Path) -> None:
    """Otherwise `localcloud env` of the user would refer to another local cloud than that of root."""
    sources = [path.read_text() for path in (REPOSITORY / "localcloud").rglob("*.py")]
    names = set(re.findall(r'environ(?:\.get\(|\[)"(MLFLOW_LOCALCLOUD_\w+)"', "\n".join(sources)))
    assert {"MLFLOW_LOCALCLOUD_HOME", "MLFLOW_LOCALCLOUD_PORT"} <= names
    settings = {name: f"value-of-{name}" for name in sorted(names)}
    repository = Repository(tmp_path, settings)
    script = repository.folder / "scripts" / "shows.sh"
    script.write_text('. "$(dirname "${BASH_SOURCE[0]}")/common.sh"\nas_root env\n')
    seen = repository.run("shows.sh").stdout.splitlines()
    assert [f"{name}={value}" for name, value in settings.items() if f"{name}={value}" not in seen] == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_up_makes_the_user_the_owner_of_the_credentials(tmp_path: Path, elsewhere: bool) -> None:
    home = tmp_path / "elsewhere"
    settings = {"MLFLOW_LOCALCLOUD_PORT": "8788"} | ({"MLFLOW_LOCALCLOUD_HOME": str(home)} if elsewhere else {})
    repository = Repository(tmp_path, settings)
    (repository.folder / "scripts" / "deployment.py").write_text("")
    done = repository.run("up.sh")
    assert done.returncode == 0, done.stderr
    where = home if elsewhere else repository.folder / ".localcloud"
    told = home if elsewhere else ""
    assert repository.calls == [
        f"root -m localcloud up port=8788 home={told}",
        f"root chown {USER} {where} {where}/credentials.json",
        f"-m localcloud env port=8788 home={told}",
        "ansible-playbook site.yml",
    ]


def test_down_removes_the_files_of_its_own_deployment_only(tmp_path: Path) -> None:
    repository = Repository(tmp_path, {"DEPLOYMENT": "prod"})
    others = ["mlflow-local-prod-mlflow", "mlflow-local-prod", "mlflow-local-mlflow-2", "other-mlflow"]
    for name in ("mlflow-local-mlflow", *others):
        (repository.state / name / "ssh").mkdir(parents=True)
    done = repository.run("down.sh")
    assert done.returncode == 0, done.stderr
    assert [call.split(" port=")[0] for call in repository.calls] == ["root -m localcloud down"]
    assert sorted(path.name for path in repository.state.iterdir()) == sorted(others)


def test_a_deployment_selects_its_inventory_and_project(tmp_path: Path) -> None:
    repository = Repository(tmp_path, {"DEPLOYMENT": "staging", "GOOGLE_CLOUD_PROJECT": "other"})
    show = ["bash", "-c", "echo $GOOGLE_CLOUD_PROJECT $ANSIBLE_INVENTORY"]
    missing = repository.run("with-cloud.sh", *show)
    assert missing.returncode == 1
    assert missing.stderr.endswith("Create it: cp -r inventory/mlflow inventory/staging\n")
    variables = repository.folder / "inventory" / "staging" / "group_vars"
    variables.mkdir(parents=True)
    (variables / "all.yml").write_text("deployment_project: p")
    assert repository.run("with-cloud.sh", *show).stdout == f"p {repository.folder}/inventory/staging\n"
    (variables / "all.yml").write_text("deployment_name: staging")
    assert repository.run("with-cloud.sh", *show).stdout == f"other {repository.folder}/inventory/staging\n"


def test_down_that_fails_keeps_the_files(tmp_path: Path) -> None:
    repository = Repository(tmp_path, {"FAILING": "*down"})
    (repository.state / "mlflow-local-mlflow").mkdir(parents=True)
    assert repository.run("down.sh").returncode != 0
    assert (repository.state / "mlflow-local-mlflow").exists()


@pytest.mark.parametrize(
    ("failing", "code", "said"),
    [
        ("nothing", 0, ""),
        ("*localcloud?down*", 1, "localcloud: there is still: interface mlc-ext"),
        ("*pytest*", 1, ""),
    ],
)
def test_tests_fail_if_the_local_cloud_is_not_removed(tmp_path: Path, failing: str, code: int, said: str) -> None:
    repository = Repository(tmp_path, {"FAILING": failing})
    done = repository.run("test.sh", "tests/unit")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "root -m localcloud down --keep-images" in [call.split(" port=")[0] for call in repository.calls]


def test_status_fails_without_a_running_local_cloud(tmp_path: Path) -> None:
    repository = Repository(tmp_path, {})
    assert repository.run("status.sh").returncode == 3
    assert [call.split(" port=")[0] for call in repository.calls] == ["root -m localcloud status"]
