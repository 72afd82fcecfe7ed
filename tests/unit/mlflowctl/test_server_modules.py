# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The package that runs in the server's processes: credential check, limit for wrong passwords, artifact store."""

from __future__ import annotations

import asyncio
import base64
import configparser
import logging
import threading
from typing import Any

import httpx
import pytest
from google.api_core import exceptions as google
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository
from mlflow_gcp_server import limit as limits
from mlflow_gcp_server.artifacts import CloudStorageArtifactRepository
from mlflow_gcp_server.check import CredentialCheck
from mlflow_gcp_server.credentials import MalformedError, parse_basic
from mlflow_gcp_server.limit import BURST, PENDING, SECONDS_FOR_A_TRY, Credential, SignInLimit, network
from mlflowctl.launch import SERVER_MODULES
from starlette.responses import PlainTextResponse

PASSWORD = "the-right-password"
ROUTE = "/api/2.0/mlflow/experiments/search"


class Server:
    """The credential check in front of an application that records its requests."""

    def __init__(self) -> None:
        self.clock, self.hashes, self.status = 1000.0, 0, 200
        self.passwords = {"admin": PASSWORD, "alice": "alice-s-password"}
        self.reached: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.broken: Exception | None = None
        self.app = CredentialCheck(
            self._mlflow,
            limit=SignInLimit(lambda: self.clock),
            authenticate=self._authenticate,
            is_public=lambda path: path.startswith(("/health", "/static")),
            job_token="token-of-a-job",
        )

    async def _mlflow(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])
        await PlainTextResponse("served", self.status)(scope, receive, send)

    def _authenticate(self, username: str, password: str) -> bool:
        self.hold.wait(10)
        if self.broken:
            raise self.broken
        self.hashes += 1
        return self.passwords.get(username) == password

    async def ask(self, *headers: tuple[str, str], path: str = ROUTE, address: str = "192.0.2.1") -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://mlflow.test") as client:
            return await client.get(path, headers=[(name.encode(), value.encode("latin-1")) for name, value in headers])

    def get(self, *headers: tuple[str, str], **where: str) -> httpx.Response:
        return asyncio.run(self.ask(*headers, **where))

    def sign_in(self, password: str, username: str = "admin", **where: str) -> httpx.Response:
        return self.get(basic(f"{username}:{password}"), **where)

    def guess(self, times: int, **where: str) -> list[int]:
        return [self.sign_in(f"guess-{number}", **where).status_code for number in range(times)]


def basic(text: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def server() -> Server:
    return Server()


# --- Malformed credentials


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer x",
        b"bearer",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic YQ",
        b"Basic " + base64.b64encode(b"no colon"),
        b"Basic " + base64.b64encode(b":no name"),
        b"Basic " + base64.b64encode(b"a\0b:c"),
        b"Basic " + base64.b64encode(b"a:b\nc"),
        b"Basic " + base64.b64encode(b"\xff\xfe:x"),
        b"Basic " + base64.b64encode(b"a:" + b"x" * 100_000),
        b"Basic YTpi YTpi",
        b"Digest username=a",
        b"\xff\xfe",
        b" ",
    ],
)
def test_a_malformed_credential_is_refused_before_mlflow(server: Server, header: bytes) -> None:
    """MLflow answers 500 to `Authorization: Bearer x`, and clients repeat such a request for minutes."""
    with pytest.raises(MalformedError):
        parse_basic(header)
    answer = server.get(("Authorization", header.decode("latin-1")))
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="mlflow"'
    assert (server.reached, server.hashes) == ([], 0)


def test_two_credentials_are_refused(server: Server) -> None:
    answer = server.get(basic(f"admin:{PASSWORD}"), basic(f"admin:{PASSWORD}"))
    assert (answer.status_code, server.reached) == (401, [])
    assert "2 times" in answer.json()["message"]


def test_no_credential(server: Server) -> None:
    assert server.get().json()["error_code"] == "UNAUTHENTICATED"
    assert server.get(path="/health").status_code == 200


@pytest.mark.parametrize("text", ["admin:x", "jürgen:pässwörd", "a:b:c", "robot:"])
def test_a_well_formed_credential_is_read(text: str) -> None:
    username, _, password = text.partition(":")
    assert parse_basic(basic(text)[1].encode()) == Credential(username, password)
    assert parse_basic(b"BASIC  " + base64.b64encode(text.encode())) == Credential(username, password)


def test_the_gateway_reads_a_separate_header(server: Server) -> None:
    """On these routes `Authorization` may hold the key of a model provider."""
    ours = ("X-MLflow-Authorization", basic(f"admin:{PASSWORD}")[1])
    theirs = ("Authorization", "Bearer sk-provider")
    assert server.get(ours, theirs, path="/gateway/chat/mlflow/invocations").status_code == 200
    assert server.get(theirs, path="/gateway/chat/mlflow/invocations").status_code == 401
    assert server.get(("X-MLflow-Authorization", ""), basic(f"admin:{PASSWORD}")).status_code == 200


def test_jobs_of_mlflow_are_accepted_on_the_gateway_only(server: Server) -> None:
    assert server.sign_in("token-of-a-job", path="/gateway/x").status_code == 200
    assert server.sign_in("token-of-a-job").status_code == 401


# --- Wrong passwords


def test_guessing_is_limited(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Each wrong password costs a password hash, so 20 guessing clients slow down all clients."""
    with caplog.at_level(logging.WARNING, "mlflow.gcp"):
        codes = server.guess(BURST + 5)
    assert codes == [401] * BURST + [429] * 5
    assert server.hashes == BURST
    assert "192.0.2.1" in caplog.text
    answer = server.sign_in("another")
    assert answer.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert answer.headers["Retry-After"] == "2"
    server.clock += SECONDS_FOR_A_TRY
    assert server.sign_in("yet another").status_code == 401
    assert server.reached == []


def test_known_clients_of_a_limited_address_are_not_limited(server: Server) -> None:
    assert server.sign_in(PASSWORD).status_code == 200
    server.guess(3 * BURST)
    assert [server.sign_in(PASSWORD).status_code for _ in range(50)] == [200] * 50
    # Other addresses are not limited.
    assert server.sign_in("alice-s-password", "alice", address="192.0.2.2").status_code == 200


def test_a_new_client_of_a_limited_address_is_accepted_at_its_second_attempt(server: Server) -> None:
    server.guess(3 * BURST)
    first = server.sign_in("alice-s-password", "alice")
    assert first.status_code == 429
    server.clock += int(first.headers["Retry-After"])
    server.guess(BURST)
    assert server.sign_in("alice-s-password", "alice").status_code == 200
    assert server.sign_in("alice-s-password", "alice").status_code == 200


def test_many_users_of_one_address_authenticate_at_once(server: Server) -> None:
    """After a start no credential is known, and the users of an office may share one address."""
    server.passwords.update({f"user-{number}": "p" for number in range(PENDING)})

    async def together() -> list[httpx.Response]:
        return await asyncio.gather(*(server.ask(basic(f"user-{number}:p")) for number in range(PENDING)))

    assert {answer.status_code for answer in asyncio.run(together())} == {200}


def test_concurrent_guesses_use_up_later_attempts(server: Server) -> None:
    async def together() -> list[httpx.Response]:
        return await asyncio.gather(*(server.ask(basic(f"admin:guess-{number}")) for number in range(500)))

    answers = asyncio.run(together())
    assert server.hashes <= PENDING
    assert {answer.status_code for answer in answers} == {401, 429}
    server.clock += SECONDS_FOR_A_TRY * (PENDING - BURST)
    assert server.sign_in("guess").status_code == 429
    server.clock += SECONDS_FOR_A_TRY
    assert server.sign_in("another guess").status_code == 401


def test_concurrent_requests_of_one_client_share_one_check(server: Server) -> None:
    """After a start no credential is known, and a client with many threads is no attack."""

    async def together() -> list[httpx.Response]:
        server.hold.clear()
        asked = [asyncio.ensure_future(server.ask(basic(f"admin:{PASSWORD}"))) for _ in range(3 * BURST)]
        await asyncio.sleep(0.1)
        server.hold.set()
        return await asyncio.gather(*asked)

    assert {answer.status_code for answer in asyncio.run(together())} == {200}
    assert server.hashes == 1


def test_a_changed_password_is_limited_again(server: Server) -> None:
    assert server.sign_in(PASSWORD).status_code == 200
    server.guess(BURST)
    server.status = 401
    assert server.sign_in(PASSWORD).text == "served"
    assert server.sign_in(PASSWORD).status_code == 429


def test_mlflow_reports_an_unreachable_database(server: Server) -> None:
    server.broken, server.status = MlflowException("the database does not answer"), 503
    assert server.sign_in(PASSWORD).status_code == 503
    server.broken, server.status = None, 200
    assert server.sign_in(PASSWORD).status_code == 200


def test_ipv6_addresses_are_limited_by_network() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff") == "2001:db8::/64"
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("") == ""


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10)
    limit = SignInLimit(lambda: 0.0)
    for number in range(1000):
        limit.admit(f"192.0.2.{number}", Credential("a", str(number)))
        limit.finished(f"192.0.2.{number}", Credential("a", str(number)), right=True)
    assert limit.knows(Credential("a", "999"))
    assert not limit.knows(Credential("a", "1"))


# --- Artifacts


@pytest.fixture
def repository() -> CloudStorageArtifactRepository:
    return CloudStorageArtifactRepository("gs://my-bucket/0", client=object())


def failing(monkeypatch: pytest.MonkeyPatch, method: str, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(GCSArtifactRepository, method, fail)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (google.NotFound("No such object"), 404, ["nope.txt", "my-bucket", "No such object"]),
        (google.Forbidden("denied"), 403, ["storage.objects.get", "my-bucket", "denied"]),
        (google.ServiceUnavailable("down"), 503, ["my-bucket", "down"]),
        (ConnectionError("no route"), None, []),
    ],
)
def test_errors_of_a_download_name_the_cause(
    repository: CloudStorageArtifactRepository,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    error: Exception,
    status: int | None,
    words: list[str],
) -> None:
    """Clients repeat a request for minutes after a 500."""
    failing(monkeypatch, "_download_file", error)
    monkeypatch.setattr(GCSArtifactRepository, "list_artifacts", lambda *_: [])
    with pytest.raises(MlflowException) as raised:
        repository.download_artifacts("run/nope.txt", str(tmp_path))
    assert raised.value.get_http_status_code() == (status or 500)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("method", "arguments", "permission"),
    [
        ("log_artifact", ("/tmp/model.bin", "run"), "storage.objects.create"),
        ("log_artifacts", ("/tmp", "run"), "storage.objects.create"),
        ("list_artifacts", ("run",), "storage.objects.list"),
    ],
)
def test_a_missing_permission_is_named(
    repository: CloudStorageArtifactRepository,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    arguments: tuple[str, ...],
    permission: str,
) -> None:
    failing(monkeypatch, method, google.Forbidden("denied"))
    with pytest.raises(MlflowException, match=permission) as raised:
        getattr(repository, method)(*arguments)
    assert raised.value.get_http_status_code() == 403
    assert "my-bucket" in str(raised.value)


def test_a_missing_permission_to_delete_is_named(
    repository: CloudStorageArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "_get_bucket", google.Forbidden("denied"))
    with pytest.raises(MlflowException, match=r"storage\.objects\.delete on bucket my-bucket"):
        repository.delete_artifacts("run")


# --- Installation


def test_the_entry_points_lead_to_the_package() -> None:
    parser = configparser.ConfigParser()
    parser.read(SERVER_MODULES / "mlflow_gcp_server.dist-info" / "entry_points.txt")
    modules = {value.split(":")[0] for section in parser.sections() for value in parser[section].values()}
    assert all((SERVER_MODULES / (module.replace(".", "/") + ".py")).is_file() for module in modules)
    assert parser["mlflow.app"]["basic-auth"] == "mlflow_gcp_server.app:create_app"
