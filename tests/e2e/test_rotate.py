# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rotate secrets while clients work: no request fails, and the old secrets are refused afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from cryptography import x509

from tests.e2e.deployment import BIN, REPO, Deployment
from tests.support.background import Target, background

USER, PASSWORD = "grace", "a-long-password-of-grace"
ANNOUNCED = "Update the clients now"
RINGS = ("mlflow-webhook-encryption-key", "mlflow-crypto-kek-passphrase")
SECRETS = ("mlflow-database-uri", "mlflow-admin-password", "mlflow-flask-secret-key", *RINGS, "mlflow-certificate")
WEBHOOKS = "/api/2.0/mlflow/webhooks"
# Run SQL as root with a URI from standard input, which no process list or environment shows.
SQL = """
import subprocess, sys
uri = sys.stdin.readline().strip().replace('postgresql+psycopg2', 'postgresql')
code = '''
import sys, psycopg2
try:
    cursor = psycopg2.connect(sys.stdin.readline().strip(), sslrootcert='/run/credstore/mlflow.database-ca').cursor()
    cursor.execute(sys.stdin.read())
    print(cursor.fetchall())
except psycopg2.OperationalError as error:
    print(error)
'''
done = subprocess.run(['/opt/mlflow/current/bin/python', '-c', code], input=uri + '\\n' + sys.stdin.read(), text=True)
"""


@dataclass
class Form:
    """MLflow's sign-up form as open in the administrator's browser: the cookie, and the token in the page."""

    site: Deployment
    browser: requests.Session = field(default_factory=requests.Session)
    token: str = ""

    def __post_init__(self) -> None:
        answer = self.ask("GET", "/signup")
        found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
        assert found, f"{answer.status_code}: {answer.text[-2000:]}"
        self.token = found[1]

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.browser.request(
            method, self.site.url + path, auth=self.site.admin, verify=str(self.site.ca), timeout=30, **options
        )

    def send(self, user: str, token: str) -> requests.Response:
        """Sign a user up."""
        return self.ask(
            "POST",
            "/api/2.0/mlflow/users/create-ui",
            data={"csrf_token": token, "username": user, "password": PASSWORD},
            # The server requires this header over TLS. A browser sends it.
            headers={"Referer": f"{self.site.url}/signup"},
        )


@dataclass
class Rotation:
    """A rotation and the results of the clients."""

    output: str
    before: dict[str, str]
    serial: int
    authority: bytes
    form: Form
    load: dict[str, Any] = field(default_factory=dict)
    admin: dict[str, Any] = field(default_factory=dict)


def play(
    site: Deployment, log: Path, *arguments: str, kill_at: str = "", settings: dict[str, Any] | None = None
) -> subprocess.Popen[bytes]:
    """Run the playbook with its output in a file. Kill it when the output contains `kill_at`."""
    given = site.settings | {"authentication_basic_password_overlap": 15} | (settings or {})
    command = [str(BIN / "ansible-playbook"), "playbooks/rotate.yml", "-e", json.dumps(given), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=REPO, env=site.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + 900
    while process.poll() is None:
        if time.monotonic() > deadline or (kill_at and kill_at in log.read_text()):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(0.1)
    return process


def rotate(site: Deployment, log: Path, *arguments: str, **options: Any) -> str:
    """Run the playbook and assert that it succeeds; return its output."""
    done = play(site, log, *arguments, **options)
    output = log.read_text()
    assert done.returncode == 0, output[-6000:]
    return output


def certificate(site: Deployment) -> x509.Certificate:
    """Return the certificate of the server, verified with the CA of the clients."""
    context = ssl.create_default_context(cafile=str(site.ca))
    with (
        socket.create_connection((site.address, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=site.address) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown)


def sql(site: Deployment, uri: str, query: str) -> str:
    """Return the output of PostgreSQL for the user of a URI, including errors."""
    machine = ["ssh", "-i", str(site.state / "ssh/id_ed25519"), "-o", "BatchMode=yes"]
    machine += ["-o", f"UserKnownHostsFile={site.state / 'ssh/known_hosts'}", f"deployer@{site.address}"]
    command = [*machine, f'sudo python3 -c "{SQL}"']
    return subprocess.run(command, input=f"{uri}\n{query}", capture_output=True, text=True, timeout=60).stdout


def status(site: Deployment, password: str) -> int:
    """Return the HTTP status of an administrator request with a password."""
    answer = requests.get(
        f"{site.url}/api/2.0/mlflow/users/get",
        params={"username": "admin"},
        auth=("admin", password),
        verify=str(site.ca),
        timeout=30,
    )
    return answer.status_code


def admin(site: Deployment, method: str, path: str, **options: Any) -> requests.Response:
    """Send a request as the administrator."""
    return requests.request(method, site.url + path, auth=site.admin, verify=str(site.ca), timeout=30, **options)


@contextlib.contextmanager
def clients(site: Deployment, results: dict[str, Any]) -> Iterator[None]:
    """Run clients of a separate user during the block. Two of them never retry a request."""
    target = Target(site.url, site.ca, PASSWORD, USER)
    with (
        background("load", target, 900) as load,
        background("probe", target, 900) as probe,
        background("upload", target, 900) as upload,
    ):
        time.sleep(3)
        yield
        time.sleep(3)
        results.update({"load": load.report(), "probe": probe.report(), "upload": upload.report()})
    print(json.dumps(results))


def assert_nothing_was_lost(results: dict[str, Any]) -> None:
    load, probe, upload = results["load"], results["probe"], results["upload"]
    assert (load["lost"], load["wrong"], load["twice"]) == (0, [], 0), load
    assert load["calls"] > 50
    assert probe["failed"] == 0, probe
    assert (upload["failed"], upload["wrong"]) == (0, []), upload
    assert upload["uploads"] > 3


@contextlib.contextmanager
def administrator(site: Deployment, log: Path, results: dict[str, Any]) -> Iterator[None]:
    """Run a client of the administrator, which switches to the new password when the rotation announces it."""
    stop = threading.Event()
    results.update({"before": 0, "after": 0, "failures": []})

    def work() -> None:
        client, changed = mlflow.MlflowClient(site.url), "before"
        while not stop.is_set():
            if changed == "before" and log.exists() and ANNOUNCED in log.read_text():
                os.environ["MLFLOW_TRACKING_PASSWORD"], changed = site.admin[1], "after"
            try:
                client.search_experiments(max_results=1)
            except Exception as error:
                results["failures"].append(f"{changed}: {error!r}"[:500])
            results[changed] += 1
            time.sleep(0.1)

    kept = {name: os.environ.get(name) for name in site.client_environment}
    os.environ.update(site.client_environment)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(scope="module")
def rotated(site: Deployment) -> Rotation:
    """Rotate all secrets while clients work."""
    made = requests.post(
        f"{site.url}/api/2.0/mlflow/users/create",
        json={"username": USER, "password": PASSWORD},
        auth=site.admin,
        verify=str(site.ca),
        timeout=30,
    )
    assert made.ok, made.text
    event = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
    body = {"name": "ci", "url": "https://1.1.1.1/", "events": [event], "secret": "s3cret", "status": "DISABLED"}
    made = admin(site, "POST", WEBHOOKS, json=body)
    assert made.ok, made.text
    log = site.artifacts / f"rotate-{int(time.time())}.log"
    rotation = Rotation(
        output="",
        before={name: site.secret(name) for name in SECRETS},
        serial=certificate(site).serial_number,
        authority=site.ca.read_bytes(),
        form=Form(site),
    )
    with clients(site, rotation.load), administrator(site, log, rotation.admin):
        rotation.output = rotate(site, log)
    return rotation


def test_no_request_failed(rotated: Rotation) -> None:
    print(rotated.admin)
    assert_nothing_was_lost(rotated.load)
    assert rotated.admin["failures"] == []
    assert rotated.admin["before"] > 20
    assert rotated.admin["after"] > 20


def test_the_old_database_password_is_refused(site: Deployment, rotated: Rotation) -> None:
    old, new = rotated.before["mlflow-database-uri"], site.secret("mlflow-database-uri")
    assert "password authentication failed" in sql(site, old, "select 1")
    owners = "select tableowner, count(*) from pg_tables where schemaname = 'public' group by 1"
    assert re.fullmatch(r"\[\('mlflow_owner', \d+\)\]\n", sql(site, new, owners))
    assert "[('mlflow_owner',)]" in sql(site, new, "select current_user")


def test_the_old_administrators_password_is_refused_by_every_process(site: Deployment, rotated: Rotation) -> None:
    old = rotated.before["mlflow-admin-password"]
    assert {status(site, site.admin[1]) for _ in range(10)} == {200}
    # The rate limit applies after some attempts.
    assert {status(site, old) for _ in range(20)} <= {401, 429}
    assert {status(site, site.admin[1]) for _ in range(5)} == {200}


def test_the_certificate_is_new_and_the_authority_is_not(site: Deployment, rotated: Rotation) -> None:
    assert certificate(site).serial_number != rotated.serial
    assert site.ca.read_bytes() == rotated.authority


def test_forms_are_signed_with_the_new_key(site: Deployment, rotated: Rotation) -> None:
    environment = site.ssh("sudo sh -c 'for p in $(pgrep -u mlflow); do cat /proc/$p/environ; done'").split("\0")
    keys = {line.partition("=")[2] for line in environment if line.startswith("MLFLOW_FLASK_SERVER_SECRET_KEY=")}
    assert keys == {site.secret("mlflow-flask-secret-key")}
    assert keys != {rotated.before["mlflow-flask-secret-key"]}


def test_cookies_and_tokens_of_the_old_key_are_refused(site: Deployment, rotated: Rotation) -> None:
    """The cookie of an open form and its token with a new cookie are refused. A new form works."""
    old, new = rotated.form, Form(site)
    for form, token in ((old, old.token), (old, new.token), (new, old.token)):
        answer = form.send("heidi", token)
        assert (answer.status_code, "CSRF" in answer.text) == (400, True), answer.text
    answer = new.send("heidi", new.token)
    assert (answer.status_code, "Successfully signed up user: heidi" in answer.text) == (200, True), answer.text


def test_stored_secrets_are_under_the_new_keys(site: Deployment, rotated: Rotation) -> None:
    """Every process can list a webhook with a secret, and no row needs a former key."""
    assert {admin(site, "GET", WEBHOOKS).status_code for _ in range(20)} == {200}
    found = json.loads(site.ssh("sudo mlflowctl run-job stored-secrets check"))
    assert found["webhooks"] == {"current": 1, "earlier": [], "unreadable": []}
    assert (found["gateway"]["earlier"], found["gateway"]["unreadable"]) == ([], [])
    environment = site.ssh("sudo sh -c 'for p in $(pgrep -u mlflow); do cat /proc/$p/environ; done'").split("\0")
    for ring, name in zip(RINGS, ("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE"), strict=True):
        key, former = site.secret(ring).splitlines()
        assert former == rotated.before[ring]
        assert {line for line in environment if line.startswith(name + "=")} == {f"{name}={key}"}


@pytest.mark.parametrize("name", SECRETS)
def test_only_the_newest_version_can_be_read(site: Deployment, rotated: Rotation, name: str) -> None:
    versions = site.call("GET", "secretmanager", f"v1/projects/{site.project}/secrets/{name}/versions")["versions"]
    assert [version["state"] for version in versions] == ["ENABLED"] + ["DISABLED"] * (len(versions) - 1)
    assert len(versions) > 1


def test_check_mode_reports_the_rotation_and_changes_nothing(
    site: Deployment, rotated: Rotation, tmp_path: Path
) -> None:
    before = {name: site.secret(name) for name in SECRETS}
    serves = before["mlflow-database-uri"].partition("://")[2].partition(":")[0]
    (other,) = {"mlflow", "mlflow_alternate"} - {serves}
    output = " ".join(rotate(site, tmp_path / "check.log", "--check", "--diff").split())
    assert f"new for {other}, which the server uses from the cutover on; {serves} then gets a random password" in output
    assert {name: site.secret(name) for name in SECRETS} == before
    assert status(site, before["mlflow-admin-password"]) == 200


def test_killed_and_run_again(site: Deployment, rotated: Rotation, tmp_path: Path) -> None:
    """The server always has a valid password, and the next run leaves one valid password."""
    what = {"rotate_what": ["database_password"], "rotate_old_versions": "destroyed"}
    old, results = site.secret("mlflow-database-uri"), dict[str, Any]()
    with clients(site, results):
        # At this time both users have passwords, the VM has the new one, and the server may use either.
        kill_at = "runtime_vm : Reload MLflow with the new credentials]"
        killed = play(site, tmp_path / "killed.log", kill_at=kill_at, settings=what)
        assert killed.returncode == -signal.SIGKILL
        middle = site.secret("mlflow-database-uri")
        rotate(site, tmp_path / "again.log", settings=what)
    assert_nothing_was_lost(results)
    new = site.secret("mlflow-database-uri")
    for uri in {old, middle} - {new}:
        assert "password authentication failed" in sql(site, uri, "select 1")
    assert sql(site, new, "select 1") == "[(1,)]\n"


def trusts(site: Deployment, authority: Path) -> bool:
    """Return whether a client with these CA certificates accepts the server."""
    try:
        return requests.get(f"{site.url}/health", verify=str(authority), timeout=30).ok
    except requests.exceptions.SSLError:
        return False


def test_another_authority_comes_before_its_certificate(site: Deployment, rotated: Rotation, tmp_path: Path) -> None:
    """Follow docs/operations/certificate-authority.md: clients get the new CA first."""
    old, both = tmp_path / "old.pem", tmp_path / "both.pem"
    old.write_bytes(site.ca.read_bytes())
    site.gcloud("secrets", "delete", "mlflow-ca")
    site.playbook("playbooks/provision.yml", "-e", "certificates_renew_days=398", log="authority")
    both.write_bytes(old.read_bytes() + site.ca.read_bytes())
    assert [trusts(site, authority) for authority in (old, both, site.ca)] == [True, True, False]
    site.playbook("playbooks/configure.yml", log="authority-shown")
    assert [trusts(site, authority) for authority in (old, both, site.ca)] == [False, True, True]


def test_no_secret_where_it_does_not_belong(site: Deployment, rotated: Rotation) -> None:
    values = [*rotated.before.values(), *(site.secret(name) for name in SECRETS)]
    lines = [line for value in values if "PRIVATE KEY" not in value for line in value.splitlines()]
    secrets = {line.partition("@")[0].rpartition(":")[2] for line in lines}
    keys = {value.partition("-----END")[0].splitlines()[1] for value in values if "PRIVATE KEY" in value}
    assert len(secrets) == 10
    assert len(keys) == 2
    places = {
        "ps": site.ssh("sudo ps auxww"),
        "systemctl show": site.ssh("sudo systemctl show '*'"),
        "journal": site.ssh("sudo journalctl --no-pager --output=cat"),
        "state directory": "".join(path.read_text() for path in site.state.rglob("*") if path.is_file()),
        **{path.name: path.read_text() for path in site.artifacts.glob("*.log")},
    }
    assert [place for place, text in places.items() for secret in secrets | keys if secret in text] == []
