# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Official clients: google-cloud-secret-manager and gcloud."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import google_crc32c
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.auth.transport.requests import Request
from google.cloud import secretmanager
from google.oauth2 import id_token

from localcloud.access.oauth_clients import GCLOUD_CLIENT
from tests.localcloud.gcloud import Gcloud
from tests.localcloud.harness import Local
from tests.localcloud.sign_in import Person, log_in_with_gcloud, session

PARENT = "projects/mlflow-local"


@pytest.fixture
def secrets(local: Local, monkeypatch: pytest.MonkeyPatch) -> secretmanager.SecretManagerServiceClient:
    """Return Google's client over REST. It needs a host, so the API is reached by a host name without a path prefix."""
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import rest

    transport = rest.SecretManagerServiceRestTransport(
        host=f"127.0.0.1:{local.port}", url_scheme="http", credentials=local.credentials()
    )
    transport._session.headers["Host"] = "secretmanager.googleapis.com"
    return secretmanager.SecretManagerServiceClient(transport=transport)


def test_googles_secret_manager_client(secrets: secretmanager.SecretManagerServiceClient) -> None:
    secret = secrets.create_secret(
        parent=PARENT, secret_id="s", secret={"replication": {"automatic": {}}, "labels": {"app": "mlflow"}}
    )
    assert secret.name == "projects/100000000001/secrets/s"
    with pytest.raises(Conflict):
        secrets.create_secret(parent=PARENT, secret_id="s", secret={"replication": {"automatic": {}}})
    data = b"\x00hello"
    checksum = google_crc32c.value(data)
    version = secrets.add_secret_version(parent=secret.name, payload={"data": data, "data_crc32c": checksum})
    assert version.state is secretmanager.SecretVersion.State.ENABLED
    answer = secrets.access_secret_version(name=f"{secret.name}/versions/latest")
    assert (answer.payload.data, answer.payload.data_crc32c) == (data, checksum)
    disabled = secrets.disable_secret_version(name=version.name)
    assert disabled.state is secretmanager.SecretVersion.State.DISABLED
    with pytest.raises(BadRequest, match="DISABLED"):
        secrets.access_secret_version(name=version.name)
    secret.labels["app"] = "new"
    assert secrets.update_secret(secret=secret, update_mask={"paths": ["labels"]}).labels["app"] == "new"
    assert [s.name for s in secrets.list_secrets(parent=PARENT)] == [secret.name]
    policy = secrets.get_iam_policy(request={"resource": secret.name})
    policy.bindings.add(role="roles/secretmanager.secretAccessor", members=["user:a@example.com"])
    assert len(secrets.set_iam_policy(request={"resource": secret.name, "policy": policy}).bindings) == 1
    secrets.delete_secret(name=secret.name)
    with pytest.raises(NotFound):
        secrets.get_secret(name=secret.name)


@pytest.fixture
def gcloud(local: Local, tmp_path: pathlib.Path) -> Gcloud:
    """Return gcloud as the owner, configured only by the variables of `python -m localcloud env`."""
    if not shutil.which("gcloud"):
        pytest.skip("gcloud is not installed")
    return Gcloud(local, tmp_path / "gcloud")


def verified(local: Local, token: str, audience: str) -> dict[str, Any]:
    """Verify an ID token with Google's library and the published keys."""
    return dict(id_token.verify_oauth2_token(token, Request(session(local)), audience))


def test_gcloud_prints_identity_tokens(local: Local, gcloud: Gcloud, tmp_path: pathlib.Path) -> None:
    """A service account chooses the audience. The token of a person is for gcloud's own client."""
    audience = "https://mlflow.example.com"
    claims = verified(local, gcloud.text("auth", "print-identity-token", f"--audiences={audience}"), audience)
    assert (claims["email"], claims["email_verified"]) == ("owner@mlflow-local.iam.gserviceaccount.com", True)
    file = tmp_path / "person.json"
    file.write_text(json.dumps(local.cloud.logins.log_in("ada@example.com", client_id=GCLOUD_CLIENT)))
    gcloud.environment["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"] = str(file)
    claims = verified(local, gcloud.text("auth", "print-identity-token"), GCLOUD_CLIENT)
    assert (claims["email"], claims["hd"], claims["azp"]) == ("ada@example.com", "example.com", GCLOUD_CLIENT)


def test_a_person_logs_in_with_gcloud(local: Local, gcloud: Gcloud, tmp_path: pathlib.Path) -> None:
    """The page is on 127.0.0.1, as the variables say, so each browser of the host can open it."""
    del gcloud.environment["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"]
    log_in_with_gcloud(Person(local), "grace@example.com", tmp_path, dict(gcloud.environment), "login")
    assert (tmp_path / "url").read_text().startswith(f"{local.url}/o/oauth2/auth?")
    assert gcloud("auth", "list")[0]["account"] == "grace@example.com"
    roles = ("roles/secretmanager.viewer", "roles/serviceusage.serviceUsageConsumer")
    local.grant("user:grace@example.com", *roles)
    assert gcloud("secrets", "list") == []


def test_gcloud(gcloud: Gcloud) -> None:
    assert gcloud("projects", "describe", "mlflow-local")["projectNumber"] == "100000000001"
    enabled = {s["config"]["name"] for s in gcloud("services", "list", "--enabled")}
    assert "secretmanager.googleapis.com" in enabled
    gcloud("services", "enable", "dns.googleapis.com")
    gcloud("secrets", "create", "by-gcloud", "--replication-policy=automatic", "--data-file=-", stdin="hello")
    version = gcloud("secrets", "versions", "access", "latest", "--secret=by-gcloud")
    assert version["payload"]["data"] == "aGVsbG8="
    account = gcloud("iam", "service-accounts", "create", "by-gcloud", "--display-name=x")
    email = "by-gcloud@mlflow-local.iam.gserviceaccount.com"
    assert account["email"] == email
    member = f"--member=serviceAccount:{email}"
    policy = gcloud(
        "projects", "add-iam-policy-binding", "mlflow-local", member, "--role=roles/viewer", "--condition=None"
    )
    assert any(b["role"] == "roles/viewer" for b in policy["bindings"])
    gcloud("secrets", "add-iam-policy-binding", "by-gcloud", member, "--role=roles/secretmanager.secretAccessor")
    gcloud("secrets", "delete", "by-gcloud")
    assert gcloud("secrets", "list") == []
    assert len(gcloud("iam", "service-accounts", "list")) == 2


def test_gcloud_waits_for_operations_of_a_location(gcloud: Gcloud) -> None:
    gcloud("services", "enable", "certificatemanager.googleapis.com")
    group = ("certificate-manager", "dns-authorizations")
    gcloud(*group, "create", "by-gcloud", "--domain=mlflow.example.com", "--labels=app=mlflow")
    gcloud(*group, "update", "by-gcloud", "--description=new")
    made = gcloud(*group, "describe", "by-gcloud")
    assert (made["description"], made["labels"]) == ("new", {"app": "mlflow"})
    assert made["dnsResourceRecord"]["name"] == "_acme-challenge.mlflow.example.com."
    operations = gcloud("certificate-manager", "operations", "list", "--location=global")
    assert [operation["metadata"]["verb"] for operation in operations] == ["update", "create"]
    gcloud(*group, "delete", "by-gcloud")
    assert gcloud(*group, "list") == []


def test_gcloud_changes_dns_records(gcloud: Gcloud, tmp_path: pathlib.Path) -> None:
    gcloud("services", "enable", "dns.googleapis.com")
    zones, records = ("dns", "managed-zones"), ("dns", "record-sets")
    zone, www = "--zone=by-gcloud", "www.example.test."
    gcloud(*zones, "create", "by-gcloud", "--dns-name=example.test.", "--description=x", "--visibility=public")
    gcloud(*zones, "update", "by-gcloud", "--description=new", "--update-labels=app=mlflow")
    (made,) = gcloud(*zones, "list")
    assert (made["dnsName"], made["description"], made["labels"]) == ("example.test.", "new", {"app": "mlflow"})

    gcloud(*records, "create", www, zone, "--type=A", "--ttl=300", "--rrdatas=192.0.2.1")
    gcloud(*records, "update", www, zone, "--type=A", "--ttl=60", "--rrdatas=192.0.2.2,192.0.2.3")
    change = (f"--transaction-file={tmp_path}/change.yaml", zone)
    gcloud.text(*records, "transaction", "start", *change)
    gcloud.text(*records, "transaction", "add", *change, f"--name={www}", "--type=TXT", "--ttl=60", "v=spf1 -all")
    gcloud.text(*records, "transaction", "execute", *change)
    _, soa, address, _ = gcloud(*records, "list", zone)
    assert soa["rrdatas"][0].split()[2] == "2", "gcloud increments the serial"
    assert (address["ttl"], address["rrdatas"]) == (60, ["192.0.2.2", "192.0.2.3"])
    assert gcloud(*records, "describe", www, zone, "--type=TXT")["rrdatas"] == ['"v=spf1 -all"']
    gcloud(*records, "delete", www, zone, "--type=TXT")


def test_env_prints_what_a_shell_can_eval(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "localcloud", "env", "--home", str(tmp_path / "it's here"), "--port", "9999"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=pathlib.Path(__file__).parents[2])
    shell = f"{printed.stdout}\necho $CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE $GOOGLE_APPLICATION_CREDENTIALS"
    shown = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"http://127.0.0.1:9999/compute/v1/ {tmp_path}/it's here/credentials.json"
