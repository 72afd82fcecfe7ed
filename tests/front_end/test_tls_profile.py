# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The TLS settings of nginx against Mozilla's recommendations, with sslyze."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.front_end.client import NAME
from tests.front_end.programs import REPOSITORY
from tests.front_end.site import site

REQUIREMENTS = Path(__file__).with_name("sslyze-requirements.txt")
UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def sslyze() -> Path:
    """Return the Python of a venv with sslyze. The first call installs it."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    venv = REPOSITORY / ".cache" / "sslyze"
    python, mark = venv / "bin" / "python", venv / f"installed-{digest}"
    if not mark.exists():
        install = [UV, "pip", "install", "--quiet", "--system-certs", "--require-hashes"]
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, venv], check=True)
        subprocess.run([*install, "--python", python, "--requirement", REQUIREMENTS], check=True)
        mark.touch()
    return python


# The certificate of the test is self-signed.
OF_THE_TEST = {"certificate_path_validation"}


@pytest.mark.parametrize(
    ("profile", "compared", "findings"),
    [
        ("intermediate", "intermediate", OF_THE_TEST),
        ("modern", "modern", OF_THE_TEST),
        # sslyze finds a difference.
        ("intermediate", "modern", OF_THE_TEST | {"tls_versions"}),
    ],
)
def test_nginx_follows_the_profile(sslyze: Path, profile: str, compared: str, findings: set[str]) -> None:
    with site("authentication_basic", nginx_tls_profile=profile) as made:
        done = subprocess.run(
            [sslyze, "-m", "sslyze", "--sni", NAME, "--mozilla_config", compared, f"127.0.0.1:{made.port}"],
            capture_output=True,
            text=True,
        )
    _scan, compliance, text = done.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    assert compliance, done.stdout + done.stderr
    found = set(re.findall(r"^ +\* (\w+):", text, re.MULTILINE))
    assert found - {"ciphers"} == findings, text
    assert ("ciphers" in found) <= (profile != compared), text
