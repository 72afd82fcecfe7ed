# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor as a client: the result of each check for success, warning and failure."""

from __future__ import annotations

import email.utils
import json
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _doctor_front as doctor
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor_rows import UnexaminedError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.strict_tls import certificates, extended, handshake

NOW = 1_800_000_000.0
URL = "https://mlflow.example.com"
SEARCH = f"{URL}/api/2.0/mlflow/experiments/search"
PASSWORD = "the-password-of-the-test"


def front(**changes: Any) -> doctor.Front:
    values: dict[str, Any] = {
        "host": "mlflow.example.com",
        "address": "198.51.100.7",
        "authority": "",
        "username": "admin",
        "password": PASSWORD,
        "now": lambda: NOW,
    }
    return doctor.Front(**(values | changes))


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


# Name and address


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_address_answers(listener: int) -> None:
    row = doctor.address(front(host="", address="127.0.0.1", port=listener))
    assert row.state == "ok"
    assert re.fullmatch(rf"127\.0\.0\.1, answers on port {listener} in \d+ ms", row.value)


def test_a_name_that_resolves_to_the_address(listener: int) -> None:
    row = doctor.address(front(host="localhost", address="127.0.0.1", port=listener))
    assert (row.state, row.value.split(",")[0]) == ("ok", "localhost is 127.0.0.1")


def test_the_static_address_may_be_unknown_to_us(listener: int) -> None:
    row = doctor.address(front(host="localhost", address=UnexaminedError("HTTP 403"), port=listener))
    assert row.state == "warn"
    assert "HTTP 403" in row.value


def test_a_name_that_resolves_to_another_address(listener: int) -> None:
    row = doctor.address(front(host="localhost", port=listener))
    assert row.state == "fail"
    assert row.remedy == "point the DNS record of localhost at 198.51.100.7"


def test_a_name_without_an_address() -> None:
    row = doctor.address(front(host="mlflow.invalid"))
    assert row.state == "fail"
    assert row.remedy == "point its DNS record at 198.51.100.7"


def test_the_port_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    row = doctor.address(front(host="", address="127.0.0.1", port=port))
    assert row.state == "fail"
    assert "infrastructure_client_source_ranges" in row.remedy


def test_neither_name_nor_address() -> None:
    with pytest.raises(UnexaminedError, match="the static address is not known: no such project"):
        doctor.address(front(host="", address=UnexaminedError("no such project")))


# Certificates


class Authority:
    """A certificate authority in a directory, and TLS servers with its certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The test's authority")])
        self.path = folder / "ca.pem"

    def build(
        self, days: float, *, ca: bool, name: str = "127.0.0.1", identifiers: bool = True
    ) -> tuple[x509.Certificate, Any]:
        key = self.key if ca else ec.generate_private_key(ec.SECP256R1())
        subject = self.name if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        end = datetime.now(UTC) + timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(end, datetime.now(UTC)) - timedelta(days=1000))
            .not_valid_after(end)
        )
        if identifiers:
            builder = extended(builder, key, self.key, ca=ca)
        else:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256()), key

    def save(self, days: float = 3000, *, identifiers: bool = True) -> Path:
        certificate, _ = self.build(days, ca=True, identifiers=identifiers)
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return self.path

    def chain(self, days: float, name: str = "127.0.0.1", *, identifiers: bool = True) -> Path:
        certificate, key = self.build(days, ca=False, name=name, identifiers=identifiers)
        path = self.folder / "server.pem"
        pem = serialization.Encoding.PEM
        plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(plain + certificate.public_bytes(pem))
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.save()
    return made


@pytest.fixture
def shown(authority: Authority) -> Iterator[Callable[..., doctor.Front]]:
    """Yield a function that starts a server whose certificate is valid for this number of days."""
    listeners: list[socket.socket] = []

    def serve(days: float, name: str = "127.0.0.1", *, identifiers: bool = True) -> doctor.Front:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.chain(days, name, identifiers=identifiers))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        address, now = "127.0.0.1", datetime.now(UTC).timestamp()
        port = listener.getsockname()[1]
        return front(host="", address=address, authority=str(authority.path), port=port, now=lambda: now)

    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(("days", "state"), [(100, "ok"), (20, "warn"), (3, "fail")])
def test_certificate_by_its_days(shown: Callable[..., doctor.Front], days: int, state: str) -> None:
    row = doctor.certificate(shown(days + 0.5), 30, 7)
    assert (row.state, row.value.split(" (")[0]) == (state, f"trusted, {days} days left")
    assert ("infrastructure_certificate_renew_days=30" in row.remedy) == (state != "ok")


def test_the_certificates_of_these_tests_pass_strict_verification(authority: Authority) -> None:
    chain = authority.chain(100).read_text()
    handshake(certificates(chain), chain, authority.path.read_text(), "127.0.0.1")


def test_certificate_that_strict_clients_refuse(shown: Callable[..., doctor.Front]) -> None:
    """With an older Python the doctor accepted a certificate that clients with Python 3.13 refuse."""
    row = doctor.certificate(shown(100.5, identifiers=False), 30, 7)
    assert row.state == "warn"
    assert row.value.startswith("trusted, 100 days left")
    assert "clients with Python 3.13 refuse it: Missing Authority Key Identifier" in row.value
    assert "site.yml" in row.remedy
    assert doctor.certificate(shown(3, identifiers=False), 30, 7).state == "fail"


def test_authority_that_strict_clients_refuse(authority: Authority) -> None:
    row = doctor.authority(str(authority.save(identifiers=False)), True, datetime.now(UTC).timestamp(), 180, 30)
    assert (row.state, row.value.rpartition("; ")[2]) == (
        "warn",
        "clients with Python 3.13 refuse it: it lacks Key Usage keyCertSign, a Subject Key Identifier",
    )
    assert "A new authority" in row.remedy


def test_certificate_that_is_over(shown: Callable[..., doctor.Front]) -> None:
    row = doctor.certificate(shown(-2.5), 30, 7)
    assert row.state == "fail"
    assert "clients refuse it: certificate has expired (CN=127.0.0.1, -3 days left" in row.value
    assert "site.yml" in row.remedy


def test_certificate_of_another_authority(shown: Callable[..., doctor.Front], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    reached = shown(100)
    reached.authority = str(other.save())
    row = doctor.certificate(reached, 30, 7)
    assert row.state == "fail"
    assert "clients refuse it" in row.value


def test_a_given_certificate_is_checked_against_the_cas_of_the_host(
    shown: Callable[..., doctor.Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificate and requests use the same CAs: those of the host, or the CA of the deployment if it has one."""
    reached = shown(100)
    authority, reached.authority = reached.authority, ""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    row = doctor.certificate(reached, 30, 7)
    assert row.state == "fail"
    assert "clients refuse it" in row.value
    assert "REQUESTS_CA_BUNDLE" in row.remedy
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority)
    assert doctor.certificate(reached, 30, 7).state == "ok"
    assert front().session.verify == authority
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    assert doctor.certificate(reached, 30, 7).value.startswith("/none.pem cannot be read")
    reached.authority = authority
    assert doctor.certificate(reached, 30, 7).state == "ok"
    assert front(authority=authority).session.verify == authority


def test_certificate_for_another_address(shown: Callable[..., doctor.Front]) -> None:
    row = doctor.certificate(shown(100, "127.0.0.9"), 30, 7)
    assert row.state == "fail"
    assert "IP address mismatch" in row.value


def test_certificate_of_a_server_that_is_gone(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(UnexaminedError, match="no TLS connection"):
        doctor.certificate(front(host="127.0.0.1", authority=str(authority.path), port=port), 30, 7)


def test_without_the_authority_s_file(tmp_path: Path) -> None:
    path = str(tmp_path / "none.pem")
    assert doctor.certificate(front(authority=path), 30, 7).state == "fail"
    row = doctor.authority(path, True, NOW, 180, 30)
    assert (row.state, "site.yml" in row.remedy) == ("fail", True)


@pytest.mark.parametrize(("days", "state"), [(3000, "ok"), (100, "warn"), (10, "fail")])
def test_authority_by_its_days(authority: Authority, days: int, state: str) -> None:
    path = str(authority.save(days + 0.5))
    row = doctor.authority(path, True, datetime.now(UTC).timestamp(), 180, 30)
    assert (row.state, row.value.split(" (")[0]) == (state, f"{days} days left")


def test_the_way_to_another_authority_is_written_down(authority: Authority) -> None:
    row = doctor.authority(str(authority.save(10.5)), True, datetime.now(UTC).timestamp(), 180, 30)
    page, section = row.remedy.rpartition(": ")[2].split(", ")
    assert f"# {section}\n" in (Path(__file__).parents[3] / page).read_text(encoding="utf-8")


def test_no_authority_of_our_own() -> None:
    assert doctor.authority("", False, NOW, 180, 30).state == "ok"


# Authentication


def signs_in(server: responses.RequestsMock, without: int, with_it: int, **options: Any) -> None:
    server.post(SEARCH, status=without, json={})

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert str(request.headers["Authorization"]).startswith("Basic ")
        return with_it, options.get("headers", {}), options.get("body", "{}")

    if with_it:
        server.add_callback("POST", SEARCH, callback=answer)


def test_sign_in(server: responses.RequestsMock) -> None:
    signs_in(server, 401, 200)
    row = doctor.sign_in(front())
    assert (row.state, row.value) == ("ok", "401 without a password, 200 as admin")


def test_a_server_without_authentication_fails(server: responses.RequestsMock) -> None:
    signs_in(server, 200, 0)
    row = doctor.sign_in(front())
    assert (row.state, row.value) == ("fail", "anybody gets in: HTTP 200 without a password")
    assert "infrastructure_client_source_ranges" in row.remedy


@pytest.mark.parametrize(("without", "with_it"), [(302, 0), (401, 302)])
def test_a_redirect_is_no_answer(server: responses.RequestsMock, without: int, with_it: int) -> None:
    signs_in(server, without, with_it)
    with pytest.raises(UnexaminedError, match=": HTTP 302"):
        doctor.sign_in(front())


def test_the_administrator_is_refused(server: responses.RequestsMock) -> None:
    signs_in(server, 401, 401)
    with pytest.raises(UnexaminedError, match="as admin: HTTP 401") as error:
        doctor.sign_in(front())
    assert "configure.yml" in error.value.remedy


def test_the_server_is_held(server: responses.RequestsMock) -> None:
    server.post(SEARCH, status=503, json={"error_code": "TEMPORARILY_UNAVAILABLE"}, headers={"Retry-After": "15"})
    with pytest.raises(UnexaminedError, match="HTTP 503") as error:
        doctor.sign_in(front())
    assert "held" in error.value.remedy


def test_the_server_is_gone(server: responses.RequestsMock) -> None:
    server.post(SEARCH, body=requests.ConnectionError("refused"))
    with pytest.raises(UnexaminedError, match="ConnectionError: refused"):
        doctor.sign_in(front())


def test_the_password_is_not_known(server: responses.RequestsMock) -> None:
    server.post(SEARCH, status=401)
    with pytest.raises(UnexaminedError, match=r"password cannot be read: HTTP 403$"):
        doctor.sign_in(front(password=UnexaminedError("HTTP 403")))


# Clock


def dated(server: responses.RequestsMock, ahead: float) -> None:
    server.get(f"{URL}/health", headers={"Date": email.utils.formatdate(NOW + ahead, usegmt=True)})


@pytest.mark.parametrize(
    ("server_ahead", "machine_ahead", "synchronized", "state", "value"),
    [
        (0, 0.0, True, "ok", "server +0 s, machine +0 s, synchronised"),
        (-1, 0.0, None, "ok", "server +0 s, machine +0 s"),
        (4, 0.0, True, "ok", "server +4 s, machine +0 s, synchronised"),
        (20, 0.0, True, "warn", "server +20 s, machine +0 s, synchronised"),
        (0, -20.0, True, "warn", "server +0 s, machine -20 s, synchronised"),
        (-3601, -3600.0, True, "fail", "server -3600 s, machine -3600 s, synchronised"),
        (0, 0.0, False, "warn", "server +0 s, machine +0 s, machine is not synchronised"),
        (0, None, None, "warn", "server +0 s, machine's not known"),
    ],
)
def test_clock(
    server: responses.RequestsMock,
    server_ahead: float,
    machine_ahead: float | None,
    synchronized: bool | None,
    state: str,
    value: str,
) -> None:
    dated(server, server_ahead)
    row = doctor.clock(front(), machine_ahead, synchronized, 5, 60)
    assert (row.state, row.value) == (state, value)
    assert bool(row.remedy) == (state != "ok")


def test_clock_of_the_machine_alone(server: responses.RequestsMock) -> None:
    server.get(f"{URL}/health", body=requests.ConnectionError("refused"))
    row = doctor.clock(front(), 0.0, True, 5, 60)
    assert row.state == "warn"
    assert "refused" in row.value


def test_no_clock_at_all(server: responses.RequestsMock) -> None:
    server.get(f"{URL}/health", body=requests.ConnectionError("refused"))
    with pytest.raises(UnexaminedError, match="refused"):
        doctor.clock(front(), None, None, 5, 60)


# A run and an artifact


def nothing(artifact_uri: str) -> None:
    """Delete nothing, because there is no bucket."""


class Mlflow:
    """MLflow's responses to the doctor. Tests can read the stored objects."""

    def __init__(self, server: responses.RequestsMock) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.location = "mlflow-artifacts:/0"
        self.experiments = ["0"]
        self.broken = ""
        server.assert_all_requests_are_fired = False
        server.add_callback("POST", re.compile(f"{URL}/api/2.0/mlflow/.*"), callback=self.answer)
        server.add_callback("GET", re.compile(f"{URL}/api/2.0/mlflow/runs/get.*"), callback=self.answer)
        for method in ("PUT", "GET", "DELETE"):
            server.add_callback(method, re.compile(f"{URL}/api/2.0/mlflow-artifacts/.*"), callback=self.store)

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert request.headers["Authorization"]
        path = str(request.path_url).removeprefix("/api/2.0/mlflow/").partition("?")[0]
        if path == self.broken:
            return 500, {}, '{"error_code": "INTERNAL_ERROR"}'
        body = json.loads(request.body) if request.body else {}
        return 200, {}, json.dumps(getattr(self, path.replace("/", "_").replace("-", "_"))(body))

    def add(self, run_id: str, start: float) -> dict[str, Any]:
        info = {
            "run_id": run_id,
            "start_time": int(start * 1000),
            "artifact_uri": f"{self.location}/{run_id}/artifacts",
        }
        self.runs[run_id] = {"info": info, "data": {}}
        return self.runs[run_id]

    def experiments_search(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["order_by"] == ["experiment_id ASC"]
        found = [{"experiment_id": each, "artifact_location": self.location} for each in self.experiments]
        return {"experiments": found} if found else {}

    def runs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["experiment_id"] == self.experiments[0]
        assert [tag["key"] for tag in body["tags"]] == [doctor.MARK]
        return {"run": self.add("abc", body["start_time"] / 1000)}

    def runs_search(self, body: dict[str, Any]) -> dict[str, Any]:
        assert doctor.MARK in body["filter"]
        assert body["experiment_ids"] == self.experiments[:1]
        return {"runs": list(self.runs.values())} if self.runs else {}

    def runs_log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        self.runs[body["run_id"]]["data"] = {"metrics": body["metrics"], "params": body["params"]}
        return {}

    def runs_get(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"run": self.runs["abc"]}

    def runs_delete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.deleted.append(body["run_id"])
        del self.runs[body["run_id"]]
        return {}

    def store(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        path = str(request.path_url).removeprefix("/api/2.0/mlflow-artifacts/artifacts/")
        if request.method == self.broken:
            return 500, {}, b"no room"
        if request.method == "PUT":
            # The library has read the body already. The request had a length, so the upload was not chunked.
            assert isinstance(request.body, bytes)
            assert int(request.headers["Content-Length"]) == len(request.body)
            self.artifacts[path] = request.body
        if request.method == "DELETE":
            del self.artifacts[path]
            return 204, {}, b""
        content = self.artifacts[path]
        return 200, {}, content[:-1] + b"?" if self.broken == "bytes" else content


@pytest.fixture
def mlflow(server: responses.RequestsMock) -> Mlflow:
    return Mlflow(server)


def test_a_run_is_logged_read_back_and_deleted(mlflow: Mlflow) -> None:
    mlflow.add("of-a-killed-doctor", NOW - 7200)
    mlflow.add("of-another-doctor", NOW - 60)
    asked, forgotten = front(), []
    with doctor.marked_run(asked, forgotten.append) as traces:
        row = doctor.run(asked, traces)
    assert row.state == "ok"
    assert mlflow.deleted == ["of-a-killed-doctor", "abc"]
    assert forgotten == [f"mlflow-artifacts:/0/{run_id}/artifacts" for run_id in mlflow.deleted]
    assert set(mlflow.runs) == {"of-another-doctor"}


def test_the_default_experiment_may_be_deleted(mlflow: Mlflow) -> None:
    mlflow.experiments = ["7", "8"]
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        assert doctor.run(asked, traces).state == "ok"


def test_there_may_be_no_experiment(mlflow: Mlflow) -> None:
    mlflow.experiments = []
    with pytest.raises(UnexaminedError, match="no active experiment") as error, doctor.marked_run(front(), nothing):
        pass
    assert "mlflow experiments create" in error.value.remedy


def test_an_experiment_whose_artifacts_go_through_the_server_comes_first(server: responses.RequestsMock) -> None:
    places = {"0": "gs://elsewhere/0", "3": "mlflow-artifacts:/3", "4": "mlflow-artifacts:/4"}
    found = [{"experiment_id": name, "artifact_location": place} for name, place in places.items()]
    server.post(SEARCH, json={"experiments": found})
    assert doctor.experiment(front()) == "3"


def test_a_run_that_is_not_read_back(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlflow, "runs_log_batch", lambda *_: {})
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.run(asked, traces)
    assert (row.state, row.value) == ("fail", "what was read back is not what was logged")
    assert mlflow.runs == {}


def test_a_run_that_the_search_does_not_find(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlflow, "runs_search", lambda *_: {})
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.run(asked, traces)
    assert (row.state, row.value) == ("fail", "logged, and the search does not find it")


def test_a_run_is_deleted_when_logging_fails(mlflow: Mlflow) -> None:
    mlflow.broken = "runs/log-batch"
    asked = front()
    with pytest.raises(UnexaminedError, match="runs/log-batch: HTTP 500"), doctor.marked_run(asked, nothing) as traces:
        doctor.run(asked, traces)
    assert mlflow.runs == {}


def test_an_artifact_comes_back_and_goes(mlflow: Mlflow) -> None:
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.artifact(asked, traces, 3)
    assert row.state == "ok"
    assert re.fullmatch(r"3 MB, content equal, \d+ MB/s up, \d+ MB/s down", row.value)
    assert mlflow.artifacts == {}


def test_an_artifact_that_comes_back_different(mlflow: Mlflow) -> None:
    mlflow.broken = "bytes"
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.artifact(asked, traces, 1)
    assert row.state == "fail"
    assert "different" in row.value
    assert mlflow.artifacts == {}


def test_an_artifact_that_is_not_taken(mlflow: Mlflow) -> None:
    mlflow.broken = "PUT"
    asked = front()
    with (
        pytest.raises(UnexaminedError, match="upload of 1 MB: HTTP 500: no room"),
        doctor.marked_run(asked, nothing) as traces,
    ):
        doctor.artifact(asked, traces, 1)
    assert mlflow.runs == {}


def test_an_artifact_that_stays(mlflow: Mlflow) -> None:
    mlflow.broken = "DELETE"
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.artifact(asked, traces, 1)
    assert row.state == "warn"
    assert "could not be deleted" in row.value


def test_artifacts_that_do_not_go_through_the_server(mlflow: Mlflow) -> None:
    mlflow.location = "gs://elsewhere/0"
    asked = front()
    with doctor.marked_run(asked, nothing) as traces:
        row = doctor.artifact(asked, traces, 1)
    assert row.state == "warn"
    assert "gs://elsewhere/0" in row.value
    assert mlflow.artifacts == {}


def test_noise_has_its_length_and_is_reproducible() -> None:
    seed = os.urandom(doctor.BLOCK)
    noise, again = (doctor.Noise(2_500_001, seed) for _copy in range(2))
    data = b"".join(iter(lambda: noise.read(100_003), b""))
    assert len(data) == len(noise) == 2_500_001
    assert data == again.read()
    assert data[:1000] != data[1 << 20 : (1 << 20) + 1000]


def test_a_small_read_of_noise_is_cheap() -> None:
    """http.client reads 16 KiB at a time. When each read copied a block of 1 MiB, the upload was limited to 11 MB/s."""
    noise = doctor.Noise(100_000_000, os.urandom(doctor.BLOCK))
    begin = time.process_time()
    while noise.read(16_384):
        pass
    assert time.process_time() - begin < 1.0  # 8 s with the copies
