# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service: processes, sandbox, secrets and recovery."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from urllib.parse import urlsplit

import pytest
import requests
from mlflow_server import Server, Status
from testinfra.host import Host

MACHINE = "mlflow-molecule-default"
READY = "/usr/local/bin/mlflowctl ready --artifacts --timeout 240"


@pytest.mark.parametrize("name", ["mlflow", "nginx"])
def test_runs_now_and_at_boot(host: Host, name: str) -> None:
    service = host.service(name)
    assert service.is_running
    assert service.is_enabled


def test_a_stop_lasts_until_the_server_has_stopped(host: Host, unit: str) -> None:
    """Only the slot has a timeout: mlflow_graceful_shutdown_timeout and 15 s. The default of systemd may be shorter."""
    assert host.check_output("systemctl show -P TimeoutStopUSec mlflow.service") == "infinity"
    assert host.check_output("systemctl show -P TimeoutStopUSec %s", unit) == "20s"


def test_is_ready(host: Host) -> None:
    assert host.run(READY).rc == 0


def test_readiness_fails_without_the_database(host: Host) -> None:
    host.check_output("systemctl stop postgresql@17-main")
    try:
        answer = host.run("/usr/local/bin/mlflowctl ready --timeout 0")
    finally:
        host.check_output("systemctl start postgresql@17-main")
    assert answer.rc == 1
    assert "MLflow is not ready" in answer.stderr
    assert host.run(READY).rc == 0


def test_only_nginx_has_access_to_the_socket(host: Host, status: Status) -> None:
    # Only root can replace the link.
    directory = host.file("/run/mlflow")
    assert (directory.user, directory.group, directory.mode) == ("root", "mlflow", 0o750)
    slot = host.file(f"/run/mlflow-{status()['active']}")
    assert (slot.user, slot.group, slot.mode) == ("mlflow", "mlflow", 0o750)
    assert host.file("/run/mlflow/mlflow.sock").linked_to == f"{slot.path}/mlflow.sock"
    assert host.file(f"{slot.path}/mlflow.sock").is_socket
    assert set(host.user("www-data").groups) == {"www-data", "mlflow"}
    assert host.group("mlflow").members == ["www-data"]
    listening = {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}
    outside = {address for address in listening if not address.startswith(("127.", "[::1]"))}
    assert outside <= {"0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:22", "[::]:22"}


def test_sandbox(host: Host, unit: str) -> None:
    report = host.check_output(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
    score = float(report.split(":")[1].split()[0])
    assert score <= 1.3, report


def test_user_owns_no_installed_file(host: Host) -> None:
    assert host.user("mlflow").shell == "/usr/sbin/nologin"
    assert host.check_output("find -L /opt/mlflow -user mlflow -o -perm -o+w ! -type l | head -3") == ""


def test_version_is_the_locked_one(host: Host) -> None:
    assert host.check_output("/opt/mlflow/current/bin/mlflow --version").split()[-1] == "3.17.2"


def test_no_process_for_jobs(host: Host) -> None:
    processes = host.check_output("ps -u mlflow -o args=").splitlines()
    assert [line for line in processes if "-m uvicorn" in line]
    assert not [line for line in processes if "huey" in line]


def test_settings_in_the_server_process(host: Host, unit: str) -> None:
    environment = host.check_output(f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {unit})/environ").splitlines()
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in environment
    assert "MLFLOW_DISABLE_TELEMETRY=true" in environment
    assert "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE=10" in environment
    journal = host.check_output(f"journalctl -u {unit} --no-pager -o cat")
    assert "'pool_size': 10, 'max_overflow': 31" in journal


def test_no_secret_is_exposed(host: Host, secrets: dict[str, str], unit: str) -> None:
    """Search for the values of the secrets, also in the encoding of URIs."""
    uri = urlsplit(secrets["mlflow.database-uri"])
    assert uri.password
    keys = ("flask-secret-key", "webhook-encryption-key", "crypto-kek-passphrase")
    values = {*(secrets[f"mlflow.{name}"] for name in ("admin-password", *keys)), uri.password, uri.password[:20]}
    places = {
        "ps": "ps auxww",
        "unit": f"systemctl show mlflow {unit} nginx; systemctl cat mlflow {unit} mlflow-switch nginx",
        "journal": "journalctl --no-pager -o cat",
        "environment": f"cat /proc/$(systemctl show -P MainPID {unit})/environ | tr '\\0' '\\n'",
        "world readable files": (
            "find /opt/mlflow/programs /opt/mlflow/slots /etc /run /var/lib/mlflow* /srv -xdev -type f -perm -o+r"
            " -exec cat {} + 2>/dev/null | tr -cd '[:print:]\\n'"
        ),
    }
    for place, command in places.items():
        text = host.run(command).stdout
        assert text, place
        found = [value[:4] + "…" for value in values if value in text]
        assert not found, f"{place}: {found}"


def test_secret_files_are_private(host: Host, status: Status) -> None:
    directory = f"/run/mlflow-{status()['active']}"
    for name in ("auth.ini", "pgpass"):
        file = host.file(f"{directory}/{name}")
        assert (file.user, file.mode) == ("mlflow", 0o400)
    assert host.run(f"runuser -u www-data -- cat {directory}/auth.ini").rc != 0
    assert host.run(f"runuser -u nobody -- ls {directory}").rc != 0
    assert host.run("runuser -u mlflow -- ls /var/lib/mlflow-switch").rc != 0


@pytest.mark.parametrize("victim", ["launcher", "server"])
def test_restarts_after_a_kill(host: Host, server: Server, unit: str, victim: str) -> None:
    """During the restart clients get 503 with Retry-After and try again."""
    main = host.check_output(f"systemctl show -P MainPID {unit}")
    target = main if victim == "launcher" else host.check_output(f"pgrep -P {main} -f uvicorn")
    host.check_output(f"kill -9 {target}")
    answers: list[int] = []
    deadline = time.monotonic() + 240
    while not answers or answers[-1] != 200 or set(answers) == {200}:
        answer = server.ask("GET", "/version", signed_in=True)
        answers.append(answer.status_code)
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "30"
            assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert time.monotonic() < deadline, answers
        time.sleep(0.1)
    assert set(answers) == {200, 503}
    assert host.run(READY).rc == 0
    assert host.check_output(f"systemctl show -P MainPID {unit}") != main
    assert len(host.check_output("pgrep -u mlflow -f /bin/python.*launch").split()) == 1, "an orphaned process exists"


def test_password_follows_the_credential(host: Host, server: Server, secrets: dict[str, str]) -> None:
    """A rotation needs only a new version of the secret and a reload."""
    old, new = secrets["mlflow.admin-password"], "another-Password-%:#"
    store = "/etc/credstore/mlflow.admin-password"
    try:
        host.check_output("printf %%s %s > " + store, new)
        host.check_output("systemctl reload mlflow")
        assert server.ask("GET", "/version", signed_in=True).status_code == 401
    finally:
        host.check_output("printf %%s %s > " + store, old)
        host.check_output("systemctl reload mlflow")
    assert server.ask("GET", "/version", signed_in=True).status_code == 200


def test_missing_credential_is_named(host: Host, unit: str) -> None:
    file = "/etc/credstore/mlflow.flask-secret-key"
    host.check_output(f"mv {file} /root/aside")
    try:
        failed = host.run("/usr/local/bin/mlflowctl cutover reload")
        assert failed.rc == 1
        assert "credential mlflow.flask-secret-key is missing" in failed.stderr
        assert host.run("/usr/local/bin/mlflowctl ready --timeout 0").rc == 0, "the old server still runs"
        host.check_output("systemctl restart mlflow")
        deadline = time.monotonic() + 240
        while "credential mlflow.flask-secret-key is missing" not in host.check_output(
            f"journalctl -u {unit} --no-pager -o cat -n 30"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        host.check_output(f"mv /root/aside {file}")
    assert host.run(READY).rc == 0, "the service must restart when the credential exists again"


def test_changes_of_an_interrupted_run_are_loaded(host: Host, status: Status) -> None:
    """side_effect.yml made the changes before it ran the roles again."""
    assert status()["wanted"]["unseen"] == []
    assert host.file("/opt/mlflow/slots/green/server.json").contains('"start_timeout": 300')
    assert host.check_output("find /etc/nginx/conf.d/mlflow.conf -newer /run/nginx-loaded") == ""


def test_release_records_its_lock(host: Host) -> None:
    release = host.check_output("readlink -f /opt/mlflow/current")
    assert release.startswith("/opt/mlflow/releases/3.17.2-")
    assert host.file(f"{release}/.complete").exists
    assert not host.file(f"{release}/interrupted").exists, (
        "the incomplete release of prepare.yml must be installed again"
    )
    listing = host.check_output(f"{release}/bin/python -m pip list --format json --disable-pip-version-check")
    installed = json.loads(listing)
    versions = {package["name"].lower(): package["version"] for package in installed}
    locked = host.file(f"{release}/requirements.txt").content_string
    assert f"mlflow=={versions['mlflow']} " in locked
    assert f"uvloop=={versions['uvloop']} " in locked


def test_recovers_from_a_power_failure(host: Host, server: Server) -> None:
    """The last test: no clean shutdown, the same disk, an empty memory."""
    run = {"experiment_id": "0", "run_name": "before the power cut"}
    created = server.ask("POST", "/api/2.0/mlflow/runs/create", signed_in=True, json=run).json()["run"]["info"]
    for command in ("kill", "start"):
        subprocess.run(["docker", command, MACHINE], check=True, capture_output=True)
    path = f"/api/2.0/mlflow/runs/get?run_id={created['run_id']}"
    answers: list[int] = []
    deadline = time.monotonic() + 240
    while not answers or answers[-1] != 200:
        with contextlib.suppress(OSError):
            status, body = ask_by_name(host, server, path)
            answers.append(status)
        assert time.monotonic() < deadline, f"{answers} {host.run('systemctl status mlflow nginx').stdout}"
        time.sleep(0.1)
    # nginx starts long before MLflow, and never returns 502.
    assert set(answers) == {200, 503}, answers
    assert json.loads(body)["run"]["info"]["run_name"] == "before the power cut"
    assert host.run(READY).rc == 0


def ask_by_name(host: Host, server: Server, path: str) -> tuple[int, bytes]:
    """Send a request by host name, because Docker may have given the VM another address."""
    addresses = host.run("hostname -I").stdout.split()
    if not addresses:
        raise OSError("not up yet")
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection("mlflow.test", context=context, timeout=60)
    raw = socket.create_connection((addresses[0], 443), timeout=60)
    connection.sock = context.wrap_socket(raw, server_hostname="mlflow.test")
    signed = requests.Request("GET", server.url, auth=("admin", server.password)).prepare()
    connection.request("GET", path, headers={"Authorization": signed.headers["Authorization"]})
    response = connection.getresponse()
    return response.status, response.read()
