# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The real OAuth2-Proxy, with its settings for Google, signs people in at accounts.google.com of the local cloud.

A proxy on loopback connects OAuth2-Proxy to the local cloud, as the name server of the VMs does. The program is in
`.cache/oauth2-proxy/VERSION` or on PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
import requests

from localcloud.engine.authority import Authority
from localcloud.engine.listeners import AsgiListener, api_certificate
from tests.localcloud.harness import Local
from tests.localcloud.sign_in import CALLBACK, ORIGIN, Client, Person, query

REPOSITORY = Path(__file__).parents[2]
SETTINGS = """
provider = "oidc"
oidc_issuer_url = "https://accounts.google.com"
redirect_url = "{callback}"
client_id = "{client.id}"
client_secret_file = "{folder}/client-secret"
cookie_secret_file = "{folder}/cookie-secret"
cookie_name = "__Host-mlflow"
cookie_secure = true
cookie_samesite = "lax"
code_challenge_method = "S256"
insecure_oidc_skip_nonce = false
prompt = "select_account"
scope = "openid email profile"
skip_claims_from_profile_url = true
session_cookie_minimal = true
set_xauthrequest = true
reverse_proxy = true
skip_jwt_bearer_tokens = true
oidc_extra_audiences = ["{origin}"]
email_domains = ["example.com", "mlflow-local.iam.gserviceaccount.com"]
http_address = "127.0.0.1:{port}"
upstreams = ["static://200"]
skip_provider_button = true
"""


def program() -> str | None:
    cached = sorted(REPOSITORY.glob(".cache/oauth2-proxy/*/oauth2-proxy"))
    return str(cached[-1]) if cached else shutil.which("oauth2-proxy")


class Tunnel(socketserver.StreamRequestHandler):
    """Answers CONNECT requests for Google's names with a connection to the local cloud."""

    target: tuple[str, int]

    def handle(self) -> None:
        line = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            pass
        if ".googleapis.com:443 " not in line and "accounts.google.com:443 " not in line:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        with socket.create_connection(self.target) as upstream:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=copy, args=[upstream, self.connection], daemon=True)
            back.start()
            copy(self.connection, upstream)
            back.join(5)


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@dataclass
class Front:
    """A running OAuth2-Proxy, and the person's browser in front of it."""

    local: Local
    url: str
    client: Client
    log: Path

    def browser(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "mlflow.example.com"})
        return session

    def sign_in(self, email: str) -> requests.Response:
        """Start a sign-in and follow the redirects; return the answer to the callback."""
        browser = self.browser()
        started = browser.get(f"{self.url}/oauth2/start?rd=/experiments", allow_redirects=False)
        asked = query(started.headers["Location"])
        assert (asked["prompt"], asked["code_challenge_method"]) == ("select_account", "S256")
        assert {"nonce", "state", "code_challenge"} <= asked.keys()
        location = Person(self.local).choose(started.headers["Location"], email)
        assert location.startswith(f"{CALLBACK}?")
        return browser.get(location.replace(ORIGIN, self.url), headers=cookies(started), allow_redirects=False)

    def check(self, **headers: str) -> requests.Response:
        return self.browser().get(f"{self.url}/oauth2/auth", headers=headers)


def cookies(answer: requests.Response) -> dict[str, str]:
    """Return the Cookie header: requests does not send secure cookies to http, where nginx would be in front."""
    return {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in answer.cookies)}


@pytest.fixture
def front(local: Local, tmp_path: Path) -> Iterator[Front]:
    executable = program()
    if executable is None:
        pytest.skip("OAuth2-Proxy is neither in .cache/oauth2-proxy nor on PATH")
    client = Client.register(local)
    authority = Authority(tmp_path / "ca")
    certificate, key = api_certificate(authority, tmp_path / "tls")
    listener = AsgiListener(local.app.asgi, "127.0.0.1", 0, certificate=certificate, key=key)
    listener.start()
    handler = type("Handler", (Tunnel,), {"target": ("127.0.0.1", listener.port)})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as tunnel:
        tunnel.daemon_threads = True
        threading.Thread(target=tunnel.serve_forever, daemon=True).start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (tmp_path / "client-secret").write_text(client.secret)
        (tmp_path / "cookie-secret").write_text("c" * 32)
        values = {"client": client, "folder": tmp_path, "port": port, "callback": CALLBACK, "origin": ORIGIN}
        (tmp_path / "settings.cfg").write_text(SETTINGS.format(**values))
        environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{tunnel.server_address[1]}",
            "SSL_CERT_FILE": str(authority.path),
            "PATH": os.environ["PATH"],
        }
        log = tmp_path / "oauth2-proxy.log"
        with log.open("w") as output:
            command = [executable, "--config", str(tmp_path / "settings.cfg")]
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            wait(process, port, log)
            yield Front(local, f"http://127.0.0.1:{port}", client, log)
        finally:
            process.terminate()
            process.wait(10)
            tunnel.shutdown()
            listener.stop()


def wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("email", ["ada@example.com", "linus@example.com"])
def test_a_person_signs_in(front: Front, email: str) -> None:
    answer = front.sign_in(email)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/experiments"), answer.text
    checked = front.check(**cookies(answer))
    assert (checked.status_code, checked.headers["X-Auth-Request-Email"]) == (202, email)


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("alan@example.org", "Invalid authentication via OAuth2: unauthorized"),
        ("joan@gmail.com", "Invalid authentication via OAuth2: unauthorized"),
        ("mallory@example.com", "email in id_token (mallory@example.com) isn't verified"),
    ],
)
def test_refused_people(front: Front, email: str, reason: str) -> None:
    """Another domain, and an address that is not verified."""
    answer = front.sign_in(email)
    assert answer.status_code == 403
    assert reason in front.log.read_text()
    assert "__Host-mlflow" not in answer.cookies
    assert front.check(**cookies(answer)).status_code == 401


def test_identity_tokens(front: Front) -> None:
    """A service account chooses the audience; a person has the audience of the client."""
    auth = front.local.cloud.auth
    robot = auth.issue_id_token(front.local.account("robot"), ORIGIN)
    person = front.client.exchange(front.client.code("grace@example.com")).json()["id_token"]
    for token, email in ((robot, "robot@mlflow-local.iam.gserviceaccount.com"), (person, "grace@example.com")):
        checked = front.check(Authorization=f"Bearer {token}")
        assert (checked.status_code, checked.headers["X-Auth-Request-Email"]) == (202, email)
    unsigned = jwt.encode(jwt.decode(robot, options={"verify_signature": False}), None, "none")
    foreign = auth.issue_id_token(front.local.account("other"), "https://other.example.com")
    for token in (unsigned, foreign, robot[:-4] + "AAAA"):
        assert front.check(Authorization=f"Bearer {token}").status_code == 401
    front.local.session().call("PUT", "/localcloud/profile", json={"id_token": 1})
    short = auth.issue_id_token("robot@mlflow-local.iam.gserviceaccount.com", ORIGIN)
    assert front.check(Authorization=f"Bearer {short}").status_code == 202
    time.sleep(2.1)
    assert front.check(Authorization=f"Bearer {short}").status_code == 401
