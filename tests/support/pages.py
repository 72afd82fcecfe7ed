# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of MLflow in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, TimeoutError


def open_page(page: Page, url: str, text: str) -> None:
    """Open a page and wait for a text, at most three times.

    Chromium cancels running requests with ERR_NETWORK_CHANGED while another test adds or removes a network of the host.
    MLflow's page then stays empty until it is loaded again.
    """
    failures: list[str] = []
    page.on("requestfailed", lambda request: failures.append(f"{request.url}: {request.failure}"))
    page.on("pageerror", lambda error: failures.append(str(error)))
    for _ in range(3):
        page.goto("about:blank")
        page.goto(url)
        try:
            page.get_by_text(text).first.wait_for(timeout=60_000)
        except TimeoutError:
            if not any("ERR_NETWORK_CHANGED" in failure for failure in failures):
                break
            continue
        return
    pytest.fail(f"{url} does not show {text!r}. Failed requests and errors of the page: {failures}")
