# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The front end: TLS, closed routes, other origins, large uploads, errors of nginx."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests
from mlflow.exceptions import _UnsupportedMultipartUploadException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.tracing.constant import TRACE_RENDERER_ASSET_PATH
from mlflow_server import Server
from testinfra.host import Host

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts"
# A route of each kind, including routes that MLflow serves without authentication.
CLOSED = [
    ("GET", "/"),
    ("GET", "/version"),
    ("GET", "/signup"),
    ("GET", "/graphql"),
    ("POST", "/graphql"),
    ("GET", "/metrics"),
    ("GET", f"{API}/experiments/get?experiment_id=0"),
    ("POST", f"{API}/experiments/search"),
    ("POST", f"{API}/experiments/create"),
    ("POST", f"{API}/runs/search"),
    ("POST", f"{API}/runs/create"),
    ("POST", f"{API}/runs/log-batch"),
    ("GET", f"{API}/registered-models/search"),
    ("GET", f"{API}/users/get?username=admin"),
    ("GET", f"{API}/users/list"),
    ("POST", f"{API}/users/create"),
    ("PATCH", f"{API}/users/update-password"),
    ("GET", "/api/3.0/mlflow/server-info"),
    ("GET", "/ajax-api/3.0/mlflow/server-info"),
    ("POST", "/api/3.0/mlflow/traces/search"),
    ("GET", "/api/3.0/mlflow/roles/list"),
    ("GET", "/ajax-api/3.0/mlflow/ui-telemetry"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
    ("GET", "/ajax-api/3.0/jobs/1"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/v1/traces"),
    ("GET", f"{ARTIFACTS}/artifacts?path=0"),
    ("GET", f"{ARTIFACTS}/artifacts/0/x"),
    ("PUT", f"{ARTIFACTS}/artifacts/0/x"),
    ("DELETE", f"{ARTIFACTS}/artifacts/0/x"),
    ("POST", f"{ARTIFACTS}/mpu/create/0/x"),
    ("GET", "/get-artifact?run_uuid=x&path=y"),
    ("GET", "/model-versions/get-artifact?name=x&version=1&path=y"),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("GET", "/api/2.0/mlflow/no-such-route"),
]


# Prints every route of MLflow, one a line: the method, and the path with `x` in place of each parameter.
ROUTES = """
import os, re
os.environ["_MLFLOW_SERVER_FILE_STORE"] = "sqlite:////tmp/routes.db"
import mlflow.server
from mlflow.server.fastapi_app import create_fastapi_app
routes = set()
for rule in mlflow.server.app.url_map.iter_rules():
    routes |= {(verb, re.sub("<[^>]+>", "x", rule.rule)) for verb in rule.methods}
for route in create_fastapi_app(mlflow.server.app).routes:
    routes |= {(verb, re.sub("{[^}]+}", "x", route.path)) for verb in getattr(route, "methods", None) or ()}
print("\\n".join(" ".join(route) for route in sorted(routes)))
"""


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_without_a_password(server: Server, method: str, path: str) -> None:
    body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    answer = server.ask(method, path, **body)
    # GraphQL accepts only POST. All other routes require the password.
    assert answer.status_code == (405 if (method, path) == ("GET", "/graphql") else 401)
    assert server.password not in answer.text


@pytest.mark.parametrize(("method", "path"), CLOSED[-12:])
def test_nothing_with_a_wrong_password(server: Server, method: str, path: str) -> None:
    answer = requests.request(
        method, server.url + path, auth=("admin", "wrong-password-123"), verify=str(server.ca), timeout=60, json={}
    )
    # 429 after several attempts.
    assert answer.status_code in (401, 429)


def test_every_flask_and_native_route_is_closed(host: Host, server: Server) -> None:
    """Request each route that MLflow lists."""
    listing = host.check_output("cd /tmp && /opt/mlflow/current/bin/python -c %s", ROUTES)
    verbs = ("GET /", "POST /", "PUT /", "PATCH /", "DELETE /")
    routes = [tuple(line.split(" ", 1)) for line in listing.splitlines() if line.startswith(verbs)]
    assert len(routes) > 150
    session = requests.Session()
    open_routes = set()
    for method, path in routes:
        answer = session.request(
            method, server.url + path, verify=str(server.ca), timeout=60, json={} if method != "GET" else None
        )
        if answer.status_code not in (401, 405):
            open_routes.add((method, path, answer.status_code))
    # /health returns only OK. Static files are part of the public release.
    public = {("GET", "/health"), ("GET", "/static-files/x"), ("GET", "/js/build/x")}
    assert {each for each in open_routes if each[:2] not in public} == set()


def test_health_is_public_and_returns_only_ok(server: Server) -> None:
    answer = server.ask("GET", "/health")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["Server"] == "nginx"


def test_routes_closed_for_all_users(server: Server) -> None:
    assert server.ask("GET", "/metrics", signed_in=True).status_code == 404
    assert server.ask("GET", "/ajax-api/3.0/mlflow/assistant/config", signed_in=True).status_code == 404


def test_clients_do_not_choose_their_address(host: Host, server: Server) -> None:
    """In the authentication request of nginx MLflow trusted X-Forwarded-For of the client."""
    forged = {"X-Forwarded-For": "203.0.113.99", "Forwarded": "for=203.0.113.99", "X-Real-IP": "203.0.113.99"}
    for path in ("/metrics", "/api/3.0/mlflow/server-info", "/version"):
        server.ask("GET", path, signed_in=True, headers=forged)
    lines = host.check_output("journalctl --output=cat --unit='mlflow@*' --grep='GET /version' --lines=20")
    assert "GET /version" in lines
    assert "203.0.113.99" not in lines


def test_http_is_redirected_to_https(server: Server) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        answer = requests.request(method, f"http://{server.address}/x?y=1", allow_redirects=False, timeout=10)
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"https://{server.address}/x?y=1"


def test_a_post_over_http_stays_a_post(server: Server) -> None:
    """After a redirect with 301 clients repeated a POST as a GET, which failed."""
    session = requests.Session()
    session.verify = str(server.ca)
    session.trust_env = False
    name = f"experiment-{time.time_ns()}"
    answer = session.post(
        f"http://{server.address}{API}/experiments/create",
        json={"name": name},
        auth=("admin", server.password),
        timeout=60,
    )
    assert [each.status_code for each in (*answer.history, answer)] == [308, 200], answer.text
    assert [each.request.method for each in (*answer.history, answer)] == ["POST", "POST"]
    assert answer.json()["experiment_id"]


def test_headers(server: Server) -> None:
    for path in ("/health", "/", f"{API}/no-such-route"):
        headers = server.ask("GET", path).headers
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]


def tls_handshake(server: Server, version: ssl.TLSVersion) -> str | None:
    """Connect with exactly this TLS version; return the negotiated application protocol."""
    context = ssl.create_default_context(cafile=str(server.ca))
    # The client must offer the old versions, so that the server is the side that refuses them.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((server.address, 443), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=server.address) as tls,
    ):
        return tls.selected_alpn_protocol()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(server: Server, version: ssl.TLSVersion) -> None:
    assert tls_handshake(server, version) == "h2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_versions_are_refused(server: Server, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        tls_handshake(server, version)


def test_unknown_host(server: Server) -> None:
    headers = {"Host": "evil.example"}
    assert server.ask("GET", "/health", headers=headers).status_code == 421
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{server.address}/", headers=headers, timeout=10)


@pytest.mark.parametrize(
    "name",
    [
        "mlflow.test",
        "mlflow.test:443",
        "mlflow.upper.test",
        "MLflow.Upper.test",
        "mlflow.machine-learning-platform.research-department.eu.test",
    ],
)
def test_other_hostname_of_the_list(server: Server, name: str) -> None:
    """MLflow checks the host name too, except for /version and /health."""
    path, headers = f"{API}/experiments/search", {"Host": name}
    assert server.ask("POST", path, signed_in=True, headers=headers, json={"max_results": 1}).status_code == 200


@pytest.mark.parametrize("path", [f"{API}/experiments/search", "/graphql", f"{API}/users/create-ui"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_foreign_pages_are_refused(server: Server, path: str, headers: dict[str, str]) -> None:
    answer = server.ask("POST", path, signed_in=True, headers=headers, json={"max_results": 1})
    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["own", "https://mlflow.test", "https://mlflow.upper.test"])
def test_own_pages_are_served(server: Server, origin: str) -> None:
    headers = {"Origin": server.url if origin == "own" else origin, "Sec-Fetch-Site": "same-origin"}
    answer = server.ask("POST", f"{API}/experiments/search", signed_in=True, headers=headers, json={"max_results": 1})
    assert answer.status_code == 200
    query = {"operationName": None, "query": "{ __typename }", "variables": {}}
    assert server.ask("POST", "/graphql", signed_in=True, headers=headers, json=query).status_code == 200


def test_user_interface_is_compressed(server: Server) -> None:
    page = server.ask("GET", "/", signed_in=True)
    assert page.status_code == 200
    script = next(part.split('"')[0] for part in page.text.split('src="') if "static-files" in part.split('"')[0])
    answer = server.ask("GET", "/" + script.lstrip("./"), signed_in=True, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"


def test_multipart_upload_is_refused_so_that_clients_stream(server: Server) -> None:
    for prefix in ("api", "ajax-api"):
        path = f"/{prefix}/2.0/mlflow-artifacts/mpu/create/0/x"
        answer = server.ask("POST", path, signed_in=True, json={"path": "x", "num_parts": 2})
        assert answer.status_code == 501
        assert answer.json()["error_code"] == "NOT_IMPLEMENTED"
        # With any other text the client fails and uploads nothing.
        assert answer.json()["message"].startswith(_UnsupportedMultipartUploadException.MESSAGE)


def test_only_the_page_for_notebooks_may_be_framed(server: Server) -> None:
    """Notebooks of any origin show the trace view of MLflow in a frame, which the headers of nginx prevented."""
    page = f"{TRACE_RENDERER_ASSET_PATH}/index.html"
    for path in (page, f"{page}?trace_id=tr-1&experiment_id=0"):
        answer = server.ask("GET", path)
        assert answer.status_code == 200
        assert "X-Frame-Options" not in answer.headers
        assert answer.headers["Content-Security-Policy"] == "object-src 'none'; base-uri 'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    others = [
        "/",
        "/health",
        "/version",
        TRACE_RENDERER_ASSET_PATH,
        f"{TRACE_RENDERER_ASSET_PATH}/",
        f"{page}/",
        f"{page}x",
    ]
    others += [f"/x?{page}", f"{page}%3F", f"//{page}", f"/x/..{page}", page.replace("index", "Index"), f"/x{page}"]
    for path in others:
        # Sent without a client, which would normalise the path.
        status, headers, _ = converse(server, f"GET {path} HTTP/1.1\r\nHost: {server.address}\r\n")
        assert headers["X-Frame-Options"] == "SAMEORIGIN", (path, status)
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"], (path, status)


# Errors of nginx


Answer = tuple[int, http.client.HTTPMessage, bytes]


def converse(
    server: Server, head: str, body: bytes = b"", *, tls: bool = True, port: int = 443, name: str | None = None
) -> Answer:
    """Send the bytes without validation; return the status, the headers and the body of the response."""
    with socket.create_connection((server.address, port), timeout=30) as raw:
        context = ssl.create_default_context(cafile=str(server.ca))
        context.check_hostname = False
        connection = context.wrap_socket(raw, server_hostname=name) if tls else raw
        connection.sendall(head.encode("latin-1") + b"Connection: close\r\n\r\n" + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers, answer.read()


HOST = "Host: {address}\r\n"
SIGNED_IN = HOST + "Authorization: Basic {credential}\r\n"
LONG = "x" * 100_000
# The request and its expected status. All requests use TLS on port 443.
ERRORS: dict[str, tuple[str, int]] = {
    "no method": (f"? {API}/x HTTP/1.1\r\n{HOST}", 400),
    "no host": (f"GET {API}/x HTTP/1.1\r\n", 400),
    "two hosts": (f"GET {API}/x HTTP/1.1\r\n{HOST}{HOST}", 400),
    "two credentials": (f"GET {API}/x HTTP/1.1\r\n{SIGNED_IN}Authorization: Basic eA==\r\n", 400),
    "a NUL": (f"GET {API}/x HTTP/1.1\r\n{HOST}X-Nul: \0\r\n", 400),
    "no URI": (f"GET /%zz HTTP/1.1\r\n{HOST}", 400),
    "no length": (f"POST {API}/x HTTP/1.1\r\n{HOST}Content-Length: x\r\n", 400),
    "no length, from a page of another origin": (
        f"POST {API}/x HTTP/1.1\r\n{HOST}Content-Length: x\r\nOrigin: https://evil.example\r\n",
        400,
    ),
    "no chunk": (f"POST {API}/experiments/search HTTP/1.1\r\n{SIGNED_IN}Transfer-Encoding: chunked\r\n", 400),
    "another transfer encoding": (f"POST {API}/x HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n", 501),
    "another version": (f"GET {API}/x HTTP/3.0\r\n{HOST}", 505),
    "a long URI": (f"GET {API}/x?{LONG} HTTP/1.1\r\n{HOST}", 414),
    "a long header": (f"GET {API}/x HTTP/1.1\r\n{HOST}X-Long: {LONG}\r\n", 400),
    "long headers": (f"GET {API}/x HTTP/1.1\r\n{HOST}" + f"X-Long: {LONG[:60000]}\r\n" * 7, 400),
    "TRACE": (f"TRACE {API}/x HTTP/1.1\r\n{HOST}", 405),
    "a method that GraphQL does not take": (f"PUT /graphql HTTP/1.1\r\n{SIGNED_IN}Content-Length: 0\r\n", 405),
    "another host": (f"GET {API}/x HTTP/1.1\r\nHost: evil.example\r\n", 421),
    "an upload to another host": (f"PUT {API}/x HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9999999999\r\n", 421),
    "no password": (f"GET /metrics HTTP/1.1\r\n{HOST}", 401),
    "no password for multipart uploads": (
        f"POST {ARTIFACTS}/mpu/create/0/x HTTP/1.1\r\n{HOST}Content-Length: 0\r\n",
        401,
    ),
    "a closed route": (f"GET /metrics HTTP/1.1\r\n{SIGNED_IN}", 404),
    "an internal route of nginx": (f"GET /_mlflow_error HTTP/1.1\r\n{SIGNED_IN}", 404),
    "a page of another origin": (
        f"POST {API}/x HTTP/1.1\r\n{SIGNED_IN}Origin: https://evil.example\r\nContent-Length: 0\r\n",
        403,
    ),
}


def assert_error_of_mlflow(answer: Answer, status: int) -> None:
    """Assert the form of MLflow, which its clients read, and an error code of MLflow."""
    assert answer[0] == status
    assert answer[1]["Content-Type"] == "application/json"
    error = json.loads(answer[2])
    assert error["error_code"] in ErrorCode.keys()  # noqa: SIM118 -- no mapping
    assert error["message"]


# nginx has a server block for each case. Clients send no server name if the URL contains an address.
@pytest.mark.parametrize("name", [None, "mlflow.test"])
@pytest.mark.parametrize("case", ERRORS)
def test_errors_of_nginx_are_like_those_of_mlflow(server: Server, case: str, name: str | None) -> None:
    """nginx returned its own errors as an HTML page, which the client of MLflow cannot show."""
    head, status = ERRORS[case]
    signed = requests.Request("GET", server.url, auth=("admin", server.password)).prepare()
    values = {"{address}": server.address, "{credential}": signed.headers["Authorization"].split()[1]}
    for key, value in values.items():
        head = head.replace(key, value)
    answer = converse(server, head, b"zz\r\n" if case == "no chunk" else b"", name=name)
    assert_error_of_mlflow(answer, status)
    assert (answer[1]["WWW-Authenticate"] is not None) == (status == 401)


def test_errors_of_nginx_without_tls(server: Server) -> None:
    """Requests without TLS got HTML pages too, on both ports."""
    head = f"GET {API}/x HTTP/1.1\r\nHost: {server.address}\r\n"
    answer = converse(server, head, tls=False)
    assert_error_of_mlflow(answer, 400)
    assert "https://" in json.loads(answer[2])["message"]
    assert_error_of_mlflow(converse(server, f"? {head}", tls=False, port=80), 400)
    assert_error_of_mlflow(converse(server, head.replace("/x", f"/x?{LONG}"), tls=False, port=80), 414)
    assert_error_of_mlflow(converse(server, f"{head}X-Long: {LONG}\r\n", tls=False, port=80), 400)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_requests_of_64_kb_work(server: Server, version: str) -> None:
    """A search for the versions of 300 runs is a GET of 10 kB, which nginx refused with 414."""

    def curl(*arguments: str) -> tuple[str, str]:
        command = ["curl", "-sS", version, "--cacert", str(server.ca), "--config", "-", "-w", "\n%{http_code}"]
        done = subprocess.run(
            [*command, *arguments],
            input=f'user = "admin:{server.password}"\n',
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return status, body

    # 13 and 61 kB.
    for length in (300, 1450):
        runs = ", ".join(f"'{number:032x}'" for number in range(length))
        search = f"{server.url}{API}/model-versions/search"
        answer = curl("-G", search, "--data-urlencode", f"filter=run_id IN ({runs})")
        assert answer == ("200", "{}")
    # curl sends at most 64 kB in the header of an HTTP/2 request.
    assert curl("-H", f"X-Long: {LONG[:64000]}", f"{server.url}/version")[0] == "200"
    status, body = curl("-H", "Host: evil.example", f"{server.url}{API}/x")
    assert (status, json.loads(body)["error_code"]) == ("421", "BAD_REQUEST")


# The AI gateway


# Records the headers of each request. Its response has the form of OpenAI and Anthropic. GET returns the records.
PROVIDER = """
import http.server, json
seen = []
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m", "type": "message", "role": "assistant",
    "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "input_tokens": 1, "output_tokens": 1},
}
class Provider(http.server.BaseHTTPRequestHandler):
    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        seen.append({"path": self.path, "headers": self.headers.items(), "body": body})
        self.answer(ANSWER)
    def do_GET(self):
        self.answer(seen)
        seen.clear()
http.server.ThreadingHTTPServer(("127.0.0.1", 9099), Provider).serve_forever()
"""
KEY = "the-key-of-the-server"


class Provider:
    """A stub of a model provider on the VM, with an MLflow endpoint for each kind of provider."""

    def __init__(self, host: Host, suffix: str) -> None:
        self._host = host
        self.suffix = suffix

    def requests(self) -> list[dict[str, object]]:
        """Return the requests since the last call."""
        seen: list[dict[str, object]] = json.loads(self._host.check_output("curl -sf http://127.0.0.1:9099/"))
        return seen


@pytest.fixture(scope="module")
def provider(host: Host, server: Server) -> Iterator[Provider]:
    host.check_output("systemd-run --unit=provider --collect python3 -c %s", PROVIDER)
    suffix = f"{time.time_ns()}"

    def create(what: str, **body: object) -> dict[str, object]:
        answer = server.ask("POST", f"/api/3.0/mlflow/gateway/{what}/create", signed_in=True, json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, object] = next(iter(answer.json().values()))
        return document

    for kind, base in (("openai", "http://127.0.0.1:9099/v1"), ("anthropic", "http://127.0.0.1:9099")):
        secret = create(
            "secrets",
            secret_name=f"{kind}-{suffix}",
            secret_value={"api_key": KEY},
            provider=kind,
            auth_config={"api_base": base},
        )
        model = create(
            "model-definitions",
            name=f"{kind}-{suffix}",
            secret_id=secret["secret_id"],
            provider=kind,
            model_name="m",
        )
        config = {"model_definition_id": model["model_definition_id"], "linkage_type": "PRIMARY", "weight": 1.0}
        create("endpoints", name=f"{kind}-{suffix}", model_configs=[config])
    yield Provider(host, suffix)
    host.check_output("systemctl stop provider")


AGENTS = [
    "python-requests/2.32",
    "claude-cli/2.0 (external, cli)",
    "codex_cli_rs/0.50.0",
    "GeminiCLI/0.9/gemini (linux; x64)",
]
# Headers with the identity, the address and other data of the client, which a provider must not receive.
PRIVATE = {
    "Cookie": "session=private-1",
    "X-Forwarded-For": "192.0.2.77",
    "X-Forwarded-Host": "private-2.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "4711",
    "X-Forwarded-User": "private-3",
    "X-Real-IP": "192.0.2.77",
    "Forwarded": "for=192.0.2.77",
    "Via": "1.1 private-4",
    "X-Client-IP": "192.0.2.77",
    "CF-Connecting-IP": "192.0.2.77",
    "True-Client-IP": "192.0.2.77",
    "X-Cluster-Client-IP": "192.0.2.77",
    "Proxy-Authorization": "Basic cHJpdmF0ZS01",
    "X-Auth-Request-Email": "private-6@example.com",
    "X-Goog-IAP-JWT-Assertion": "private-7",
    "X-CSRF-Token": "private-8",
    "X-MLflow-Guardrail-Bypass": "1",
    "From": "private-9@example.com",
    "Referer": "https://private-10.example/",
}
CALLS = {
    "/gateway/mlflow/v1/chat/completions": "openai",
    "/gateway/openai-SUFFIX/mlflow/invocations": "openai",
    "/gateway/openai/v1/chat/completions": "openai",
    "/gateway/openai/v1/responses": "openai",
    "/gateway/anthropic/v1/messages": "anthropic",
    "/gateway/proxy/openai-SUFFIX/some/path": "openai",
}


def ask_gateway(server: Server, provider: Provider, path: str, headers: dict[str, str]) -> requests.Response:
    body: dict[str, object] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
    if not path.endswith("/invocations"):
        body["model"] = f"{CALLS[path]}-{provider.suffix}"
    if path.endswith("/responses"):
        body["input"] = "hello"
    session = requests.Session()
    session.trust_env = False
    url = server.url + path.replace("SUFFIX", provider.suffix)
    return session.post(url, json=body, headers=headers, verify=str(server.ca), timeout=60)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("path", CALLS)
def test_the_gateway_forwards_no_data_of_the_client(server: Server, provider: Provider, path: str, agent: str) -> None:
    """Providers received the cookies and the address of the client, and the MLflow password of coding agents."""
    basic = str(requests.Request("GET", server.url, auth=("admin", server.password)).prepare().headers["Authorization"])
    wanted = {"User-Agent": agent, "Anthropic-Version": "2023-06-01", "OpenAI-Beta": "assistants=v2"}
    own_key = {"Authorization": "Bearer the-client's-own-key", "X-MLflow-Authorization": basic}
    credentials: list[dict[str, str]] = [
        {"Authorization": basic},
        {"Authorization": basic.replace("Basic", "bAsIc")},
        {"X-MLflow-Authorization": basic},
        {"Authorization": basic, "X-MLflow-Authorization": basic},
        own_key,
    ]
    for credential in credentials:
        answer = ask_gateway(server, provider, path, PRIVATE | wanted | credential)
        assert answer.status_code == 200, answer.text
        (request,) = provider.requests()
        headers = {name.lower(): value for name, value in request["headers"]}  # type: ignore[attr-defined]
        assert len(headers) == len(request["headers"])  # type: ignore[arg-type]
        assert not {name.lower() for name in PRIVATE} & set(headers)
        assert not [name for name in headers if name.startswith(("x-forwarded", "x-mlflow-auth"))]
        everything = json.dumps(request)
        for value in (*PRIVATE.values(), basic.split()[1], server.password, server.address):
            assert value in ("1", "http", "4711") or value not in everything, value
        # A coding agent may send a key of its own. All other clients use the key of the server.
        key = (
            headers.get("x-api-key")
            if CALLS[path] == "anthropic"
            else headers.get("authorization", "")[len("Bearer ") :]
        )
        passed_through = not path.endswith(("/mlflow/v1/chat/completions", "/invocations"))
        if agent != AGENTS[0] and credential is own_key and passed_through:
            assert headers["authorization"] == own_key["Authorization"]
        else:
            assert key == KEY
        if passed_through:
            assert headers["user-agent"] == agent
            assert headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer the-client's-own-key"},
        {"Authorization": "Basic eDp5"},
        {"X-MLflow-Authorization": "Basic eDp5"},
        {"X-MLflow-Authorization": "Bearer x"},
    ],
)
def test_the_gateway_requires_a_password(server: Server, provider: Provider, headers: dict[str, str]) -> None:
    answer = ask_gateway(server, provider, "/gateway/openai/v1/chat/completions", {"User-Agent": AGENTS[1]} | headers)
    assert answer.status_code == 401
    assert provider.requests() == []


# Uploads


def test_a_refused_upload_gets_401_while_it_is_sent(host: Host, server: Server) -> None:
    """MLflow refuses an upload before it reads the body. The client must get 401, not 503."""

    def signal(name: str, unit: str) -> None:
        host.check_output("systemctl kill --kill-whom=all --signal=%s %s", name, unit)

    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(server.address, context=context, timeout=60)
    # MLflow and nginx are stopped in turn, so that nginx reads the rest of the upload first and then the response.
    try:
        signal("STOP", "mlflow@*.service")
        connection.putrequest("PUT", f"{ARTIFACTS}/artifacts/0/x")
        connection.putheader("Content-Length", "100")
        connection.endheaders()
        time.sleep(1)
        signal("STOP", "nginx.service")
        connection.send(b"x" * 100)
        time.sleep(0.5)
        signal("CONT", "mlflow@*.service")
        time.sleep(2)
    finally:
        signal("CONT", "mlflow@*.service")
        signal("CONT", "nginx.service")
    assert connection.getresponse().status == 401


def test_uploads_are_streamed(host: Host, server: Server) -> None:
    """The first half of a large upload must reach MLflow before the client sends the second half."""
    size, path = 64 * 1024 * 1024, f"{ARTIFACTS}/artifacts/streamed/blob"
    half = os.urandom(size // 2)
    everything = "du -scb /srv/spool /srv/mlflow-artifacts | tail -1"
    before = int(host.check_output(everything).split()[0])
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(server.address, context=context, timeout=60)
    connection.putrequest("PUT", path)
    signed = requests.Request("GET", server.url, auth=("admin", server.password)).prepare()
    connection.putheader("Authorization", signed.headers["Authorization"])
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    connection.send(half)
    deadline = time.monotonic() + 20
    while True:
        arrived = int(host.check_output(everything).split()[0]) - before
        if arrived >= len(half) * 0.9:
            break
        assert time.monotonic() < deadline, f"{arrived} bytes of {len(half)} arrived"
        time.sleep(0.2)
    assert host.check_output("find /var/lib/nginx -type f -size +64k") == ""
    connection.send(half)
    assert connection.getresponse().status == 200
    answer = server.ask("GET", path, signed_in=True)
    assert answer.content == half * 2
    assert host.file("/srv/mlflow-artifacts/streamed/blob").size == size
    assert server.ask("DELETE", path, signed_in=True).status_code == 200
