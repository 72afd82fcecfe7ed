# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The installation of mlflowctl: versions that never change, and a link that leads to the newest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.program_archive import program_archive
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_program

from tests.unit.harness import Play

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "mlflowctl" / "__pycache__").mkdir(parents=True)
    (source / "__main__.py").write_text('import sys; print("first", *sys.argv[1:])\n')
    (source / "mlflowctl" / "cli.py").write_text("")
    (source / "mlflowctl" / "__pycache__" / "cli.pyc").write_bytes(b"\0")
    return source


@pytest.fixture
def install(play: Play, source: Path, tmp_path: Path) -> Any:
    def run(*, check: bool = False) -> dict[str, Any]:
        options = {"directory": str(tmp_path / "opt" / "mlflow"), "command": str(tmp_path / "bin" / "mlflowctl")}
        return play(mlflow_program, check=check, archive=program_archive(str(source)), **options, **OWN)

    return run


def test_check_mode_changes_nothing(install: Any, tmp_path: Path) -> None:
    assert install(check=True)["changed"] is True
    assert not (tmp_path / "opt").exists()


def test_the_command_runs_the_installed_version(install: Any, source: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        first = install()
    finally:
        os.umask(before)
    assert (first["changed"], install()["changed"]) == (True, False)
    said = subprocess.run([tmp_path / "bin" / "mlflowctl", "a b"], capture_output=True, text=True, check=True).stdout
    assert said == "first a b\n"
    home = Path(first["path"])
    assert sorted(path.name for path in home.rglob("*.py")) == ["__main__.py", "cli.py"]
    assert not list(home.rglob("cli*.pyc"))
    # All users of the VM can read the program, whatever the umask is.
    for path in (tmp_path / "opt", home, home / "mlflowctl"):
        assert path.stat().st_mode & 0o777 == 0o755
    assert (home / "mlflowctl" / "cli.py").stat().st_mode & 0o777 == 0o644


def test_an_update_keeps_the_earlier_version(install: Any, source: Path) -> None:
    """A process or a slot of the earlier version continues to use that version."""
    first = install()
    (source / "__main__.py").write_text('print("second")\n')
    second = install()
    assert second["changed"] is True
    assert second["diff"] == {
        "before": f"mlflowctl {first['version']}\n",
        "after": f"mlflowctl {second['version']}\n",
    }
    assert "first" in (Path(first["path"]) / "__main__.py").read_text()
    assert (Path(first["path"]).parents[1] / "program").resolve() == Path(second["path"])


def test_an_interrupted_installation_leaves_the_link(
    install: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = install()
    (source / "__main__.py").write_text('print("second")\n')
    with monkeypatch.context() as patch:
        patch.setattr(os, "sync", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            install()
    link = tmp_path / "opt" / "mlflow" / "program"
    assert link.resolve() == Path(first["path"])
    assert link.resolve() != Path(install()["path"])


@pytest.mark.parametrize("change", [lambda path: path.write_text("x"), lambda path: path.chmod(0o600), Path.unlink])
def test_a_damaged_file_is_repaired(install: Any, change: Any) -> None:
    path = Path(install()["path"]) / "__main__.py"
    change(path)
    assert (install()["changed"], install()["changed"]) == (True, False)
    assert path.read_text().startswith("import sys")


def test_the_version_depends_on_contents_only() -> None:
    files = {"a": b"1", "b": b"2"}
    assert mlflow_program.digest(files) == mlflow_program.digest(dict(reversed(files.items())))
    assert mlflow_program.digest(files) != mlflow_program.digest({"a": b"12", "b": b""})
