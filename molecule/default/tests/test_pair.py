# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The two slots: a cutover loses no request, a failed cutover changes nothing, and clients never get 502."""

from __future__ import annotations

import collections
import http.client
import json
import os
import secrets as random
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from mlflow.tracking import MlflowClient
from mlflow_server import Server, Status
from testinfra.host import Host

API = "/api/2.0/mlflow"
PROGRAM = "/usr/local/bin/mlflowctl"
READY = f"{PROGRAM} ready --artifacts --timeout 240"
WANTED = "/etc/mlflow/server.json"


@contextmanager
def load(server: Server, threads: int = 3) -> Iterator[tuple[collections.Counter[str], str]]:
    """Run a small constant load: each thread logs a metric and searches, ten times a second."""
    experiment = server.ask(
        "POST", f"{API}/experiments/create", signed_in=True, json={"name": f"load-{random.token_hex(4)}"}
    ).json()["experiment_id"]
    new = {"experiment_id": experiment}
    run = server.ask("POST", f"{API}/runs/create", signed_in=True, json=new).json()["run"]["info"]["run_id"]
    answers: collections.Counter[str] = collections.Counter()
    stop = threading.Event()

    def work(number: int) -> None:
        session = requests.Session()
        session.auth = ("admin", server.password)
        step = 0
        while not stop.wait(0.1):
            metric = {"run_id": run, "key": f"thread-{number}", "value": step, "timestamp": step, "step": step}
            for path, body in (("runs/log-metric", metric), ("experiments/search", {"max_results": 1})):
                try:
                    # In each call, because REQUESTS_CA_BUNDLE overrides the value of the session.
                    done = session.post(f"{server.url}{API}/{path}", json=body, timeout=60, verify=str(server.ca))
                    answers[f"{path} {done.status_code}"] += 1
                except requests.RequestException as error:
                    answers[f"{path} {error}"] += 1
            step += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield answers, run
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def test_reload_loses_no_request(host: Host, server: Server, status: Status) -> None:
    before = status()["active"]
    with load(server) as (answers, run):
        time.sleep(1)
        host.check_output("systemctl reload mlflow")
        time.sleep(1)
    after = status()
    assert after["active"] == after["traffic"] != before
    assert [after["slots"][slot]["running"] for slot in (before, after["active"])] == [False, True]
    assert set(answers) == {"runs/log-metric 200", "experiments/search 200"}, answers
    # Every request with status 200 has its row.
    count = f"select count(*) from metrics where run_uuid = '{run}'"
    rows = host.check_output("runuser -u postgres -- psql -At mlflow -c %s", count)
    assert int(rows) == answers["runs/log-metric 200"] > 50


def test_an_in_flight_upload_ends_on_its_first_server(host: Host, server: Server, status: Status) -> None:
    """The old server stops after its in-flight requests. New requests go to the new server."""
    before, size = status()["active"], 32 * 1024 * 1024
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(server.address, context=context, timeout=60)
    connection.putrequest("PUT", "/api/2.0/mlflow-artifacts/artifacts/slow/blob")
    signed = requests.Request("GET", server.url, auth=("admin", server.password)).prepare()
    connection.putheader("Authorization", signed.headers["Authorization"])
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    content = os.urandom(size)
    connection.send(content[: size // 2])
    reload = threading.Thread(target=host.run, args=("systemctl reload mlflow",))
    reload.start()
    deadline = time.monotonic() + 240
    while status()["phase"] != "drain":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(2)
    assert status()["phase"] == "drain"
    assert status()["slots"][before]["running"]
    assert server.ask("GET", "/version", signed_in=True).status_code == 200
    connection.send(content[size // 2 :])
    assert connection.getresponse().status == 200
    reload.join()
    assert not status()["slots"][before]["running"]
    path = "/api/2.0/mlflow-artifacts/artifacts/slow/blob"
    assert server.ask("GET", path, signed_in=True).content == content
    assert server.ask("DELETE", path, signed_in=True).status_code == 200


@contextmanager
def wanted(host: Host, name: str, value: object) -> Iterator[None]:
    """Change a setting of the desired state, as the role does."""
    before = host.file(WANTED).content_string
    host.check_output("printf %%s %s > " + WANTED, json.dumps({**json.loads(before), name: value}))
    try:
        yield
    finally:
        host.check_output("printf %%s %s > " + WANTED, before)
        host.check_output(f"{PROGRAM} cutover reload --needed")


def workers(host: Host) -> int:
    """Return the number of workers. Two or more workers are child processes, and one worker is the server process."""
    processes = host.check_output("ps -u mlflow -o args=").splitlines()
    assert len([line for line in processes if "-m uvicorn" in line]) == 1
    return len([line for line in processes if "spawn_main" in line]) or 1


def test_a_changed_setting_needs_a_cutover(host: Host, server: Server, status: Status) -> None:
    assert workers(host) == 1
    with wanted(host, "workers", 2), load(server, 1) as (answers, _):
        assert status()["wanted"]["unseen"] == ["server.json"]
        host.check_output("systemctl reload mlflow")
        assert status()["wanted"]["unseen"] == []
        assert workers(host) == 2
    assert {answer.split()[-1] for answer in answers} == {"200"}, answers
    assert workers(host) == 1


def test_no_cutover_without_a_change(host: Host, status: Status) -> None:
    before = status()["active"]
    assert json.loads(host.check_output(f"{PROGRAM} cutover reload --needed")) == {"changed": False}
    assert status()["active"] == before


def test_a_broken_setting_changes_nothing(host: Host, server: Server, status: Status) -> None:
    before, text = status()["active"], host.file(WANTED).content_string
    with wanted(host, "auth_database", "no_such_database"), load(server, 1) as (answers, _):
        assert host.run("systemctl reload mlflow").rc != 0
    assert {answer.split()[-1] for answer in answers} == {"200"}, answers
    after = status()
    assert after["active"] == after["traffic"] == before
    assert (after["result"]["ok"], after["result"]["step"]) == (False, "start")
    assert "no_such_database" in after["result"]["cause"]
    assert not after["slots"]["green" if before == "blue" else "blue"]["running"]
    assert json.loads(host.file(WANTED).content_string) == json.loads(text)
    host.check_output("systemctl restart mlflow")
    assert host.run(READY).rc == 0
    assert status()["active"] == before
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_a_killed_cutover_is_rolled_back(host: Host, server: Server, status: Status) -> None:
    before = status()["active"]
    with load(server, 1) as (answers, _):
        reload = threading.Thread(target=host.run, args=("systemctl reload mlflow",))
        reload.start()
        deadline = time.monotonic() + 240
        while status()["phase"] != "start":
            assert time.monotonic() < deadline
        host.check_output("systemctl kill --signal=KILL mlflow-switch")
        reload.join()
    after = status()
    assert (after["active"], after["traffic"], after["phase"]) == (before, before, "idle")
    assert (after["result"]["step"], after["result"]["cause"]) == ("start", "the cutover was interrupted")
    assert {answer.split()[-1] for answer in answers} == {"200"}, answers


def test_errors_of_mlflow_are_forwarded(host: Host, server: Server) -> None:
    host.check_output("systemctl stop postgresql@17-main")
    try:
        answer = server.ask("POST", f"{API}/experiments/search", signed_in=True, json={"max_results": 1})
    finally:
        host.check_output("systemctl start postgresql@17-main")
    assert answer.status_code >= 500
    assert "Retry-After" not in answer.headers
    assert "connection to server" in answer.json()["message"]
    assert host.run(READY).rc == 0


def test_the_client_of_mlflow_tries_again(host: Host, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits with its default settings."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(server.ca))
    client = MlflowClient(server.url)
    host.check_output("systemctl stop mlflow")
    start = threading.Timer(2, host.run, args=("systemctl start mlflow",))
    start.start()
    name = f"held-{random.token_hex(4)}"
    assert client.get_experiment(client.create_experiment(name)).name == name
    start.join()
    assert host.run(READY).rc == 0


def test_old_releases_are_removed(host: Host, status: Status) -> None:
    for number in range(2):
        directory = f"/opt/mlflow/releases/3.16.{number}-old"
        host.check_output(f"mkdir -p {directory}/lib && echo 3.16.{number} > {directory}/.complete")
        host.check_output(f"touch -d '200{number}-01-01' {directory}/.complete")
    assert json.loads(host.check_output(f"{PROGRAM} prune --keep 1")) == {"removed": ["3.16.0-old"], "changed": True}
    assert json.loads(host.check_output(f"{PROGRAM} prune --keep 0")) == {"removed": ["3.16.1-old"], "changed": True}
    assert host.file(status()["wanted"]["release"]).exists


@pytest.fixture(scope="module")
def held(host: Host, server: Server) -> Iterator[None]:
    """Stop MLflow for the rest of this file."""
    host.check_output("systemctl stop mlflow")
    yield
    host.check_output("systemctl start mlflow")
    assert host.run(READY).rc == 0


# A route for each location of nginx, including the locations with auth_request.
LOCATIONS = [
    ("GET", "/"),
    ("GET", "/health"),
    ("POST", f"{API}/experiments/search"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/0/x"),
    ("GET", "/api/3.0/mlflow/server-info"),
    ("POST", "/graphql"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("GET", "/metrics"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("method", "path"), LOCATIONS)
def test_clients_get_503_with_retry_after(server: Server, method: str, path: str) -> None:
    answer = server.ask(method, path, signed_in=True, json={} if method != "GET" else None)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Strict-Transport-Security"]


@pytest.mark.usefixtures("held")
def test_browsers_get_a_page(server: Server) -> None:
    for path in ("/", "/metrics"):
        answer = server.ask("GET", path, headers={"Accept": "text/html,application/xhtml+xml"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert answer.headers["Content-Type"] == "text/html"
        assert "back in a moment" in answer.text
    # Some programs accept HTML too, but need the error.
    answer = server.ask("GET", f"{API}/experiments/get?experiment_id=0", headers={"Accept": "text/html, */*"})
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
