# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A user signs in with a browser and sees a logged run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Error, sync_playwright

from tests.e2e.deployment import REPO, Deployment
from tests.support.pages import open_page

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


@pytest.fixture
def chromium() -> str:
    """Return the browser that scripts/install.sh installs."""
    found = subprocess.run([REPO / "scripts/browser.sh"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_sign_in_and_see_the_run(
    site: Deployment, chromium: str, screenshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in site.client_environment.items():
        monkeypatch.setenv(name, value)
    import mlflow

    mlflow.set_tracking_uri(site.url)
    mlflow.set_experiment("browser")
    with mlflow.start_run(run_name="seen-in-the-browser") as run:
        mlflow.log_param("colour", "blue")
        mlflow.log_metric("accuracy", 0.75)

    user, password = site.admin
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        # Ignore certificate errors, because Chromium accepts the deployment's CA only from a system store.
        stranger = browser.new_context(ignore_https_errors=True).new_page()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            stranger.goto(site.url)
        page = browser.new_context(
            ignore_https_errors=True, http_credentials={"username": user, "password": password}
        ).new_page()
        open_page(
            page, f"{site.url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}", "seen-in-the-browser"
        )
        page.get_by_text("accuracy").first.wait_for(timeout=60_000)
        page.screenshot(path=screenshots / "run.png", full_page=True)
        browser.close()
    assert (screenshots / "run.png").stat().st_size > 10_000


@pytest.fixture
def notebook() -> Iterator[Callable[[str], str]]:
    """Serve a page of another origin, as a notebook server does; return a function that returns its URL."""
    body = b""

    class Notebook(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def show(html: str) -> str:
        nonlocal body
        body = html.encode()
        return f"http://127.0.0.1:{server.server_address[1]}/"

    with ThreadingHTTPServer(("127.0.0.1", 0), Notebook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield show
        server.shutdown()


def test_notebooks_show_the_trace_view_and_no_other_page(
    site: Deployment, chromium: str, notebook: Callable[[str], str]
) -> None:
    """MLflow embeds its trace view in notebooks, which have another origin. The browser refused to show it."""
    shown = f"{site.url}/static-files/lib/notebook-trace-renderer/index.html?trace_id=tr-1&experiment_id=0"
    refused = [f"{site.url}/", f"{site.url}/health", f"{site.url}/static-files/lib/notebook-trace-renderer/"]
    user, password = site.admin
    frames = "".join(f'<iframe src="{address}"></iframe>' for address in (shown, *refused))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_context(
            ignore_https_errors=True, http_credentials={"username": user, "password": password}
        ).new_page()
        page.goto(notebook(frames))
        found = [frame.evaluate("location.href") for frame in page.main_frame.child_frames]
        assert found == [shown, *["chrome-error://chromewebdata/"] * len(refused)]
        assert page.main_frame.child_frames[0].locator("script[src*=trace-renderer]").count() > 0
        browser.close()
