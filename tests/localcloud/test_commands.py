# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud up` and `serve` on a host that does not support them: one message and no change."""

from __future__ import annotations

import pathlib
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import pytest

from localcloud.__main__ import main
from localcloud.commands import _home, _process, down
from localcloud.core import locks
from localcloud.engine import docker_common, dockerd, sysctls
from localcloud.engine.dockerd import is_process
from tests.localcloud.harness import Local


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the home of a local cloud, which does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port that is in use."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@dataclass(frozen=True)
class Kernel:
    """Kernel settings in a temporary directory, not the host's."""

    root: pathlib.Path

    def path(self, name: str) -> pathlib.Path:
        """Return the path of a setting."""
        return self.root / name

    def set(self, name: str, value: str) -> None:
        """Set the value of a setting."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(f"{value}\n")

    def get(self, name: str) -> str:
        """Return the value of a setting."""
        return self.path(name).read_text().strip()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Kernel:
    """Return a kernel that forwards, as on a host of VMs, and has no filter for bridges."""
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path / "sys")
    made = Kernel(tmp_path / "sys")
    made.set(sysctls.FORWARDING, "1")
    return made


@pytest.fixture(autouse=True)
def host(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Be root on a host without systemd, without Docker engine, and without another local cloud."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(dockerd, "answers", lambda: False)
    monkeypatch.setattr(dockerd, "_SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(locks, "MACHINE", tmp_path / "machine.lock")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def refused(capsys: pytest.CaptureFixture[str], command: str, home: pathlib.Path, port: int) -> str:
    """Run a command that must fail; return its only message."""
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
    monkeypatch.undo()  # use the real function, with an address that does not answer
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


def program(folder: pathlib.Path, name: str, script: str) -> None:
    """Write a program into the host's only directory of programs."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (
            "failed to create NAT chain DOCKER: iptables failed: iptables v1.8.9 (nf_tables): Could not fetch rule set",
            "update-alternatives --set iptables /usr/sbin/iptables-legacy",
        ),
        ("failed to start daemon: error initializing graphdriver: driver not supported", "Mount one that can there"),
        ("failed to mount overlay: invalid argument", "Mount one that can there"),
        ("write /var/lib/docker/tmp: no space left on device", "Make room under /var/lib/docker"),
        ("failed to start daemon: pid file found, ensure docker is not running", "put right what its last words name"),
    ],
)
def test_a_docker_engine_that_does_not_start(
    words: str,
    remedy: str,
    home: pathlib.Path,
    port: int,
    capsys: pytest.CaptureFixture[str],
    tmp_path: pathlib.Path,
    kernel: Kernel,
) -> None:
    kernel.set(sysctls.FORWARDING, "0")
    # The engine enables forwarding before its start fails.
    program(tmp_path, "dockerd", f"echo 1 >{kernel.path(sysctls.FORWARDING)}\necho '{words}' >&2\nexit 1")
    message = refused(capsys, "up", home, port)
    assert "the Docker engine did not start" in message
    assert words in message
    assert remedy in message
    assert str(home / "dockerd.log") in message
    assert [path.name for path in home.iterdir()] == ["dockerd.log"]
    assert kernel.get(sysctls.FORWARDING) == "0"


@pytest.mark.parametrize(
    ("installed", "systemctl", "said"),
    [
        (
            False,
            "echo 'Unit docker.service not found.' >&2; exit 5",
            ["Unit docker.service not found.", "apt-get inst"],
        ),
        (True, "echo 'Unit is masked.' >&2; exit 1", ["Unit is masked.", "journalctl -u docker", "systemctl unmask"]),
        (True, "exit 0", ["succeeded, but nothing answers", "journalctl -u docker"]),
    ],
    ids=["not installed", "does not start", "does not answer"],
)
def test_systemd_does_not_start_the_docker_engine(
    installed: bool,
    systemctl: str,
    said: list[str],
    home: pathlib.Path,
    port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    monkeypatch.setattr(dockerd, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(dockerd, "_SECONDS", 0)
    program(tmp_path, "systemctl", f'[ "$*" = "start docker" ] || exit 9\n{systemctl}')
    if installed:
        program(tmp_path, "dockerd", "exit 1")
    message = refused(capsys, "up", home, port)
    for words in said:
        assert words in message
    assert ("apt-get install" in message) is not installed
    assert not home.exists()


def test_systemd_starts_the_docker_engine(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, kernel: Kernel
) -> None:
    kernel.set(sysctls.FORWARDING, "0")
    started = tmp_path / "started"
    monkeypatch.setattr(dockerd, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(dockerd, "answers", started.exists)
    program(tmp_path, "systemctl", f"echo 1 >{kernel.path(sysctls.FORWARDING)}\n: >{started}")
    assert dockerd.ensure(home) == "started by systemd"
    # systemd's engine and its settings stay after `down`: there is nothing to restore or to stop.
    assert not home.exists()
    assert not dockerd.stop(home)


def test_another_local_cloud_on_this_host(home: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with locks.hold(locks.MACHINE, "/srv/other"):
        for command in ("up", "down"):
            message = refused(capsys, command, home, port)
            assert "python -m localcloud down --home /srv/other" in message
        assert not home.exists()
    assert locks.holder(locks.MACHINE) is None


IP = """case "$*" in
    "-json link show") echo "$LINKS" ;;
    "netns list") ;;
    *) exit 1 ;;
esac"""


@pytest.fixture
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait until removed interfaces disappear."""
    monkeypatch.setattr(down, "_SECONDS", 0)


@pytest.fixture
def was_up(home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return the home of a local cloud whose network (Docker's and the kernel's) is already removed."""
    home.mkdir()
    (home / "state.sqlite").touch()
    program(tmp_path, "ip", IP)
    program(tmp_path, "nft", "exit 1")
    monkeypatch.setenv("LINKS", '[{"ifname": "lo"}, {"ifname": "docker0"}]')
    return home


def test_down_leaves_nothing(was_up: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--home", str(was_up), "--port", str(port)]) == 0
    assert capsys.readouterr().out == f"Removed {was_up}\n"
    assert not was_up.exists()


@pytest.mark.usefixtures("nobody_waits")
def test_down_says_what_would_not_go(
    was_up: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example the bridges of Docker networks after a kill of their engine. The state stays for another attempt."""
    monkeypatch.setenv("LINKS", '[{"ifname": "lo"}, {"ifname": "mlc0123456789"}]')
    message = refused(capsys, "down", was_up, port)
    assert "there is still: interface mlc0123456789. See that the Docker engine runs" in message
    assert (was_up / "state.sqlite").exists()


@pytest.mark.usefixtures("nobody_waits")
def test_down_says_what_docker_would_not_let_go(
    was_up: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mock.MagicMock()
    network = mock.Mock()
    network.name = "mlflow-localcloud-0123456789"
    client.networks.list.return_value = [network]
    monkeypatch.setattr(dockerd, "answers", lambda: True)
    monkeypatch.setattr(docker_common, "connect", lambda: client)
    assert main(["down", "--keep-images", "--home", str(was_up), "--port", str(port)]) == 1
    assert "there is still: Docker network mlflow-localcloud-0123456789." in capsys.readouterr().err
    assert network.remove.called
    assert (was_up / "state.sqlite").exists()


def test_down_needs_the_engine_that_had_the_machines(
    was_up: pathlib.Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """For example after a reboot of the host: the VMs are on the engine's disk and would stay there."""
    (was_up / "serve.log").touch()
    assert "there is no Docker engine" in refused(capsys, "down", was_up, port)
    assert (was_up / "state.sqlite").exists()


@pytest.mark.parametrize(
    ("found", "after"), [(("0", None), ("0", "0")), (("1", "0"), ("1", "0")), (("0", "1"), ("0", "1"))]
)
def test_down_puts_the_settings_of_the_kernel_back(
    found: tuple[str, str | None], after: tuple[str, str], was_up: pathlib.Path, port: int, kernel: Kernel
) -> None:
    for name, value in zip(sysctls.SHARED, found, strict=True):
        if value is not None:
            kernel.set(name, value)
    for _ in range(2):  # a second `up` must not store the local cloud's own values as the former values
        sysctls.remember(was_up)
        for name in sysctls.SHARED:
            kernel.set(name, "1")
    assert main(["down", "--home", str(was_up), "--port", str(port)]) == 0
    assert tuple(kernel.get(name) for name in sysctls.SHARED) == after


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
            while not is_process(process.pid, "time.sleep"):  # the kernel writes it shortly after exec
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


@pytest.mark.parametrize(
    ("folder", "home"),
    [("/src/clone", "/src/clone/.localcloud"), ("/venv/lib/python3.11/site-packages", "/home/ada/.localcloud")],
)
def test_the_home_of_a_clone_and_of_an_installed_package(
    folder: str, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert _home.default_home(pathlib.Path(folder, "localcloud/commands/_home.py")) == pathlib.Path(home)
