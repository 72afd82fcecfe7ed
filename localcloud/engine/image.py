# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VM and database images, built from Debian packages because an image registry is not reachable everywhere.

``mmdebstrap`` unpacks the packages, a script in ``image_files`` completes the file system, Docker imports the result.
If a registry is reachable, ``MLFLOW_LOCALCLOUD_BASE_IMAGE=debian:{suite}`` starts from its image instead. Images are
built once: a label holds the hash of all inputs, including the host's certificate authorities.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import docker
from docker.errors import APIError, BuildError, ImageNotFound

from localcloud.engine import docker_common
from localcloud.engine.base import EngineError

PREFIX = "mlflow-localcloud"
LABEL = "mlflow-localcloud"
HASH_LABEL = "mlflow-localcloud.hash"
BASE_IMAGE_VARIABLE = "MLFLOW_LOCALCLOUD_BASE_IMAGE"

_FILES = Path(__file__).with_name("image_files")
_HOST_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_BUILD_DIRECTORY = "mlflow-localcloud-build"
_MACHINE_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "google-guest-agent",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Recipe:
    """The recipe of an image: Debian suite, packages, script that completes it, start command of containers."""

    suite: str
    packages: tuple[str, ...]
    script: str
    changes: tuple[str, ...]
    files: tuple[str, ...]


_MACHINE_CHANGES = ("ENV container=docker", 'CMD ["/lib/systemd/systemd"]')
_MACHINE_FILES = ("machine.sh", "boot.sh", "boot.service")
_DATABASE_FILES = ("postgres.sh", "postgres-entry.sh")
_DATABASE_CHANGES = ('CMD ["/usr/local/sbin/mlflow-localcloud-postgres"]', "ENV LANG=C.UTF-8")

RECIPES: dict[str, Recipe] = {
    "debian-13": Recipe("trixie", _MACHINE_PACKAGES, "machine.sh", _MACHINE_CHANGES, _MACHINE_FILES),
    "debian-12": Recipe("bookworm", _MACHINE_PACKAGES, "machine.sh", _MACHINE_CHANGES, _MACHINE_FILES),
    "postgres-17": Recipe("trixie", ("postgresql-17",), "postgres.sh", _DATABASE_CHANGES, _DATABASE_FILES),
    "postgres-15": Recipe("bookworm", ("postgresql-15",), "postgres.sh", _DATABASE_CHANGES, _DATABASE_FILES),
}


def tag(name: str) -> str:
    """Return the full name of an image in Docker, such as ``mlflow-localcloud/debian-13:latest``."""
    return f"{PREFIX}/{name}:latest"


def ensure(name: str, client: docker.DockerClient | None = None, *, rebuild: bool = False) -> str:
    """Build the image unless a current image exists; return its tag. Raises EngineError if the build fails."""
    recipe = RECIPES.get(name)
    if recipe is None:
        raise EngineError(f"there is no image {name}; known are {', '.join(sorted(RECIPES))}")
    engine = client or docker.from_env(timeout=600)
    wanted = recipe_hash(recipe)
    with _build_lock(name):  # concurrent callers build the image once
        if not rebuild and _current(engine, name, wanted):
            return tag(name)
        began = time.monotonic()
        print(f"Building image {tag(name)} from Debian packages ({recipe.suite}) …", file=sys.stderr, flush=True)
        base = os.environ.get(BASE_IMAGE_VARIABLE)
        if base:
            _build_from_registry(engine, name, recipe, wanted, base.format(suite=recipe.suite))
        else:
            _build_from_packages(engine, name, recipe, wanted)
        print(f"Built image {tag(name)} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return tag(name)


def ensure_all(names: Iterable[str], *, rebuild: bool = False) -> list[str]:
    """Build several images in parallel; return their tags. An error is raised after all builds have ended."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda name: ensure(name, docker_common.connect(), rebuild=rebuild), names))


def recipe_hash(recipe: Recipe) -> str:
    """Return a hash of all inputs of an image."""
    digest = hashlib.sha256(repr((recipe, _EXCLUDED, os.environ.get(BASE_IMAGE_VARIABLE, ""))).encode())
    for path in [*(_FILES / name for name in recipe.files), *host_authorities()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def host_authorities() -> list[Path]:
    """Return the certificate authorities that this host trusts in addition to its distribution's."""
    return sorted(path for path in _HOST_AUTHORITIES.rglob("*.crt") if path.is_file())


def remove_all(client: docker.DockerClient) -> list[str]:
    """Remove every image that was built here; return their names."""
    removed = []
    for image in client.images.list(filters={"label": LABEL}):
        try:
            client.images.remove(str(image.id), force=True)
        except APIError as error:
            if error.status_code != 409:
                raise
            continue  # a container that is not ours uses the image
        removed.extend(image.tags or [image.short_id])
    return removed


def _current(client: docker.DockerClient, name: str, wanted: str) -> bool:
    try:
        return client.images.get(tag(name)).labels.get(HASH_LABEL) == wanted
    except ImageNotFound:
        return False


@contextlib.contextmanager
def _build_lock(name: str) -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"{PREFIX}-{os.getuid()}-{name}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _build_context() -> Iterator[Path]:
    """Yield a directory with the image's files and the host's certificate authorities, as the scripts expect it."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as temporary:
        directory = Path(temporary) / _BUILD_DIRECTORY
        shutil.copytree(_FILES, directory)
        (directory / "ca").mkdir()
        for number, path in enumerate(host_authorities()):
            shutil.copyfile(path, directory / "ca" / f"{number}-{path.name}")
        yield directory


def _labels(wanted: str) -> dict[str, str]:
    return {LABEL: "image", HASH_LABEL: wanted}


def _build_from_packages(client: docker.DockerClient, name: str, recipe: Recipe, wanted: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise EngineError(f"mmdebstrap is not installed: apt-get install mmdebstrap, or set {BASE_IMAGE_VARIABLE}")
    with _build_context() as context, tempfile.TemporaryFile() as log:
        command = [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(recipe.packages)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
            f"--customize-hook=copy-in {context} /",
            f'--customize-hook=sh "{context}/{recipe.script}" "$1"',
            recipe.suite,
            "-",
        ]
        # No mirror is named: mmdebstrap then uses its default mirror with security and updates. A session of its own:
        # mmdebstrap kills its whole process group on failure.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=_clean_environment(), start_new_session=True
        ) as process:
            changes = [*recipe.changes, *(f"LABEL {key}={value}" for key, value in _labels(wanted).items())]
            try:
                client.api.import_image_from_stream(
                    cast("IO[bytes]", process.stdout), repository=f"{PREFIX}/{name}", tag="latest", changes=changes
                )
            except APIError as error:
                raise EngineError(f"Docker could not import image {name}: {error.explanation}") from error
        if process.returncode != 0:
            with contextlib.suppress(ImageNotFound):  # remove the image of an incomplete file system
                client.images.remove(tag(name), force=True)
            log.seek(0)
            tail = "\n".join(log.read().decode(errors="replace").splitlines()[-15:])
            raise EngineError(f"mmdebstrap could not build image {name} (exit status {process.returncode}):\n{tail}")


def _clean_environment() -> dict[str, str]:
    """Return the environment without variables of this project's Python or shell."""
    kept = ("PATH", "HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "SOURCE_DATE_EPOCH")
    return {"LC_ALL": "C.UTF-8", **{key: os.environ[key] for key in kept if key in os.environ}}


def _build_from_registry(client: docker.DockerClient, name: str, recipe: Recipe, wanted: str, base: str) -> None:
    packages = " ".join(recipe.packages)
    dockerfile = "\n".join(
        [
            f"FROM {base}",
            f"COPY {_BUILD_DIRECTORY} /{_BUILD_DIRECTORY}",
            "RUN apt-get update && "
            f"DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {packages}"
            f" && sh /{_BUILD_DIRECTORY}/{recipe.script} /",
            *recipe.changes,
        ]
    ).encode()
    with _build_context() as context:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(context, _BUILD_DIRECTORY)
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            archive.addfile(entry, io.BytesIO(dockerfile))
        buffer.seek(0)
        try:
            client.images.build(
                fileobj=buffer, custom_context=True, tag=tag(name), labels=_labels(wanted), pull=True, rm=True
            )
        except (BuildError, APIError) as error:
            raise EngineError(f"image {name} could not be built on {base}: {error}") from error
