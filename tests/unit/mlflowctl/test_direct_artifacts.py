# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Direct transfers with scripted responses of Cloud Storage and of the IAM Credentials API."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import mlflow.store.artifact.artifact_repository_registry as registry
import pytest
import requests
import responses
from google.auth.credentials import AnonymousCredentials, Signing
from google.cloud import storage
from mlflow.entities.multipart_upload import MultipartUploadPart
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import MultipartDownloadMixin
from mlflow_gcp_server import direct_artifacts, signing
from mlflow_gcp_server.artifacts import CloudStorageArtifactRepository
from mlflow_gcp_server.direct_artifacts import DirectArtifactRepository
from mlflow_gcp_server.settings import DirectTransfers
from mlflow_gcp_server.signing import KeylessCredentials, SigningError, UrlSigner

EMAIL = "vm@my-project.iam.gserviceaccount.com"
FOLDER = "0/run/artifacts"
OBJECT = f"https://storage.googleapis.com/my-bucket/{FOLDER}/big.bin"
METADATA = "https://storage.googleapis.com/storage/v1/b/my-bucket/o/0%2Frun%2Fartifacts%2Fbig.bin"
SIGN = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{EMAIL}:signBlob"
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
BEGUN = f"<InitiateMultipartUploadResult {NAMESPACE}><UploadId>ID</UploadId></InitiateMultipartUploadResult>"
UNSUPPORTED = "Multipart upload is not supported for the current artifact repository"


class Account(Signing):  # type: ignore[misc]
    """A service account whose signature is the signed text. It can be made to fail."""

    signer_email = EMAIL

    def __init__(self) -> None:
        self.signed: list[str] = []
        self.broken = False

    @property
    def signer(self) -> Any:
        return self

    def sign_bytes(self, message: bytes) -> bytes:
        if self.broken:
            raise SigningError("Forbidden: iam.serviceAccounts.signBlob")
        self.signed.append(message.decode())
        return b"signature"


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def script() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository(account: Account, clock: Clock) -> DirectArtifactRepository:
    state = direct_artifacts._State("gs://my-bucket", DirectTransfers(1000, 900), UrlSigner(account, clock))
    client = storage.Client(project="my-project", credentials=AnonymousCredentials())
    return DirectArtifactRepository("gs://my-bucket", state=state, client=client)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def stored(script: responses.RequestsMock, size: int, **more: str) -> None:
    body = {"name": f"{FOLDER}/big.bin", "size": str(size), "generation": "7", **more}
    script.get(METADATA, json=body)


# --- Uploads


@pytest.mark.parametrize(("parts", "seconds"), [(1, 960), (500, 30_900), (10_000, 43_200)])
def test_each_part_has_a_url(
    repository: DirectArtifactRepository, account: Account, script: responses.RequestsMock, parts: int, seconds: int
) -> None:
    """The last part of a slow client starts late, and the client cannot renew a URL."""
    script.post(f"{OBJECT}?uploads", body=BEGUN, match=[responses.matchers.query_string_matcher("uploads")])
    created = repository.create_multipart_upload("big.bin", parts, FOLDER)
    assert created.upload_id == "ID"
    assert [credential.part_number for credential in created.credentials] == list(range(1, parts + 1))
    assert [credential.headers for credential in created.credentials] == [{}] * parts
    for credential in (created.credentials[0], created.credentials[-1]):
        assert credential.url.startswith(f"{OBJECT}?")
        sent = query(credential.url)
        assert (sent["uploadId"], sent["partNumber"]) == ("ID", str(credential.part_number))
        assert (sent["X-Goog-Expires"], sent["X-Goog-Signature"]) == (str(seconds), b"signature".hex())
        assert sent["X-Goog-Credential"].startswith(f"{EMAIL}/")
    assert len(account.signed) == parts


def test_a_name_with_other_characters_is_the_name_of_the_object(
    repository: DirectArtifactRepository, script: responses.RequestsMock
) -> None:
    """MLflow does not quote the name, so a question mark would begin the query."""
    url = f"https://storage.googleapis.com/my-bucket/{FOLDER}/a%3Fb%20%25%23.bin"
    script.post(f"{url}?uploads", body=BEGUN)
    created = repository.create_multipart_upload("a?b %#.bin", 1, FOLDER)
    assert script.calls[0].request.url == f"{url}?uploads"
    assert created.credentials[0].url.startswith(f"{url}?")


def test_an_upload_is_completed(repository: DirectArtifactRepository, script: responses.RequestsMock) -> None:
    script.post(f"{OBJECT}?uploadId=ID", body=f"<CompleteMultipartUploadResult {NAMESPACE}/>")
    parts = [MultipartUploadPart(1, '"e1"', "https://signed"), MultipartUploadPart(2, '"e2"', "https://signed")]
    repository.complete_multipart_upload("big.bin", "ID", parts, FOLDER)
    assert script.calls[0].request.body == (
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e1"</ETag></Part>'
        b'<Part><PartNumber>2</PartNumber><ETag>"e2"</ETag></Part></CompleteMultipartUpload>'
    )


def test_an_upload_is_aborted(repository: DirectArtifactRepository, script: responses.RequestsMock) -> None:
    script.get(
        f"{OBJECT}?uploadId=ID%26versionId%3D1", body=f"<ListPartsResult {NAMESPACE}><Part></Part></ListPartsResult>"
    )
    script.delete(f"{OBJECT}?uploadId=ID%26versionId%3D1", status=204)
    repository.abort_multipart_upload("big.bin", "ID&versionId=1", FOLDER)
    assert {urlsplit(call.request.url).query for call in script.calls} == {"uploadId=ID%26versionId%3D1"}


def test_a_client_that_cannot_reach_the_bucket_is_told_what_to_set(
    repository: DirectArtifactRepository, script: responses.RequestsMock
) -> None:
    """MLflow's client aborts the upload after a failed part, and shows this error."""
    script.get(f"{OBJECT}?uploadId=ID", body=f"<ListPartsResult {NAMESPACE}></ListPartsResult>")
    script.delete(f"{OBJECT}?uploadId=ID", status=204)
    with pytest.raises(MlflowException, match="mlflow_direct_transfers: false") as raised:
        repository.abort_multipart_upload("big.bin", "ID", FOLDER)
    assert raised.value.get_http_status_code() == 400


def test_an_abort_of_a_missing_upload(repository: DirectArtifactRepository, script: responses.RequestsMock) -> None:
    script.get(f"{OBJECT}?uploadId=ID", status=404, body="<Error><Code>NoSuchUpload</Code></Error>")
    with pytest.raises(MlflowException, match="NoSuchUpload") as raised:
        repository.abort_multipart_upload("big.bin", "ID", FOLDER)
    assert raised.value.get_http_status_code() == 404


@pytest.mark.parametrize("method", ["abort_multipart_upload", "complete_multipart_upload"])
def test_an_empty_id_changes_nothing(
    repository: DirectArtifactRepository, script: responses.RequestsMock, method: str
) -> None:
    """Without an ID, the request of an abort would delete the object."""
    arguments = ([], FOLDER) if method.startswith("complete") else (FOLDER,)
    with pytest.raises(MlflowException, match="upload_id is empty"):
        getattr(repository, method)("big.bin", "", *arguments)
    assert len(script.calls) == 0


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(404, 404, "NoSuchUpload"), (403, 403, "storage.multipartUploads.create"), (400, 400, "InvalidPart")],
)
def test_errors_of_a_completion(
    repository: DirectArtifactRepository, script: responses.RequestsMock, status: int, code: int, words: str
) -> None:
    script.post(f"{OBJECT}?uploadId=ID", status=status, body=f"<Error><Code>{words}</Code></Error>")
    with pytest.raises(MlflowException, match=words) as raised:
        repository.complete_multipart_upload("big.bin", "ID", [MultipartUploadPart(1, "e")], FOLDER)
    assert raised.value.get_http_status_code() == code


@pytest.mark.parametrize("parts", [0, -1, 10_001])
def test_a_wrong_number_of_parts_is_refused(
    repository: DirectArtifactRepository, script: responses.RequestsMock, parts: int
) -> None:
    with pytest.raises(MlflowException, match=f"{parts} parts. Set 1 to 10000 parts"):
        repository.create_multipart_upload("big.bin", parts, FOLDER)
    assert len(script.calls) == 0


@pytest.mark.parametrize("name", ["", "..", "."])
def test_a_name_of_a_directory_is_refused(
    repository: DirectArtifactRepository, script: responses.RequestsMock, name: str
) -> None:
    with pytest.raises(MlflowException, match="Invalid artifact file name"):
        repository.create_multipart_upload(name, 1, FOLDER)
    assert len(script.calls) == 0


@pytest.mark.parametrize("body", [("model.bin#", "x"), ("model.bin", "")])
@pytest.mark.parametrize("method", ["abort_multipart_upload", "complete_multipart_upload"])
def test_without_direct_transfers_no_upload_is_changed(method: str, body: tuple[str, str]) -> None:
    """MLflow's own abort would send a request that deletes the object."""
    client = storage.Client(project="my-project", credentials=AnonymousCredentials())
    repository = CloudStorageArtifactRepository("gs://my-bucket", client=client)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as script:
        script.delete(re.compile(".*"), status=204)
        script.post(re.compile(".*"))
        with pytest.raises(MlflowException, match=UNSUPPORTED) as refused:
            getattr(repository, method)(*body, artifact_path=FOLDER, **({"parts": []} if "complete" in method else {}))
    assert (refused.value.get_http_status_code(), len(script.calls)) == (501, 0)


# --- Downloads


def test_a_large_artifact_has_a_url_of_its_version(
    repository: DirectArtifactRepository, script: responses.RequestsMock
) -> None:
    stored(script, 1000)
    found = repository.get_download_presigned_url(f"{FOLDER}/big.bin", 300)
    assert (found.file_size, found.headers) == (1000, {})
    assert found.url.startswith(f"{OBJECT}?")
    sent = query(found.url)
    assert (sent["generation"], sent["X-Goog-Expires"]) == ("7", "900")


@pytest.mark.parametrize(("size", "more"), [(999, {}), (5000, {"contentEncoding": "gzip"})])
def test_other_artifacts_are_downloaded_through_the_server(
    repository: DirectArtifactRepository,
    account: Account,
    script: responses.RequestsMock,
    size: int,
    more: dict[str, str],
) -> None:
    """The client does so if the response has no size."""
    stored(script, size, **more)
    found = repository.get_download_presigned_url(f"{FOLDER}/big.bin")
    assert (found.to_dict(), account.signed) == ({"url": "", "headers": {}}, [])


def test_a_missing_artifact(repository: DirectArtifactRepository, script: responses.RequestsMock) -> None:
    script.get(METADATA, status=404, json={"error": {"message": "No such object"}})
    with pytest.raises(MlflowException, match="No such object") as raised:
        repository.get_download_presigned_url(f"{FOLDER}/big.bin")
    assert raised.value.get_http_status_code() == 404


# --- Without signatures


def test_without_signatures_all_transfers_go_through_the_server(
    repository: DirectArtifactRepository,
    account: Account,
    clock: Clock,
    script: responses.RequestsMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    account.broken = True
    script.post(f"{OBJECT}?uploads", body=BEGUN)
    script.delete(f"{OBJECT}?uploadId=ID", status=204)
    stored(script, 5000)
    with caplog.at_level(logging.WARNING, "mlflow.gcp"):
        for _ in range(3):
            with pytest.raises(MlflowException, match=UNSUPPORTED) as refused:
                repository.create_multipart_upload("big.bin", 3, FOLDER)
            assert (refused.value.get_http_status_code(), refused.value.error_code) == (501, "NOT_IMPLEMENTED")
    assert repository.get_download_presigned_url(f"{FOLDER}/big.bin").file_size is None
    # One upload began, was removed again, and was logged once.
    assert [call.request.method for call in script.calls] == ["POST", "DELETE", "GET"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "iam.serviceAccounts.signBlob" in line
    assert "X-Goog" not in line
    # After the pause, the server tries again.
    account.broken = False
    clock.now += signing.PAUSE
    assert repository.get_download_presigned_url(f"{FOLDER}/big.bin").file_size == 5000


class Session(requests.Session):
    """A session of a service account."""

    class credentials:  # noqa: N801
        service_account_email = EMAIL


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch) -> KeylessCredentials:
    monkeypatch.setattr(signing, "RETRY", signing.RETRY.with_timeout(0.5))
    credentials = KeylessCredentials()
    credentials._session = Session()
    return credentials


def test_google_signs(keyless: KeylessCredentials, script: responses.RequestsMock) -> None:
    script.post(SIGN, json={"keyId": "k", "signedBlob": base64.b64encode(b"signature").decode()})
    assert (keyless.sign_bytes(b"text"), keyless.signer_email) == (b"signature", EMAIL)
    assert json.loads(script.calls[0].request.body) == {"payload": base64.b64encode(b"text").decode()}


def test_a_short_failure_is_repeated(keyless: KeylessCredentials, script: responses.RequestsMock) -> None:
    script.post(SIGN, status=503)
    script.post(SIGN, json={"signedBlob": ""})
    assert keyless.sign_bytes(b"text") == b""


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"status": 403, "json": {"error": {"message": "iam.serviceAccounts.signBlob denied"}}}, "signBlob denied"),
        ({"status": 503}, "503"),
        ({"body": requests.ConnectTimeout("timed out")}, "timed out"),
        ({"json": {}}, "signedBlob"),
    ],
)
def test_a_failure_names_the_cause(
    keyless: KeylessCredentials, script: responses.RequestsMock, arguments: dict[str, Any], cause: str
) -> None:
    script.post(SIGN, **arguments)
    with pytest.raises(SigningError, match=cause):
        keyless.sign_bytes(b"text")


def test_the_doctor_gets_the_cause(account: Account) -> None:
    assert signing.problem(account) == ""
    account.broken = True
    assert signing.problem(account) == "Forbidden: iam.serviceAccounts.signBlob"


# --- Registration


def test_only_the_artifact_store_of_the_server_has_direct_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments may have other locations, and the command of a job has no users whose permission is checked."""
    monkeypatch.setattr(storage, "Client", lambda: object())
    monkeypatch.setattr(direct_artifacts, "_state", None)
    repository = registry.get_artifact_repository("gs://my-bucket/a")
    assert type(repository) is CloudStorageArtifactRepository
    with pytest.raises(MlflowException, match=UNSUPPORTED):
        repository.create_multipart_upload("x", 1)
    direct_artifacts.allow("gs://my-bucket/a", DirectTransfers(1, 900))
    assert isinstance(registry.get_artifact_repository("gs://my-bucket/a"), MultipartDownloadMixin)
    for other in ("gs://my-bucket/a/b", "gs://my-bucket", "gs://other/a"):
        assert type(registry.get_artifact_repository(other)) is CloudStorageArtifactRepository
