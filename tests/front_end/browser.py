# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Chromium as a client of the front end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.front_end.client import NAME
from tests.front_end.programs import REPOSITORY
from tests.front_end.site import Site

SITE = f"https://{NAME}"
CHANGED = "ERR_NETWORK_CHANGED"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


@contextmanager
def browser_of(site: Site) -> Iterator[Browser]:
    """Yield a browser that finds the front end under its name and the standard port."""
    found = subprocess.run([REPOSITORY / "scripts/browser.sh"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    resolver = f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{site.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=[*QUIET, resolver])
        yield browser
        browser.close()


def photograph(page: Page, path: Path) -> None:
    """Save a screenshot."""
    path.unlink(missing_ok=True)
    page.screenshot(path=path)
    assert path.stat().st_size > 1000


def sign_in(page: Page, email: str, url: str = f"{SITE}/", *, end: str = f"{SITE}/**") -> None:
    """Open a page of the site, sign in with the account, and wait for a page whose address matches `end`.

    At most three attempts: Chromium cancels running requests with ERR_NETWORK_CHANGED while another test adds or
    removes a network of the host. The code of a cancelled sign-in cannot be used again.
    """
    failures: list[str] = []
    page.on("requestfailed", lambda request: failures.append(str(request.failure)))
    for _ in range(3):
        failures.clear()
        try:
            page.goto(url)
            page.get_by_label("Address").fill(email)
            page.get_by_role("button", name="Continue").click()
            page.wait_for_url(end)
        except Error as error:
            failures.append(str(error))
            if not any(CHANGED in failure for failure in failures):
                raise
        if not any(CHANGED in failure for failure in failures):
            return
        page.context.clear_cookies()
    pytest.fail(f"no sign-in at {url}: {failures}")
