# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/install.sh installs uv from the lock, then the whole lock with uv, or with pip if uv fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# The list of calls contains the content of a file argument.
_PYTHON = """#!/bin/bash
echo "python $*" >>"$CALLS"
case "$*" in
  *"config get global.index-url") [ -z "$CONFIGURED" ] || echo "$CONFIGURED"; [ -n "$CONFIGURED" ] ;;
  *"-r /dev/fd/"*) cat "${@: -1}" >>"$CALLS" ;;
esac
"""
_UV = '#!/bin/bash\necho "uv $* index=$UV_DEFAULT_INDEX" >>"$CALLS"\nexit "$UV_CODE"\n'
LOCK = """\
uv==1.2.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
uvicorn==4.5.6 \\
    --hash=sha256:cc
"""


def install(folder: Path, *, uv_code: int = 0, **settings: str) -> list[str]:
    """Return the calls of a run, one a line. The programs are stubs, so nothing is installed."""
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.lock").write_text(LOCK)
    for name, text in {"python": _PYTHON, "uv": _UV}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    environment |= {"CALLS": str(folder / "calls"), "CONFIGURED": "", "UV_CODE": str(uv_code), "PYTHON": sys.executable}
    command = ["bash", "scripts/install.sh", "python"]
    done = subprocess.run(
        command, cwd=folder, env=environment | settings, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (folder / ".venv" / ".installed").exists()
    return (folder / "calls").read_text().splitlines()


def called(calls: list[str], *words: str) -> list[str]:
    """Return the calls that contain all of these words."""
    return [call for call in calls if all(word in call for word in words)]


def test_uv_comes_from_the_lock_with_its_hashes_and_installs_the_rest(tmp_path: Path) -> None:
    calls = install(tmp_path)

    assert len(called(calls, "pip install", "--require-hashes", "--no-deps")) == 1
    assert [line for line in calls if "==" in line or "--hash" in line] == LOCK.splitlines()[:3]
    (by_uv,) = called(calls, "uv pip install")
    assert by_uv.endswith("--python .venv/bin/python --require-hashes -r requirements.lock index=")
    assert not called(calls, "pip install", "python -m", "requirements.lock")


@pytest.mark.parametrize("setting", ["CONFIGURED", "PIP_INDEX_URL"])
def test_uv_uses_the_index_of_pip(tmp_path: Path, setting: str) -> None:
    """The password of the index appears in no process list."""
    index = "https://grace:secret@index.test/simple"
    calls = install(tmp_path, **{setting: index})

    (by_uv,) = called(calls, "uv pip install")
    assert by_uv.endswith(f" index={index}")
    assert [call.partition(" index=")[0] for call in calls if "secret" in call.partition(" index=")[0]] == []


def test_pip_installs_the_lock_if_uv_fails(tmp_path: Path) -> None:
    calls = install(tmp_path, uv_code=2)

    (by_pip,) = called(calls, "python -m pip install", "requirements.lock")
    assert "--require-hashes" in by_pip
    assert calls.index(by_pip) > calls.index(called(calls, "uv pip install")[0])
