# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""People sign in with Chromium. Each test leaves screenshots in artifacts/front-end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.front_end.browser import SITE, browser_of, photograph, sign_in
from tests.front_end.site import Site

RUN = f"{SITE}/?workspace=a#/experiments/3/runs/0123456789abcdef/artifacts"


@pytest.fixture(scope="module")
def chromium(running_front_end: Site) -> Iterator[Browser]:
    with browser_of(running_front_end) as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Return a page of a new person. A dialogue for name and password, or an error of a script, fails the test."""
    # Ignore certificate errors, because Chromium accepts the certificate of the test only from a system store.
    context = chromium.new_context(ignore_https_errors=True)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    yield opened
    context.close()
    assert errors == []


def test_from_nothing_to_the_linked_run(front_end: Site, page: Page, screenshots: Path) -> None:
    page.goto(RUN)
    page.get_by_label("Address").fill("alice@example.com")
    photograph(page, screenshots / "1-sign-in.png")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(RUN)
    # The part after # arrives at the page.
    page.get_by_text("#/experiments/3/runs/0123456789abcdef/artifacts").wait_for()
    photograph(page, screenshots / "2-run.png")
    # A script of the page uses the session.
    user = page.evaluate("fetch('/ajax-api/2.0/mlflow/users/current').then(r => r.json()).then(r => r.user)")
    changed = page.evaluate(
        "fetch('/ajax-api/2.0/mlflow/runs/update', {method: 'POST', body: '{}'}).then(r => r.json()).then(r => r.user)"
    )
    assert (user, changed) == ("alice@example.com", "alice@example.com")
    (session,) = [each for each in page.context.cookies() if each["name"] == "__Host-mlflow"]
    assert (session["httpOnly"], session["secure"], session["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == ""


def test_sign_out(front_end: Site, page: Page, screenshots: Path) -> None:
    sign_in(page, "bob@example.com")
    page.wait_for_url(f"{SITE}/")
    page.goto(f"{SITE}/oauth2/sign_out?rd=/signed-out")
    assert page.url == f"{SITE}/signed-out"
    page.get_by_role("heading", name="Signed out").wait_for()
    photograph(page, screenshots / "3-signed-out.png")
    assert [each for each in page.context.cookies() if each["name"] == "__Host-mlflow"] == []
    page.get_by_role("link").click()
    page.get_by_label("Address").wait_for()


def test_an_expired_session_is_renewed_at_the_next_page(front_end: Site, page: Page) -> None:
    sign_in(page, "bob@example.com")
    page.wait_for_url(f"{SITE}/")
    page.context.clear_cookies()
    status = page.evaluate("fetch('/ajax-api/2.0/mlflow/users/current').then(r => r.status)")
    assert status == 401
    sign_in(page, "bob@example.com", RUN)
    page.wait_for_url(RUN)


@pytest.mark.parametrize(
    ("email", "name"), [("eve@elsewhere.org", "4-refused-domain"), ("unverified@example.com", "5-refused-unverified")]
)
def test_an_account_that_is_not_allowed(front_end: Site, page: Page, screenshots: Path, email: str, name: str) -> None:
    sign_in(page, email)
    page.wait_for_url(f"{SITE}/oauth2/callback?**")
    page.get_by_role("button", name="Sign in").or_(page.get_by_text("Go back")).first.wait_for()
    photograph(page, screenshots / f"{name}.png")
    assert [each for each in page.context.cookies() if each["name"] == "__Host-mlflow"] == []
    assert page.goto(f"{SITE}/version").status == 401
    # Chromium asks for the icon, which is public.
    assert {request["path"] for request in front_end.mlflow.requests} <= {"/favicon.ico"}


def test_a_removed_user(front_end: Site, page: Page, screenshots: Path) -> None:
    """The server refuses the address at once, the provider at the next sign-in."""
    sign_in(page, "bob@example.com")
    page.wait_for_url(f"{SITE}/")
    front_end.mlflow.refused.add("bob@example.com")
    front_end.provider.removed.add("bob@example.com")
    try:
        assert page.goto(f"{SITE}/").status == 403
        photograph(page, screenshots / "6-removed-by-the-server.png")
        page.context.clear_cookies()
        sign_in(page, "bob@example.com", end="**")
        page.get_by_text("There is no account bob@example.com").wait_for()
        photograph(page, screenshots / "7-removed-by-the-provider.png")
    finally:
        front_end.mlflow.refused.clear()
        front_end.provider.removed.clear()


def test_a_frame_of_another_site_shows_neither_mlflow_nor_the_sign_in(front_end: Site, page: Page) -> None:
    page.route("https://evil.example/", lambda route: route.fulfill(content_type="text/html", body=FRAME))
    page.goto("https://evil.example/")
    page.wait_for_timeout(300)
    assert [frame.evaluate("location.href") for frame in page.main_frame.child_frames] == [
        "chrome-error://chromewebdata/"
    ]


FRAME = f'<iframe src="{SITE}/"></iframe>'
