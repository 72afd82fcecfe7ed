# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Build a release: a virtual environment with the locked packages.

The standard input is a JSON object: `requirements`, the lock of MLflow's release, and `packages`, the lock to install
if the user has added packages, else empty. The release keeps both, because a record of the release has MLflow's lock.

The build runs in a unit of its own. If the control node is gone, the next build stops this unit and starts again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import FailedError
from .system import PROGRAM, PYTHON, System

UNIT = "mlflow-build.service"
PIP = "-m pip install --quiet --no-input --disable-pip-version-check --no-cache-dir --no-compile".split()  # noqa: SIM905
LOCKED = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"]
PIP_ATTEMPTS = 4
PIP_PAUSE = 10.0
WRONG_HASH = "DO NOT MATCH THE HASHES"
# Faster than pip, which compiles on one CPU and includes files that the server never imports: the packages' tests and
# libraries of MLflow's clients.
NOT_COMPILED = r"/tests?/|/site-packages/(fontTools|matplotlib|mpl_toolkits|sklearn)/"
# Variables of the caller that pip needs.
INHERITED = ("pip_", "http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "requests_ca_bundle")


@dataclass(frozen=True)
class Release:
    """The release to build."""

    # Directory of the release in /opt/mlflow/releases.
    name: str
    version: str
    # Python interpreter of the VM.
    python: str
    pip_arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Locks:
    """The locked requirements of a release."""

    requirements: str
    # The requirements together with the packages of the user, if there are any.
    packages: str = ""

    @classmethod
    def parse(cls, text: str) -> Locks:
        """Return the locks in a JSON document."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise FailedError("the standard input is not a JSON object with requirements and packages") from None


def running(system: System) -> bool:
    """Return whether a build is running."""
    shown = system.run("systemctl", "show", "--property=ActiveState", "--value", UNIT).strip()
    return shown not in ("inactive", "failed", "")


def in_unit(system: System, release: Release, locks: Locks) -> dict[str, Any]:
    """Build a release in the unit, unless the release is complete."""
    directory = system.paths.releases / release.name
    if (directory / ".complete").exists():
        return {"release": str(directory), "changed": False}
    subprocess.run(["systemctl", "stop", UNIT], check=False, capture_output=True)
    if directory.exists():
        shutil.rmtree(directory)
    inherited = [f"--setenv={name}={value}" for name, value in os.environ.items() if name.lower().startswith(INHERITED)]
    line = ["systemd-run", "--quiet", "--collect", "--wait", "--pipe", f"--unit={UNIT}", *inherited]
    # The service must be able to read the files, whatever the default umask is.
    line += ["--property=UMask=0022", PYTHON, "-I", str(PROGRAM), "build", "--here", "--python", release.python]
    line += [*(f"--pip-argument={word}" for word in release.pip_arguments), release.name, release.version]
    done = subprocess.run(line, input=json.dumps(asdict(locks)), text=True, capture_output=True, check=False)
    if done.returncode:
        raise FailedError((done.stderr.strip().splitlines() or ["the build was stopped"])[-1])
    return {"release": str(directory), "changed": True}


def cause(output: str) -> str:
    """Return the cause in the output of a program. pip prints it first, most other programs print it last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " ".join([line for line in lines if "ERROR" in line][:2] or lines[-3:])


def _run(*command: str, allowed: Sequence[int] = (0,)) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode not in allowed:
        raise FailedError(f"{' '.join(command[:4])} failed: {cause(done.stderr or done.stdout)}")
    return done.stdout


def install(system: System, python: str, requirements: Path, arguments: Sequence[str]) -> None:
    """Install the packages. Package indexes sometimes fail, so try again; pip skips installed packages."""
    for attempt in range(PIP_ATTEMPTS):
        try:
            _run(python, *PIP, *LOCKED, str(requirements), *arguments)
            return
        except FailedError as error:
            # A wrong hash does not become right by another attempt.
            if attempt == PIP_ATTEMPTS - 1 or WRONG_HASH in str(error):
                raise
        system.sleep(PIP_PAUSE)


def check(python: str) -> None:
    """Raise FailedError unless the installed packages satisfy the requirements of each other."""
    done = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise FailedError(
            f"the packages of mlflow_extra_requirements_file do not fit the release: {' '.join(done.stdout.split())}"
            " Lock them again together with this release of MLflow"
        )


def here(system: System, release: Release, locks: Locks) -> dict[str, Any]:
    """Build a release in this process."""
    directory = system.paths.releases / release.name
    python = str(directory / "bin" / "python")
    _run(release.python, "-m", "venv", str(directory))
    system.write(directory / "requirements.txt", locks.requirements)
    installed = directory / "requirements.txt"
    if locks.packages:
        installed = directory / "packages.txt"
        system.write(installed, locks.packages)
    install(system, python, installed, release.pip_arguments)
    # The two locks were made separately, so their packages may not fit together.
    if locks.packages:
        check(python)
    # Exit code 1: some files are templates, not valid Python.
    _run(python, *["-m", "compileall", "-qq", "-j", "0", "-x"], NOT_COMPILED, str(directory / "lib"), allowed=(0, 1))
    # As the user of the service, to verify that this user can read the release.
    told = _run("runuser", "-u", "mlflow", "--", str(directory / "bin" / "mlflow"), "--version")
    if told.split()[-1:] != [release.version]:
        raise FailedError(f"the release has another version: {told.strip()} instead of {release.version}")
    system.write(directory / ".complete", f"{release.version}\n")
    return {"release": str(directory), "changed": True}
