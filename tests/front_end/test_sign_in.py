# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A person signs in with a browser: the whole authorization code flow, and its refusals."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.front_end.client import cookie
from tests.front_end.sign_in import FROM_PROVIDER, NAVIGATION, Browser, log_in
from tests.front_end.site import Site
from tests.front_end.test_credentials import API, assert_unauthenticated, contract

RUN = "/?workspace=a&b=%2F#/experiments/3/runs/0123?tab=x&y=1"


def test_the_whole_flow_ends_at_the_page_that_was_asked_for(front_end: Site) -> None:
    browser = Browser(front_end)
    page = browser.open("/")
    assert (page.status, "/oauth2/sign_in?rd=" in page.text) == (401, True)
    answer = browser.sign_in("alice@example.com", RUN)
    assert (answer.status, answer.headers["Location"]) == (302, RUN)
    (session,) = [
        line
        for line in answer.headers.get_all("Set-Cookie")
        if line.startswith("__Host-mlflow=") and "Max-Age=0" not in line
    ]
    for attribute in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"):
        assert attribute in session
    shown = browser.open("/")
    assert (shown.status, shown.headers["Content-Type"]) == (200, "text/html")
    received = contract(browser.open(API, []))
    assert received == {
        "x-mlflow-authorization": f"Identity {front_end.secret} alice@example.com",
        "x-mlflow-identity-groups": "team-a,team-b",
        "x-mlflow-identity-domain": "example.com",
        "x-mlflow-identity-method": "cookie",
    }


def test_the_provider_is_asked_with_pkce_and_nonce(front_end: Site) -> None:
    start = Browser(front_end).open("/oauth2/start?rd=%2F")
    query = parse_qs(urlsplit(start.headers["Location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["https://mlflow.test/oauth2/callback"]
    assert "prompt" not in query
    assert query["nonce"]
    assert query["state"]


def test_a_code_works_once_and_only_in_the_browser_that_asked_for_it(front_end: Site) -> None:
    browser = Browser(front_end)
    path = browser.callback("alice@example.com")
    stranger = Browser(front_end).open(path, FROM_PROVIDER)
    assert stranger.status == 403
    assert "__Host-mlflow" not in stranger.cookies
    pending = dict(browser.cookies)
    assert browser.open(path, FROM_PROVIDER).status == 302
    browser.cookies = pending
    repeated = browser.open(path, FROM_PROVIDER)
    assert repeated.status >= 400
    assert "__Host-mlflow" not in repeated.cookies


@pytest.mark.parametrize("email", ["unverified@example.com", "eve@elsewhere.org"])
def test_an_account_that_is_not_allowed_gets_a_page_and_no_session(front_end: Site, email: str) -> None:
    browser = Browser(front_end)
    answer = browser.sign_in(email)
    assert answer.status in (403, 500)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "__Host-mlflow" not in answer.cookies
    assert browser.open("/").status == 401
    assert front_end.mlflow.requests == []


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "/%0d/evil.example", "javascript:alert(1)"],
)
def test_no_other_site_is_the_target_after_the_sign_in(front_end: Site, target: str) -> None:
    answer = Browser(front_end).sign_in("bob@example.com", target)
    location = answer.headers["Location"]
    assert answer.status == 302
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


@pytest.mark.parametrize("name", ["X-Auth-Request-Redirect", "X-Forwarded-Uri", "X-Forwarded-Host"])
def test_no_header_of_the_browser_selects_the_target(front_end: Site, name: str) -> None:
    browser = Browser(front_end)
    start = browser.open("/oauth2/start", [*NAVIGATION, (name, "/other")])
    url = log_in(start.headers["Location"], "bob@example.com")
    answer = browser.open(url.removeprefix("https://mlflow.test"), FROM_PROVIDER)
    assert (answer.status, answer.headers["Location"]) == (302, "/")


def test_sign_out_ends_the_session_of_the_browser(front_end: Site) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    answer = browser.open("/oauth2/sign_out?rd=/signed-out")
    assert (answer.status, answer.headers["Location"]) == (302, "/signed-out")
    assert any("__Host-mlflow=;" in line for line in answer.headers.get_all("Set-Cookie"))
    page = Browser(front_end).open("/signed-out")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
    assert "Signed out" in page.text
    evil = browser.open("/oauth2/sign_out?rd=https://evil.example/")
    assert evil.headers["Location"] == "/"


@pytest.mark.parametrize("value", ["x", "x|1|y", ""])
def test_a_session_that_is_not_valid_is_no_session(front_end: Site, value: str) -> None:
    assert_unauthenticated(front_end, front_end.client.ask(API, [cookie([("__Host-mlflow", value)])]))
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    good = browser.cookies["__Host-mlflow"]
    changed = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    assert_unauthenticated(front_end, front_end.client.ask(API, [cookie([("__Host-mlflow", changed)])]))


# Only nginx needs these endpoints, and a browser only the others.
@pytest.mark.parametrize(
    "path",
    [
        "/oauth2/auth",
        "/oauth2/auth?x=1",
        "/oauth2//auth",
        "/oauth2/%61uth",
        "/oauth2/x/../auth",
        "/oauth2/static/../auth",
        "/oauth2/userinfo",
        "/oauth2/",
        "/oauth2/sign_in/",
        "/oauth2/callback/x",
        "/_mlflow_identity",
        "/_mlflow_signed_in",
        "/_mlflow_version",
        "/%5fmlflow_version",
        "/_mlflow_sign_in_page",
        "/_mlflow_unauthenticated",
        "/_mlflow_nobody",
    ],
)
def test_internal_endpoints_are_closed(front_end: Site, path: str) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    for answer in (front_end.client.ask(path, NAVIGATION), browser.open(path)):
        assert (answer.status, answer.document["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
        assert not [name for name in answer.headers if name.lower().startswith("x-auth-request")]
    assert front_end.mlflow.requests == []


def test_the_pages_of_oauth2_proxy_have_a_policy_that_they_work_with(front_end: Site) -> None:
    page = Browser(front_end).open("/oauth2/callback?error=access_denied&state=x")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'; object-src 'none'; base-uri 'none'"


def test_the_page_to_sign_in_leads_to_the_provider(front_end: Site) -> None:
    answer = Browser(front_end).open("/oauth2/sign_in?rd=%2F%23%2Fexperiments%2F3")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(f"{front_end.provider.issuer}/authorize?")


@pytest.mark.parametrize(
    "headers", [[("Origin", "https://evil.example")], [("Sec-Fetch-Site", "cross-site")], [("Origin", "null")]]
)
def test_a_page_of_another_origin_cannot_use_the_session(front_end: Site, headers: list[tuple[str, str]]) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    sent = [*headers, cookie(browser.cookies.items())]
    assert front_end.client.ask("/api/2.0/mlflow/runs/delete", sent, method="POST").status == 403
    assert front_end.mlflow.requests == []
