# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The front end: TLS, closed doors, foreign origins, large uploads."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time

import pytest
import requests
from mlflow_server import Server
from testinfra.host import Host

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts"
# One of each family of routes, those that MLflow itself leaves open among them.
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


# Prints every route that MLflow has, a verb and a path to a line, with something in place of parameters.
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
    # GraphQL takes POST alone; every other door asks for the password.
    assert answer.status_code == (405 if (method, path) == ("GET", "/graphql") else 401)
    assert server.password not in answer.text


@pytest.mark.parametrize(("method", "path"), CLOSED[-12:])
def test_nothing_with_a_wrong_password(server: Server, method: str, path: str) -> None:
    answer = requests.request(
        method, server.url + path, auth=("admin", "wrong-password-123"), verify=str(server.ca), timeout=60, json={}
    )
    assert answer.status_code == 401


def test_every_flask_and_native_route_is_closed(host: Host, server: Server) -> None:
    """Ask MLflow itself which routes it has, and try each of them."""
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
    # Health says OK and no more; static files are those of the public release.
    public = {("GET", "/health"), ("GET", "/static-files/x"), ("GET", "/js/build/x")}
    assert {each for each in open_routes if each[:2] not in public} == set()


def test_health_is_open_and_says_nothing(server: Server) -> None:
    answer = server.ask("GET", "/health")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["Server"] == "nginx"


def test_closed_for_everybody(server: Server) -> None:
    assert server.ask("GET", "/metrics", signed_in=True).status_code == 404
    assert server.ask("GET", "/ajax-api/3.0/mlflow/assistant/config", signed_in=True).status_code == 404


def test_http_is_sent_to_https(server: Server) -> None:
    answer = requests.get(f"http://{server.address}/x?y=1", allow_redirects=False, timeout=10)
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"https://{server.address}/x?y=1"


def test_headers(server: Server) -> None:
    for path in ("/health", "/", f"{API}/no-such-route"):
        headers = server.ask("GET", path).headers
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]


def tls_handshake(server: Server, version: ssl.TLSVersion) -> str | None:
    """Shake hands in exactly this version; return the application protocol agreed on."""
    context = ssl.create_default_context(cafile=str(server.ca))
    # The client must be able to offer the old ones for the server's refusal to mean something.
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
    """MLflow looks at the name too, but not for its version or its health."""
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


def test_upload_in_parts_is_declined_so_that_clients_stream(server: Server) -> None:
    for prefix in ("api", "ajax-api"):
        path = f"/{prefix}/2.0/mlflow-artifacts/mpu/create/0/x"
        answer = server.ask("POST", path, signed_in=True, json={"path": "x", "num_parts": 2})
        assert answer.status_code == 501
        assert answer.json()["error_code"] == "NOT_IMPLEMENTED"


def test_a_refused_upload_is_told_so_while_it_is_still_passed_on(host: Host, server: Server) -> None:
    """MLflow refuses an upload that it has not read; that must not become "try again later"."""

    def signal(name: str, unit: str) -> None:
        host.check_output("systemctl kill --kill-whom=all --signal=%s %s", name, unit)

    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(server.address, context=context, timeout=60)
    # Both stand still in turns, so that nginx finds the rest of the upload first and the refusal second.
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


def test_uploads_are_passed_on_while_they_come(host: Host, server: Server) -> None:
    """Half of a large upload must have reached MLflow before the other half is sent."""
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
