# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud up` and `serve` on a host that will not have them: one message, and nothing changed."""

from __future__ import annotations

import pathlib
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from localcloud import locks
from localcloud.__main__ import main
from localcloud.commands import _process
from localcloud.engine import dockerd
from localcloud.engine.dockerd import is_process
from tests.localcloud.harness import Local


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where a local cloud would live."""
    return tmp_path / "home"


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Root on a host without systemd, without Docker engine, and with no other local cloud."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(dockerd, "answers", lambda: False)
    monkeypatch.setattr(dockerd, "_SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(locks, "MACHINE", tmp_path / "machine.lock")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def refused(capsys: pytest.CaptureFixture[str], command: str, home: pathlib.Path, port: int) -> str:
    """The one message that a command ends with."""
    assert main([command, "--home", str(home), "--port", str(port)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("localcloud: ")
    return said.err


def test_not_root(
    home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "as root or with sudo" in refused(capsys, "up", home, port)
    assert not home.exists()


def test_a_port_in_use(home: pathlib.Path, taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("up", "serve"):
        message = refused(capsys, command, home, taken)
        assert f"port {taken} of 127.0.0.1" in message
        assert "--port or MLFLOW_LOCALCLOUD_PORT" in message
        assert not (home / "state.sqlite").exists()


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1"])
def test_no_port_at_all(value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_LOCALCLOUD_PORT", value)
    with pytest.raises(SystemExit) as ended:
        main(["up"])
    assert ended.value.code == 2
    assert f"'{value}' is no port (MLFLOW_LOCALCLOUD_PORT sets it too): choose 1 to 65535" in capsys.readouterr().err


def test_docker_host_leads_nowhere(
    home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real question to a real, dead address
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(locks, "MACHINE", home / "machine.lock")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    message = refused(capsys, "up", home, port)
    assert f"DOCKER_HOST=tcp://127.0.0.1:{port}" in message
    assert "unset DOCKER_HOST" in message
    assert not home.exists()


def test_no_docker_engine_is_installed(home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no Docker engine: apt-get install docker.io" in refused(capsys, "up", home, port)
    assert not home.exists()


def test_a_docker_engine_that_does_not_start(
    home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    program = tmp_path / "bin" / "dockerd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'failed to start daemon: no room on this device' >&2\nexit 1\n")
    program.chmod(0o755)
    message = refused(capsys, "up", home, port)
    assert "the Docker engine did not start" in message
    assert "no room on this device" in message
    assert [path.name for path in home.iterdir()] == ["dockerd.log"]


def test_another_local_cloud_on_this_host(home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with locks.hold(locks.MACHINE, "/srv/other"):
        for command in ("up", "down"):
            message = refused(capsys, command, home, port)
            assert "python -m localcloud down --home /srv/other" in message
        assert not home.exists()
    assert locks.holder(locks.MACHINE) is None


def test_one_process_serves_a_home(home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    with locks.hold(home / "serve.lock", "http://127.0.0.1:1"):
        assert "at http://127.0.0.1:1" in refused(capsys, "serve", home, port)
        assert [path.name for path in home.iterdir()] == ["serve.lock"]


def test_a_process_is_known_by_its_whole_command_line(home: pathlib.Path) -> None:
    home.mkdir()
    settings = Local(home, 1).settings
    arguments = ["localcloud", "serve", "--home", str(home), "--port", "4711"]
    script = "import time; time.sleep(60)"
    for command, found in ((["-c", script, "-m", *arguments], True), (["-c", script, "localcloud/app.py"], False)):
        process = subprocess.Popen([sys.executable, *command])
        try:
            while not is_process(process.pid, "time.sleep"):  # the kernel writes it a moment after exec
                time.sleep(0.01)
            _process.pid_file(settings).write_text(f"{process.pid}\n")
            assert (_process.find(settings) == process.pid) is found
            assert (_process.port(process.pid) == 4711) is found
        finally:
            process.kill()
            process.wait()


def test_nobody_else_may_read_the_state(local: Local) -> None:
    local.session().call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "bucket-of-mine"})
    local.session().call("POST", "/upload/storage/v1/b/bucket-of-mine/o?uploadType=media&name=a", data=b"x")
    local.home.chmod(0o755)
    for path in local.home.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"
