# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A person at a browser without JavaScript, and requests for Google's hosts that reach the local cloud."""

from __future__ import annotations

import html.parser
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx
import requests
from requests.adapters import HTTPAdapter

from tests.localcloud.harness import Local

AUTHORIZE = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN = "https://oauth2.googleapis.com/token"
CALLBACK = "https://mlflow.example.com/oauth2/callback"
ORIGIN = "https://mlflow.example.com"


class GoogleHosts(HTTPAdapter):
    """Sends https requests to the local cloud with their host name, as the name server of the VMs does."""

    def __init__(self, local: Local) -> None:
        super().__init__()
        self._local = local

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        if not parts.netloc.endswith((".googleapis.com", "accounts.google.com")):
            raise AssertionError(f"a request for {parts.netloc}")
        request.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self._local.port}").geturl()
        request.headers["Host"] = parts.netloc
        answer = super().send(request, *arguments, **options)
        answer.url = parts.geturl()
        return answer


def session(local: Local) -> requests.Session:
    """Return a session whose https requests reach the local cloud."""
    made = requests.Session()
    made.mount("https://", GoogleHosts(local))
    return made


@dataclass
class Form(html.parser.HTMLParser):
    """The form of a page."""

    action: str = ""
    hidden: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    focused: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        assert not any(name.startswith("on") for name in values), "a handler in JavaScript"
        assert tag != "script"
        if tag == "form":
            assert values["method"] == "post"
            self.action = values["action"]
        elif tag == "input":
            assert values["type"] == "hidden"
            self.hidden.append((values["name"], values["value"]))
        elif tag == "button":
            self.buttons.append((values["name"], values["value"]))
            self.focused = values["value"] if "autofocus" in values else self.focused

    @property
    def accounts(self) -> list[str]:
        return [value for name, value in self.buttons if name == "account"]


class Person:
    """Opens the sign-in page and presses a button."""

    def __init__(self, local: Local) -> None:
        self.http = session(local)

    def get(self, url: str) -> requests.Response:
        return self.http.get(url, allow_redirects=False, timeout=10)

    def open(self, url: str) -> Form:
        """Open an authorization URL; return the form of the page."""
        answer = self.get(url)
        assert answer.status_code == 200, answer.text
        form = Form()
        form.feed(answer.text)
        return form

    def press(self, url: str, form: Form, name: str, value: str) -> str:
        """Press a button; return the URL to which the browser is redirected."""
        data = [*form.hidden, (name, value)]
        answer = self.http.post(urljoin(url, form.action), data, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def choose(self, url: str, email: str) -> str:
        """Sign in with an account that the page offers."""
        form = self.open(url)
        assert email in form.accounts
        return self.press(url, form, "account", email)


def log_in_with_gcloud(person: Person, email: str, folder: Path, environment: dict[str, str], *arguments: str) -> None:
    """Run a login command of gcloud. Instead of a browser, gcloud starts a program that saves the URL."""
    browser, saved = folder / "browser", folder / "url"
    browser.write_text(f"#!/bin/sh\nprintf '%s' \"$1\" > {saved}.new && mv {saved}.new {saved}\n")
    browser.chmod(0o755)
    environment = environment | {
        "BROWSER": str(browser),
        "DISPLAY": ":0",  # without a display, gcloud opens no browser
        "OAUTHLIB_INSECURE_TRANSPORT": "1",  # the local cloud has no TLS on loopback
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    }
    command = ["gcloud", "auth", *arguments, "--launch-browser"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        try:
            deadline = time.monotonic() + 60
            while not saved.exists() and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            assert saved.exists(), "gcloud started no browser"
            httpx.get(person.choose(saved.read_text(), email))
            output, _ = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 0, output


@dataclass
class Client:
    """A web server with an OAuth client."""

    local: Local
    id: str
    secret: str

    @classmethod
    def register(cls, local: Local, name: str = "mlflow", **fields: Any) -> Client:
        """Register a client through the admin requests."""
        body = {"type": "web", "redirect_uris": [CALLBACK], "javascript_origins": [ORIGIN]} | fields
        answer = requests.put(f"{local.url}/localcloud/clients/{name}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        file = next(iter(answer.json().values()))
        return cls(local, file["client_id"], file["client_secret"])

    def url(self, **changes: str | None) -> str:
        """Return an authorization URL. None removes a parameter."""
        parameters: dict[str, str | None] = {
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email profile",
            "state": "s",
        }
        given = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"{AUTHORIZE}?{urlencode(given)}"

    def code(self, email: str = "ada@example.com", **changes: str | None) -> str:
        """Let a person sign in; return the code."""
        location = Person(self.local).choose(self.url(**changes), email)
        assert location.startswith(f"{CALLBACK}?")
        return query(location)["code"]

    def exchange(self, code: str, **changes: str | None) -> requests.Response:
        """Send a code to the token endpoint. None removes a field."""
        fields: dict[str, str | None] = {"code": code, "redirect_uri": CALLBACK, "grant_type": "authorization_code"}
        return self.post(**fields | changes)

    def refresh(self, token: str, **changes: str | None) -> requests.Response:
        """Send a refresh token to the token endpoint."""
        return self.post(**{"refresh_token": token, "grant_type": "refresh_token"} | changes)

    def post(self, **fields: str | None) -> requests.Response:
        """Send a form to the token endpoint with the client's ID and secret."""
        form = {"client_id": self.id, "client_secret": self.secret} | fields
        return session(self.local).post(TOKEN, {k: v for k, v in form.items() if v is not None}, timeout=10)


def query(url: str) -> dict[str, str]:
    """Return the query of a URL."""
    pairs = parse_qsl(urlsplit(url).query)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
