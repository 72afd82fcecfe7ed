# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The authorization endpoint of accounts.google.com and its page: accounts, refused requests and answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from localcloud.commands.browser import Site, options
from localcloud.engine.authority import Authority
from localcloud.engine.base import EngineError
from localcloud.engine.listeners import AsgiListener, api_certificate
from localcloud.services.oauth2.pages import NOTICE
from tests.localcloud.harness import PLATFORM, Local
from tests.localcloud.sign_in import CALLBACK, Client, Person, query

ALL = ["ada@example.com", "alan@example.org", "grace@example.com", "joan@gmail.com", "linus@example.com"]
ALL.append("mallory@example.com")


@pytest.fixture
def client(local: Local) -> Client:
    return Client.register(local)


@pytest.fixture
def person(local: Local) -> Person:
    return Person(local)


def test_the_page(client: Client, person: Person) -> None:
    answer = person.get(client.url())
    assert NOTICE in answer.text
    assert "This is not Google." in NOTICE
    assert 'type="password"' not in answer.text
    assert "<strong>mlflow</strong>" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert person.open(client.url()).accounts == ALL


def test_the_state_comes_back_as_it_was(client: Client, person: Person) -> None:
    state = '"><script>alert(1)</script>&x=/é %'
    answer = person.get(client.url(state=state, login_hint=state, nonce=state))
    assert "<script" not in answer.text
    assert query(person.choose(client.url(state=state), "ada@example.com"))["state"] == state


def test_a_redirect_uri_with_a_query(local: Local, person: Person) -> None:
    uri = f"{CALLBACK}?tenant=a"
    url = Client.register(local, redirect_uris=[uri]).url(redirect_uri=uri, state=None)
    found = query(person.choose(url, "linus@example.com"))
    assert found.keys() == {"tenant", "code", "scope", "authuser", "prompt"}
    assert found["tenant"] == "a"


def test_the_answer_in_the_fragment(client: Client, person: Person) -> None:
    parts = urlsplit(person.choose(client.url(response_mode="fragment"), "ada@example.com"))
    assert not parts.query
    assert parse_qs(parts.fragment)["state"] == ["s"]


def test_hints(client: Client, person: Person) -> None:
    workspace = ["ada@example.com", "alan@example.org", "grace@example.com"]
    assert person.open(client.url(hd="example.com")).accounts == ["ada@example.com", "grace@example.com"]
    assert person.open(client.url(hd="*")).accounts == workspace
    assert person.open(client.url(hd="example.net")).accounts == []
    form = person.open(client.url(login_hint="Grace@example.com"))
    assert (form.accounts[0], form.focused) == ("grace@example.com", "grace@example.com")
    assert sorted(form.accounts) == ALL
    assert person.open(client.url(login_hint="nobody@example.com")).focused is None
    # An account that the page does not offer is refused.
    url = client.url(hd="example.com")
    refused = person.press(url, person.open(url), "account", "alan@example.org")
    assert query(refused) == {"state": "s", "error": "access_denied"}


def test_cancel(client: Client, person: Person) -> None:
    url = client.url()
    assert query(person.press(url, person.open(url), "cancel", "1")) == {"state": "s", "error": "access_denied"}


def test_prompts(client: Client, person: Person) -> None:
    """No session stays in the browser: the page is shown each time, and `prompt=none` is refused."""
    for prompt in ("select_account", "consent", "select_account consent", None):
        person.choose(client.url(prompt=prompt), "ada@example.com")
    answer = person.get(client.url(prompt="none"))
    assert answer.status_code == 302
    told = {"state": "s", "error_subtype": "access_denied", "error": "interaction_required"}
    assert query(answer.headers["Location"]) == told


@pytest.mark.parametrize(
    ("changes", "status", "error", "text"),
    [
        ({"client_id": None}, 400, "invalid_request", "Missing required parameter: client_id"),
        ({"client_id": "1-x.apps.googleusercontent.com"}, 401, "invalid_client", "The OAuth client was not found."),
        ({"redirect_uri": None}, 400, "invalid_request", "Missing required parameter: redirect_uri"),
        ({"redirect_uri": f"{CALLBACK}/"}, 400, "redirect_uri_mismatch", f"redirect_uri={CALLBACK}/"),
        ({"redirect_uri": f"{CALLBACK}?x=1"}, 400, "redirect_uri_mismatch", "register the redirect URI"),
        ({"redirect_uri": CALLBACK.replace("m", "M", 1)}, 400, "redirect_uri_mismatch", "register the redirect URI"),
        ({"redirect_uri": "https://evil.example.com/"}, 400, "redirect_uri_mismatch", "evil.example.com"),
        ({"redirect_uri": "http://localhost:8080/"}, 400, "redirect_uri_mismatch", "localhost"),
        ({"response_type": None}, 400, "invalid_request", "Missing required parameter: response_type"),
        ({"response_type": "password"}, 400, "invalid_request", "Invalid response_type: password"),
        ({"response_type": "id_token"}, 501, "not_emulated", "response_type=id_token"),
        ({"response_mode": "form_post"}, 501, "not_emulated", "response_mode=form_post"),
        ({"scope": None}, 400, "invalid_request", "Missing required parameter: scope"),
        ({"scope": "openid groups"}, 400, "invalid_scope", "{valid=[openid], invalid=[groups]}"),
        ({"prompt": "login"}, 400, "invalid_request", "Invalid prompt: login"),
        ({"access_type": "always"}, 400, "invalid_request", "Invalid access_type: always"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "s256"}, 400, "invalid_request", "s256"),
        ({"code_challenge_method": "S256"}, 400, "invalid_request", "Missing required parameter: code_challenge"),
        ({"code_challenge": "x" * 42}, 400, "invalid_request", "code_challenge"),
    ],
)
def test_refused_requests(
    client: Client, person: Person, changes: dict[str, str | None], status: int, error: str, text: str
) -> None:
    """Refused on a page of Google's: the redirect URI may be an attacker's."""
    answer = person.get(client.url(**changes))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert f"Error {status}: {error}" in answer.text
    assert text in answer.text
    assert NOTICE in answer.text


def test_the_form_is_checked_again(client: Client, person: Person) -> None:
    fields = dict(person.open(client.url()).hidden)
    fields |= {"redirect_uri": "https://evil.example.com", "account": "ada@example.com"}
    answer = person.http.post(client.url(), fields, allow_redirects=False, timeout=10)
    assert answer.status_code == 400
    assert "redirect_uri_mismatch" in answer.text


def test_scopes_of_other_apis(client: Client, person: Person) -> None:
    assert PLATFORM in query(person.choose(client.url(scope=f"openid {PLATFORM}"), "ada@example.com"))["scope"]


# -- a browser


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def google(local: Local, authority: Authority, tmp_path: Path) -> Iterator[Site]:
    """Yield the local cloud behind TLS, as VMs see it."""
    certificate, key = api_certificate(authority, tmp_path / "tls")
    listener = AsgiListener(local.app.asgi, "127.0.0.1", 0, certificate=certificate, key=key)
    listener.start()
    yield Site("accounts.google.com", "127.0.0.1", listener.port, authority.path)
    listener.stop()


@pytest.fixture
def server(client: Client, authority: Authority, tmp_path: Path) -> Iterator[Site]:
    """Yield a server that starts the sign-in as OAuth2-Proxy does. Its callback shows the headers of the request."""

    async def start(request: Request) -> Response:
        answer = RedirectResponse(client.url(login_hint="grace@example.com", nonce="n"))
        answer.set_cookie("__Host-csrf", "1", path="/", secure=True, httponly=True, samesite="lax")
        return answer

    async def callback(request: Request) -> Response:
        return JSONResponse(dict(request.headers))

    issued = authority.issue("mlflow.example.com", "mlflow.example.com")
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate.write_text(issued.certificate)
    key.write_text(issued.key)
    routes = [Route("/oauth2/start", start), Route("/oauth2/callback", callback)]
    listener = AsgiListener(Starlette(routes=routes), "127.0.0.1", 0, certificate=certificate, key=key)
    listener.start()
    yield Site("mlflow.example.com", "127.0.0.1", listener.port, authority.path)
    listener.stop()


@pytest.fixture
def page(google: Site, server: Site) -> Iterator[Page]:
    """Yield a page of Chromium without JavaScript, with the options of `python -m localcloud browser`."""
    found = subprocess.run([Path(__file__).parents[2] / "scripts/browser.sh"], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(found.stderr)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", *options([google, server])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=arguments)
        yield browser.new_context(java_script_enabled=False).new_page()
        browser.close()


def test_a_person_at_a_keyboard(client: Client, page: Page) -> None:
    """Chromium without JavaScript and without a mouse. The hinted account has the focus; Tab reaches the others."""
    page.goto("https://mlflow.example.com/oauth2/start")
    assert page.get_by_role("note").inner_text() == NOTICE
    assert page.get_by_role("heading").inner_text() == "Choose a test account"
    assert page.get_by_role("button").count() == len(ALL) + 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{CALLBACK}?**")
    headers = json.loads(page.inner_text("body"))
    # A front end may refuse requests of other sites, except for this one.
    assert (headers["sec-fetch-site"], headers["sec-fetch-mode"]) == ("cross-site", "navigate")
    assert headers.keys().isdisjoint({"origin", "referer"})
    assert headers["cookie"] == "__Host-csrf=1"
    claims = client.exchange(query(page.url)["code"])
    assert claims.status_code == 200
    assert query(page.url)["hd"] == "example.com"
    # The list has the hinted account first, then the other accounts in alphabetical order.
    userinfo = client.local.cloud.auth.describe(claims.json()["access_token"])
    assert userinfo is not None
    assert userinfo["email"] == "ada@example.com"


def test_the_options_of_the_browser_need_the_right_ca(google: Site, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="certificate verify failed"):
        options([replace(google, ca=Authority(tmp_path / "other").path)])
    with pytest.raises(EngineError, match=r"mlflow\.example\.com at .* certificate is not valid for"):
        options([replace(google, name="mlflow.example.com")])
    with pytest.raises(EngineError, match=r"missing\.crt of accounts\.google\.com cannot be read"):
        options([replace(google, ca=tmp_path / "missing.crt")])
    # A server with a public certificate needs no key in the options.
    found = options([Site("mlflow.example.com", "198.51.100.2", 443, None)])
    assert found[0] == "--host-resolver-rules=MAP mlflow.example.com:443 198.51.100.2:443"
    assert found[1] == "--ignore-certificate-errors-spki-list="
