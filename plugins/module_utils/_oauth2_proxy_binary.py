# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Build or fetch the program OAuth2-Proxy on the control node, and keep it in a cache."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import _go

MODULE = "github.com/oauth2-proxy/oauth2-proxy/v7"
PROGRAM = "oauth2-proxy"
FLAGS = f"-s -w -X {MODULE}/pkg/version.VERSION=v"
# Field e_machine of the ELF header.
MACHINES = {"amd64": 62, "arm64": 183}
ELF = b"\x7fELF"
ABANDONED_SECONDS = 24 * 3600


class BinaryError(Exception):
    """The program cannot be provided. The message names the cause and the remedy."""


@dataclass(frozen=True)
class Request:
    """The program that is needed, and where it comes from."""

    version: str
    architecture: str
    source: str
    directory: Path
    checksum: str = ""
    sha256: str = ""
    url: str = ""
    file: str = ""

    @property
    def place(self) -> Path:
        """Return the directory of the program in the cache. Its name has everything that decides about the content."""
        identity = [self.version, self.architecture, self.source, self.checksum, self.sha256, self.url, FLAGS]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        return self.directory / f"{self.version}-{self.architecture}-{digest[:12]}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def cached(request: Request) -> Path | None:
    """Return the program in the cache, or None. A damaged or incomplete file does not count."""
    program = request.place / PROGRAM
    try:
        recorded = (request.place / "sha256").read_text(encoding="utf-8").strip()
        return program if sha256_of(program) == recorded else None
    except OSError:
        return None


def keep(request: Request, content: Path) -> Path:
    """Move a program into the cache and return its new path."""
    check_architecture(content, request.architecture)
    content.chmod(0o755)
    prepared = Path(tempfile.mkdtemp(prefix=".new-", dir=request.directory))
    shutil.move(content, prepared / PROGRAM)
    (prepared / "sha256").write_text(sha256_of(prepared / PROGRAM) + "\n", encoding="utf-8")
    prepared.chmod(0o755)
    shutil.rmtree(request.place, ignore_errors=True)
    try:
        prepared.rename(request.place)
    except OSError:
        # Another run has just put the same program there.
        shutil.rmtree(prepared, ignore_errors=True)
        if cached(request) is None:
            raise
    return request.place / PROGRAM


def check_architecture(program: Path, architecture: str) -> None:
    """Raise BinaryError unless the file is a Linux program for the architecture."""
    with program.open("rb") as opened:
        head = opened.read(20)
    if head[:4] != ELF or int.from_bytes(head[18:20], "little") != MACHINES[architecture]:
        raise BinaryError(
            f"{program.name} is no Linux program for {architecture}, the architecture of the VM. Give the release for"
            f" linux-{architecture}"
        )


def build(request: Request, sums: str, requirements: Path, report: Callable[[str], None]) -> Path:
    """Compile the program from its Go module and return its path in the cache."""
    expected = request.checksum or _go.checksum(sums, MODULE, request.version)
    with _temporary(request.directory) as work:
        try:
            toolchain = _go.of_system() or _go.of_package(requirements, work)
            if not expected and _go.database(toolchain, work) == "off":
                raise BinaryError(
                    f"there is no checksum for version {request.version}, and this Go asks no checksum database"
                    " (GOSUMDB is off). Set authentication_oauth2_proxy_checksum: on a host whose Go asks the"
                    f" database, `go mod download -json {MODULE}@v{request.version}` prints the checksum as Sum"
                )
            archive = _go.download(toolchain, MODULE, request.version, work, verified=not expected)
            found = _go.h1(archive)
            if expected and found != expected:
                raise BinaryError(
                    f"the Go module {MODULE} v{request.version} has the checksum {found}, but {expected} is expected."
                    " Nothing was built. The module proxy (GOPROXY) does not deliver the published module: use another"
                    " proxy. If authentication_oauth2_proxy_checksum is set, compare it with the release"
                )
            report(f"checksum of the module: {found}")
            source = work / "source"
            _go.unpack(archive, f"{MODULE}@v{request.version}", source)
            needed = _go.needed(source)
            if toolchain.version < needed:
                toolchain = _go.select(needed, requirements, work)
            output = work / PROGRAM
            flags = FLAGS + request.version
            _go.build(toolchain, source, output, directory=work, architecture=request.architecture, flags=flags)
        except _go.GoError as error:
            raise BinaryError(
                f"cannot build version {request.version}: {error}. Remove the cause, or set"
                " authentication_oauth2_proxy_source to url or file"
            ) from error
        return keep(request, output)


def fetch(request: Request, read: Callable[[str], bytes]) -> Path:
    """Download the program, or the archive that contains it, and return its path in the cache."""
    content = read(request.url)
    _verify(request, content, request.url)
    return _store(request, content, request.url)


def take(request: Request) -> Path:
    """Copy the program, or unpack the archive, and return its path in the cache."""
    return _store(request, _read(request), request.file)


def exact(request: Request) -> Request:
    """Return the request with the checksum of the file, which may get another content."""
    return replace(request, sha256=hashlib.sha256(_read(request)).hexdigest())


def _read(request: Request) -> bytes:
    try:
        content = Path(request.file).expanduser().read_bytes()
    except OSError as error:
        raise BinaryError(f"cannot read authentication_oauth2_proxy_file: {error}") from error
    _verify(request, content, request.file)
    return content


def _verify(request: Request, content: bytes, origin: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if request.sha256 and digest != request.sha256.lower():
        raise BinaryError(
            f"{origin} has the SHA-256 checksum {digest}, but authentication_oauth2_proxy_sha256 is {request.sha256}."
            " Use the file of the release, with the checksum from the release page"
        )


def _store(request: Request, content: bytes, origin: str) -> Path:
    with _temporary(request.directory) as work:
        program = work / PROGRAM
        program.write_bytes(_unpacked(content, origin))
        return keep(request, program)


def _unpacked(content: bytes, origin: str) -> bytes:
    """Return the program in a release archive. Other content is the program itself."""
    if content[:2] != b"\x1f\x8b":
        return content
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            opened = archive.extractfile(member) if Path(member.name).name == PROGRAM else None
            if opened:
                return opened.read()
    raise BinaryError(f"{origin} is an archive without a file {PROGRAM}. Use the archive of a release")


@contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    """Yield a directory in the cache, which is removed at the end. Remove those of killed runs, after a day."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for left in directory.glob(".*-*"):
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=".build-", dir=directory))
    try:
        yield path
    finally:
        # Go makes the directories of its module cache read-only.
        for folder, _folders, _files in os.walk(path):
            Path(folder).chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
